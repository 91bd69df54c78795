//! Where the parts of a table lie in its memory.

use crate::{
    cache::LINES_PER_HASH_LINE,
    directory::FILL,
    line::{Line, SLOTS, WORDS},
};

/// The largest capacity of a table: 2^26 connections.
pub const MAX_CAPACITY: u32 = 1 << 26;
/// Lines before the hash lines: the constants and the state of the free lists.
pub(crate) const HEADER_LINES: u32 = 2;
/// Most connections per hash line, on average.
const LOAD: u32 = if FILL < SLOTS as u32 { FILL } else { SLOTS as u32 };
/// The same in tables of version 3.
const LOAD_OF_VERSION_3: u32 = SLOTS as u32 / 2 + 1;
/// Bytes of the expiry wheel's two links per entry.
#[cfg(feature = "alloc")]
const WHEEL_BYTES: u64 = 8;

/// A capacity that no table can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection table holds between 1 and {MAX_CAPACITY} connections, not {0}")]
pub struct CapacityError(pub u32);

/// Where the parts of a table lie in its memory, computed from its capacity: header, hash lines, overflow lines,
/// entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(crate) capacity: u32,
    /// Number of hash lines, less one; a power of two less one.
    pub(crate) hash_mask: u32,
    /// Number of lines that chains overflow into.
    pub(crate) overflow_lines: u32,
    /// Low bits of a slot that hold the entry's index plus one.
    pub(crate) index_bits: u32,
    /// First line of the flow cache: worked out beforehand, since packets ask for it.
    pub(crate) cache_start: u32,
}

impl Layout {
    /// The layout of a table for `capacity` connections.
    ///
    /// # Errors
    /// [`CapacityError`] unless `capacity` is between 1 and [`MAX_CAPACITY`].
    pub const fn for_capacity(capacity: u32) -> Result<Layout, CapacityError> {
        Self::with_load(capacity, LOAD)
    }

    /// The layout of a table of version 3, which had no flow cache behind it, and fewer hash lines.
    ///
    /// # Errors
    /// As [`Layout::for_capacity`].
    pub(crate) const fn of_version_3(capacity: u32) -> Result<Layout, CapacityError> {
        Self::with_load(capacity, LOAD_OF_VERSION_3)
    }

    const fn with_load(capacity: u32, load: u32) -> Result<Layout, CapacityError> {
        if capacity == 0 || capacity > MAX_CAPACITY {
            return Err(CapacityError(capacity));
        }
        let mut layout = Layout {
            capacity,
            hash_mask: capacity.div_ceil(load).next_power_of_two() - 1,
            // A chain of n connections needs (n - 1) / SLOTS overflow lines, rounded down, and chains have no holes:
            // all chains together never need more than this.
            overflow_lines: capacity / SLOTS as u32 + 1,
            index_bits: u32::BITS - capacity.leading_zeros(),
            cache_start: 0,
        };
        // A record's two lines lie in one block of 128 bytes.
        layout.cache_start = layout.lines_with_words_beside().next_multiple_of(LINES_PER_HASH_LINE);
        Ok(layout)
    }

    /// The layout as words: how the XDP program is told of it.
    pub const fn to_words(self) -> [u32; 5] {
        [self.capacity, self.hash_mask, self.overflow_lines, self.index_bits, self.cache_start]
    }

    /// The layout of [`Layout::to_words`].
    #[inline(always)]
    pub const fn from_words(
        [capacity, hash_mask, overflow_lines, index_bits, cache_start]: [u32; 5],
    ) -> Self {
        Layout { capacity, hash_mask, overflow_lines, index_bits, cache_start }
    }

    /// Connections that the table holds.
    pub const fn capacity(self) -> u32 {
        self.capacity
    }

    /// Lines of memory that the table needs.
    pub const fn lines(self) -> u32 {
        self.entries_start() + self.capacity
    }

    /// Lines of memory with one more word per connection behind the table, see [`crate::Table::beside`].
    pub const fn lines_with_words_beside(self) -> u32 {
        self.lines() + self.capacity.div_ceil(WORDS as u32)
    }

    /// Lines of memory with those words and the flow cache behind them: for a table whose connections the XDP program forwards.
    pub const fn lines_with_cache(self) -> u32 {
        self.cache_start + (self.hash_mask + 1) * LINES_PER_HASH_LINE
    }

    /// 32-bit words of memory that the table needs.
    pub const fn words(self) -> u64 {
        self.lines() as u64 * crate::line::WORDS as u64
    }

    /// Bytes of memory that the table needs.
    pub const fn bytes(self) -> u64 {
        self.lines() as u64 * size_of::<Line>() as u64
    }

    /// Bytes per connection all in all, the expiry wheel's links included, without the flow cache.
    #[cfg(feature = "alloc")]
    pub fn bytes_per_connection(self) -> f64 {
        (self.bytes() + WHEEL_BYTES * u64::from(self.capacity)) as f64 / f64::from(self.capacity)
    }

    /// First line of the overflow lines.
    pub(crate) const fn overflow_start(self) -> u32 {
        HEADER_LINES + self.hash_mask + 1
    }

    /// First line of the entries.
    pub(crate) const fn entries_start(self) -> u32 {
        self.overflow_start() + self.overflow_lines
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn capacity_has_limits() {
        assert_eq!(Layout::for_capacity(0), Err(CapacityError(0)));
        assert_eq!(Layout::for_capacity(MAX_CAPACITY + 1), Err(CapacityError(MAX_CAPACITY + 1)));
        assert!(Layout::for_capacity(1).is_ok() && Layout::for_capacity(MAX_CAPACITY).is_ok());
    }

    #[test]
    fn a_connection_takes_at_most_100_bytes_and_with_the_flow_cache_190() {
        let around = |power: u32| [(1 << power) - 1, 1 << power, (1 << power) + 1];
        for capacity in (8..26).flat_map(around).chain([1 << 26]) {
            let layout = Layout::for_capacity(capacity).unwrap();
            let bytes = layout.bytes_per_connection();
            assert!(bytes <= 100.0, "{capacity}: {bytes}");
            let cache = f64::from(layout.lines_with_cache() - layout.lines_with_words_beside()) * 64.0;
            let bytes = bytes + cache / f64::from(capacity);
            assert!(bytes <= 190.0, "{capacity}: {bytes}");
            let load = f64::from(capacity) / f64::from(layout.hash_mask + 1) / SLOTS as f64;
            assert!((0.19..0.41).contains(&load), "{capacity}: load {load}");
        }
    }

    #[test]
    fn indices_and_overflow_lines_fit_their_fields() {
        let layout = Layout::for_capacity(MAX_CAPACITY).unwrap();
        assert_eq!(layout.index_bits, 27);
        assert!(layout.overflow_lines < crate::chain::NEXT);
        assert_eq!(Layout::for_capacity(1 << 20).unwrap().index_bits, 21);
        assert_eq!(Layout::for_capacity((1 << 20) - 1).unwrap().index_bits, 20);
    }
}
