//! Full NAT, ours: the server sees a local address of a pool, the client the virtual address. So answers come back here wherever the
//! server's default route leads.

use std::net::IpAddr;

use ipvs_wire::{Headers, checksum, rewrite};

use super::{Ends, across, masquerade};
use crate::icmp::Quote;
use crate::local_pool::End;
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::verdict::{Reason, Verdict};

/// From the client: it becomes the local address and port, the virtual ones become the server's.
pub(crate) fn to_server(arrival: Arrival<'_>, packet: &mut Packet<'_>, ends: &Ends) -> Verdict {
    // Without pool, which other interfaces than ours can ask for, it is no method of the kernel's.
    let Some(local) = ends.local else { return Verdict::Drop(Reason::MethodNotSupported) };
    let server = (ends.server_address, ends.server_port);
    masquerade::forward_to_server(arrival, packet, ends, |packet| {
        set_ends(packet, arrival.headers, local, server)
    })
}

/// From the server: it becomes the virtual address and port, the local ones become the client's.
pub(crate) fn to_client(arrival: Arrival<'_>, packet: &mut Packet<'_>, ends: &Ends) -> Verdict {
    let virtual_end = (ends.virtual_address, ends.virtual_port);
    masquerade::forward_to_client(arrival, packet, ends, ends.client.0, |packet| {
        set_ends(packet, arrival.headers, virtual_end, ends.client)
    })
}

/// An ICMP error about the server's packet to the client, on to the server: from the local address, about a packet to it.
pub(crate) fn icmp_to_server(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    quote: &Quote,
    ends: &Ends,
) -> Verdict {
    let Some(local) = ends.local else { return Verdict::Drop(Reason::MethodNotSupported) };
    let server = (ends.server_address, ends.server_port);
    masquerade::forward_to_server(arrival, packet, ends, |packet| {
        translate(packet, arrival.headers, quote, (server, local), (local.0, server.0))
    })
}

/// An ICMP error about the client's packet to the server, on to the client: from the virtual address, about a packet to it.
pub(crate) fn icmp_to_client(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    quote: &Quote,
    ends: &Ends,
) -> Verdict {
    let virtual_end = (ends.virtual_address, ends.virtual_port);
    masquerade::forward_to_client(arrival, packet, ends, ends.client.0, |packet| {
        let outer = (virtual_end.0, ends.client.0);
        translate(packet, arrival.headers, quote, (ends.client, virtual_end), outer)
    })
}

/// Gives the packet other ends, and if they are of the other family its header.
fn set_ends(packet: &mut Packet<'_>, headers: &Headers, source: End, destination: End) -> Option<()> {
    if source.0.is_ipv6() != headers.is_ipv6() {
        return across::translate(packet, headers, source, destination);
    }
    rewrite::set_source(packet.as_mut_slice(), headers, source.0, source.1).ok()?;
    rewrite::set_destination(packet.as_mut_slice(), headers, destination.0, destination.1).ok()
}

/// Gives the quoted packet another source and destination, and the ICMP packet that carries it; all checksums follow.
fn translate(
    packet: &mut Packet<'_>,
    headers: &Headers,
    quote: &Quote,
    (source, destination): (End, End),
    outer: (IpAddr, IpAddr),
) -> Option<()> {
    if outer.0.is_ipv6() != headers.is_ipv6() {
        return across::translate_error(packet, headers, quote, (source, destination), outer.0);
    }
    let packet = packet.as_mut_slice();
    let quoted = packet.get_mut(quote.offset..)?;
    rewrite::set_embedded_source(quoted, &quote.headers, source.0, source.1).ok()?;
    rewrite::set_embedded_destination(quoted, &quote.headers, destination.0, destination.1).ok()?;
    checksum::fill_ipv4_header(quoted);
    rewrite::set_source(packet, headers, outer.0, 0).ok()?;
    rewrite::set_destination(packet, headers, outer.1, 0).ok()?;
    let headers = Headers::parse(packet).ok()?;
    checksum::fill_transport(packet, &headers);
    Some(())
}
