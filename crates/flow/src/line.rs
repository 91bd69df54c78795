//! The unit of the table's memory: one cache line of sixteen words.

use core::ops::Deref;

use crate::sync::{AtomicU32, Ordering};

/// Words in a line.
pub(crate) const WORDS: usize = 16;
/// Slots of a hash line. Loom's model gets short lines, so that few connections fill a chain.
pub(crate) const SLOTS: usize = if cfg!(loom) { 2 } else { 15 };

/// One cache line of the table's memory: a header, a hash line or an entry.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Line {
    words: [AtomicU32; WORDS],
}

impl Line {
    /// A line of zeroes.
    #[cfg(not(loom))]
    pub const fn zeroed() -> Self {
        Line { words: [const { AtomicU32::new(0) }; WORDS] }
    }

    /// A line of zeroes.
    #[cfg(loom)]
    pub fn zeroed() -> Self {
        Line { words: core::array::from_fn(|_| AtomicU32::new(0)) }
    }

    /// A line of these words: for tests and tools.
    pub fn from_words(words: [u32; WORDS]) -> Self {
        Line { words: words.map(AtomicU32::new) }
    }

    /// Word `N` of the line.
    #[inline(always)]
    pub(crate) fn word<const N: usize>(&self) -> &AtomicU32 {
        const { assert!(N < WORDS) };
        &self.words[N]
    }

    /// All words, read one by one: for tests and tools.
    pub fn to_words(&self) -> [u32; WORDS] {
        core::array::from_fn(|number| self.words[number].load(Ordering::Relaxed))
    }

    /// The first `N` words of the line.
    #[inline(always)]
    pub(crate) fn first<const N: usize>(&self) -> &[AtomicU32] {
        const { assert!(N <= WORDS) };
        &self.words[..N]
    }

    /// Word `number` modulo 16 of the line.
    #[inline(always)]
    pub(crate) fn at(&self, number: usize) -> &AtomicU32 {
        &self.words[number % WORDS]
    }

    /// Word `number` of the line.
    pub(crate) fn get(&self, number: u32) -> Option<&AtomicU32> {
        self.words.get(number as usize)
    }

    /// The slots of a hash line.
    #[inline(always)]
    pub(crate) fn slots(&self) -> &[AtomicU32] {
        self.first::<SLOTS>()
    }

    /// The control word of a hash line.
    #[inline(always)]
    pub(crate) fn control(&self) -> &AtomicU32 {
        self.word::<15>()
    }
}

impl From<[u32; WORDS]> for Line {
    /// A line of these words.
    fn from(words: [u32; WORDS]) -> Self {
        Line { words: words.map(AtomicU32::new) }
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::zeroed()
    }
}

/// The memory of a table: lines numbered from 0.
///
/// Every `Deref<Target = [Line]>` is one: a boxed slice, a borrowed one, a mapping shared with other programs. The XDP
/// program implements it over the lookup of its array map.
pub trait Memory {
    /// Line `number`, or `None` past the end. Gives the same line each time.
    fn line(&self, number: u32) -> Option<&Line>;
}

impl<T: Deref<Target = [Line]>> Memory for T {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        self.get(number as usize)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_cache_line() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }
}
