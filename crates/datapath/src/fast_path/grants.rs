//! Entries of the connection table that are set aside for connections that the XDP program begins: a ring to each processor.

use ipvs_flow::{Line, RING_LINES, Ring};

use crate::shared_memory::SharedMemory;

/// Most of them for one processor: what it can begin in milliseconds, until the daemon has set more aside.
const MOST: u32 = 4096;
/// Of the table's entries, one of so many is set aside at most.
const SHARE: u32 = 16;
/// With fewer than this for a processor the program begins none.
const LEAST: u32 = 8;

/// The rings.
#[derive(Debug)]
pub(super) struct Grants {
    lines: SharedMemory<Line>,
    rings: u32,
    /// How many a ring is to hold.
    each: u32,
    /// The ring that was looked at last.
    at: u32,
}

impl Grants {
    /// Of a table of `capacity` entries.
    pub(super) fn new(lines: SharedMemory<Line>, capacity: u32) -> Self {
        let rings = u32::try_from(lines.as_ref().len()).unwrap_or(0) / RING_LINES;
        let each = (capacity / SHARE / rings.max(1)).min(MOST);
        let each = if each < LEAST { 0 } else { each };
        let grants = Self { lines, rings, each, at: 0 };
        (0..rings).for_each(|ring| grants.ring(ring, |ring| ring.set_wanted(each)));
        grants
    }

    /// How many more entries are to be set aside.
    pub(super) fn wanted(&self) -> u32 {
        (0..self.rings).map(|ring| self.each.saturating_sub(self.ring(ring, |ring| ring.len()))).sum()
    }

    /// Sets an entry aside for a processor that lacks some; `false`: none does.
    pub(super) fn put(&mut self, entry: u32) -> bool {
        for _ in 0..self.rings {
            if self.ring(self.at, |ring| ring.len() < self.each && ring.push(entry)) {
                return true;
            }
            self.at = (self.at + 1) % self.rings;
        }
        false
    }

    fn ring<T>(&self, number: u32, act: impl FnOnce(Ring<'_, &[Line]>) -> T) -> T {
        act(Ring::at(&self.lines.as_ref(), number * RING_LINES))
    }
}
