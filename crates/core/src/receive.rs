//! The way of a packet: which connection it belongs to, or whether it starts one.

use std::net::IpAddr;

use ipvs_flow::{Address, EntryIndex, EntryRef, Key};
use ipvs_wire::{Fragment, Headers, Ports, checksum, transport};

use crate::connections::{flag, tick};
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::explain::describe;
use crate::host::{AddressKind, Host};
use crate::packet::{Hook, Packet};
use crate::protocol::{ICMP, ICMPV6, Signal};
use crate::time::Instant;
use crate::translated::is_reply;
use crate::verdict::{Reason, Verdict};

/// What is known of a packet while it is judged.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// When it came.
    pub(crate) now: Instant,
    /// The host it came to.
    pub(crate) host: &'a dyn Host,
    /// Its IP headers, as it came.
    pub(crate) headers: &'a Headers,
}

/// A packet's place in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// From the client to the virtual address.
    Inbound(EntryIndex),
    /// From the destination of a connection by masquerading or full NAT, to its client or its local address.
    Outbound(EntryIndex),
}

impl Director {
    /// Decides about one packet, and rewrites it as its forwarding method asks.
    ///
    /// `packet` starts at its IP header and is no fragment; its transport checksum must be complete (see
    /// `ipvs_wire::checksum::complete_partial`). Bytes behind the IP total length are cut.
    pub fn receive(&mut self, now: Instant, host: &dyn Host, packet: &mut Packet<'_>) -> Verdict {
        let verdict = match Headers::parse(packet.as_slice()) {
            Ok(headers) => {
                packet.truncate(headers.total_len);
                match self.decide(Arrival { now, host, headers: &headers }, packet) {
                    Verdict::Pass => self.leave(host, packet, &headers),
                    // That is all.
                    Verdict::Forward { next } => return Verdict::Forward { next },
                    verdict => verdict,
                }
            }
            Err(_) => Verdict::Drop(Reason::Malformed),
        };
        let verdict = match verdict {
            Verdict::Reply(reason) => self.send_own_error(now, host, packet, reason),
            other => other,
        };
        if let Verdict::Drop(reason) | Verdict::Reply(reason) = verdict {
            self.count_drop(reason);
        }
        verdict
    }

    fn decide(&mut self, arrival: Arrival<'_>, packet: &mut Packet<'_>) -> Verdict {
        let headers = arrival.headers;
        if self.services.len() == 0 {
            // The kernel's hooks vanish with a namespace's last service; connections wait in the table.
            self.note(|_| describe::left_alone("no-services", "the director has no service at all"));
            return Verdict::Pass;
        }
        if !headers.is_ipv6() && !checksum::verify_ipv4_header(packet.as_slice()) {
            return Verdict::Drop(Reason::Malformed);
        }
        // Who hands packets over reassembles them.
        if headers.fragment != Fragment::Whole {
            return Verdict::Drop(Reason::Fragment);
        }
        if let Some(verdict) = self.refuse_options(arrival, packet) {
            return verdict;
        }
        if headers.protocol == if headers.is_ipv6() { ICMPV6 } else { ICMP } {
            return self.receive_icmp(arrival, packet);
        }
        let bytes = packet.as_slice();
        let signal = match Signal::read(bytes, headers) {
            Ok(Some(signal)) => signal,
            Ok(None) => return self.receive_other(arrival, packet),
            Err(_) => return self.unreadable(arrival, packet),
        };
        let Ok(ports) = transport::ports(bytes, headers) else {
            return Verdict::Drop(Reason::Malformed);
        };
        let found = self.find(
            headers.protocol,
            (headers.source, ports.source),
            (headers.destination, ports.destination),
        );
        self.note(|it| it.describe_match(tick(arrival.now), found));
        if self.standby && !matches!(found, Some(Match::Outbound(_))) {
            let text = "the director stands by (backup_only): packets from clients are the host's";
            self.note(|_| describe::left_alone("standby", text));
        }
        match found {
            // It was sent to a server on this host; what was left alone belongs to none.
            Some(_) if packet.hook() == Some(Hook::Returned) => Verdict::Pass,
            Some(Match::Inbound(_)) if self.standby => Verdict::Pass,
            Some(Match::Inbound(index))
                if self.replaces(index, signal) && !self.is_known_syn(index, packet.as_slice(), headers) =>
            {
                self.begin_anew(arrival, packet, ports, signal, index)
            }
            Some(Match::Inbound(index)) => self.inbound(arrival, packet, ports, signal, index),
            Some(Match::Outbound(index)) => self.outbound(arrival, packet, signal, index),
            None => {
                if self.expects_any()
                    && let Some(verdict) = self.begin_expected(arrival, packet, ports, signal)
                {
                    return verdict;
                }
                self.unknown(arrival, packet, ports, signal)
            }
        }
    }

