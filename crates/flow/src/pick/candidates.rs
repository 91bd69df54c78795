//! Choices by load: the destinations of a service in the order in which its scheduler goes through them, with weights, where other
//! services have slots.

use super::{DELAY, OVERHEAD, Pick, SLOTS_PER_LINE, Slot, write_slot};
use crate::{
    least::{Measure, Share},
    line::Memory,
    load::Load,
    sync::Ordering,
};

/// Most candidates of a service: the verifier follows the search for each.
pub const MOST_CANDIDATES: u32 = 128;
/// Slots in whose place a candidate stands: the choice, the weight.
pub const SLOTS_PER_CANDIDATE: u32 = 2;

/// A destination that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The choice.
    pub slot: Slot,
    /// What its load is divided by, above 0.
    pub weight: u32,
}

impl Candidate {
    /// The candidate in the place of the slots from number `number` on.
    #[inline(always)]
    fn read<M: Memory>(memory: &M, number: u32) -> Option<Self> {
        let line = memory.line(number / SLOTS_PER_LINE)?;
        let weight = line.first::<16>().get((number % SLOTS_PER_LINE * 2 + 2) as usize & 15)?;
        Some(Self { slot: Slot::read(line, number)?, weight: weight.load(Ordering::Relaxed) })
    }
}

/// Looking for the candidate with the least load per weight, the first of equals, one by one: the XDP program's loop is a call for
/// each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Search {
    least: Share,
    choice: Slot,
    /// Word and version of the rule.
    rule: u32,
    version: u32,
    /// Number of the next candidate's first slot.
    next: u32,
    /// Candidates that are left.
    left: u32,
}

/// What became of [`Search::look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There are more candidates.
    On,
    /// The search is over.
    Over,
    /// The load of a candidate is not to be had: there is no choice.
    Fails,
}

impl Search {
    /// Looks at the next candidate; `loads` has the loads by destination index.
    #[inline(always)]
    pub fn look<M: Memory, L: Memory>(&mut self, memory: &M, loads: &L) -> Look {
        let Some(Candidate { slot, weight }) = Candidate::read(memory, self.next) else { return Look::Fails };
        let Some(line) = loads.line(slot.destination) else { return Look::Fails };
        let share = Share { load: measure(self.rule).of(Load::of(line)), weight };
        if share.is_below(self.least) {
            (self.least, self.choice) = (share, slot);
        }
        self.next += SLOTS_PER_CANDIDATE;
        self.left -= 1;
        // None has less than no load.
        if self.left == 0 || share.load == 0 { Look::Over } else { Look::On }
    }

    /// The least loaded candidate, if it is `pick` that was searched by.
    #[inline(always)]
    pub fn choice(&self, pick: &Pick<'_>) -> Option<Slot> {
        (self.version == pick.version).then_some(self.choice)
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

impl Pick<'_> {
    /// Whether the choice is made by a [`Pick::search`].
    #[inline(always)]
    pub const fn is_by_load(&self) -> bool {
        self.rule & 0xff >= OVERHEAD
    }

    /// The search for a choice by load, among [`MOST_CANDIDATES`] at most.
    #[inline(always)]
    pub const fn search(&self) -> Search {
        let Self { version, first: next, slots: left, rule, .. } = *self;
        Search { least: Share::MOST, choice: Slot::NONE, rule, version, next, left }
    }
}

/// Writes a candidate in the place of the slots from number `number`, which is even, on.
pub fn write_candidate<M: Memory>(memory: &M, number: u32, candidate: Candidate) {
    write_slot(memory, number, candidate.slot);
    write_slot(memory, number + 1, Slot { destination: candidate.weight, port: 0, flags: 0 });
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use super::*;
    use crate::Line;
    use crate::pick::{Rule, write};
    use std::vec::Vec;

    fn lines(count: u32) -> Vec<Line> {
        (0..count).map(|_| Line::zeroed()).collect()
    }

    /// Lays out candidates (destination, weight), and chooses.
    fn choose(measure: Measure, candidates: &[(u32, u32)], loads: &[Line]) -> Option<u32> {
        let (line, memory) = (Line::zeroed(), lines(2 * MOST_CANDIDATES));
        for (number, (destination, weight)) in (0..).zip(candidates) {
            let slot = Slot { destination: *destination, port: 8080, flags: 0x100 };
            write_candidate(&memory, 16 + 2 * number, Candidate { slot, weight: *weight });
        }
        write(&line, Rule::Least(measure), 16, candidates.len() as u32, 0);
        let pick = Pick::read(&line)?;
        assert!(pick.is_by_load() && !pick.is_sequence());
        let mut search = pick.search();
        let mut looks = candidates.iter().map(|_| search.look(&memory, &loads));
        if looks.find(|look| *look != Look::On)? == Look::Fails {
            return None;
        }
        let slot = search.choice(&pick)?;
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
}
