//! mh: Maglev hashing.

use ipvs_flow::pick::Rule;
use siphasher::sip::SipHasher13;

use crate::command::ServiceFlags;
use crate::destination::{Destination, DestinationIndex};
use crate::error::Error;
use crate::scheduler::hash::fold;
use crate::scheduler::{Change, Flow, Picks, Scheduler, View, gcd};

/// Places of the lookup table: a prime.
///
/// The kernel fixes it when it is built (CONFIG_IP_VS_MH_TAB_INDEX, 8 to 17). Directors that are to choose alike need the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaglevSize(usize);

impl MaglevSize {
    /// The size of the kernel's index 8 to 17; `None` for others.
    #[must_use]
    pub fn of_index(index: u8) -> Option<Self> {
        const PRIMES: [usize; 10] = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071];
        PRIMES.get(usize::from(index.checked_sub(8)?)).copied().map(Self)
    }
}

/// The kernel's default, index 12.
impl Default for MaglevSize {
    fn default() -> Self {
        Self(4093)
    }
}

/// Bits that weights are cut to.
const WEIGHT_BITS: u32 = 6;
const FIRST_KEY: u64 = 2_654_435_761;
const SECOND_KEY: u64 = 2_654_446_892;

/// Consistent hashing of the client's address (with mh-port and its port): each destination walks its own
/// permutation of the table and takes free places in turn, as many per turn as its weight.
#[derive(Clone, Debug)]
pub(crate) struct MaglevHashing {
    size: usize,
    /// Empty without destinations of weight.
    table: Vec<DestinationIndex>,
}

/// A destination's walk over the table.
struct Walk {
    index: DestinationIndex,
    place: usize,
    skip: usize,
    turns: u32,
}

impl MaglevHashing {
    pub(crate) const fn new(MaglevSize(size): MaglevSize) -> Self {
        Self { size, table: Vec::new() }
    }

    fn fill(&mut self, view: View<'_>) {
        let size = self.size;
        let weights =
            || view.iter().map(|(_, it)| it.last_weight.unsigned_abs()).filter(|weight| *weight > 0);
        let divisor = weights().fold(0, gcd).max(1);
        let greatest = weights().max().unwrap_or(0) / divisor;
        let shift = (u32::BITS - greatest.leading_zeros()).saturating_sub(WEIGHT_BITS);
        let mut walks: Vec<Walk> = view
            .iter()
            .filter(|(_, it)| it.last_weight > 0)
            .map(|(index, it)| {
                let value = fold(it.id.address).wrapping_add(u32::from(it.id.port));
                let place = hash(FIRST_KEY, value) as usize % size;
                let skip = hash(SECOND_KEY, value) as usize % (size - 1) + 1;
                let turns = ((it.last_weight.unsigned_abs() / divisor) >> shift).max(1);
                Walk { index, place, skip, turns }
            })
            .collect();
        self.table.clear();
        if walks.is_empty() {
            return;
        }
        let mut taken = vec![None; size];
        let mut free = size;
        'full: loop {
            for walk in &mut walks {
                for _ in 0..walk.turns {
                    // The size is prime, so the walk comes to every place.
                    while taken.get(walk.place).is_some_and(Option::is_some) {
                        walk.place = (walk.place + walk.skip) % size;
                    }
                    if let Some(place) = taken.get_mut(walk.place) {
                        *place = Some(walk.index);
                    }
                    free -= 1;
                    if free == 0 {
                        break 'full;
                    }
                }
            }
        }
        self.table.extend(taken.into_iter().flatten());
    }

    fn usable(&self, view: View<'_>, value: u32) -> Option<DestinationIndex> {
        let index = *self.table.get(hash(FIRST_KEY, value) as usize % self.size)?;
        view.destinations.get(index).filter(|it: &&Destination| it.usable()).map(|_| index)
    }
}

impl Scheduler for MaglevHashing {
    fn name(&self) -> &'static str {
        "mh"
    }

    fn bind(&mut self, view: View<'_>) -> Result<(), Error> {
        if view.list.len() > self.size {
            return Err(Error::SchedulerRefused);
        }
        self.fill(view);
        Ok(())
    }

    fn changed(&mut self, view: View<'_>, _change: Change) {
        self.fill(view);
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    /// The fallback depends on more than the place.
    fn picks(&self, view: View<'_>) -> Option<Picks> {
        let rule = Rule::Maglev { port: view.flags.contains(ServiceFlags::SCHED2) };
        let usable =
            |index: &DestinationIndex| view.destinations.get(*index).is_some_and(Destination::usable);
        Some(Picks::table(rule, self.table.iter().map(|index| Some(*index).filter(usable))))
    }

    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex> {
        let port = if view.flags.contains(ServiceFlags::SCHED2) { flow.source_port } else { 0 };
        let value = fold(flow.source).wrapping_add(u32::from(port));
        if !view.flags.contains(ServiceFlags::SCHED1) {
            return self.usable(view, value);
        }
        // mh-fallback.
        let first = hash(FIRST_KEY, value) as usize % self.size;
        self.usable(view, value).or_else(|| {
            (0..self.size).find_map(|offset| {
                let rolled = (first + offset) % self.size;
                self.usable(view, value.wrapping_add(u32::try_from(rolled).unwrap_or(0)))
            })
        })
    }
}

/// The kernel's hsiphash of one word on 64-bit machines: SipHash-1-3, low half.
fn hash(key: u64, value: u32) -> u32 {
    SipHasher13::new_with_keys(key, key).hash(&value.to_le_bytes()) as u32
}

#[cfg(test)]
mod tests {
    /// The specification's worked value.
    #[test]
    fn worked_hash() {
        assert_eq!(super::hash(super::FIRST_KEY, 0x0a00_0001), 50_859_236);
        assert_eq!(50_859_236 % super::MaglevSize::default().0, 3711);
    }
}
