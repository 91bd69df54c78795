//! The counters in the log: at the end, and whenever SIGUSR1 asks for them.

use std::os::fd::{AsFd, BorrowedFd};

use ipvs_core::Director;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tracing::info;

use super::{Failure, Front};

/// Readable when SIGUSR1 came.
#[derive(Debug)]
pub struct ReportSignal(SignalFd);

impl ReportSignal {
    /// Blocks the signal for the calling thread and threads it makes from now on, and collects it here.
    ///
    /// # Errors
    /// [`Failure`], if the kernel has no room for one more file.
    pub fn collect() -> Result<Self, Failure> {
        let signals = SigSet::from_iter([Signal::SIGUSR1]);
        let failed = |errno: nix::Error| Failure::new("collect signals", errno);
        signals.thread_block().map_err(failed)?;
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map(Self)
            .map_err(failed)
    }

    /// Takes what has been collected.
    pub(super) fn take(&self) {
        while let Ok(Some(_)) = self.0.read_signal() {}
    }
}

impl AsFd for ReportSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Logs every counter that is not zero.
pub(super) fn log(director: &mut Director, front: &impl Front) {
    director.collect();
    let counters = director.stats().counters;
    info!(
        connections = counters.connections,
        packets_in = counters.packets_in,
        packets_out = counters.packets_out,
        bytes_in = counters.bytes_in,
        bytes_out = counters.bytes_out,
        "balanced"
    );
    for (reason, packets) in director.drops().filter(|(_, packets)| *packets != 0) {
        info!(reason = reason.name(), packets, "dropped by the director");
    }
    for (reason, connections) in director.evictions().filter(|(_, connections)| *connections != 0) {
        info!(reason = reason.name(), connections, "half-open connections gave way to new ones");
    }
    for (what, packets) in front.counters().into_iter().filter(|(_, packets)| *packets != 0) {
        info!(what, packets, "counted by the datapath");
    }
}
