//! Choices by load: the destinations of a service in the order in which its scheduler goes through them, with weights, where other
//! services have slots.

use super::{DELAY, OVERHEAD, Pick, QUEUE, SLOTS_PER_LINE, Slot, write_slot};
use crate::{
    least::{Measure, overhead},
    line::{Line, Memory},
    load::{FEW, Load},
    sync::Ordering,
};

/// Most candidates of a service: the verifier follows the search for each.
pub const MOST_CANDIDATES: u32 = 128;
/// Slots in whose place a candidate stands: the choice, the weight.
pub const SLOTS_PER_CANDIDATE: u32 = 2;
/// Loads below this are compared, of others (33 million active connections of a destination) there is no choice here: no product of
/// one and a weight, of 31 bits, exceeds 64 bits.
const MOST_LOAD: u64 = 1 << 33;
const _: () =
    assert!(MOST_LOAD.checked_mul(i32::MAX as u64).is_some() && overhead(FEW - 1, FEW - 1) < MOST_LOAD);
/// Candidates of a line: a search looks at all of them in one go.
const EACH: u32 = SLOTS_PER_LINE / SLOTS_PER_CANDIDATE;

/// A destination that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The choice.
    pub slot: Slot,
    /// What its load is divided by, from 1 to [`i32::MAX`].
    pub weight: u32,
}

/// The candidate with the least load per weight, the first of equals, of those that were looked at.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Search {
    choice: Slot,
    /// That of the rule.
    version: u32,
}

impl Search {
    /// No search: no choice is made by it.
    pub const NONE: Self = Self { choice: Slot::NONE, version: 0 };

    /// The least loaded candidate, if it is `pick` that was searched by.
    #[inline(always)]
    pub fn choice(&self, pick: &Pick<'_>) -> Option<Slot> {
        (self.version == pick.version).then_some(self.choice)
    }
}

/// The least load so far, and the candidate's weight and slot.
struct Least {
    load: u64,
    weight: u64,
    choice: Slot,
}

impl Least {
    /// Looks at candidate `number` of a line: a constant where it is called, so nothing of it is left to check.
    #[inline(always)]
    fn look<const RULE: u32, L: Memory>(&mut self, number: u32, line: &Line, loads: &L) -> Option<()> {
        let [destination, _, weight, _] = line.first::<16>().as_chunks::<4>().0.get(number as usize)?;
        let load = comparable::<RULE>(Load::of(loads.line(destination.load(Ordering::Relaxed))?))?;
        let weight = u64::from(weight.load(Ordering::Relaxed));
        // Exact: see `MOST_LOAD`. The verifier goes on with one state after both ways, since none has a number that it knows.
        if load * self.weight < self.load * weight {
            *self = Self { load, weight, choice: Slot::read(line, number * SLOTS_PER_CANDIDATE)? };
        }
        Some(())
    }
}

#[inline(always)]
const fn measure(rule: u32) -> Measure {
    match rule {
        OVERHEAD => Measure::Overhead,
        DELAY => Measure::Delay,
        _ => Measure::Queue,
    }
}

/// A load below [`MOST_LOAD`]: of few connections it is known at once.
#[inline(always)]
fn comparable<const RULE: u32>(load: Load<'_>) -> Option<u64> {
    if RULE == OVERHEAD
        && let Some(overhead) = load.small_overhead()
    {
        return Some(overhead);
    }
    let load = measure(RULE).of(load);
    (load < MOST_LOAD).then_some(load)
}

impl Pick<'_> {
    /// Whether the choice is made by a [`Pick::search`].
    #[inline(always)]
    pub const fn is_by_load(&self) -> bool {
        self.rule & 0xff >= OVERHEAD
    }

    /// Looks at the candidates of a choice by load, [`MOST_CANDIDATES`] at most; `loads` has the loads by destination index. `None`
    /// if one of these is not to be had, or too great to be compared here: there is no choice.
    #[inline(always)]
    pub fn search<M: Memory, L: Memory>(&self, memory: &M, loads: &L) -> Option<Search> {
        let choice = match self.rule {
            OVERHEAD => self.least::<OVERHEAD, M, L>(memory, loads),
            DELAY => self.least::<DELAY, M, L>(memory, loads),
            _ => self.least::<QUEUE, M, L>(memory, loads),
        };
        Some(Search { choice: choice?, version: self.version })
    }

    #[inline(always)]
    fn least<const RULE: u32, M: Memory, L: Memory>(&self, memory: &M, loads: &L) -> Option<Slot> {
        let mut least = Least { load: MOST_LOAD, weight: 1, choice: Slot::NONE };
        let first = self.first / SLOTS_PER_LINE;
        for number in 0..MOST_CANDIDATES / EACH {
            if number * EACH >= self.slots {
                return Some(least.choice);
            }
            let line = memory.line(first + number)?;
            least.look::<RULE, L>(0, line, loads)?;
            least.look::<RULE, L>(1, line, loads)?;
            least.look::<RULE, L>(2, line, loads)?;
            least.look::<RULE, L>(3, line, loads)?;
            // None has less than no load.
            if least.load == 0 {
                break;
            }
        }
        Some(least.choice)
    }
}

