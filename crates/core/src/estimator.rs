//! Counters with their two-second rate estimator (spec section 12).

use crate::stats::{Counters, Rates};

/// Counters, the base that zeroing remembers, and the estimator's averages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimated {
    /// Running counters; never zeroed.
    pub(crate) counters: Counters,
    /// Counters at the last zeroing.
    pub(crate) base: Counters,
    /// Counters at the last estimation.
    pub(crate) last: Counters,
    /// Scaled averages.
    pub(crate) averages: Rates,
}
