//! How many flows are in use: estimated from a few buckets, since nobody counts them.

use super::{PHASE, RECORDS, VALID};
use crate::{
    Memory, Table, Tick,
    sync::{Ordering, load_traced},
};

/// 2^32 divided by the golden ratio: multiples spread evenly.
const SPREAD: u32 = 0x9e37_79b9;

impl<M: Memory> Table<M> {
    /// About how many connections of the flow cache have had a packet within the last `window` ticks, by `samples` of its buckets (at
    /// most 2^24); `seed` says by which, so that it is others the next time.
    pub fn flows_in_use(&self, now: Tick, window: u32, samples: u32, seed: u32) -> u32 {
        let Some(directory) = self.directory() else { return 0 };
        let buckets = directory.lines * 2;
        let mut found = 0;
        for sample in 0..samples {
            // As a share of all: no remainder is more likely than another.
            let share = seed.wrapping_add(sample).wrapping_mul(SPREAD);
            let number = ((u64::from(share) * u64::from(buckets)) >> 32) as u32;
            let Some(bucket) = self.bucket_of(number >> 1, number & 1) else { continue };
            found += (0..RECORDS)
                .filter(|place| {
                    load_traced(bucket.info(*place), Ordering::Relaxed) & PHASE == VALID
                        && now.since(Tick(bucket.seen(*place).load(Ordering::Relaxed))) <= window
                })
                .count() as u64;
        }
        (found * u64::from(buckets) / u64::from(samples.max(1))) as u32
    }
}
