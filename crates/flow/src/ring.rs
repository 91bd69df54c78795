//! A ring of numbers from one program to another, in shared memory: the XDP program on one processor tells the daemon of
//! entries.
//!
//! The first line's first word counts what was put in, the second line's what was taken out, modulo 2^32; the lines behind
//! them hold the numbers. One side alone puts in, the other alone takes out. Who puts in stores the number, then the count
//! (Release); who takes out loads the count (Acquire), then the number, then stores its own count (Release), after which the
//! place is free.

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

    /// Whether less than half of it is in use: for the side that puts in.
    #[inline(always)]
    pub fn is_roomy(&self) -> bool {
        let (Some(put), Some(taken)) = (self.put(), self.taken()) else { return false };
        load_own(put).wrapping_sub(taken.load(Ordering::Acquire)) < PLACES.div_ceil(2)
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
        let (put, taken) = (self.put()?, self.taken()?);
        let count = load_own(taken);
        if put.load(Ordering::Acquire) == count {
            return None;
        }
        let number = self.place(count)?.load(Ordering::Relaxed);
        taken.store(count.wrapping_add(1), Ordering::Release);
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
            assert_eq!(ring.is_roomy(), number < PLACES / 2);
            assert!(ring.push(number));
        }
        assert!(!ring.push(0));
        assert_eq!(ring.pop(), Some(0));
        assert!(ring.push(0));
        assert!(!Ring::at(&lines, 1_000_000).push(0));
    }
}
