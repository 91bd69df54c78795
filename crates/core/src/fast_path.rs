//! A forwarder beside the director (the XDP program), which forwards packets of known connections by the same connection
//! table and moves them from state to state: what it counted, whose end came nearer, and to which destinations it may forward.
//!
//! It forwards only to destinations that are available. A connection's destination that is not is seen by the director
//! in the packets that then come here.

use core::fmt::Debug;
use std::net::IpAddr;

use ipvs_flow::steady::{BIRTHS, PMTU_DISC, SECURE_TCP, TIMEOUTS, UDP_TIMEOUT};
use ipvs_flow::tcp;
use ipvs_flow::{EntryIndex, Status};
use ipvs_wire::tunnel::Encapsulation;

pub use ipvs_flow::event::Event as FastPathEvent;

use crate::births::Choices;
use crate::command::{Command, ForwardingMethod};
use crate::connections::flag;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::forward::tunnel::room;
use crate::load::SharedLines;
use crate::persistence::is_assured;
use crate::protocol::TCP;
use crate::stats::Counters;
use crate::sysctl::Sysctl;

/// Longest time that a connection stays with the director after a change while packets keep coming, in calls of
/// `Director::settle`.
const MOST_TURNS: u32 = 8;

/// Mark of connections that are the director's until [`Director::release`].
pub(crate) const WITHHELD: u8 = Status::GREATEST_MARK;

/// Whether a fast path forwards by this method.
pub(crate) fn takes(method: ForwardingMethod) -> bool {
    [ForwardingMethod::MASQUERADE, ForwardingMethod::DIRECT, ForwardingMethod::TUNNEL].contains(&method)
}

/// Connections whose packets must not be forwarded by the fast path yet.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    turn: u32,
    /// With the turn in which each was changed.
    connections: Vec<(EntryIndex, u32)>,
}

impl Unsettled {
    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Forgets those after the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.connections.truncate(len);
    }

    /// The mark of connections that had packets in this turn: neither 0 nor [`WITHHELD`].
    fn mark(&self) -> u8 {
        (self.turn % u32::from(WITHHELD - 1)) as u8 + 1
    }
}

/// A forwarder beside the director.
pub trait FastPath: Debug {
    /// What it counted at a destination since the last call (of connections those that it began).
    fn take(&mut self, destination: u32) -> Counters;

    /// Its running counters at a destination as of the last [`FastPath::take`]: packets in, bytes in, packets out, bytes
    /// out, connections.
    fn taken(&self, _destination: u32) -> [u64; 5] {
        [0; 5]
    }

    /// From now on it forwards no packet to the destination, until the destination is offered again.
    fn revoke(&mut self, destination: u32);

    /// What happened to connections, in the order of each processor.
    fn next_event(&mut self) -> Option<FastPathEvent> {
        None
    }

    /// From now on it begins connections of the service `service` (any number) by these choices. `false`: it does not.
    fn publish(&mut self, _service: u32, _choices: &Choices) -> bool {
        false
    }

    /// From now on it begins no connections of the service. Returns how many choices of a sequence were made, less whole rounds.
    fn withdraw(&mut self, _service: u32) -> u32 {
        0
    }

    /// Makes the next choice of a service's sequence; its place.
    fn make_choice(&mut self, _service: u32) -> Option<u32> {
        None
    }

    /// The place of the choice that [`FastPath::make_choice`] would make. Nothing changes.
    fn next_choice(&self, _service: u32) -> Option<u32> {
        None
    }

    /// How many entries of the connection table it can take for connections to begin.
    fn wanted_entries(&mut self) -> u32 {
        0
    }

    /// Gives it an entry. `false`: it does not take it.
    fn set_aside(&mut self, _entry: u32) -> bool {
        false
    }

    /// Where it counts the connections of destinations; `None` if it moves none from state to state.
    fn loads(&self) -> Option<SharedLines> {
        None
    }
}

