//! Joining hash lines as connections become fewer, the reverse of splitting (`splitting.rs`): under both locks the slots of the last line
//! are copied to the line that it was split from, then the directory's word tells of one line less, then they are taken out.
//!
//! So after a flood the connections that are left lie as close together as if it had not been.

use crate::{
    Memory, Table,
    chain::{CHAIN_LINES, Chain},
    directory::{Directory, word},
    layout::HEADER_LINES,
    sync::{AtomicU32, Ordering, load_own, load_traced},
};

impl<M: Memory> Table<M> {
    /// Joins two lines, if the connections have become so few. Once that begins, the lines are half as many before the connections are
    /// a fifth fewer.
    pub(crate) fn keep_down(&self) {
        let (Some(header), Some(allocation)) = (self.memory().line(0), self.allocation()) else { return };
        let (word, connections) = (word(header), self.len());
        if Directory::from_word(load_traced(word, Ordering::Relaxed)).wants_less(connections) {
            allocation.alone(|| {
                let directory = Directory::from_word(load_own(word));
                if directory.wants_less(connections) {
                    self.join(directory, word);
                }
            });
        }
    }

    /// Joins the last line to that which it was split from, unless that would make too long a chain.
    fn join(&self, directory: Directory, word: &AtomicU32) {
        let shrunk = directory.shrunk();
        let chain = |number| Chain::at(self.memory(), self.layout(), HEADER_LINES + number);
        let (Some(to), Some(from)) = (chain(shrunk.next()), chain(shrunk.lines)) else { return };
        // In the order of their numbers, as all who lock two lines.
        to.lock();
        from.lock();
        let fits = to.lines().count() + from.lines().count() <= CHAIN_LINES as usize;
        if fits && from.slots().all(|slot| self.append(&to, slot)) {
            to.count_move();
            from.count_move();
            // Release: who sees the word sees the slots in the other line.
            word.store(shrunk.to_word(), Ordering::Release);
            self.empty_buckets(shrunk.lines);
            while let Some(slot) = from.slots().next() {
                self.take_out_slot(&from, slot);
            }
        } else if fits {
            // An overflow line is missing.
            from.slots().for_each(|slot| self.take_out_slot(&to, slot));
        }
        from.unlock();
        to.unlock();
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use crate::{
        EntryIndex, HeapTable, Key,
        directory::{
            FILL,
            tests::{directory, insert, key},
        },
    };

    fn lines(table: &HeapTable) -> u32 {
        directory(table).lines
    }

    fn insert_all(table: &HeapTable, numbers: impl Iterator<Item = u32>) -> Vec<EntryIndex> {
        numbers.map(|number| insert(table, key(number))).collect()
    }

    #[test]
    fn lines_become_fewer_with_the_connections() {
        let table = HeapTable::allocate(40_000, [3, 4]).unwrap();
        let first = lines(&table);
        let mut connections: Vec<_> =
            (0..40_000).map(|number| (number, insert(&table, key(number)))).collect();
        let most = lines(&table);
        assert!(most > 16 * first);
        while let Some((number, index)) = connections.pop() {
            assert!(table.remove(index));
            assert_eq!(table.find_in(&key(number)), None);
            if number % 997 == 0 {
                for &(number, index) in &connections {
                    assert_eq!(table.find_in(&key(number)), Some(index), "{number}");
                }
                let (lines, most) = (lines(&table), most.min(number));
                assert!(lines <= most || lines == first, "{lines} lines of {number} connections");
            }
        }
        assert_eq!(lines(&table), first);
    }

    #[test]
    fn connections_that_come_and_go_change_nothing() {
        let table = HeapTable::allocate(40_000, [3, 4]).unwrap();
        // Just so many that there are 2048 lines, and just so few that there are no more.
        let (few, many) = (FILL * 1100, FILL * 2047);
        insert_all(&table, 0..few);
        let grown = lines(&table);
        assert_eq!(grown, 2048);
        for _ in 0..3 {
            let others = insert_all(&table, few..many);
            assert_eq!(lines(&table), grown);
            assert!(others.into_iter().all(|index| table.remove(index)));
            assert_eq!(lines(&table), grown);
        }
    }

    #[test]
    fn a_chain_that_would_be_too_long_stays_two() {
        let table = HeapTable::allocate(40_000, [3, 4]).unwrap();
        // Two client ports whose lines would be joined, each with a chain nearly as long as one can be.
        let place = |number| table.hash(&key(number)) as u32 & 0x7f;
        let first = (0..).find(|number| place(*number) < 0x40).unwrap();
        let second = (0..).find(|number| place(*number) == place(first) | 0x40).unwrap();
        let of_port = |port: u32, number: u16| Key { virtual_port: number, ..key(port) };
        let long = || [first, second].into_iter().flat_map(|port| (0..900).map(move |n| of_port(port, n)));
        let indices: Vec<_> = long().map(|key| insert(&table, key)).collect();
        let others = insert_all(&table, 1000..38_000);
        assert!(others.into_iter().all(|index| table.remove(index)));
        for (key, index) in long().zip(indices) {
            assert_eq!(table.find_in(&key), Some(index));
        }
        assert!(lines(&table) > place(second));
    }
}
