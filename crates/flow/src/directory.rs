//! The directory: how many hash lines are in use. As connections become more, one line after another is split in two (linear
//! hashing: Litwin, "Linear hashing", 1980), so that the lines of few connections lie together, in the caches, however many the
//! table could hold.
//!
//! A line is split under its lock and that of the new line: the slots that belong there are copied, then the directory's word
//! tells of the new line, then the copies left behind are taken out. So a connection is always in the chain that the word of
//! that moment names. Whoever may have read an older word reads it again: a writer when it has the lock, under which
//! the chain's connections stay where they are; a reader when it has found nothing.
//!
//! The directory does not shrink: after a flood it costs what a table of fixed size costs always.

use core::iter::successors;

use crate::{
    Key, Memory, Table,
    chain::Chain,
    layout::{HEADER_LINES, Layout},
    line::{Line, SLOTS},
    sync::{AtomicU32, Ordering, load_own, load_traced},
};

/// Lines in use at first: a page.
const FIRST: u32 = if cfg!(loom) { 1 } else { 64 };
/// Connections per line in use, on average, at which splitting begins. It ends with twice as many lines.
const FILL: u32 = if cfg!(loom) { 4 } else { 6 };
/// Lines that are split for a connection that comes in. With four the lines are twice as many before the connections are a
/// tenth more.
const PACE: u32 = 4;
/// Bits of the word that hold the number of lines; above is that of the bits of a hash that count.
const LINES_BITS: u32 = 24;

/// How many hash lines are in use, and so which is that of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// More than `mask / 2` and at most `mask + 1`.
    lines: u32,
    mask: u32,
}

impl Directory {
    /// A new table's.
    pub(crate) fn first(layout: Layout) -> Self {
        let lines = FIRST.min(layout.hash_mask + 1);
        Self { lines, mask: lines - 1 }
    }

    pub(crate) fn to_word(self) -> u32 {
        self.lines | self.mask.count_ones() << LINES_BITS
    }

    #[inline(always)]
    pub(crate) fn from_word(word: u32) -> Self {
        let mask = !(u32::MAX << (word >> LINES_BITS & 31));
        Self { lines: word & ((1 << LINES_BITS) - 1), mask }
    }

    /// Number of the hash line of a hash's low half.
    #[inline(always)]
    pub(crate) fn line_of(self, hash: u32) -> u32 {
        let number = hash & self.mask;
        if number < self.lines { number } else { hash & self.mask >> 1 }
    }

    /// The line that is to be split next.
    fn next(self) -> u32 {
        if self.lines > self.mask { 0 } else { self.lines - (self.mask >> 1) - 1 }
    }

    /// With one line more.
    fn grown(self) -> Self {
        let mask = if self.lines > self.mask { self.mask << 1 | 1 } else { self.mask };
        Self { lines: self.lines + 1, mask }
    }

    /// Whether so many connections ask for more lines. What is begun is ended.
    fn wants_more(self, connections: u32, layout: Layout) -> bool {
        self.lines <= layout.hash_mask && (self.lines <= self.mask || connections / FILL >= self.lines)
    }
}

/// The word of the directory, in the first line of the table's memory.
#[inline(always)]
pub(crate) fn word(header: &Line) -> &AtomicU32 {
    header.word::<8>()
}

impl<M: Memory> Table<M> {
    /// Splits some lines, if the connections have become so many.
    pub(crate) fn keep_up(&self) {
        let connections = self.len();
        self.grow(PACE, |directory, layout| directory.wants_more(connections, layout));
    }

    /// Makes the directory as large as so many connections need it, at once rather than while they come in.
    pub fn make_room_for(&self, connections: u32) {
        self.grow(u32::MAX, |directory, layout| directory.wants_more(connections, layout));
    }

    fn grow(&self, most: u32, wanted: impl Fn(Directory, Layout) -> bool) {
        let (Some(header), Some(allocation)) = (self.memory().line(0), self.allocation()) else { return };
        let word = word(header);
        if !wanted(Directory::from_word(load_traced(word, Ordering::Relaxed)), self.layout()) {
            return;
        }
        allocation.alone(|| {
            for number in 0..most {
                let directory = Directory::from_word(load_own(word));
                if !wanted(directory, self.layout()) {
                    return;
                }
                if number % PACE == 0 && !cfg!(loom) {
                    self.look_ahead(directory);
                }
                if !self.split(directory, word) {
                    return;
                }
            }
        });
    }