/// A destination that the fast path may forward to from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationChange {
    /// Its index in the connection table's entries.
    pub index: u32,
    /// How it is reached; `None`: it is not available.
    pub way: Option<DestinationWay>,
}

/// How a destination is reached, as far as the director knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationWay {
    /// Its address.
    pub address: IpAddr,
    /// How packets are encapsulated whose connections are forwarded by tunneling; the source port is each packet's own.
    pub encapsulation: Encapsulation,
    /// The path MTU in bytes that errors from within the tunnel told, if they did lately.
    pub path_mtu: Option<u32>,
}

impl DestinationWay {
    /// Most bytes of a packet in the tunnel, on a way onto a link whose MTU is `mtu`; `None`: it carries nothing.
    pub fn room(&self, mtu: u32) -> Option<u32> {
        room(self.address, self.encapsulation, self.path_mtu.map_or(mtu, |path| path.min(mtu)))
    }
}

impl Director {
    /// Has a forwarder beside this director from now on.
    pub fn set_fast_path(&mut self, fast_path: Box<dyn FastPath + Send>) {
        if let Some(loads) = fast_path.loads() {
            self.destinations.share_loads(loads);
        }
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

    /// The destinations whose availability, tunnel or path has changed since the last call.
    pub fn take_destination_changes(&mut self) -> Vec<DestinationChange> {
        let changed = self.tunnel_paths.take_changed();
        if !changed.is_empty() {
            self.destinations.note_changes_at(&changed);
        }
        let mut changes = self.destinations.take_changes(|address| self.tunnel_paths.learned(address));
        if self.standby {
            changes.iter_mut().for_each(|change| change.way = None);
        }
        changes
    }

    /// Timeouts of states in ticks and what else decides about states, by the places of `ipvs_flow::steady`.
    pub fn state_timeouts(&self) -> [u32; TIMEOUTS] {
        let mut timeouts = [0; TIMEOUTS];
        for (timeout, state) in timeouts.iter_mut().zip(tcp::State::ALL) {
            *timeout = self.timeouts.tcp(state);
        }
        timeouts[UDP_TIMEOUT] = self.timeouts.udp();
        timeouts[SECURE_TCP] = u32::from(self.defence.secure_tcp);
        timeouts[BIRTHS] = u32::from(self.may_be_begun());
        timeouts[PMTU_DISC] = u32::from(self.sysctls.value(Sysctl::PmtuDisc) != 0);
        timeouts
    }

    /// The daemon has sent what packets so far became. Connections that they changed are the fast path's from now on, if
    /// no more packets of theirs came or were handed over since the last call (those would be overtaken), or after a few calls.
    pub fn settle(&mut self) {
        self.publish_choices();
        self.follow_fast_path();
        let (unsettled, table) = (&mut self.unsettled, &self.connections.table);
        let (turn, mark) = (unsettled.turn, unsettled.mark());
        unsettled.connections.retain(|&(index, since)| {
            let Some(entry) = table.change(index) else { return false };
            if matches!(entry.status().unsettled(), 0 | WITHHELD) {
                return false;
            }
            if turn.wrapping_sub(since) >= MOST_TURNS {
                entry.set_unsettled(0);
                return false;
            }
            entry.status().unsettled() == mark || !entry.settle()
        });
        unsettled.turn = turn.wrapping_add(1);
    }

    /// Whether [`Director::settle`] has something left to do.
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.connections.is_empty()
    }

    /// A packet that changes the connection, or one that follows it closely, is on its way.
    #[inline]
    pub(crate) fn unsettle(&mut self, index: EntryIndex, changes: bool) {
        if self.fast_path.is_some() {
            self.unsettle_beside(index, changes);
        }
    }

    fn unsettle_beside(&mut self, index: EntryIndex, changes: bool) {
        let Some(entry) = self.connections.table.change(index) else { return };
        let mark = entry.status().unsettled();
        if mark == WITHHELD {
            return;
        }
        let already = mark != 0;
        if changes && !already {
            self.unsettled.connections.push((index, self.unsettled.turn));
        }
        if changes || already {
            entry.set_unsettled(self.unsettled.mark());
        }
    }

