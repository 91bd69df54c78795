//! What the event loop needs of the datapath: a seam, so that everything else can be tested without one.

use std::os::fd::BorrowedFd;

pub use ipvs_datapath::{Readable, Source};

use ipvs_core::{DestinationChange, Director, Host, Instant, InterestChange};

/// When the next turn is due although no descriptor is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once: more packets wait.
    Now,
    /// At this time at the latest.
    At(Instant),
    /// Never.
    Never,
}

/// Packets that were dropped for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The reason's name.
    pub reason: &'static str,
    /// How many, since the start.
    pub packets: u64,
    /// Of a defence that is turned on and off: it is on now.
    pub active: bool,
}

/// Packets in and out.
pub trait Front {
    /// What to wait for; [`turn`](Self::turn) is due when one is readable.
    fn fds(&self) -> Vec<(BorrowedFd<'_>, Source)>;

    /// Handles a bounded burst of packets, of what is readable.
    fn turn(&mut self, now: Instant, director: &mut Director, readable: Readable) -> Due;

    /// What the director must see has changed.
    fn apply_interest(&mut self, changes: &[InterestChange]);

    /// Destinations have come or gone, or timeouts of states have changed (in ticks, by the places of
    /// [`Director::state_timeouts`]).
    fn follow_director(&mut self, _changes: &[DestinationChange], _timeouts: &[u32; 16]) {}

    /// Facts about this host.
    fn host(&self) -> &dyn Host;

    /// What was dropped so far for other reasons than the director's.
    fn drops(&self) -> Vec<Dropped> {
        Vec::new()
    }

    /// What was counted so far, in packets, by name.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
