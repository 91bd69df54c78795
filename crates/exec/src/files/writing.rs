//! What a write to a setting does beyond its text, as `conformance/experiments/files.py` showed it.

use std::fs;

/// Whether a write at an `offset` other than 0 has no effect, and yet succeeds: `kernel.sysctl_writes_strict`, on unless
/// set otherwise.
pub(super) fn is_ignored_at(offset: u64) -> bool {
    offset != 0
        && fs::read_to_string("/proc/sys/kernel/sysctl_writes_strict")
            .map_or(true, |text| text.trim().parse::<i32>().map_or(true, |value| value > 0))
}
