//! The directory: how many hash lines are in use. As connections become more, one line after another is split in two (linear
//! hashing: Litwin, "Linear hashing", 1980), so that the lines of few connections lie together, in the caches, however many the
//! table could hold (`splitting.rs`). As connections become fewer, lines are joined again (`joining.rs`).
//!
//! A connection is always in the chain that the word of that moment names. Whoever may have read an older word reads it again: a
//! writer when it has the lock, under which the chain's connections stay where they are; a reader when it has found nothing. After
//! a line was split and joined again, or the reverse, the word is as it was: so before it is written both lines count a move, and
//! a reader that met what was between walks again.

use crate::{layout::Layout, line::Line, sync::AtomicU32};

/// Lines in use at first: a page.
const FIRST: u32 = if cfg!(loom) { 1 } else { 64 };
/// Connections per line in use, on average, at which splitting begins. It ends with twice as many lines.
pub(crate) const FILL: u32 = if cfg!(loom) { 4 } else { 6 };
/// Bits of the word that hold the number of lines; above is that of the bits of a hash that count.
const LINES_BITS: u32 = 24;

/// How many hash lines are in use, and so which is that of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// More than `mask / 2` and at most `mask + 1`.
    pub(crate) lines: u32,
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
    pub(crate) fn next(self) -> u32 {
        if self.lines > self.mask { 0 } else { self.lines - (self.mask >> 1) - 1 }
    }

    /// With one line more.
    pub(crate) fn grown(self) -> Self {
        let mask = if self.lines > self.mask { self.mask << 1 | 1 } else { self.mask };
        Self { lines: self.lines + 1, mask }
    }

    /// With one line less.
    pub(crate) fn shrunk(self) -> Self {
        let (lines, half) = (self.lines - 1, self.mask >> 1);
        Self { lines, mask: if lines > half + 1 { self.mask } else { half } }
    }

    /// Whether so many connections ask for more lines. What is begun is ended.
    pub(crate) fn wants_more(self, connections: u32, layout: Layout) -> bool {
        self.lines <= layout.hash_mask && connections / FILL > self.mask >> u32::from(self.lines <= self.mask)
    }

    /// Whether so few connections ask for fewer lines: a quarter of those at which that many would be split.
    pub(crate) fn wants_less(self, connections: u32) -> bool {
        self.lines > FIRST && connections / FILL < self.mask.div_ceil(4)
    }
}

/// The word of the directory, in the first line of the table's memory.
#[inline(always)]
pub(crate) fn word(header: &Line) -> &AtomicU32 {
    header.word::<8>()
}

#[cfg(all(test, feature = "alloc", not(loom)))]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Address, EntryIndex, HeapTable, Key, Memory, NewConnection, Tick, layout::HEADER_LINES,
        sync::Ordering,
    };

    fn directories(layout: Layout) -> impl Iterator<Item = Directory> {
        core::iter::successors(Some(Directory::first(layout)), move |last| {
            (last.lines <= layout.hash_mask).then(|| last.grown())
        })
    }

    #[test]
    fn between_more_and_fewer_lines_lie_many_connections() {
        let layout = Layout::for_capacity(5000).unwrap();
        for directory in directories(layout).skip(1) {
            let connections = || 0..directory.lines * 2 * FILL;
            let more = connections().find(|connections| directory.wants_more(*connections, layout));
            let less = connections().rfind(|connections| directory.wants_less(*connections)).unwrap();
            assert!(more.is_none_or(|more| less < more - more / 4), "{directory:?}: {more:?}, {less}");
        }
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
                prop_assert_eq!(directory.grown().shrunk(), directory);
            }
        }
    }

    pub(crate) fn key(number: u32) -> Key {
        Key {
            ipv6: false,
            template: false,
            protocol: 6,
            client: Address::from((number / 7).to_be_bytes()),
            client_port: (number % 7) as u16,
            virtual_address: Address::from([198, 51, 100, 1]),
            virtual_port: 80,
        }
    }

    pub(crate) fn insert(table: &HeapTable, key: Key) -> EntryIndex {
        let new = NewConnection { key, destination: 0, destination_port: 80, flags: 0, state: 1, timeout: 1 };
        table.insert(&new, Tick(0)).expect("there is room")
    }

    pub(crate) fn directory(table: &HeapTable) -> Directory {
        let header = table.memory().line(0).expect("a table has a header");
        Directory::from_word(word(header).load(Ordering::Relaxed))
    }

    #[test]
    fn all_connections_are_found_at_every_size() {
        let table = HeapTable::allocate(40_000, [3, 4]).unwrap();
        let mut indices = alloc::vec::Vec::new();
        for number in 0..40_000 {
            indices.push(insert(&table, key(number)));
            let lines = directory(&table).lines;
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
        let most = directory(&table).lines;
        for (number, index) in (0..40_000).zip(indices) {
            assert!(table.find_in(&key(number)) == Some(index) && table.remove(index));
        }
        // Every hash line is empty, and no overflow line was lost.
        let lines = (HEADER_LINES..).take(most as usize);
        let mut slots = lines.filter_map(|line| table.memory().line(line)).flat_map(Line::slots);
        assert!(slots.all(|slot| slot.load(Ordering::Relaxed) == 0));
        let allocation = table.allocation().unwrap();
        let free = core::iter::from_fn(|| allocation.take_overflow()).count();
        assert_eq!(free, table.layout().overflow_lines as usize);
    }
}
