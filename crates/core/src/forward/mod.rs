//! Forwarding methods: how a packet reaches its destination, and how the answer gets back.

mod across;
pub(crate) mod direct;
pub(crate) mod full_nat;
pub(crate) mod masquerade;
pub(crate) mod tunnel;
pub(crate) mod tunnel_path;

pub(crate) use across::growth;

use std::net::IpAddr;

use ipvs_wire::icmp_error::ErrorKind;
use ipvs_wire::rewrite;

use crate::command::ForwardingMethod;
use crate::connections::flag;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::host::{AddressKind, Host};
use crate::icmp;
use crate::ip_options;
use crate::local_pool::End;
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::verdict::{Reason, Verdict};

/// IPv6's smallest MTU (RFC 8200 section 5): every link takes it, and no IPv6 sender need make shorter packets.
const SMALLEST_IPV6: u32 = 1280;

/// A connection's ends, copied from the table and its destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) destination: DestinationIndex,
    /// The destination is in its service's list, not in the trash.
    pub(crate) available: bool,
    /// The connection's flags.
    pub(crate) flags: u16,
    pub(crate) virtual_address: IpAddr,
    pub(crate) virtual_port: u16,
    pub(crate) server_address: IpAddr,
    pub(crate) server_port: u16,
    pub(crate) client: End,
    /// With full NAT, from where packets come to the server.
    pub(crate) local: Option<End>,
}

impl Ends {
    /// How the connection is forwarded.
    #[inline]
    pub(crate) fn method(&self) -> ForwardingMethod {
        ForwardingMethod((self.flags & flag::METHOD) as u8)
    }

    /// Whether the server's answers pass here to be translated: with masquerading and full NAT.
    pub(crate) fn answers_pass(&self) -> bool {
        self.method() == ForwardingMethod::MASQUERADE || self.flags & flag::TRANSLATED != 0
    }
}

impl Director {
    /// Towards the server, by the connection's method.
    #[inline]
    pub(crate) fn forward_to_server(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ends: &Ends,
    ) -> Verdict {
        match ends.method() {
            ForwardingMethod::MASQUERADE => masquerade::to_server(arrival, packet, ends),
            ForwardingMethod::DIRECT => direct::to_server(arrival, packet, ends),
            ForwardingMethod::TUNNEL => self.tunnel_to_server(arrival, packet, ends),
            ForwardingMethod::LOCAL => Verdict::Deliver,
            ForwardingMethod::FULL_NAT => {
                let verdict = full_nat::to_server(arrival, packet, ends);
                self.identify(arrival, packet, ends);
                verdict
            }
            _ => Verdict::Drop(Reason::MethodNotSupported),
        }
    }

    /// Towards the client, from the server of a connection whose answers pass here.
    #[inline]
    pub(crate) fn forward_to_client(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ends: &Ends,
    ) -> Verdict {
        if ends.local.is_none() {
            return masquerade::to_client(arrival, packet, ends);
        }
        let verdict = full_nat::to_client(arrival, packet, ends);
        self.identify(arrival, packet, ends);
        verdict
    }
}

/// Whether `address` is this host's own.
fn is_local(host: &dyn Host, address: IpAddr) -> bool {
    host.address_kind(address) == AddressKind::Local
}

/// Whether the packet may go another hop. `Err` is the verdict that ends its way, with an ICMP error from `reporter`
/// in its place where one may be sent.
#[inline]
fn check_hop_limit(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    reporter: Option<IpAddr>,
) -> Result<(), Verdict> {
    if arrival.headers.hop_limit > 1 {
        return Ok(());
    }
    Err(refuse(packet, reporter, ErrorKind::TimeExceeded, Reason::HopLimitExceeded))
}

/// Whether there is a route to `next` that the packet fits, in fragments if need be. `Err` as for
/// [`check_hop_limit`].
#[inline]
fn check_route(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    next: IpAddr,
    reporter: Option<IpAddr>,
) -> Result<(), Verdict> {
    let headers = arrival.headers;
    let Some(link) = arrival.host.path_mtu(next) else { return Err(Verdict::Drop(Reason::NoRoute)) };
    let mtu = match next.is_ipv6() == headers.is_ipv6() {
        true => link as usize,
        false => across::room(headers, next, link as usize),
    };
    if packet.is_too_big(headers, mtu) {
        let kind = ErrorKind::FragmentationNeeded { mtu: mtu as u32 };
        return Err(refuse(packet, reporter, kind, Reason::TooBig));
    }
    Ok(())
}

#[cold]
fn refuse(packet: &mut Packet<'_>, reporter: Option<IpAddr>, kind: ErrorKind, reason: Reason) -> Verdict {
    match reporter {
        Some(source) => icmp::answer(packet, source, kind, reason),
        None => Verdict::Drop(reason),
    }
}

/// What both ways to a server have in common: hop limit and route, with errors from the virtual address. The kernel
/// counts the hop before it looks at the MTU, so a "fragmentation needed" quotes the lower hop limit.
#[inline]
pub(crate) fn towards_server(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    next: IpAddr,
    reporter: Option<IpAddr>,
) -> Result<(), Verdict> {
    ip_options::record(arrival, packet, arrival.headers.destination, None);
    check_hop_limit(arrival, packet, reporter)?;
    rewrite::decrement_hop_limit(packet.as_mut_slice());
    check_route(arrival, packet, next, reporter)
}

/// What the host's forwarding checks before IPVS sees a server's packet: hop limit and route, with errors from the
/// host's own address that quote the packet as it came. One to a client on this host is not forwarded.
#[inline]
pub(crate) fn towards_client(
    arrival: Arrival<'_>,
    packet: &mut Packet<'_>,
    next: IpAddr,
    reporter: Option<IpAddr>,
) -> Result<(), Verdict> {
    if is_local(arrival.host, next) {
        return Ok(());
    }
    check_hop_limit(arrival, packet, reporter)?;
    check_route(arrival, packet, next, reporter)?;
    rewrite::decrement_hop_limit(packet.as_mut_slice());
    Ok(())
}