/// Writes the candidates from slot `first` on, the first of a line, and the last of them once more in what is left of its line:
/// equal to one that is looked at before, it is never chosen.
pub fn write_candidates<M: Memory>(memory: &M, first: u32, candidates: impl IntoIterator<Item = Candidate>) {
    let (mut number, mut last) = (first, None);
    let mut candidates = candidates.into_iter().fuse();
    while let Some(candidate) = candidates.next().or(last.filter(|_| !number.is_multiple_of(SLOTS_PER_LINE)))
    {
        write_slot(memory, number, candidate.slot);
        write_slot(memory, number + 1, Slot { destination: candidate.weight, port: 0, flags: 0 });
        number += SLOTS_PER_CANDIDATE;
        last = Some(candidate);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use super::*;
    use crate::Line;
    use crate::least::{Share, least};
    use crate::pick::{Rule, write};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn lines(count: u32) -> Vec<Line> {
        (0..count).map(|_| Line::zeroed()).collect()
    }

    /// Lays out candidates (destination, weight), and chooses.
    fn choose(measure: Measure, candidates: &[(u32, u32)], loads: &[Line]) -> Option<u32> {
        // What stood there before leads nowhere.
        let stale = || Line::from_words([u32::MAX; 16]);
        let memory: Vec<Line> = (0..2 + MOST_CANDIDATES / EACH).map(|_| stale()).collect();
        let line = Line::zeroed();
        let slot = |destination| Slot { destination, port: 8080, flags: 0x100 };
        let all =
            candidates.iter().map(|&(destination, weight)| Candidate { slot: slot(destination), weight });
        write_candidates(&memory, 16, all);
        write(&line, [0; 5], Rule::Least(measure), 16, candidates.len() as u32, 0);
        let pick = Pick::read(&line)?;
        assert!(pick.is_by_load() && !pick.is_sequence() && Search::NONE.choice(&pick).is_none());
        let slot = pick.search(&memory, &loads)?.choice(&pick)?;
        assert_eq!((slot.port, slot.flags), (8080, 0x100));
        Some(slot.destination)
    }

    #[test]
    fn the_least_loaded_is_chosen() {
        let loads = lines(6);
        for (line, (total, active)) in loads.iter().zip([(300, 1), (5, 2), (9, 0), (0, 0), (0, 0), (600, 2)])
        {
            Load::of(line).set(total, active);
        }
        let equal = [(0, 1), (1, 1), (2, 1)];
        assert_eq!(choose(Measure::Overhead, &equal, &loads), Some(2));
        assert_eq!(choose(Measure::Overhead, &[(0, 1), (1, 1)], &loads), Some(1), "517 is less than 556");
        assert_eq!(choose(Measure::Overhead, &[(0, 2), (1, 1)], &loads), Some(0));
        assert_eq!(choose(Measure::Overhead, &[(0, 1), (5, 2), (1, 1)], &loads), Some(1));
        assert_eq!(choose(Measure::Overhead, &[(0, 556), (5, 1112)], &loads), Some(0), "the first of equals");
        assert_eq!(choose(Measure::Overhead, &[(5, 1112), (0, 556)], &loads), Some(5));
        assert_eq!(choose(Measure::Delay, &[(0, 2), (1, 4), (2, 1)], &loads), Some(1), "3/4 is less than 1");
        assert_eq!(choose(Measure::Queue, &[(0, 2), (1, 4), (2, 1), (3, 9)], &loads), Some(2));
        assert_eq!(choose(Measure::Queue, &[(0, 2), (1, 4)], &loads), Some(1));
        assert_eq!(choose(Measure::Overhead, &[(2, 1), (3, 1), (4, 1)], &loads), Some(3));
        assert_eq!(choose(Measure::Overhead, &[(0, 1), (6, 1)], &loads), None, "a load that is not there");
        assert_eq!(choose(Measure::Overhead, &[], &loads), None);
    }

    #[test]
    fn the_last_of_the_most_is_seen() {
        let loads = lines(MOST_CANDIDATES);
        loads.iter().for_each(|line| Load::of(line).set(2, 0));
        Load::of(loads.last().unwrap()).set(1, 0);
        let candidates: Vec<_> = (0..MOST_CANDIDATES).map(|destination| (destination, 1)).collect();
        assert_eq!(choose(Measure::Overhead, &candidates, &loads), Some(MOST_CANDIDATES - 1));
    }

    /// Counts that are near each other, about the limits, and such as are below 0 for a moment.
    fn count() -> impl Strategy<Value = u32> {
        let most = (MOST_LOAD / 257) as u32;
        prop_oneof![
            8 => 0u32..4,
            4 => FEW - 2..FEW + 2,
            1 => most - 1..most + 2,
            4 => u32::MAX - 3..=u32::MAX,
            1 => any::<u32>(),
        ]
    }

    fn weight() -> impl Strategy<Value = u32> {
        prop_oneof![3 => 1u32..4, 1 => 0x7fff_fffc..0x8000_0000u32, 1 => 1..0x8000_0000u32]
    }

    proptest! {
        /// As the engine chooses, with numbers that are wide enough.
        #[test]
        fn the_choice_is_the_engines(
            candidates in prop::collection::vec((count(), count(), weight()), MOST_CANDIDATES as usize),
            length in prop_oneof![1..13usize, 1..=MOST_CANDIDATES as usize],
            measure in prop::sample::select(&[Measure::Overhead, Measure::Delay, Measure::Queue][..]),
        ) {
            let loads = lines(MOST_CANDIDATES);
            let shares = (0..).zip(&candidates[..length]).zip(&loads).map(|((number, &(total, active, weight)), line)| {
                Load::of(line).set(total, active);
                ((number, weight), Share { load: measure.of(Load::of(line)), weight })
            });
            let shares: Vec<_> = shares.collect();
            let expected = least(shares.iter().map(|((number, _), share)| (*number, *share)));
            let candidates: Vec<_> = shares.iter().map(|(candidate, _)| *candidate).collect();
            match choose(measure, &candidates, &loads) {
                None => prop_assert!(shares.iter().any(|(_, share)| share.load >= MOST_LOAD)),
                choice => prop_assert_eq!(choice, expected),
            }
        }
    }
}
