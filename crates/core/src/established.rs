//! Packets of a known connection: counting, state, forwarding.

use ipvs_flow::EntryIndex;
use ipvs_flow::sctp;
use ipvs_flow::tcp::{self, Direction};
use ipvs_wire::Ports;

use crate::connections::{Advanced, flag, tick};
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::explain::describe;
use crate::forward::Ends;
use crate::helper::Side;
use crate::packet::Packet;
use crate::protocol::{SCTP, Signal};
use crate::receive::Arrival;
use crate::sysctl::Sysctl;
use crate::time::Instant;
use crate::verdict::{Reason, Verdict};

/// Bit of `conn_reuse_mode`: also connections in FIN_WAIT whose server's packets do not pass here.
const REUSE_FIN_WAIT: i64 = 2;

/// Where packets from the client of a connection with these flags go.
pub(crate) fn of_client(flags: u16) -> Direction {
    if flags & flag::NO_OUTPUT != 0 { Direction::InputOnly } else { Direction::Input }
}

impl Director {
    /// A packet from the client.
    pub(crate) fn inbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        let Some(ends) = self.ends(index) else { return self.bypassed(arrival, packet, signal, index) };
        if !ends.available {
            return self.without_destination(arrival, packet, ports, signal, index);
        }
        self.count_in(ends.destination, packet.len());
        self.advance(arrival.now, index, signal, of_client(ends.flags));
        self.carry_in(arrival, packet, index, &ends)
    }

    /// Towards the server, after the connection was moved on.
    pub(crate) fn carry_in(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
        ends: &Ends,
    ) -> Verdict {
        let verdict = if ends.flags & flag::READ_ALONG == 0 {
            self.forward_to_server(arrival, packet, ends)
        } else {
            // What a helper reads and writes has the client's numbers.
            self.helped(arrival, packet, index, ends, Side::Client, |director, arrival, packet| {
                director.introduced(arrival, packet, index, ends, Side::Client, |it, arrival, packet| {
                    it.forward_to_server(arrival, packet, ends)
                })
            })
        };
        if matches!(verdict, Verdict::Reply(_)) {
            self.count_own_error(ends);
        }
        verdict
    }

    /// An error of ours to the client counts as a packet out where answers of the server would have the same source: not with
    /// masquerading (seen on the reference, `conformance/experiments/mtu.py`).
    #[cold]
    pub(crate) fn count_own_error(&mut self, ends: &Ends) {
        if ends.available && !ends.answers_pass() {
            self.note_own_error(ends.destination);
        }
    }

    /// A packet from the client of a connection whose destination was removed: dropped, or with `expire_nodest_conn`
    /// the connection ends and the packet is judged anew.
    #[cold]
    fn without_destination(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        if self.sysctls.value(Sysctl::ExpireNodestConn) == 0 {
            return Verdict::Drop(Reason::DestinationUnavailable);
        }
        self.note(|_| {
            describe::ends_for(
                "destination-unavailable",
                "its destination was removed, and with the setting expire_nodest_conn it ends",
            )
        });
        self.connections.remove(&mut self.destinations, index);
        self.schedule(arrival, packet, ports, signal)
    }

    /// A packet that takes its connection's place. Where it finds no destination, the error counts for the old connection, which the
    /// kernel still has then (kernel behaviour, weight-0 in `conformance/packets/lifecycle.table`).
    #[cold]
    pub(crate) fn begin_anew(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        let old = self.ends(index);
        self.note(|_| {
            describe::ends_for(
                "reused",
                "it has ended, or its destination has weight 0 with the setting expire_nodest_conn: \
             this packet begins anew in its place (conn_reuse_mode)",
            )
        });
        self.connections.remove(&mut self.destinations, index);
        let verdict = self.schedule(arrival, packet, ports, signal);
        if let (Verdict::Reply(Reason::NoDestination), Some(old)) = (&verdict, old) {
            self.count_own_error(&old);
        }
        verdict
    }

    /// A packet from the destination of a connection by masquerading or full NAT.
    pub(crate) fn outbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        let Some(ends) = self.ends(index) else { return Verdict::Drop(Reason::DestinationUnavailable) };
        let mut bytes = packet.len();
        let verdict = if ends.flags & flag::READ_ALONG == 0 {
            self.forward_to_client(arrival, packet, &ends)
        } else {
            self.introduced(arrival, packet, index, &ends, Side::Server, |director, arrival, packet| {
                director.helped(arrival, packet, index, &ends, Side::Server, |director, arrival, packet| {
                    bytes = packet.len();
                    director.forward_to_client(arrival, packet, &ends)
                })
            })
        };
        if matches!(verdict, Verdict::Forward { .. } | Verdict::Deliver) {
            if ends.available {
                self.count_out(ends.destination, bytes);
            }
            self.advance(arrival.now, index, signal, Direction::Output);
        }
        verdict
    }

    /// The addresses and ports between which a connection is forwarded.
    pub(crate) fn ends(&self, index: EntryIndex) -> Option<Ends> {
        let entry = self.connections.table.entry(index)?;
        let key = entry.key();
        let destination = DestinationIndex(entry.destination());
        let server = self.destinations.get(destination)?;
        let flags = entry.flags();
        let local = if flags & flag::TRANSLATED == 0 { None } else { self.connections.local_of(index) };
        Some(Ends {
            destination,
            available: server.available,
            flags,
            virtual_address: key.virtual_address.to_ip(key.ipv6),
            virtual_port: key.virtual_port,
            server_address: server.id.address,
            server_port: entry.destination_port(),
            client: (key.client.to_ip(key.ipv6), key.client_port),
            local,
        })
    }

    /// Whether this packet, a SYN or INIT, starts anew in the place of its connection (spec section 9): that of a destination of
    /// weight 0 with `expire_nodest_conn`; with `conn_reuse_mode` one that has ended and that nothing controls.
    pub(crate) fn replaces(&self, index: EntryIndex, signal: Signal) -> bool {
        signal.opens() && self.is_replaceable(index)
    }

    /// Whether a SYN or INIT takes the place of this connection.
    #[cold]
    fn is_replaceable(&self, index: EntryIndex) -> bool {
        let Some(entry) = self.connections.table.entry(index) else { return false };
        let quiescent = || {
            let destination = self.destinations.get(DestinationIndex(entry.destination()));
            destination.is_some_and(|destination| destination.config.weight == 0)
        };
        if self.sysctls.value(Sysctl::ExpireNodestConn) != 0 && quiescent() {
            return true;
        }
        let mode = self.sysctls.value(Sysctl::ConnReuseMode);
        if entry.key().protocol == SCTP {
            let closed = entry.state() == sctp::State::Closed as u8;
            return mode != 0 && closed && self.connections.controller_of(index).is_none();
        }
        let ended = match tcp::State::from_number(entry.state()) {
            Some(tcp::State::TimeWait | tcp::State::Close) => true,
            // The server's FIN was not seen: it may have come.
            Some(tcp::State::FinWait) => mode & REUSE_FIN_WAIT != 0 && entry.flags() & flag::NO_OUTPUT != 0,
            _ => false,
        };
        mode != 0 && ended && self.connections.controller_of(index).is_none()
    }

    /// Moves a connection to the state that follows, restarts its timer and keeps the destination's counts.
    pub(crate) fn advance(&mut self, now: Instant, index: EntryIndex, signal: Signal, direction: Direction) {
        let (secure, timeouts) = (self.defence.secure_tcp, &self.timeouts);
        let advanced = self.connections.advance(
            index,
            tick(now),
            direction,
            |state| signal.next(state, direction, secure),
            |state| signal.timeout(state, timeouts),
        );
        let Some(Advanced { moved, assures, destination }) = advanced else { return };
        let changes = moved.from != moved.to;
        if let Some(active) = moved.activity {
            self.destinations.set_active(destination, active);
        }
        if changes {
            self.follow_handshake(index, signal.protocol(), moved.from, moved.to);
        }
        self.unsettle(index, changes);
        if assures {
            self.follow_assurance(index);
        }
    }

    /// A connection has shown that its server answers.
    pub(crate) fn follow_assurance(&mut self, index: EntryIndex) {
        if self.connections.has_control() {
            self.assure(index);
        }
        self.release(index);
    }
}
