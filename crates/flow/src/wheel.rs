//! The expiry wheel: which connections to look at when.

use alloc::{vec, vec::Vec};

use crate::{EntryIndex, Tick};

/// log2 of the buckets of a level.
const BITS: u32 = 6;
const BUCKETS: u32 = 1 << BITS;
/// Levels: 6 bits each cover the 32 bits of a tick.
const LEVELS: u32 = 6;
/// Nodes before those of the entries: number 0, which nothing links to, and the list head of each bucket.
const HEADS: u32 = 1 + LEVELS * BUCKETS;

/// A hierarchical timing wheel over the entries of a table, of two links per entry.
///
/// It visits a connection when its time *may* have come, never later (within the budget) but often earlier: a distant
/// time is kept coarsely, and only the connection itself knows when its latest packet came. Who is visited compares its
/// own deadline with the clock and is scheduled again if it lies ahead. So packets write a tick into the connection and
/// need not touch the wheel.
///
/// Scheduling, cancelling and a visit take constant time; a connection with a timeout of 15 minutes is visited three
/// times before it expires. A time may lie up to 2^31 ticks (104 days) ahead.
#[derive(Debug)]
pub struct Wheel {
    /// Circular lists: the heads of the buckets, then the entries. A node that is in no list has zeroes.
    nodes: Vec<Node>,
    /// Per level, the buckets that are not empty.
    occupied: [u64; LEVELS as usize],
    /// All earlier times have been visited.
    current: Tick,
    scheduled: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    previous: u32,
}

impl Wheel {
    /// A wheel for the entries of a table of `capacity` connections, at time `now`.
    pub fn new(capacity: u32, now: Tick) -> Self {
        let mut nodes = vec![Node { next: 0, previous: 0 }; (HEADS + capacity) as usize];
        for (number, node) in (0..HEADS).zip(&mut nodes) {
            *node = Node { next: number, previous: number };
        }
        Wheel { nodes, occupied: [0; LEVELS as usize], current: now, scheduled: 0 }
    }

    /// Schedules a visit of `entry` at `at`, in place of the one scheduled before, if any. A time that has passed means
    /// the next [`Wheel::pop`] or [`Wheel::advance`]. An index past the capacity is ignored.
    pub fn schedule(&mut self, entry: EntryIndex, at: Tick) {
        self.cancel(entry);
        let Some(number) = HEADS.checked_add(entry.0).filter(|number| (*number as usize) < self.nodes.len())
        else {
            return;
        };
        let at = if at.reached(self.current) { at } else { self.current };
        // The level is that of the highest six bits in which the time differs from the current one.
        let level = (u32::BITS - ((at.0 ^ self.current.0) | 1).leading_zeros() - 1) / BITS;
        let bucket = at.0 >> (level * BITS) & (BUCKETS - 1);
        let head = head(level, bucket);
        let last = self.node(head).previous;
        self.link(last, number);
        self.link(number, head);
        if let Some(occupied) = self.occupied.get_mut(level as usize) {
            *occupied |= 1 << bucket;
        }
        self.scheduled += 1;
    }

    /// Cancels the visit of `entry`. `false`: none was scheduled.
    pub fn cancel(&mut self, entry: EntryIndex) -> bool {
        let Some(number) = HEADS.checked_add(entry.0) else { return false };
        let Node { next, previous } = self.node(number);
        if next == 0 {
            return false;
        }
        self.link(previous, next);
        self.set(number, Node { next: 0, previous: 0 });
        self.scheduled -= 1;
        if next == previous && next < HEADS {
            let (level, bucket) = ((next - 1) / BUCKETS, (next - 1) % BUCKETS);
            if let Some(occupied) = self.occupied.get_mut(level as usize) {
                *occupied &= !(1 << bucket);
            }
        }
        true
    }

    /// Takes a connection to visit out of the wheel; `None` if there is none up to and including `now`.
    ///
    /// This is [`Wheel::advance`] turned inside out, for a caller that schedules and cancels others while it visits one.
    pub fn pop(&mut self, now: Tick) -> Option<EntryIndex> {
        if !now.reached(self.current) {
            return None;
        }
        let Some((at, head)) = self.earliest().filter(|(at, _)| now.reached(*at)) else {
            self.current = now;
            return None;
        };
        self.current = at;
        let entry = EntryIndex(self.node(head).next.checked_sub(HEADS)?);
        self.cancel(entry);
        Some(entry)
    }

    /// Visits the connections up to and including `now`, at most `budget` of them; what is left is visited by the next
    /// call. Returns how many were visited.
    ///
    /// `on_due` says when to visit the connection again (not before the next tick), or `None` for never.
    pub fn advance(
        &mut self,
        now: Tick,
        budget: u32,
        mut on_due: impl FnMut(EntryIndex) -> Option<Tick>,
    ) -> u32 {
        for visited in 0..budget {
            let Some(entry) = self.pop(now) else { return visited };
            if let Some(again) = on_due(entry) {
                self.schedule(entry, if now.reached(again) { now.after(1) } else { again });
            }
        }
        budget
    }

    /// When the next visit comes, if any is scheduled: at `now` if some wait already.
    pub fn next_due(&self, now: Tick) -> Option<Tick> {
        let (at, _) = self.earliest()?;
        Some(if now.reached(at) { now } else { at })
    }

    /// Whether a visit of `entry` is scheduled.
    pub fn is_scheduled(&self, entry: EntryIndex) -> bool {
        HEADS.checked_add(entry.0).is_some_and(|number| self.node(number).next != 0)
    }

    /// Number of visits scheduled.
    pub fn len(&self) -> u32 {
        self.scheduled
    }

    /// Whether no visit is scheduled.
    pub fn is_empty(&self) -> bool {
        self.scheduled == 0
    }

    /// The earliest bucket that is not empty: when its time begins (now, if it has begun) and its list head.
    fn earliest(&self) -> Option<(Tick, u32)> {
        let mut earliest = None;
        for (level, occupied) in (0..LEVELS).zip(self.occupied) {
            if occupied == 0 {
                continue;
            }
            let shift = level * BITS;
            let position = self.current.0 >> shift & (BUCKETS - 1);
            // The top level has but four buckets and turns with the wrap of the ticks; rotating the 64 bits by the
            // position in four repetitions of it comes to the same as looking at the four only.
            let distance = match level {
                5 => (((occupied & 0xf) * 0x11) >> position).trailing_zeros(),
                _ => (occupied >> position).trailing_zeros(),
            };
            let bucket = match level {
                5 => (position + distance) & 3,
                _ => position + distance,
            };
            let start = Tick((self.current.0 >> shift).wrapping_add(distance) << shift);
            let start = if start.reached(self.current) { start } else { self.current };
            if earliest.is_none_or(|(at, _): (Tick, u32)| !start.reached(at)) {
                earliest = Some((start, head(level, bucket)));
            }
        }
        earliest
    }

    fn node(&self, number: u32) -> Node {
        self.nodes.get(number as usize).copied().unwrap_or(Node { next: 0, previous: 0 })
    }

    fn set(&mut self, number: u32, node: Node) {
        if let Some(place) = self.nodes.get_mut(number as usize) {
            *place = node;
        }
    }

    fn link(&mut self, first: u32, second: u32) {
        if let Some(node) = self.nodes.get_mut(first as usize) {
            node.next = second;
        }
        if let Some(node) = self.nodes.get_mut(second as usize) {
            node.previous = first;
        }
    }
}

/// Number of the list head of a bucket.
const fn head(level: u32, bucket: u32) -> u32 {
    1 + level * BUCKETS + bucket
}
