//! How many connections a destination has: one line of memory each, by destination index, that the daemon and the XDP
//! program count in.
//!
//! | word | content |
//! |---|---|
//! | 0 | connections |
//! | 1 | those that are active |
//! | 2 | identifications taken for outer headers |
//!
//! Each change is one addition, so the number of all is right at any time, and that of the active ones but for changes of
//! state that happen in that moment.

use crate::{
    least::overhead,
    line::Line,
    sync::{AtomicU32, Ordering},
};

/// Destinations whose connections the XDP program can count: so long is its map's one value, in which an index is a bounded offset
/// and needs no lookup.
pub const LOADS: usize = 1 << 14;

/// Connections below this, a power of two, are few: see [`Load::small_overhead`].
pub(crate) const FEW: u32 = 1 << 24;

/// A destination's connections.
#[derive(Clone, Copy, Debug)]
pub struct Load<'l>(&'l Line);

impl<'l> Load<'l> {
    /// Those counted in `line`.
    #[inline(always)]
    pub const fn of(line: &'l Line) -> Self {
        Self(line)
    }

    /// All.
    #[inline(always)]
    pub fn total(self) -> u32 {
        read(self.0.word::<0>())
    }

    /// Those that are active.
    #[inline(always)]
    pub fn active(self) -> u32 {
        read(self.0.word::<1>())
    }

    /// The overhead (`least.rs`) if both [`Load::total`] and [`Load::active`] are below [`FEW`], and so neither is below 0: one
    /// comparison tells.
    #[inline(always)]
    pub(crate) fn small_overhead(self) -> Option<u64> {
        let total = self.0.word::<0>().load(Ordering::Relaxed);
        let active = self.0.word::<1>().load(Ordering::Relaxed);
        (total | active < FEW).then_some(overhead(total, active))
    }

    /// Those that are not.
    #[inline(always)]
    pub fn inactive(self) -> u32 {
        self.total().saturating_sub(self.active())
    }

    /// A connection more, active or not. Returns how many there are now.
    #[inline(always)]
    pub fn enter(self, active: bool) -> u32 {
        if active {
            self.activate();
        }
        self.0.word::<0>().fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// A connection less, active or not. Returns how many are left.
    pub fn leave(self, active: bool) -> u32 {
        if active {
            self.deactivate();
        }
        self.0.word::<0>().fetch_add(u32::MAX, Ordering::Relaxed).wrapping_sub(1)
    }

    /// A connection became active.
    #[inline(always)]
    pub fn activate(self) {
        self.0.word::<1>().fetch_add(1, Ordering::Relaxed);
    }

    /// A connection became inactive.
    #[inline(always)]
    pub fn deactivate(self) {
        self.0.word::<1>().fetch_add(u32::MAX, Ordering::Relaxed);
    }

    /// Sets both numbers: for a line that nobody else uses.
    pub fn set(self, total: u32, active: u32) {
        self.0.word::<0>().store(total, Ordering::Relaxed);
        self.0.word::<1>().store(active, Ordering::Relaxed);
    }
}

/// The number of the first identification of a destination is this many times its index: destinations that have their server in
/// common are not in step.
const STRIDE: u32 = 0x9e37;

impl Load<'_> {
    /// The next identifications of so many outer packets to `destination`, the index of the line, that may be fragmented: the first.
    #[inline(always)]
    pub fn identify(self, destination: u32, packets: u16) -> u16 {
        let before = self.0.word::<2>().fetch_add(u32::from(packets), Ordering::Relaxed);
        before.wrapping_add(destination.wrapping_mul(STRIDE)) as u16
    }

    /// Goes on with the identifications of another line, in one that nobody else uses.
    pub fn identify_as(self, other: Load<'_>) {
        self.0.word::<2>().store(other.0.word::<2>().load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A number that may be below 0 for a moment: a connection that just became active was removed as such by one program
/// before the other has counted it.
#[inline(always)]
fn read(word: &AtomicU32) -> u32 {
    let value = word.load(Ordering::Relaxed);
    if value as i32 >= 0 { value } else { 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_never_show_less_than_nothing() {
        let line = Line::zeroed();
        let load = Load::of(&line);
        assert_eq!((load.enter(false), load.enter(true)), (1, 2));
        assert_eq!((load.total(), load.active(), load.inactive()), (2, 1, 1));
        // The other side's turn comes later.
        load.deactivate();
        load.deactivate();
        assert_eq!((load.active(), load.inactive()), (0, 2));
        assert_eq!(load.small_overhead(), None);
        load.activate();
        load.activate();
        assert_eq!((load.leave(true), load.leave(false)), (1, 0));
        load.set(7, 3);
        assert_eq!((load.total(), load.active(), load.inactive()), (7, 3, 4));
        assert_eq!(load.small_overhead(), Some(overhead(7, 3)));
        load.set(FEW, FEW - 1);
        assert_eq!(load.small_overhead(), None);
        load.set(FEW - 1, 0);
        assert_eq!(load.small_overhead(), Some(overhead(FEW - 1, 0)));
    }

    #[test]
    fn identifications_run_on() {
        let (line, copy) = (Line::zeroed(), Line::zeroed());
        let load = Load::of(&line);
        assert_eq!((load.identify(0, 1), load.identify(0, 1)), (0, 1));
        assert_eq!(load.identify(3, 1), 2 + 3u16.wrapping_mul(0x9e37));
        Load::of(&copy).identify_as(load);
        assert_eq!((Load::of(&copy).identify(0, 1), load.identify(0, 1)), (3, 3));
        assert_eq!((load.total(), load.active()), (0, 0));
    }
}
