//! What services choose by, as the program has it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use aya::maps::MapData;
use ipvs_core::Choices;
use ipvs_flow::Line;
use ipvs_flow::pick::{
    self, Candidate, MOST_CANDIDATES, MOST_SLOTS, Pick, Rule, SLOTS_PER_CANDIDATE, SLOTS_PER_LINE,
};

use crate::program::Endpoint;
use crate::shared_memory::SharedMemory;

/// Services that can have one.
pub(crate) const SERVICES: u32 = 16_384;
/// Lines of all choices: 2 MiB.
pub(crate) const SLOT_LINES: u32 = 1 << 15;

/// The map that tells the program the line of a virtual service.
pub(crate) type PickOf = aya::maps::HashMap<MapData, [u8; 20], u32>;

/// Choices of services, by the services' numbers.
#[derive(Debug)]
pub(super) struct Picks {
    of: PickOf,
    lines: Arc<SharedMemory<Line>>,
    slots: Arc<SharedMemory<Line>>,
    blocks: Blocks,
    published: HashMap<u32, (Endpoint, Block)>,
}

impl Picks {
    pub(super) fn new(of: PickOf, lines: Arc<SharedMemory<Line>>, slots: Arc<SharedMemory<Line>>) -> Self {
        Self { of, lines, slots, blocks: Blocks::default(), published: HashMap::new() }
    }

    /// Has the program choose for a service; `false` if there is no room for that.
    pub(super) fn publish(&mut self, service: u32, choices: &Choices) -> bool {
        self.withdraw(service);
        let (protocol, address, port): (u8, IpAddr, u16) = choices.endpoint;
        let endpoint = Endpoint { protocol: protocol.into(), address, port };
        let slots = u32::try_from(choices.slots.len()).unwrap_or(u32::MAX);
        let Some(line) = (*self.lines).as_ref().get(service as usize) else { return false };
        let (each, most) = match choices.rule {
            Rule::Least(_) => (SLOTS_PER_CANDIDATE, MOST_CANDIDATES),
            _ => (1, MOST_SLOTS),
        };
        if slots == 0 || slots > most {
            return false;
        }
        let Some(block) = self.blocks.take((slots * each).div_ceil(SLOTS_PER_LINE)) else { return false };
        let first = block.first * SLOTS_PER_LINE;
        self.write(first, choices);
        pick::write(line, endpoint.words(), choices.rule, first, slots, choices.restart);
        if let Err(error) = self.of.insert(endpoint.key(), service, 0) {
            tracing::warn!(%error, "could not change the XDP program's map");
            pick::withdraw(line);
            self.blocks.give(block);
            return false;
        }
        self.published.insert(service, (endpoint, block));
        true
    }

    /// Writes what a service chooses from, from slot `first` on.
    fn write(&self, first: u32, choices: &Choices) {
        let memory = (*self.slots).as_ref();
        if let Rule::Least(_) = choices.rule {
            let all = choices.slots.iter().zip(&choices.weights);
            pick::write_candidates(&memory, first, all.map(|(&slot, &weight)| Candidate { slot, weight }));
        } else {
            for (number, slot) in (first..).zip(&choices.slots) {
                pick::write_slot(&memory, number, *slot);
            }
        }
    }

    /// Takes that back. Returns how many choices of a sequence were made, less whole rounds.
    pub(super) fn withdraw(&mut self, service: u32) -> u32 {
        let Some((endpoint, block)) = self.published.remove(&service) else { return 0 };
        let made = (*self.lines).as_ref().get(service as usize).map_or(0, pick::withdraw);
        if let Err(error) = self.of.remove(&endpoint.key()) {
            tracing::warn!(%error, "could not change the XDP program's map");
        }
        self.blocks.give(block);
        made
    }

    /// Makes the next choice of a sequence; its place.
    pub(super) fn make_choice(&self, service: u32) -> Option<u32> {
        let line = (*self.lines).as_ref().get(service as usize)?;
        loop {
            let pick = Pick::read(line)?;
            let next = pick.next();
            if pick.make(next) {
                return Some(Pick::sequence_place(next));
            }
        }
    }

    /// The place of a sequence's next choice, which is not made.
    pub(super) fn next_choice(&self, service: u32) -> Option<u32> {
        let line = (*self.lines).as_ref().get(service as usize)?;
        Some(Pick::sequence_place(Pick::read(line)?.next()))
    }
}

/// Lines in a row, a power of two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u32,
    lines: u32,
}

/// Which lines are free: blocks that were given back, by size, and all from `mark` on.
#[derive(Debug, Default)]
struct Blocks {
    free: BTreeMap<u32, Vec<u32>>,
    mark: u32,
}

impl Blocks {
    fn take(&mut self, lines: u32) -> Option<Block> {
        let lines = lines.next_power_of_two();
        if let Some(first) = self.free.get_mut(&lines).and_then(Vec::pop) {
            return Some(Block { first, lines });
        }
        let first = self.mark;
        self.mark = first.checked_add(lines).filter(|mark| *mark <= SLOT_LINES)?;
        Some(Block { first, lines })
    }

    fn give(&mut self, block: Block) {
        self.free.entry(block.lines).or_default().push(block.first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_used_again_and_end_with_the_memory() {
        let mut blocks = Blocks::default();
        let first = blocks.take(3).unwrap();
        assert_eq!((first, blocks.take(1).unwrap().first), (Block { first: 0, lines: 4 }, 4));
        blocks.give(first);
        assert_eq!(blocks.take(4), Some(first));
        let mut taken = 0;
        while blocks.take(1024).is_some() {
            taken += 1;
        }
        assert_eq!(taken, SLOT_LINES / 1024 - 1);
    }
}
