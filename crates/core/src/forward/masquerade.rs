//! Masquerading (NAT): the server sees the client but its own address; the client sees the virtual address.

use std::net::IpAddr;

use ipvs_wire::rewrite;

use super::{Ends, is_local, towards_client, towards_server};
use crate::icmp::{Quote, Side};
use crate::ip_options;
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::verdict::{Reason, Verdict};

/// From the client: the virtual address and port become the server's.
pub(crate) fn to_server(arrival: Arrival<'_>, packet: &mut Packet<'_>, ends: &Ends) -> Verdict {
    forward_to_server(arrival, packet, ends, |packet| {
        rewrite::set_destination(
            packet.as_mut_slice(),
            arrival.headers,
            ends.server_address,
            ends.server_port,
        )
        .ok()
    })
}

/// From the server: its address and port become the virtual ones.
pub(crate) fn to_client(arrival: Arrival<'_>, packet: &mut Packet<'_>, ends: &Ends) -> Verdict {
    forward_to_client(arrival, packet, ends, arrival.headers.destination, |packet| {
        rewrite::set_source(packet.as_mut_slice(), arrival.headers, ends.virtual_address, ends.virtual_port)
            .ok()
    })
}

/// An ICMP error about the server's packet to the client, on to the server.
pub(crate) fn icmp_to_server(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    quote: &Quote,
    ends: &Ends,
) -> Verdict {
    forward_to_server(arrival, packet, ends, |packet| {
        quote.translate(
            packet.as_mut_slice(),
            arrival.headers,
            Side::Server,
            ends.server_address,
            ends.server_port,
        )
    })
}

/// An ICMP error about the client's packet to the server, on to the client as if from the virtual address.
pub(crate) fn icmp_to_client(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    quote: &Quote,
    ends: &Ends,
) -> Verdict {
    forward_to_client(arrival, packet, ends, arrival.headers.destination, |packet| {
        quote.translate(
            packet.as_mut_slice(),
            arrival.headers,
            Side::Client,
            ends.virtual_address,
            ends.virtual_port,
        )
    })
}

/// Sends what `rewrite` makes of the packet to the server.
pub(super) fn forward_to_server(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    ends: &Ends,
    rewrite: impl FnOnce(&mut Packet<'_>) -> Option<()>,
) -> Verdict {
    let next = ends.server_address;
    // To a server on this host it is no forwarded packet: no hop is counted.
    let local = is_local(arrival.host, next);
    if !local && let Err(verdict) = towards_server(arrival, packet, next, Some(ends.virtual_address)) {
        return verdict;
    }
    match rewrite(packet) {
        None => Verdict::Drop(Reason::Malformed),
        Some(()) if local => Verdict::Deliver,
        Some(()) => Verdict::Forward { next },
    }
}

/// Sends what `rewrite` makes of the packet to the client at `next`.
pub(super) fn forward_to_client(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    ends: &Ends,
    next: IpAddr,
    rewrite: impl FnOnce(&mut Packet<'_>) -> Option<()>,
) -> Verdict {
    let Arrival { host, headers, .. } = arrival;
    let local = is_local(host, headers.source);
    if !local {
        let own = host.source_address(headers.source);
        if let Err(verdict) = towards_client(arrival, packet, next, own) {
            return verdict;
        }
        ip_options::record(arrival, packet, ends.virtual_address, own);
    }
    match rewrite(packet) {
        None => Verdict::Drop(Reason::Malformed),
        Some(()) => Verdict::Forward { next },
    }
}
