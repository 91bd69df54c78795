//! The real datapath as the event loop's [`Front`].

use std::os::fd::BorrowedFd;

use ipvs_core::{DestinationChange, Director, Host, Instant, InterestChange};
use ipvs_datapath::{Counter, Datapath, OpenError};

use super::Failure;
use super::front::{Dropped, Due, Front, Readable, Source};

/// Packets that the program looked up in bulk in vain, which the daemon did not take in time.
const LOST_MISFITS: &str = "lost-in-bulk-lookup";
/// First SYNs of connections that the XDP program dropped.
const SYN_FILTER: &str = "syn-filter";
/// Other first TCP segments of no known connection that it dropped.
const SYN_FILTER_STRAYS: &str = "syn-filter-strays";

impl Front for Datapath {
    fn fds(&self) -> Vec<(BorrowedFd<'_>, Source)> {
        self.sources()
    }

    fn turn(&mut self, now: Instant, director: &mut Director, readable: Readable) -> Due {
        let turn = self.turn_for(now, director, readable);
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

    fn drops(&self) -> Vec<Dropped> {
        let drops = Counter::ALL.iter().filter(|counter| counter.is_drop());
        let drops = drops.map(|&counter| (counter.name(), self.counter(counter), false));
        let (program, active) = (self.program_counters(), self.is_filtering());
        drops
            .chain([
                ("lost-in-kernel", self.lost_in_kernel(), false),
                (LOST_MISFITS, program.lost_misfits, false),
                (SYN_FILTER, program.dropped_syns, active),
                (SYN_FILTER_STRAYS, program.dropped_strays, active && self.has_fast_path()),
            ])
            .map(|(reason, packets, active)| Dropped { reason, packets, active })
            .collect()
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let own = Counter::ALL.iter().map(|&counter| (counter.name(), self.counter(counter)));
        let program = self.program_counters();
        own.chain([
            ("lost-in-kernel", self.lost_in_kernel()),
            (LOST_MISFITS, program.lost_misfits),
            (SYN_FILTER, program.dropped_syns),
            (SYN_FILTER_STRAYS, program.dropped_strays),
            ("forwarded-by-xdp", program.forwarded),
            ("looked-up-in-bulk", program.looked_up_in_bulk),
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
