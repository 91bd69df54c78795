//! ESP and AH: packets without ports, which follow the client's ISAKMP connection (UDP, port 500 on both sides) so that they
//! reach the server that it exchanged keys with.
//!
//! Kernel behaviour, experiment `isakmp.py`: no packet of theirs starts a connection, not even for a mark service; those of a
//! connection are counted and restart its timer, in both directions, but move no state. A server behind another port than
//! 500 gets them, and its own pass as they are. Without a connection they are the host's, also from servers with
//! `nat_icmp_send`. For IPv6, AH is an extension header: what it protects decides.

use ipvs_flow::EntryIndex;
use ipvs_wire::{Ports, protocol};

use crate::connections::tick;
use crate::director::Director;
use crate::forward;
use crate::packet::Packet;
use crate::protocol::UDP;
use crate::receive::{Arrival, Match};
use crate::sysctl::Sysctl;
use crate::time::Instant;
use crate::verdict::{Reason, Verdict};

/// The port of key exchange, ISAKMP (IANA; RFC 2408 section 2.5.1).
pub(crate) const ISAKMP: u16 = 500;

/// The protocol and ports by which a packet of `protocol`, which has no ports, finds its connection.
pub(crate) const fn followed(protocol: u8) -> Option<(u8, Ports)> {
    match protocol {
        protocol::ESP | protocol::AH => Some((UDP, Ports { source: ISAKMP, destination: ISAKMP })),
        _ => None,
    }
}

impl Director {
    /// A packet of a protocol that is not balanced.
    #[cold]
    pub(crate) fn receive_other(&mut self, arrival: Arrival<'_>, packet: &mut Packet<'_>) -> Verdict {
        let headers = arrival.headers;
        let Some((protocol, ports)) = followed(headers.protocol) else { return Verdict::Pass };
        let (from, to) = (headers.source, headers.destination);
        match self.find(protocol, (from, ports.source), (to, ports.destination)) {
            Some(Match::Inbound(_)) if self.standby => Verdict::Pass,
            Some(Match::Inbound(index)) => self.follow_inbound(arrival, packet, index),
            Some(Match::Outbound(index)) => self.follow_outbound(arrival, packet, index),
            None => Verdict::Pass,
        }
    }

    fn follow_inbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
    ) -> Verdict {
        let Some(ends) = self.ends(index) else {
            self.keep(arrival.now, index);
            return self.pass_by(arrival, packet);
        };
        if !ends.available {
            if self.sysctls.value(Sysctl::ExpireNodestConn) == 0 {
                return Verdict::Drop(Reason::DestinationUnavailable);
            }
            self.connections.remove(&mut self.destinations, index);
            return Verdict::Pass;
        }
        self.count_in(ends.destination, packet.len());
        self.keep(arrival.now, index);
        if let Some(entry) = self.connections.table.entry(index) {
            entry.count_packet_in();
        }
        let verdict = self.forward_to_server(arrival, packet, &ends);
        if matches!(verdict, Verdict::Reply(_)) {
            self.count_own_error(&ends);
        }
        verdict
    }

    fn follow_outbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        index: EntryIndex,
    ) -> Verdict {
        let Some(ends) = self.ends(index) else { return Verdict::Pass };
        let bytes = packet.len();
        let verdict = forward::masquerade::to_client(arrival, packet, &ends);
        if matches!(verdict, Verdict::Forward { .. } | Verdict::Deliver) {
            if ends.available {
                self.count_out(ends.destination, bytes);
            }
            self.keep(arrival.now, index);
        }
        verdict
    }

    /// Restarts the timer of a connection, in the state that it is in.
    fn keep(&mut self, now: Instant, index: EntryIndex) {
        let Some(timeout) = self.connections.table.entry(index).map(|entry| entry.timeout()) else { return };
        self.connections.restart(index, tick(now), timeout);
    }
}
