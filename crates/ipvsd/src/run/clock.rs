//! The daemon's clock.

use ipvs_core::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Now, by CLOCK_MONOTONIC: the clock that the XDP program reads as well.
pub(super) fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Instant::from_nanos(
        seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0)),
    )
}
