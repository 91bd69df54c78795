//! Packets of a known connection: counting, state, forwarding.

use ipvs_flow::EntryIndex;
use ipvs_flow::tcp::{self, Direction};

use crate::command::ForwardingMethod;
use crate::connections::{flag, tick};
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::forward::{self, Ends};
use crate::packet::Packet;
use crate::protocol::{Signal, TCP};
use crate::receive::Arrival;
use crate::time::Instant;
use crate::verdict::{Reason, Verdict};

impl Director {
    /// A packet from the client.
    pub(crate) fn inbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        let Some(ends) = self.ends(index) else { return Verdict::Drop(Reason::DestinationUnavailable) };
        if !ends.available {
            return Verdict::Drop(Reason::DestinationUnavailable);
        }
        let bytes = packet.len() as u64;
        self.count(ends.destination, |counters| {
            counters.packets_in += 1;
            counters.bytes_in += bytes;
        });
        let direction =
            if ends.flags & flag::NO_OUTPUT != 0 { Direction::InputOnly } else { Direction::Input };
        self.advance(arrival.now, index, signal, direction);
        if let Some(entry) = self.connections.table.entry(index) {
            entry.count_packet_in();
        }
        match ForwardingMethod((ends.flags & flag::METHOD) as u8) {
            ForwardingMethod::MASQUERADE => forward::masquerade::to_server(arrival, packet, &ends),
            ForwardingMethod::DIRECT => forward::direct::to_server(arrival, packet, &ends),
            ForwardingMethod::LOCAL => Verdict::Deliver,
            _ => Verdict::Drop(Reason::MethodNotSupported),
        }
    }

    /// A packet from the destination of a masqueraded connection.
    pub(crate) fn outbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        let Some(ends) = self.ends(index) else { return Verdict::Drop(Reason::DestinationUnavailable) };
        let bytes = packet.len() as u64;
        let verdict = forward::masquerade::to_client(arrival, packet, &ends);
        if matches!(verdict, Verdict::Forward { .. } | Verdict::Deliver) {
            if ends.available {
                self.count(ends.destination, |counters| {
                    counters.packets_out += 1;
                    counters.bytes_out += bytes;
                });
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
        Some(Ends {
            destination,
            available: server.available,
            flags: entry.flags(),
            virtual_address: key.virtual_address.to_ip(key.ipv6),
            virtual_port: key.virtual_port,
            server_address: server.id.address,
            server_port: entry.destination_port(),
        })
    }

    /// Whether this packet starts anew on an entry whose connection has ended: a SYN in TIME_WAIT or CLOSE
    /// (`conn_reuse_mode` 1, the kernel's default; spec section 9).
    pub(crate) fn replaces(&self, index: EntryIndex, signal: Signal) -> bool {
        let Signal::Tcp(flags) = signal else { return false };
        let Some(entry) = self.connections.table.entry(index) else { return false };
        let ended = |state| state == tcp::State::TimeWait as u8 || state == tcp::State::Close as u8;
        flags.syn() && entry.key().protocol == TCP && ended(entry.state())
    }

    /// Moves a connection to the state that follows, restarts its timer and keeps the destination's counts.
    fn advance(&mut self, now: Instant, index: EntryIndex, signal: Signal, direction: Direction) {
        let Some(entry) = self.connections.table.entry(index) else { return };
        let next = signal.next(entry.state(), direction, &self.timeouts);
        let inactive = entry.flags() & flag::INACTIVE != 0;
        let changes = next.state != entry.state();
        if changes {
            entry.set_state(next.state);
            if next.active == inactive {
                entry.set_flags(entry.flags() ^ flag::INACTIVE);
                let destination = DestinationIndex(entry.destination());
                if next.active {
                    self.destinations.activate(destination);
                } else {
                    self.destinations.deactivate(destination);
                }
            }
        }
        self.connections.restart(index, tick(now), next.timeout);
        self.unsettle(index, changes);
    }
}
