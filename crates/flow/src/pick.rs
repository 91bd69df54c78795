//! Which destination a new connection of a service gets, worked out beforehand: a line of memory for each service and slots of
//! choices, which the daemon writes and the XDP program reads. A service that chooses by load has candidates in their place.
//!
//! | word | content |
//! |---|---|
//! | 0, 1 | number of the first slot, number of slots or of candidates |
//! | 2 | [`Rule`]: by what the slot is found |
//! | 3 | the slot at which a sequence goes on after its last one |
//! | 4 | of a sequence: the slot of the next choice (16 bits), generation (16 bits) |
//! | 5–9 | the [`Virtual`] service; word 5 is 0 while there is nothing to choose by |
//! | 15 | version: 0 or odd while there is nothing to choose by |
//!
//! The version works as that of an entry. A sequence's choices are made by compare-exchange of word 4, whose generation changes
//! with each renewal: each is made once, by whichever program, and none that was withdrawn.

mod candidates;

use crate::{
    Address,
    least::Measure,
    line::{Line, Memory},
    siphash,
    sync::{Ordering, fence},
};

pub use candidates::{Candidate, MOST_CANDIDATES, SLOTS_PER_CANDIDATE, Search, write_candidates};

/// Most slots of a service.
pub const MOST_SLOTS: u32 = 8192;
/// Slots of a line.
pub const SLOTS_PER_LINE: u32 = 8;

const SLOT_MASK: u32 = 0xffff;
/// Word 4 while nothing is chosen.
const WITHDRAWN: u32 = SLOT_MASK;

/// Rules by load.
const OVERHEAD: u32 = 4;
const DELAY: u32 = 5;
const QUEUE: u32 = 6;

/// The virtual service that chooses, as packets have it: its protocol, above it its port in network order; its address, in the words of
/// an [`Address`].
pub type Virtual = [u32; 5];

/// By what a slot is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One after the other.
    Sequence,
    /// The client's address, see [`bucket`]; with its port.
    Source {
        /// The client's port counts, too.
        port: bool,
    },
    /// The virtual address, see [`bucket`].
    Destination,
    /// The client's address, see [`maglev`]; with its port.
    Maglev {
        /// The client's port counts, too.
        port: bool,
    },
    /// The loads of the candidates: see [`Pick::search`].
    Least(Measure),
}

impl Rule {
    const fn to_word(self) -> u32 {
        match self {
            Rule::Sequence => 0,
            Rule::Source { port } => 1 | (port as u32) << 8,
            Rule::Destination => 2,
            Rule::Maglev { port } => 3 | (port as u32) << 8,
            Rule::Least(Measure::Overhead) => OVERHEAD,
            Rule::Least(Measure::Delay) => DELAY,
            Rule::Least(Measure::Queue) => QUEUE,
        }
    }
}

/// A choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index of the destination.
    pub destination: u32,
    /// The destination's port; 0: that of the packet.
    pub port: u16,
    /// Flags of its connections.
    pub flags: u16,
}

impl Slot {
    /// A choice that only the daemon can make.
    pub const NONE: Slot = Slot { destination: u32::MAX, port: 0, flags: 0 };

    /// The slot of that number, from its line.
    #[inline(always)]
    fn read(line: &Line, number: u32) -> Option<Self> {
        let word = (number % SLOTS_PER_LINE * 2) as usize;
        let words = line.first::<16>();
        let destination = words.get(word & 15)?.load(Ordering::Relaxed);
        let rest = words.get(word & 15 | 1)?.load(Ordering::Relaxed);
        Some(Slot { destination, port: rest as u16, flags: (rest >> 16) as u16 })
    }
}

/// What a service chooses by.
#[derive(Clone, Copy, Debug)]
pub struct Pick<'l> {
    line: &'l Line,
    version: u32,
    first: u32,
    slots: u32,
    rule: u32,
    restart: u32,
}

impl<'l> Pick<'l> {
    /// What stands in `line`, `None` if nothing does.
    #[inline(always)]
    pub fn read(line: &'l Line) -> Option<Self> {
        // Orderings as in `entry`.
        let version = line.word::<15>().load(Ordering::Acquire);
        let pick = Self {
            line,
            version,
            first: line.word::<0>().load(Ordering::Relaxed),
            slots: line.word::<1>().load(Ordering::Relaxed),
            rule: line.word::<2>().load(Ordering::Relaxed),
            restart: line.word::<3>().load(Ordering::Relaxed),
        };
        (version & 1 == 0 && version != 0 && pick.slots != 0 && pick.is_current()).then_some(pick)
    }

    /// What stands in `line`, if it is what this service chooses by.
    #[inline(always)]
    pub fn read_of(line: &'l Line, service: Virtual) -> Option<Self> {
        let pick = Self::read(line)?;
        (Self::is_of(line, service) && pick.is_current()).then_some(pick)
    }