    /// Reads the entries of the lines that are split next, which no cache may hold, so that they are waited for together.
    fn look_ahead(&self, directory: Directory) {
        let directories = successors(Some(directory), |last| Some(last.grown())).take(PACE as usize);
        let number = |it: Directory| HEADER_LINES + it.next();
        for chain in directories.filter_map(|it| Chain::at(self.memory(), self.layout(), number(it))) {
            let slots = chain.lines().next().into_iter().flat_map(Line::slots);
            // The loads are Acquire: no compiler leaves them out.
            for slot in slots {
                let _ = chain.entry_of(slot.load(Ordering::Relaxed));
            }
        }
    }

    /// Splits the next line. `false`: there is no overflow line for it.
    fn split(&self, directory: Directory, word: &AtomicU32) -> bool {
        let chain = |number| Chain::at(self.memory(), self.layout(), HEADER_LINES + number);
        let (Some(from), Some(to)) = (chain(directory.next()), chain(directory.lines)) else { return false };
        // In the order of their numbers, as all who lock two lines.
        from.lock();
        to.lock();
        let grown = directory.grown();
        let goes = |key: &Key| grown.line_of(self.hash(key) as u32) == directory.lines;
        // Release: who goes to the new line sees its slots.
        let tell = || word.store(grown.to_word(), Ordering::Release);
        let split = match (only_line(&from), only_line(&to)) {
            (Some(old), Some(new)) => {
                divide(&from, (old, new), goes, tell);
                true
            }
            _ => self.divide_chain(&from, &to, goes, tell),
        };
        to.unlock();
        from.unlock();
        split
    }

    /// Moves the slots of those connections that `goes` says to a new chain, of which `tell` tells. `false`: there is no overflow line
    /// for it.
    fn divide_chain(
        &self,
        from: &Chain<'_, M>,
        to: &Chain<'_, M>,
        goes: impl Fn(&Key) -> bool,
        tell: impl FnOnce(),
    ) -> bool {
        let copied = self.copy(from, to, goes);
        if copied {
            tell();
            to.slots().for_each(|slot| self.take_out_slot(from, slot));
        } else {
            while let Some(slot) = to.slots().next() {
                self.take_out_slot(to, slot);
            }
        }
        copied
    }

    /// Copies the slots of those connections that `goes` says. `false`: not all, an overflow line is missing.
    fn copy(&self, from: &Chain<'_, M>, to: &Chain<'_, M>, goes: impl Fn(&Key) -> bool) -> bool {
        from.lines().all(|line| {
            let slots = line.slots().iter().zip(chosen(from, line, &goes));
            slots.filter(|(_, goes)| *goes).all(|(slot, _)| self.append(to, slot.load(Ordering::Relaxed)))
        })
    }
}

/// The line of a chain that has no other. Needs the lock.
fn only_line<'t, M: Memory>(chain: &Chain<'t, M>) -> Option<&'t Line> {
    let mut lines = chain.lines();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

/// Which slots of a line are of connections that `goes` says. Asked of all before anything is done: so the entries, which no cache may
/// hold, are waited for together.
fn chosen<M: Memory>(chain: &Chain<'_, M>, line: &Line, goes: impl Fn(&Key) -> bool) -> [bool; SLOTS] {
    let mut chosen = [false; SLOTS];
    for (slot, chosen) in line.slots().iter().zip(&mut chosen) {
        let entry = chain.entry_of(slot.load(Ordering::Relaxed));
        *chosen = entry.is_some_and(|entry| goes(&entry.key()));
    }
    chosen
}

