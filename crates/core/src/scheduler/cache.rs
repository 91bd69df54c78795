//! The bounded cache of destination addresses that lblc and lblcr keep, and its upkeep (spec section 10).

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::scheduler::hash::fold;
use crate::time::Instant;

/// How often a cache is looked after.
pub(super) const UPKEEP: Duration = Duration::from_secs(60);
/// Of so many upkeeps one drops all that was not used for the expiration setting.
const FULL_CHECK: u32 = 30;
/// What the other upkeeps, when there is too much, may drop must have been unused for this long.
const UNUSED: Duration = Duration::from_secs(6 * 60);
/// More entries than this are too many.
const MOST: usize = 16_384;
/// With this many entries a new address is not cached.
const FULL: usize = MOST + MOST / 2;
/// Buckets of the kernel's table; here they only give the order in which entries are dropped.
const BUCKET_BITS: u32 = 10;

/// Addresses with what a scheduler remembers of each. Looking up costs the logarithm of the size, whoever chose the
/// addresses.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entries: BTreeMap<(u16, IpAddr), Entry<T>>,
    /// The bucket at which dropping goes on.
    rover: u16,
    upkeeps: u32,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    value: T,
    used: Instant,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), rover: 0, upkeeps: 0 }
    }
}

impl<T> Cache<T> {
    /// What is remembered of `address`, which is used at `now`.
    pub(super) fn get_mut(&mut self, address: IpAddr, now: Instant) -> Option<&mut T> {
        let entry = self.entries.get_mut(&key(address))?;
        entry.used = now;
        Some(&mut entry.value)
    }

    /// Remembers `value` of an address, unless that is new and the cache full.
    pub(super) fn insert(&mut self, address: IpAddr, now: Instant, value: T) {
        let key = key(address);
        if self.entries.len() < FULL || self.entries.contains_key(&key) {
            self.entries.insert(key, Entry { value, used: now });
        }
    }

    /// A cache of what is remembered of `address` alone.
    pub(super) fn only(&self, address: IpAddr) -> Self
    where
        T: Clone,
    {
        let key = key(address);
        let entries = self.entries.get_key_value(&key).map(|(key, entry)| (*key, entry.clone()));
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    /// The timer, each [`UPKEEP`]. `expiration` is the setting.
    pub(super) fn upkeep(&mut self, now: Instant, expiration: Duration) {
        self.upkeeps += 1;
        if self.upkeeps.is_multiple_of(FULL_CHECK) {
            self.entries.retain(|_, entry| now.saturating_since(entry.used) <= expiration);
        } else if self.entries.len() > MOST {
            self.shrink(now);
        }
    }

    /// Drops four thirds of what is too much, at most half of [`MOST`], whole buckets at a time.
    fn shrink(&mut self, now: Instant) {
        let goal = ((self.entries.len() - MOST) * 4 / 3).min(MOST / 2);
        let mut dropped = 0;
        for _ in 0..1 << BUCKET_BITS {
            self.rover = (self.rover + 1) % (1 << BUCKET_BITS);
            let lowest = IpAddr::V4([0; 4].into());
            let highest = IpAddr::V6([0xff; 16].into());
            let bucket = self.entries.range((self.rover, lowest)..=(self.rover, highest));
            let unused = bucket.filter(|(_, entry)| now.saturating_since(entry.used) > UNUSED);
            for key in unused.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.entries.remove(&key);
                dropped += 1;
            }
            if dropped >= goal {
                return;
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }
}

fn key(address: IpAddr) -> (u16, IpAddr) {
    ((fold(address).wrapping_mul(0x61C8_8647) >> (u32::BITS - BUCKET_BITS)) as u16, address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn filled(n: u32, now: Instant) -> Cache<u32> {
        let mut cache = Cache::default();
        for i in 0..n {
            cache.insert(Ipv4Addr::from_bits(i).into(), now, i);
        }
        cache
    }

    #[test]
    fn a_full_cache_takes_no_new_address() {
        let mut cache = filled(30_000, at(0));
        assert_eq!(cache.len(), 24_576);
        let (old, new) = (Ipv4Addr::from_bits(5).into(), Ipv4Addr::from_bits(29_000).into());
        cache.insert(old, at(1), 77);
        assert_eq!(cache.get_mut(old, at(1)), Some(&mut 77));
        assert_eq!(cache.get_mut(new, at(1)), None);
    }

    /// Only what was unused for six minutes goes, and no more than is needed, up to a bucket.
    #[test]
    fn too_much_shrinks() {
        let mut cache = filled(20_000, at(0));
        cache.upkeep(at(360), DAY);
        assert_eq!(cache.len(), 20_000);
        cache.upkeep(at(361), DAY);
        let goal = (20_000 - 16_384) * 4 / 3;
        assert!((20_000 - goal - 64..=20_000 - goal).contains(&cache.len()), "{}", cache.len());
        cache.upkeep(at(420), DAY);
        assert!(cache.len() <= 16_384);
        let rest = cache.len();
        cache.upkeep(at(480), DAY);
        assert_eq!(cache.len(), rest);
    }

    #[test]
    fn every_thirtieth_upkeep_drops_what_expired() {
        let mut cache = filled(10, at(0));
        let kept: IpAddr = Ipv4Addr::from_bits(3).into();
        for minute in 1..=29 {
            cache.upkeep(at(minute * 60), Duration::from_secs(600));
            if minute == 25 {
                assert!(cache.get_mut(kept, at(minute * 60)).is_some());
            }
        }
        assert_eq!(cache.len(), 10);
        cache.upkeep(at(1800), Duration::from_secs(600));
        assert_eq!(cache.len(), 1);
        assert!(cache.get_mut(kept, at(1800)).is_some());
    }
}
