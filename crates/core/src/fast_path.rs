//! A forwarder beside the director (the XDP program), which forwards packets of established connections by the same
//! connection table: what it counted, and to which destinations it may forward.
//!
//! It forwards only to destinations that are available. A connection's destination that is not is seen by the director
//! in the packets that then come here.

use core::fmt::Debug;
use std::net::IpAddr;

use ipvs_flow::EntryIndex;
use ipvs_flow::steady::{TIMEOUTS, UDP_TIMEOUT};
use ipvs_flow::tcp;

use crate::command::Command;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::stats::Counters;

/// Longest time that a connection stays with the director after a change while packets keep coming, in calls of
/// [`Director::settle`].
const MOST_TURNS: u32 = 8;

/// Connections whose packets must not be forwarded by the fast path yet.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    turn: u32,
    /// With the turn in which each was changed.
    connections: Vec<(EntryIndex, u32)>,
}

impl Unsettled {
    /// The mark of connections that had packets in this turn: never 0.
    fn mark(&self) -> u8 {
        (self.turn % 255) as u8 + 1
    }
}

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

    /// The daemon has sent what packets so far became. Connections that they changed are the fast path's from now on, if
    /// no more packets of theirs came since the last call (those would be overtaken), or after [`MOST_TURNS`] calls.
    pub fn settle(&mut self) {
        let (unsettled, table) = (&mut self.unsettled, &self.connections.table);
        let (turn, mark) = (unsettled.turn, unsettled.mark());
        unsettled.connections.retain(|&(index, since)| {
            let Some(entry) = table.entry(index).filter(|entry| entry.unsettled() != 0) else { return false };
            let wait = entry.unsettled() == mark && turn.wrapping_sub(since) < MOST_TURNS;
            if !wait {
                entry.set_unsettled(0);
            }
            wait
        });
        unsettled.turn = turn.wrapping_add(1);
    }

    /// Whether [`Director::settle`] has something left to do.
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.connections.is_empty()
    }

    /// A packet that changes the connection, or one that follows it closely, is on its way.
    pub(crate) fn unsettle(&mut self, index: EntryIndex, changes: bool) {
        if self.fast_path.is_none() {
            return;
        }
        let Some(entry) = self.connections.table.entry(index) else { return };
        let already = entry.unsettled() != 0;
        if changes && !already {
            self.unsettled.connections.push((index, self.unsettled.turn));
        }
        if changes || already {
            entry.set_unsettled(self.unsettled.mark());
        }
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