    /// Whether `line` seems to be what this service chooses by: a look at it, by which one may go before a lookup, and no more. While
    /// the line changes hands another service's may show: see [`Pick::read_of`].
    #[inline(always)]
    pub fn is_of(line: &Line, service: Virtual) -> bool {
        let words = line.first::<10>();
        (0..5).fold(0, |other, word| other | words[5 + word].load(Ordering::Relaxed) ^ service[word]) == 0
    }

    /// Whether it still is what the service chooses by: what was read of slots before was right.
    #[inline(always)]
    pub fn is_current(&self) -> bool {
        fence(Ordering::Acquire);
        self.line.word::<15>().load(Ordering::Relaxed) == self.version
    }

    /// Whether choices come one after the other.
    #[inline(always)]
    pub const fn is_sequence(&self) -> bool {
        self.rule & 0xff == 0
    }

    /// The slot of the next choice of a sequence, to be passed to [`Pick::make`].
    #[inline(always)]
    pub fn next(&self) -> u32 {
        self.line.word::<4>().load(Ordering::Relaxed)
    }

    /// The place of a sequence's next choice within the service's slots.
    #[inline(always)]
    pub const fn sequence_place(next: u32) -> u32 {
        next & SLOT_MASK
    }

    /// The number of a slot within the service's: for a sequence from [`Pick::next`], else from the packet's addresses and the
    /// client's port.
    #[inline(always)]
    pub fn place(
        &self,
        next: u32,
        ipv6: bool,
        client: Address,
        client_port: u16,
        virtual_address: Address,
    ) -> u32 {
        let rule = self.rule & 0xff;
        if rule == 0 {
            return Self::sequence_place(next);
        }
        let address = if rule == 2 { virtual_address } else { client };
        let port = if self.rule >> 8 != 0 { u32::from(client_port) } else { 0 };
        let value = fold(address, ipv6).wrapping_add(port);
        if rule == 3 { maglev(value) % self.slots } else { bucket(value) }
    }

    /// The choice in a slot of the service's.
    #[inline(always)]
    pub fn slot<M: Memory>(&self, memory: &M, place: u32) -> Option<Slot> {
        if place >= self.slots {
            return None;
        }
        let number = self.first + place;
        Slot::read(memory.line(number / SLOTS_PER_LINE)?, number)
    }

    /// The service that chooses by it.
    pub fn service(&self) -> Virtual {
        let words = self.line.first::<10>();
        core::array::from_fn(|word| words[5 + word].load(Ordering::Relaxed))
    }

    /// All that may be chosen, each as often as it stands there: for the thread that writes.
    pub fn choices<M: Memory>(&self, memory: &M) -> impl Iterator<Item = Slot> {
        let each = if matches!(self.rule & 0xff, OVERHEAD | DELAY | QUEUE) { SLOTS_PER_CANDIDATE } else { 1 };
        (0..self.slots).filter_map(move |place| {
            let number = self.first + place * each;
            Slot::read(memory.line(number / SLOTS_PER_LINE)?, number)
        })
    }

