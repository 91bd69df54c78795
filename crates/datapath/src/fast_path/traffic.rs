//! What the XDP program counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipvs_core::Counters as Counted;

use super::SharedMemory;

/// Counters of one destination on one processor, as the program has them: packets and bytes in, packets and bytes out, connections.
/// They only grow, so a reader that remembers loses nothing and counts nothing twice.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Counters([AtomicU64; 8]);

impl Counters {
    fn read(&self) -> [u64; 5] {
        std::array::from_fn(|place| self.0[place].load(Ordering::Relaxed))
    }

    /// Packets of both directions.
    pub(crate) fn packets(&self) -> u64 {
        let [packets_in, _, packets_out, ..] = self.read();
        packets_in.wrapping_add(packets_out)
    }
}

/// All counters, and how much of them was taken over.
#[derive(Debug)]
pub(super) struct Traffic {
    counters: Arc<SharedMemory<Counters>>,
    /// Sums over all processors as they were taken last, by destination.
    taken: Vec<[u64; 5]>,
}

impl Traffic {
    /// Of `destinations` destinations.
    pub(super) fn new(counters: Arc<SharedMemory<Counters>>, destinations: u32) -> Self {
        Self { counters, taken: vec![[0; 5]; destinations as usize] }
    }

    /// What was counted at a destination since the last call.
    pub(super) fn take(&mut self, destination: u32) -> Counted {
        let stride = self.taken.len();
        let Some(taken) = self.taken.get_mut(destination as usize) else { return Counted::default() };
        let mut sum = [0u64; 5];
        for line in (*self.counters).as_ref().iter().skip(destination as usize).step_by(stride) {
            for (sum, value) in sum.iter_mut().zip(line.read()) {
                *sum = sum.wrapping_add(value);
            }
        }
        let [packets_in, bytes_in, packets_out, bytes_out, connections] =
            std::array::from_fn(|place| sum[place].wrapping_sub(taken[place]));
        *taken = sum;
        Counted { connections, packets_in, packets_out, bytes_in, bytes_out }
    }
}
