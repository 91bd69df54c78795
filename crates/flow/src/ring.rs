//! A ring of numbers from one program to another, in shared memory: the XDP program on one processor tells the daemon of
//! entries.
//!
//! The first line's first word counts what was put in, the second line's what was taken out, modulo 2^32; the lines behind
//! them hold the numbers. One side alone puts in, the other alone takes out. Who puts in stores the number, then the count
//! (Release); who takes out loads the count (Acquire), then the number, then stores its own count (Release), after which the
//! place is free.
//!
//! The header lines' second words remember what the other side was woken for: once for each time that it was too slow.

use crate::{
    line::{Line, Memory, WORDS},
    sync::{AtomicU32, Ordering, load_own},
};

/// Numbers that a ring holds; a power of two.
const PLACES: u32 = if cfg!(loom) { 2 } else { 8192 };
/// Lines before the numbers.
const HEADER_LINES: u32 = 2;

/// Lines of memory of a ring.
pub const RING_LINES: u32 = HEADER_LINES + PLACES.div_ceil(WORDS as u32);

/// A ring in the lines of `memory` from `start` on.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'m, M> {
    memory: &'m M,
    start: u32,
}

impl<'m, M: Memory> Ring<'m, M> {
    /// The ring that begins at line `start`; all zero at first.
    #[inline(always)]
    pub const fn at(memory: &'m M, start: u32) -> Self {
        Self { memory, start }
    }

    /// Numbers in it, as of a moment ago if the other side is at work.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        let (Some(put), Some(taken)) = (self.put(), self.taken()) else { return 0 };
        put.load(Ordering::Acquire).wrapping_sub(taken.load(Ordering::Acquire))
    }

    /// Whether it holds nothing.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it takes no more.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.len() >= PLACES
    }

    /// For the side that puts in: whether the other side is to be woken since half of it is in use. Once, until that has taken
    /// something out.
    #[inline(always)]
    pub fn wakes_reader(&self) -> bool {
        let (Some(line), Some(taken)) = (self.memory.line(self.start), self.taken()) else { return false };
        self.len() >= PLACES / 2 && is_new(line.word::<1>(), taken.load(Ordering::Relaxed))
    }

    /// For the side that takes out: whether the other side is to be woken since less than half of what is wanted is left. Once,
    /// until that has put something in.
    #[inline(always)]
    pub fn wakes_writer(&self) -> bool {
        let (Some(line), Some(put)) = (self.memory.line(self.start + 1), self.put()) else { return false };
        let wanted = self.memory.line(self.start).map_or(0, |line| line.word::<2>().load(Ordering::Relaxed));
        self.len() * 2 < wanted && is_new(line.word::<1>(), put.load(Ordering::Relaxed))
    }

    /// Says how many numbers the side that puts in means to keep there.
    pub fn set_wanted(&self, wanted: u32) {
        if let Some(line) = self.memory.line(self.start) {
            line.word::<2>().store(wanted, Ordering::Relaxed);
        }
    }

    /// The number that was put in first, which stays.
    #[inline(always)]
    pub fn peek(&self) -> Option<u32> {
        let (put, taken) = (self.put()?, self.taken()?);
        let count = load_own(taken);
        if put.load(Ordering::Acquire) == count {
            return None;
        }
        Some(self.place(count)?.load(Ordering::Relaxed))
    }

    /// Puts a number in. `false`: the ring is full.
    #[inline(always)]
    pub fn push(&self, number: u32) -> bool {
        let (Some(put), Some(taken)) = (self.put(), self.taken()) else { return false };
        let count = load_own(put);
        if count.wrapping_sub(taken.load(Ordering::Acquire)) >= PLACES {
            return false;
        }
        let Some(place) = self.place(count) else { return false };
        place.store(number, Ordering::Relaxed);
        put.store(count.wrapping_add(1), Ordering::Release);
        true
    }

    /// Takes out the number that was put in first.
    #[inline(always)]
    pub fn pop(&self) -> Option<u32> {
        let number = self.peek()?;
        let taken = self.taken()?;
        taken.store(load_own(taken).wrapping_add(1), Ordering::Release);
        Some(number)
    }

    #[inline(always)]
    fn put(&self) -> Option<&'m AtomicU32> {
        Some(self.memory.line(self.start)?.word::<0>())
    }

    #[inline(always)]
    fn taken(&self) -> Option<&'m AtomicU32> {
        Some(self.memory.line(self.start + 1)?.word::<0>())
    }

    #[inline(always)]
    fn place(&self, count: u32) -> Option<&'m AtomicU32> {
        let place = count & (PLACES - 1);
        let line: &Line = self.memory.line(self.start + HEADER_LINES + place / WORDS as u32)?;
        line.first::<WORDS>().get(place as usize & (WORDS - 1))
    }
}

/// Whether it is not remembered in `word` that the other side's count is `count`; then it is.
#[inline(always)]
fn is_new(word: &AtomicU32, count: u32) -> bool {
    // 0 is what stands there at first.
    let mark = count.wrapping_add(1);
    if word.load(Ordering::Relaxed) == mark {
        return false;
    }
    word.store(mark, Ordering::Relaxed);
    true
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_is_put_in_comes_out_in_order_over_many_rounds() {
        let lines: Vec<Line> = (0..2 * RING_LINES).map(|_| Line::zeroed()).collect();
        let ring = Ring::at(&lines, RING_LINES);
        let (mut put, mut taken) = (0, 0);
        for round in 0..40u32 {
            for _ in 0..(round * 997) % PLACES {
                assert!(ring.push(put));
                put += 1;
            }
            while let Some(number) = ring.pop() {
                assert_eq!(number, taken);
                taken += 1;
            }
        }
        assert!(put == taken && put > 3 * PLACES);
        assert!(lines[..RING_LINES as usize].iter().all(|line| line.to_words() == [0; 16]));
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        let lines: Vec<Line> = (0..RING_LINES).map(|_| Line::zeroed()).collect();
        let ring = Ring::at(&lines, 0);
        for number in 0..PLACES {
            assert_eq!(ring.wakes_reader(), number == PLACES / 2);
            assert!(!ring.is_full() && ring.push(number));
        }
        assert!(ring.is_full() && !ring.push(0));
        assert_eq!((ring.peek(), ring.pop()), (Some(0), Some(0)));
        assert!(ring.wakes_reader() && !ring.wakes_reader());
        assert!(ring.push(0));
        assert!(!Ring::at(&lines, 1_000_000).push(0));
    }

    #[test]
    fn the_side_that_puts_in_is_woken_once_when_little_is_left() {
        let lines: Vec<Line> = (0..RING_LINES).map(|_| Line::zeroed()).collect();
        let ring = Ring::at(&lines, 0);
        assert!(!ring.wakes_writer(), "nothing is wanted");
        ring.set_wanted(10);
        (0..10).for_each(|number| assert!(ring.push(number)));
        for left in (0..10).rev() {
            assert!(ring.pop().is_some());
            assert_eq!(ring.wakes_writer(), left == 4, "{left}");
        }
        assert!(ring.push(0) && ring.wakes_writer());
    }
}