    /// A packet of no connection.
    #[inline(always)]
    fn unknown(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
    ) -> Verdict {
        if self.services.any_with_engine()
            && let Some(verdict) = self.begin_by_server(arrival, packet, ports, signal)
        {
            self.note(|_| describe::server_begins());
            return verdict;
        }
        if self.refuses_strays(signal)
            && let Some(verdict) = self.refuse_stray(arrival, packet, ports)
        {
            return verdict;
        }
        if self.standby {
            return Verdict::Pass;
        }
        self.schedule(arrival, packet, ports, signal)
    }

    /// The connection of a packet with these ends.
    pub(crate) fn find(
        &self,
        protocol: u8,
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
    ) -> Option<Match> {
        let table = &self.connections.table;
        let inbound = table.lookup_in(&Key {
            ipv6: source.0.is_ipv6(),
            template: false,
            protocol,
            client: Address::from(source.0),
            client_port: source.1,
            virtual_address: Address::from(destination.0),
            virtual_port: destination.1,
        });
        // A reply entry is found here by what would be from the local address itself.
        if let Some((index, entry)) = inbound
            && !is_reply(&entry)
        {
            return Some(Match::Inbound(index));
        }
        let client = Address::from(destination.0);
        let found = table.find_out(destination.0.is_ipv6(), protocol, client, destination.1, |entry| {
            self.is_answered_from(&entry, source)
        })?;
        let index = self.connections.answered(found)?;
        // An expected connection by full NAT begins with its client, whose port nobody knows yet.
        if index != found && table.entry(index).is_none_or(|it| it.flags() & flag::NO_CLIENT_PORT != 0) {
            return None;
        }
        Some(Match::Outbound(index))
    }

    /// Whether what `source` sends to the client of this connection or reply entry belongs to it. In a function of its own, as most
    /// packets meet none.
    #[inline(never)]
    fn is_answered_from(&self, entry: &EntryRef<'_>, source: (IpAddr, u16)) -> bool {
        entry.destination_port() == source.1
            && match entry.flags() & (flag::METHOD | flag::NO_OUTPUT) {
                0 => self
                    .destinations
                    .get(DestinationIndex(entry.destination()))
                    .is_some_and(|destination| destination.id.address == source.0),
                _ => is_reply(entry) && entry.key().virtual_address == Address::from(source.0),
            }
    }

    /// A packet too short for its protocol: dropped if it is of a connection or for this host, as the host would drop it; between other
    /// hosts it passes (kernel behaviour, cut-masq and cut-known in `conformance/packets/headers.table`).
    #[cold]
    fn unreadable(&self, arrival: Arrival<'_>, packet: &Packet<'_>) -> Verdict {
        let headers = arrival.headers;
        let to = headers.destination;
        let found = transport::ports_embedded(packet.as_slice(), headers).ok().and_then(|ports| {
            self.find(headers.protocol, (headers.source, ports.source), (to, ports.destination))
        });
        let is_here = arrival.host.address_kind(to) == AddressKind::Local || self.interests.is_virtual(to);
        if found.is_some() || is_here { Verdict::Drop(Reason::Malformed) } else { Verdict::Pass }
    }
}
