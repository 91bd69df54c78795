//! Setting timeouts.

use crate::command::{Reply, Timeouts};
use crate::director::Director;
use crate::error::Error;

/// Longest timeout in seconds: what the kernel's 31 bits of clock ticks hold (seen: 8589934 is taken, 8589935 not).
const LONGEST: i32 = i32::MAX / 250;

impl Director {
    /// All are checked before any is set; 0 leaves one alone.
    pub(super) fn set_timeouts(&mut self, given: Timeouts) -> Result<Reply, Error> {
        if [given.tcp, given.tcp_fin, given.udp].iter().any(|seconds| !(0..=LONGEST).contains(seconds)) {
            return Err(Error::InvalidTimeout);
        }
        self.timeouts.set(given);
        Ok(Reply::Done)
    }
}
