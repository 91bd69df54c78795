//! A forwarder beside the director (the XDP program), which forwards packets of established connections by the same
//! connection table: what it counted, and to which destinations it may forward.
//!
//! It forwards only to destinations that are available. A connection's destination that is not is seen by the director
//! in the packets that then come here.

use core::fmt::Debug;
use std::net::IpAddr;

use ipvs_flow::steady::{TIMEOUTS, UDP_TIMEOUT};
use ipvs_flow::tcp;

use crate::command::Command;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::stats::Counters;

/// A forwarder beside the director.
pub trait FastPath: Debug {
    /// What it counted at a destination since the last call (no connections: those the director makes).
    fn take(&mut self, destination: u32) -> Counters;

    /// From now on it forwards no packet to the destination, until the destination is offered again.
    fn revoke(&mut self, destination: u32);
}

/// A destination that the fast path may forward to from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationChange {
    /// Its index in the connection table's entries.
    pub index: u32,
    /// Its address; `None`: it is not available.
    pub address: Option<IpAddr>,
}

impl Director {
    /// Has a forwarder beside this director from now on.
    pub fn set_fast_path(&mut self, fast_path: Box<dyn FastPath + Send>) {
        self.fast_path = Some(fast_path);
    }

    /// Takes over what the fast path counted: counters are exact as of now.
    pub fn collect(&mut self) {
        if self.fast_path.is_some() {
            for index in self.destinations.indices() {
                self.collect_at(index);
            }
        }
    }

    /// The destinations whose availability has changed since the last call.
    pub fn take_destination_changes(&mut self) -> Vec<DestinationChange> {
        self.destinations.take_changes()
    }

    /// Timeouts of states in ticks, by the places of `ipvs_flow::steady`.
    pub fn state_timeouts(&self) -> [u32; TIMEOUTS] {
        let mut timeouts = [0; TIMEOUTS];
        for (timeout, state) in timeouts.iter_mut().zip(tcp::State::ALL) {
            *timeout = self.timeouts.tcp(state);
        }
        timeouts[UDP_TIMEOUT] = self.timeouts.udp();
        timeouts
    }

    /// Before a command: those that show or zero counters find them exact.
    pub(crate) fn collect_for(&mut self, command: &Command) {
        if matches!(
            command,
            Command::Zero(_)
                | Command::GetStats
                | Command::GetService(_)
                | Command::ListServices { .. }
                | Command::ListDestinations { .. }
        ) {
            self.collect();
        }
    }

    /// A destination goes out of service: the last that the fast path counted belongs to it still.
    pub(crate) fn revoke(&mut self, index: DestinationIndex) {
        if let Some(fast_path) = &mut self.fast_path {
            fast_path.revoke(index.0);
            self.collect_at(index);
        }
    }

    fn collect_at(&mut self, index: DestinationIndex) {
        let Some(fast_path) = &mut self.fast_path else { return };
        let new = fast_path.take(index.0);
        if new != Counters::default() {
            self.count(index, |counters| *counters = counters.plus(new));
        }
    }
}
