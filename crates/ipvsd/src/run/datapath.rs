//! The real datapath as the event loop's [`Front`].

use std::os::fd::BorrowedFd;

use ipvs_core::{DestinationChange, Director, Host, Instant, InterestChange};
use ipvs_datapath::{Counter, Datapath, OpenError};

use super::Failure;
use super::front::{Due, Front};

impl Front for Datapath {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.descriptors()
    }

    fn turn(&mut self, now: Instant, director: &mut Director) -> Due {
        let turn = Datapath::turn(self, now, director);
        match turn.deadline {
            _ if turn.more => Due::Now,
            Some(deadline) => Due::At(deadline),
            None => Due::Never,
        }
    }

    fn apply_interest(&mut self, changes: &[InterestChange]) {
        Datapath::apply_interest(self, changes.iter().copied());
    }

    fn follow_director(&mut self, changes: &[DestinationChange], timeouts: &[u32; 16]) {
        Datapath::follow_director(self, changes, timeouts);
    }

    fn host(&self) -> &dyn Host {
        Datapath::host(self)
    }

    fn drops(&self) -> Vec<(&'static str, u64)> {
        let drops = Counter::ALL.iter().filter(|counter| counter.is_drop());
        let drops = drops.map(|&counter| (counter.name(), self.counter(counter)));
        drops.chain([("lost-in-kernel", self.lost_in_kernel())]).collect()
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let own = Counter::ALL.iter().map(|&counter| (counter.name(), self.counter(counter)));
        own.chain([
            ("lost-in-kernel", self.lost_in_kernel()),
            ("forwarded-by-xdp", self.program_counters().forwarded),
        ])
        .collect()
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotPermitted { what } => Self::NotPermitted(what.into()),
            other => Self::Other(other.to_string()),
        }
    }
}
