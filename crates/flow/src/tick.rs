//! Time as the connection table keeps it.

/// log2 of the nanoseconds in a tick.
const SHIFT: u32 = 22;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A moment of CLOCK_MONOTONIC in units of 2^22 ns (4.194 ms).
///
/// 32 bits wrap after 208 days, so two ticks are compared by their difference and must lie less than 104 days apart;
/// the longest timeout is 31 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick that `nanos` nanoseconds of the clock lie in.
    pub const fn from_nanos(nanos: u64) -> Self {
        Tick((nanos >> SHIFT) as u32)
    }

    /// Ticks from `earlier` to `self`, over the wrap.
    pub const fn since(self, earlier: Tick) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `ticks` later.
    pub const fn after(self, ticks: u32) -> Tick {
        Tick(self.0.wrapping_add(ticks))
    }

    /// Whether `self` is `other` or later.
    #[inline]
    pub const fn reached(self, other: Tick) -> bool {
        self.0.wrapping_sub(other.0) as i32 >= 0
    }

    /// Ticks from `self` until `later`; 0 if that has passed.
    pub const fn until(self, later: Tick) -> u32 {
        if self.reached(later) { 0 } else { later.since(self) }
    }
}

/// A duration of `secs` seconds in ticks, rounded to the nearest, so that [`seconds`] gives `secs` back.
pub const fn ticks(secs: u32) -> u32 {
    ((secs as u64 * NANOS_PER_SECOND + (1 << (SHIFT - 1))) >> SHIFT) as u32
}

/// Nanoseconds in a duration of `ticks`.
pub const fn nanos(ticks: u32) -> u64 {
    (ticks as u64) << SHIFT
}

/// Whole seconds in a duration of `ticks`, as listings show timeouts and remaining times. Half a tick is added before
/// the fraction is cut off: it makes up for the rounding of [`ticks`].
pub const fn seconds(ticks: u32) -> u32 {
    ((((ticks as u64) << SHIFT) + (1 << (SHIFT - 1))) / NANOS_PER_SECOND) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeout_in_seconds_survives_the_way_to_ticks_and_back() {
        for secs in 0..=31 * 86400 {
            assert_eq!(seconds(ticks(secs)), secs);
            // At most two ticks later one second less is shown: fractions are cut off, as the kernel does.
            assert_eq!(seconds(ticks(secs).saturating_sub(2)), secs.saturating_sub(1));
        }
        assert!(ticks(31 * 86400) < 1 << 31);
    }

    #[test]
    fn a_tick_is_two_to_the_22_nanoseconds() {
        assert_eq!(Tick::from_nanos((1 << 22) - 1), Tick(0));
        assert_eq!(Tick::from_nanos(1 << 22), Tick(1));
        assert_eq!(Tick::from_nanos(1 << 54), Tick(0));
        assert_eq!(ticks(1), 238);
    }

    #[test]
    fn differences_go_over_the_wrap() {
        let (before, past) = (Tick(u32::MAX - 1), Tick(3));
        assert_eq!(past.since(before), 5);
        assert_eq!(before.after(5), past);
        assert!(past.reached(before) && !before.reached(past) && past.reached(past));
        assert_eq!((before.until(past), past.until(before)), (5, 0));
    }
}