    /// Keeps changes of a new connection's state from the fast path if they have effects that only the director sees: its
    /// template is assured, it leaves a queue of half-open ones.
    pub(crate) fn guard(&self, index: EntryIndex, protocol: u8, templated: bool) {
        let queued = protocol == TCP && self.config.half_open_quota > 0;
        if self.fast_path.is_some()
            && (templated || queued)
            && let Some(entry) = self.connections.table.change(index)
        {
            entry.guard();
        }
    }

    /// Keeps a new connection from the fast path if a packet of its server's would assure its template without a change of
    /// state, which only the director sees: a datagram would. (A TCP connection's establishment comes here anyway.)
    pub(crate) fn withhold_until_assured(&mut self, index: EntryIndex, template: EntryIndex) {
        let table = &self.connections.table;
        let (Some(entry), Some(template)) = (table.entry(index), table.entry(template)) else { return };
        let answers_pass = entry.flags() & flag::NO_OUTPUT == 0;
        if entry.key().protocol != TCP && answers_pass && !is_assured(template.state()) {
            self.withhold(index);
        }
    }

    /// Keeps a connection from the fast path: its packets have effects beside counters.
    fn withhold(&mut self, index: EntryIndex) {
        if self.fast_path.is_some()
            && let Some(entry) = self.connections.table.change(index)
        {
            entry.set_unsettled(WITHHELD);
        }
    }

    /// Takes back [`Director::withhold_until_assured`]: the packet that ended the need is on its way.
    pub(crate) fn release(&mut self, index: EntryIndex) {
        let Some(entry) = self.connections.table.change(index) else { return };
        if entry.status().unsettled() == WITHHELD {
            entry.set_unsettled(0);
            drop(entry);
            self.unsettle(index, true);
        }
    }

    /// Before a command: those that show or zero counters find them exact.
    pub(crate) fn collect_for(&mut self, command: &Command) {
        if matches!(
            command,
            Command::Zero(_)
                | Command::GetStats
                | Command::ListDrops
                | Command::GetService(_)
                | Command::ListServices { .. }
                | Command::ListDestinations { .. }
        ) {
            self.collect();
        }
        self.follow_fast_path();
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

#[cfg(test)]
mod tests {
    use ipvs_flow::{Address, Key, NewConnection, Tick};

    use super::*;
    use crate::{Config, Instant};

    #[derive(Debug)]
    struct Nothing;

    impl FastPath for Nothing {
        fn take(&mut self, _: u32) -> Counters {
            Counters::default()
        }

        fn revoke(&mut self, _: u32) {}
    }

    #[test]
    fn a_withheld_connection_waits_for_its_release() {
        let config = Config { capacity: 4, ..Config::default() };
        let mut director = Director::new(config, Instant::default()).unwrap();
        director.set_fast_path(Box::new(Nothing));
        let key = Key {
            ipv6: false,
            template: false,
            protocol: 17,
            client: Address::from([192, 0, 2, 1]),
            client_port: 1,
            virtual_address: Address::from([192, 0, 2, 2]),
            virtual_port: 2,
        };
        let new =
            NewConnection { key, destination: 0, destination_port: 3, flags: 0, state: 0, timeout: 1000 };
        let index = director.connections.insert(Tick(0), &new).unwrap();
        let mark =
            |director: &Director| director.connections.table.entry(index).unwrap().status().unsettled();
        director.unsettle(index, true);
        director.withhold(index);
        for _ in 0..600 {
            director.unsettle(index, false);
            director.settle();
            assert_eq!(mark(&director), WITHHELD);
        }
        assert!(!director.is_unsettled());
        director.release(index);
        assert!(!matches!(mark(&director), 0 | WITHHELD));
        director.settle();
        director.settle();
        assert_eq!(mark(&director), 0);
        director.release(index);
        assert_eq!(mark(&director), 0);
    }
}