/// As [`Table::divide_chain`], from a chain's only line to a line that is empty, which nearly all are: those that stay close up in one
/// pass, in their order.
fn divide<M: Memory>(
    from: &Chain<'_, M>,
    (old, new): (&Line, &Line),
    goes: impl Fn(&Key) -> bool,
    tell: impl FnOnce(),
) {
    let chosen = chosen(from, old, goes);
    let mut staying = [0; SLOTS];
    let (mut to, mut stay) = (new.slots().iter(), staying.iter_mut());
    for (slot, goes) in old.slots().iter().zip(chosen) {
        let slot = slot.load(Ordering::Relaxed);
        if slot == 0 {
            break;
        }
        if !goes {
            stay.next().into_iter().for_each(|place| *place = slot);
        } else if let Some(place) = to.next() {
            // Release: who sees the slot sees the entry that it points to.
            place.store(slot, Ordering::Release);
        }
    }
    tell();
    if chosen.contains(&true) {
        from.count_move();
        for (slot, stays) in old.slots().iter().zip(staying) {
            if slot.load(Ordering::Relaxed) != stays {
                slot.store(stays, Ordering::Release);
            }
        }
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Address, HeapTable, NewConnection, Tick};

    fn directories(layout: Layout) -> impl Iterator<Item = Directory> {
        core::iter::successors(Some(Directory::first(layout)), move |last| {
            (last.lines <= layout.hash_mask).then(|| last.grown())
        })
    }

    #[test]
    fn a_directory_grows_to_all_lines_of_its_table() {
        for capacity in [1, 100, 1000, 100_000] {
            let layout = Layout::for_capacity(capacity).unwrap();
            let last = directories(layout).last().unwrap();
            assert_eq!((last.lines, last.mask), (layout.hash_mask + 1, layout.hash_mask));
        }
    }

    proptest! {
        #[test]
        fn a_line_is_split_in_two_and_no_other_changes(hash: u32, capacity in 1..5000u32) {
            for directory in directories(Layout::for_capacity(capacity).unwrap()) {
                prop_assert_eq!(Directory::from_word(directory.to_word()), directory);
                prop_assert!(directory.line_of(hash) < directory.lines);
                let (before, after) = (directory.line_of(hash), directory.grown().line_of(hash));
                prop_assert!(after == before || (before == directory.next() && after == directory.lines));
            }
        }
    }

    #[test]
    fn all_connections_are_found_at_every_size() {
        let table = HeapTable::allocate(20_000, [3, 4]).unwrap();
        let key = |number: u32| Key {
            ipv6: false,
            template: false,
            protocol: 6,
            client: Address::from((number / 7).to_be_bytes()),
            client_port: (number % 7) as u16,
            virtual_address: Address::from([198, 51, 100, 1]),
            virtual_port: 80,
        };
        let new = |number| NewConnection {
            key: key(number),
            destination: 0,
            destination_port: 80,
            flags: 0,
            state: 1,
            timeout: 1,
        };
        let directory =
            || Directory::from_word(word(table.memory().line(0).unwrap()).load(Ordering::Relaxed));
        let mut indices = alloc::vec::Vec::new();
        for number in 0..20_000 {
            indices.push(table.insert(&new(number), Tick(0)).unwrap());
            let lines = directory().lines;
            // Six or seven to a line while it grows.
            assert!(
                number / 8 < lines && (number + 1 >= FILL * FIRST || lines == FIRST),
                "{number} in {lines} lines"
            );
            if number % 997 == 0 {
                (0..=number).for_each(|number| {
                    assert_eq!(table.find_in(&key(number)), Some(indices[number as usize]), "{number}");
                });
            }
        }
        assert_eq!(directory().lines, table.layout().hash_mask + 1);
        for (number, index) in (0..20_000).zip(indices) {
            assert!(table.find_in(&key(number)) == Some(index) && table.remove(index));
        }
        // Every hash line is empty, and no overflow line was lost.
        let lines = (HEADER_LINES..).take(directory().lines as usize);
        let mut slots = lines.filter_map(|line| table.memory().line(line)).flat_map(Line::slots);
        assert!(slots.all(|slot| slot.load(Ordering::Relaxed) == 0));
        let allocation = table.allocation().unwrap();
        let free = core::iter::from_fn(|| allocation.take_overflow()).count();
        assert_eq!(free, table.layout().overflow_lines as usize);
    }
}
