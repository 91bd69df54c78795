//! Counters with their two-second rate estimator (spec section 12).

use core::time::Duration;

use crate::stats::{Counters, Rates, Stats};

/// How often averages are brought up to date.
pub(crate) const PERIOD: Duration = Duration::from_secs(2);

/// An estimate that was missed this often has no trace of the past left (every average fits 2^63, a quarter leaves
/// it at each step).
const MOST_STEPS: u64 = 256;

/// Counters, the base that zeroing remembers, and the estimator's averages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimated {
    /// Running counters; never zeroed.
    pub(crate) counters: Counters,
    /// Counters at the last zeroing.
    base: Counters,
    /// Counters at the last estimation.
    last: Counters,
    /// Scaled averages: per second times 2^10 for connections and packets, times 2^5 for bytes.
    averages: [i64; 5],
    /// Whether it is in its owner's list of those that the estimator visits.
    pub(crate) listed: bool,
    /// Whether it is in its owner's list of those that have changed since they were kept last.
    pub(crate) changed: bool,
}

/// Bits by which averages are scaled, in the order of [`Counters::to_array`].
const SCALE: [u32; 5] = [10, 10, 10, 5, 5];

impl Estimated {
    /// What listings show: counters since the last zeroing, and rates rounded up by nearly one half unit.
    pub(crate) fn shown(&self) -> Stats {
        let (counters, base) = (self.counters.to_array(), self.base.to_array());
        let rate = |i: usize| {
            let scale = SCALE[i];
            ((self.averages[i] + (1 << (scale - 1)) - 1) >> scale).unsigned_abs()
        };
        Stats {
            counters: Counters::from_array(std::array::from_fn(|i| counters[i].wrapping_sub(base[i]))),
            rates: Rates::from_array(std::array::from_fn(rate)),
        }
    }

    /// Counters show 0 from now on; the internal ones run on. Rates start again from 0.
    pub(crate) fn zero(&mut self) {
        self.base = self.counters;
        self.averages = [0; 5];
    }

    /// Counters and what zeroing remembers, to be kept over a restart.
    pub(crate) fn kept(&self) -> (Counters, Counters) {
        (self.counters, self.base)
    }

    /// Goes on from what was kept. Rates start from 0.
    pub(crate) fn resume(&mut self, counters: Counters, base: Counters) {
        (self.counters, self.base, self.last, self.averages) = (counters, base, counters, [0; 5]);
    }

    /// Estimates once for each of `periods` that have passed (all but the first without traffic). Returns whether
    /// anything is left that a further estimate would change.
    pub(crate) fn estimate(&mut self, periods: u64) -> bool {
        for _ in 0..periods.min(MOST_STEPS) {
            let (counters, last) = (self.counters.to_array(), self.last.to_array());
            for i in 0..5 {
                // Per second: half of what came in two seconds, hence one bit less than the scale.
                let rate = (counters[i].wrapping_sub(last[i]) << (SCALE[i] - 1)) as i64;
                self.averages[i] = self.averages[i].wrapping_add(rate.wrapping_sub(self.averages[i]) >> 2);
            }
            self.last = self.counters;
        }
        self.averages != [0; 5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A steady rate shows 25 %, 44 %, 58 % ... of itself after 2, 4, 6 s.
    #[test]
    fn steady_rate() {
        let mut estimated = Estimated::default();
        let mut shown = Vec::new();
        for _ in 0..4 {
            estimated.counters.packets_in += 2000;
            estimated.counters.bytes_in += 200_000;
            assert!(estimated.estimate(1));
            shown.push((estimated.shown().rates.packets_in, estimated.shown().rates.bytes_in));
        }
        // By hand, scaled by 2^10: rate 1024000; 256000; 448000; 592000; 700000. An exact half (437.5) rounds down.
        assert_eq!(shown, [(250, 25_000), (437, 43_750), (578, 57_812), (684, 68_359)]);
    }

    #[test]
    fn one_connection_shows_and_fades() {
        let mut estimated = Estimated::default();
        estimated.counters.connections = 1;
        // rate 512, average 128: below one half, shown as 0 (128 + 511 < 1024).
        estimated.estimate(1);
        assert_eq!(estimated.shown().rates.connections, 0);
        estimated.counters.connections += 8;
        // rate 4096: 128 + (3968 >> 2) = 1120; (1120 + 511) >> 10 = 1.
        estimated.estimate(1);
        assert_eq!(estimated.shown().rates.connections, 1);
        // Fades to exactly 0, so that an idle object leaves the estimator's list.
        let mut steps = 0;
        while estimated.estimate(1) {
            steps += 1;
            assert!(steps < 64);
        }
    }

    #[test]
    fn missed_periods_equal_idle_ones() {
        let mut one = Estimated::default();
        one.counters.bytes_out = 123_456_789;
        let mut many = one;
        one.estimate(5);
        for _ in 0..5 {
            many.estimate(1);
        }
        assert_eq!(one.shown(), many.shown());
        assert!(!one.estimate(u64::MAX));
    }

    #[test]
    fn zero_keeps_counting_from_a_base() {
        let mut estimated = Estimated::default();
        estimated.counters.connections = 10;
        estimated.estimate(1);
        estimated.zero();
        assert_eq!(estimated.shown(), Stats::default());
        estimated.counters.connections += 3;
        assert_eq!(estimated.shown().counters.connections, 3);
        assert_eq!(estimated.counters.connections, 13);
    }
}
