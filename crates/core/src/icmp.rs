//! ICMP and ICMPv6: our own errors, and errors about connections, translated like the packets they quote.

use std::net::IpAddr;

use ipvs_wire::icmp_error::{self, ErrorKind};
use ipvs_wire::{Fragment, Headers, Ports, checksum, rewrite, transport};

use crate::command::ForwardingMethod;
use crate::director::Director;
use crate::forward::{self, Ends};
use crate::ip_options;
use crate::ipsec;
use crate::packet::Packet;
use crate::receive::{Arrival, Match};
use crate::verdict::{Reason, Verdict};

/// The longest ICMP error we send: an IPv6 packet of the minimum MTU (RFC 4443 section 2.4).
pub(crate) const LONGEST_ERROR: usize = 1280;

/// Puts an ICMP error about `packet` in its place; drops silently where none may be sent.
#[cold]
#[inline(never)] // its room would be part of the frame of whoever may have to answer
pub(crate) fn answer(packet: &mut Packet<'_>, source: IpAddr, kind: ErrorKind, reason: Reason) -> Verdict {
    let mut error = [0; LONGEST_ERROR];
    match icmp_error::icmp_error(packet.as_slice(), source, kind, &mut error) {
        Ok(len) if error.get(..len).is_some_and(|error| packet.replace(error)) => Verdict::Reply(reason),
        _ => Verdict::Drop(reason),
    }
}

impl Director {
    /// An ICMP packet: an error about a connection is translated and sent on to the connection's other end; all else
    /// is the host's.
    pub(crate) fn receive_icmp(&mut self, arrival: Arrival<'_>, packet: &mut Packet<'_>) -> Verdict {
        let headers = arrival.headers;
        if !is_related(packet.as_slice(), headers) {
            return Verdict::Pass;
        }
        if !self.standby
            && let Some(verdict) = self.error_from_tunnel(arrival, packet)
        {
            return verdict;
        }
        let Some(quote) = Quote::read(packet.as_slice(), headers) else { return Verdict::Pass };
        // The quoted packet went the other way: from the virtual address to the client, or from the client to the
        // server.
        let (source, destination) = quote.ends();
        match self.find(quote.protocol, destination, source) {
            Some(Match::Inbound(_)) if self.standby => Verdict::Pass,
            Some(Match::Inbound(index)) => {
                let Some(ends) = self.ends(index) else { return self.pass_by(arrival, packet) };
                self.icmp_inbound(arrival, packet, &quote, &ends)
            }
            Some(Match::Outbound(index)) => {
                let Some(ends) = self.ends(index) else { return Verdict::Pass };
                self.icmp_outbound(arrival, packet, &quote, &ends)
            }
            None => match self.error_from_silent_server(arrival, packet, &quote) {
                Some(verdict) => verdict,
                None if self.standby => Verdict::Pass,
                None => self.schedule_icmp(arrival, packet, &quote),
            },
        }
    }

    /// About a packet from the virtual address to the client: goes to the server.
    pub(crate) fn icmp_inbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        quote: &Quote,
        ends: &Ends,
    ) -> Verdict {
        if ends.answers_pass() && !checksum::verify_transport(packet.as_slice(), arrival.headers) {
            return Verdict::Drop(Reason::IcmpMalformed);
        }
        self.count_in(ends.destination, packet.len());
        match ends.method() {
            ForwardingMethod::MASQUERADE => forward::masquerade::icmp_to_server(arrival, packet, quote, ends),
            ForwardingMethod::FULL_NAT => forward::full_nat::icmp_to_server(arrival, packet, quote, ends),
            _ => self.forward_to_server(arrival, packet, ends),
        }
    }

    /// About a packet as the client sent it, which direct routing or a tunnel left as it was: goes on to the client as it is, and
    /// counts as a packet out (kernel behaviour, experiment `ip_options.py`). `None`: it is of no such connection.
    fn error_from_silent_server(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        quote: &Quote,
    ) -> Option<Verdict> {
        let (client, virtual_end) = quote.ends();
        let Some(Match::Inbound(index)) = self.find(quote.protocol, client, virtual_end) else { return None };
        let ends = self.ends(index)?;
        let Arrival { host, headers, .. } = arrival;
        if ends.answers_pass() || headers.destination != client.0 {
            return None;
        }
        if !checksum::verify_transport(packet.as_slice(), headers) {
            return Some(Verdict::Drop(Reason::IcmpMalformed));
        }
        let own = host.source_address(headers.source);
        if let Err(verdict) = forward::towards_client(arrival, packet, client.0, own) {
            return Some(verdict);
        }
        if let Some(leaving) = host.source_address(client.0) {
            ip_options::record(arrival, packet, leaving, own);
        }
        if ends.available {
            self.count_out(ends.destination, packet.len());
        }
        Some(Verdict::Forward { next: client.0 })
    }

    /// About a packet from the client to the server: goes to the client.
    fn icmp_outbound(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        quote: &Quote,
        ends: &Ends,
    ) -> Verdict {
        if !checksum::verify_transport(packet.as_slice(), arrival.headers) {
            return Verdict::Drop(Reason::IcmpMalformed);
        }
        let bytes = packet.len();
        let verdict = match ends.local {
            None => forward::masquerade::icmp_to_client(arrival, packet, quote, ends),
            Some(_) => forward::full_nat::icmp_to_client(arrival, packet, quote, ends),
        };
        if matches!(verdict, Verdict::Forward { .. }) && ends.available {
            self.count_out(ends.destination, bytes);
        }
        verdict
    }
}

