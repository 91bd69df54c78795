//! Copying lines of a table that another program is writing to.

use crate::{
    layout::{HEADER_LINES, Layout},
    line::Line,
    sync::{Ordering, fence, spin_loop},
};

impl Layout {
    /// A copy of the line of that number as it is between two changes: with a hash line's lock free, an entry's words of one
    /// connection. Whoever has the lock may not wait for the caller.
    pub fn copy_of(&self, number: u32, line: &Line) -> Line {
        let is_head = number.checked_sub(HEADER_LINES).is_some_and(|number| number <= self.hash_mask);
        loop {
            // Orderings as in `entry`; an entry's version is where a hash line has its lock.
            let before = line.word::<15>().load(Ordering::Acquire);
            let words = line.to_words();
            fence(Ordering::Acquire);
            let locked = is_head && before & crate::chain::LOCK != 0;
            if !locked && line.word::<15>().load(Ordering::Relaxed) == before {
                return Line::from_words(words);
            }
            spin_loop();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use super::*;
    use crate::chain::LOCK;

    #[test]
    fn a_locked_line_is_waited_for() {
        let layout = Layout::for_capacity(1).unwrap();
        let line = Line::from_words([LOCK | 7; 16]);
        // Only a hash line has a lock.
        assert_eq!(layout.copy_of(0, &line).to_words()[15], LOCK | 7);
        std::thread::scope(|scope| {
            let copy = scope.spawn(|| layout.copy_of(HEADER_LINES, &line).to_words());
            std::thread::yield_now();
            line.word::<15>().store(7, Ordering::Release);
            assert_eq!(copy.join().unwrap()[15], 7);
        });
    }
}