    /// Makes the choice of [`Pick::next`]: `false`, and nothing happened, if it was made or withdrawn meanwhile.
    #[inline(always)]
    pub fn make(&self, next: u32) -> bool {
        // Else `next` might be of the renewal, and the slot of before.
        if !self.is_current() {
            return false;
        }
        let place = (next & SLOT_MASK) + 1;
        let after = if place >= self.slots { self.restart } else { place };
        let word = self.line.word::<4>();
        word.compare_exchange(next, next & !SLOT_MASK | after, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Puts in `line` what a service chooses by: `slots` slots, or candidates, from slot `first` on, which were written before.
pub fn write(line: &Line, service: Virtual, rule: Rule, first: u32, slots: u32, restart: u32) {
    withdraw(line);
    let words = [first, slots, rule.to_word(), restart];
    for (word, value) in line.first::<4>().iter().zip(words) {
        word.store(value, Ordering::Relaxed);
    }
    for (word, value) in line.first::<10>().iter().skip(5).zip(service) {
        word.store(value, Ordering::Relaxed);
    }
    let cursor = line.word::<4>();
    let generation = (cursor.load(Ordering::Relaxed) | SLOT_MASK).wrapping_add(1);
    cursor.store(generation, Ordering::Relaxed);
    crate::entry::publish(line);
}

/// Takes back what a service chooses by. Returns the slot of the next choice of a sequence: all before it were made.
pub fn withdraw(line: &Line) -> u32 {
    crate::entry::retire(line);
    line.word::<5>().store(0, Ordering::Relaxed);
    line.word::<4>().fetch_or(WITHDRAWN, Ordering::Relaxed) & SLOT_MASK
}

/// Writes the slot of that number.
pub fn write_slot<M: Memory>(memory: &M, number: u32, slot: Slot) {
    let Some(line) = memory.line(number / SLOTS_PER_LINE) else { return };
    let word = (number % SLOTS_PER_LINE * 2) as usize;
    let values = [slot.destination, u32::from(slot.port) | u32::from(slot.flags) << 16];
    for (word, value) in line.first::<16>().iter().skip(word).zip(values) {
        word.store(value, Ordering::Relaxed);
    }
}

/// An address as one number: IPv4 as it is, IPv6 as the exclusive or of its four words, in host order.
#[inline(always)]
pub const fn fold(address: Address, ipv6: bool) -> u32 {
    let [a, b, c, d] = address.words();
    u32::from_be(if ipv6 { a ^ b ^ c ^ d } else { d })
}

/// The bucket of a folded address in sh and dh: the top eight bits of its product with 2^32 divided by the golden ratio squared.
#[inline(always)]
pub const fn bucket(value: u32) -> u32 {
    value.wrapping_mul(0x61C8_8647) >> 24
}

/// mh's hash of a folded address: the kernel's hsiphash of one word on 64-bit machines, SipHash-1-3, low half.
#[inline(always)]
pub fn maglev(value: u32) -> u32 {
    const KEY: u64 = 2_654_435_761;
    siphash::hash_word([KEY, KEY], value) as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    const CLIENT: Address = Address::unspecified(false);
    const SERVICE: Virtual = [6 | 80 << 16, 1, 2, 3, 4];

    fn slot(destination: u32) -> Slot {
        Slot { destination, port: 80, flags: 0x100 }
    }

    #[test]
    fn each_choice_of_a_sequence_is_made_once() {
        let (line, slots) = (Line::zeroed(), (0..4).map(|_| Line::zeroed()).collect::<Vec<_>>());
        assert!(Pick::read(&line).is_none());
        (0..5).for_each(|number| write_slot(&slots, 13 + number, slot(number)));
        // The first is no part of the cycle.
        write(&line, SERVICE, Rule::Sequence, 13, 5, 1);
        let choose = || {
            let pick = Pick::read(&line)?;
            let next = pick.next();
            let slot = pick.slot(&slots, pick.place(next, false, CLIENT, 1, CLIENT))?;
            pick.make(next).then_some(slot.destination)
        };
        let chosen: Vec<u32> = (0..12).filter_map(|_| choose()).collect();
        assert_eq!(chosen, [0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3]);
        let late = Pick::read(&line).unwrap();
        let next = late.next();
        assert_eq!(withdraw(&line), 4);
        assert!(choose().is_none() && !late.make(next) && !late.is_current());
        write(&line, SERVICE, Rule::Sequence, 13, 5, 0);
        assert!(!late.make(next), "of a former sequence");
        assert_eq!(choose(), Some(0));
    }

    #[test]
    fn a_line_is_of_its_service_until_that_is_withdrawn() {
        let line = Line::zeroed();
        assert!(!Pick::is_of(&line, SERVICE));
        write(&line, SERVICE, Rule::Sequence, 0, 2, 0);
        assert!(Pick::is_of(&line, SERVICE) && Pick::read_of(&line, SERVICE).is_some());
        for word in 0..SERVICE.len() {
            let mut other = SERVICE;
            other[word] ^= 1 << 31;
            assert!(!Pick::is_of(&line, other) && Pick::read_of(&line, other).is_none());
        }
        withdraw(&line);
        assert!(!Pick::is_of(&line, SERVICE) && Pick::read_of(&line, SERVICE).is_none());
    }

    #[test]
    fn slots_are_found_by_hashes() {
        let (line, slots) = (Line::zeroed(), (0..40).map(|_| Line::zeroed()).collect::<Vec<_>>());
        (0..256).for_each(|number| write_slot(&slots, number, slot(number)));
        let (client, other) = (Address::from([10, 0, 0, 1]), Address::from([10, 0, 0, 2]));
        let chosen = |rule, slots_used, port| {
            write(&line, SERVICE, rule, 0, slots_used, 0);
            let pick = Pick::read(&line).unwrap();
            assert!(!pick.is_sequence());
            pick.slot(&slots, pick.place(0, false, client, port, other)).unwrap().destination
        };
        assert_eq!(chosen(Rule::Source { port: false }, 256, 7), bucket(0x0a00_0001));
        assert_eq!(chosen(Rule::Source { port: true }, 256, 7), bucket(0x0a00_0008));
        assert_eq!(chosen(Rule::Destination, 256, 7), bucket(0x0a00_0002));
        assert_eq!(chosen(Rule::Maglev { port: false }, 251, 7), 50_859_236 % 251);
        assert_eq!(chosen(Rule::Maglev { port: true }, 251, 7), maglev(0x0a00_0008) % 251);
    }
}