/// Whether it is an error of a kind that IPVS relates to the quoted packet's connection: for IPv4 unreachable, source
/// quench and time exceeded, but not redirect or parameter problem; for IPv6 all errors (seen on the reference,
/// `conformance/experiments/icmp_kinds.py`).
fn is_related(packet: &[u8], headers: &Headers) -> bool {
    match headers.payload(packet).first() {
        Some(kind) if headers.is_ipv6() => *kind < 128,
        Some(kind) => matches!(kind, 3 | 4 | 11),
        None => false,
    }
}

/// The packet that an ICMP error quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    /// Where it starts in the ICMP packet.
    pub(crate) offset: usize,
    /// Its headers, offsets relative to its own start.
    pub(crate) headers: Headers,
    /// The protocol by which it finds its connection.
    pub(crate) protocol: u8,
    ports: Ports,
}

impl Quote {
    fn read(packet: &[u8], headers: &Headers) -> Option<Self> {
        Self::at(packet, icmp_error::quoted_offset(packet, headers)?)
    }

    /// The packet quoted at `offset`.
    pub(crate) fn at(packet: &[u8], offset: usize) -> Option<Self> {
        let quoted = packet.get(offset..)?;
        let headers = Headers::parse_embedded(quoted).ok()?;
        if headers.fragment == Fragment::Later {
            return None;
        }
        let (protocol, ports) = match ipsec::followed(headers.protocol) {
            Some(followed) => followed,
            None => (headers.protocol, transport::ports_embedded(quoted, &headers).ok()?),
        };
        Some(Self { offset, headers, protocol, ports })
    }

    /// Source and destination, as quoted.
    pub(crate) fn ends(&self) -> ((IpAddr, u16), (IpAddr, u16)) {
        ((self.headers.source, self.ports.source), (self.headers.destination, self.ports.destination))
    }

    /// Gives the quoted packet another source or destination, and the ICMP packet that carries it another destination or
    /// source; all checksums follow, also that of a quoted IPv4 header that was wrong (kernel behaviour, experiment
    /// `ip_options.py`).
    pub(crate) fn translate(
        &self,
        packet: &mut [u8],
        headers: &Headers,
        side: Side,
        address: IpAddr,
        port: u16,
    ) -> Option<()> {
        let quoted = packet.get_mut(self.offset..)?;
        match side {
            Side::Server => {
                rewrite::set_embedded_source(quoted, &self.headers, address, port).ok()?;
                rewrite::set_destination(packet, headers, address, 0).ok()?;
            }
            Side::Client => {
                rewrite::set_embedded_destination(quoted, &self.headers, address, port).ok()?;
                rewrite::set_source(packet, headers, address, 0).ok()?;
            }
        }
        checksum::fill_ipv4_header(packet.get_mut(self.offset..)?);
        let headers = Headers::parse(packet).ok()?;
        checksum::fill_transport(packet, &headers);
        Some(())
    }
}

/// Towards whom an ICMP error is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Its outer destination and quoted source become the server's.
    Server,
    /// Its outer source and quoted destination become virtual.
    Client,
}
