//! Tunneling: the packet goes to the server inside another; the server answers the client itself.
//!
//! Rules seen on the reference: `conformance/experiments/tunnels.py` and `tunnel_errors.py`.

use std::net::IpAddr;

use ipvs_flow::{Address, source_port};
use ipvs_wire::icmp_error::ErrorKind;
use ipvs_wire::transport;
use ipvs_wire::tunnel::{self, Encapsulation, Outer};
use ipvs_wire::{Ports, rewrite};

use super::{Ends, SMALLEST_IPV6, check_hop_limit, is_local, refuse};
use crate::command::{Tunnel, TunnelType};
use crate::director::Director;
use crate::ip_options;
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::sysctl::Sysctl;
use crate::verdict::{Reason, Verdict};

/// UDP checksums of GUE: TUN_FLAG_CSUM. Remote checksum offload has one too; a packet whose inner checksum is
/// complete carries no remote checksum option, and packets that come here are complete.
const CHECKSUM: u16 = 1;
const REMOTE_CHECKSUM: u16 = 2;

/// How a destination's packets are encapsulated; a kind that is not known is IP in IP, as in the kernel.
pub(crate) fn encapsulation(tunnel: &Tunnel, source_port: u16) -> Encapsulation {
    match tunnel.kind {
        TunnelType::GUE => Encapsulation::Gue {
            source_port,
            port: tunnel.port,
            checksum: tunnel.flags & (CHECKSUM | REMOTE_CHECKSUM) != 0,
        },
        TunnelType::GRE => Encapsulation::Gre { checksum: tunnel.flags & CHECKSUM != 0 },
        _ => Encapsulation::Ipip,
    }
}

/// Most bytes of a packet in a tunnel to `server`, on a way whose MTU is `mtu`; `None`: it carries nothing, as a tunnel over IPv6 that
/// leaves less than IPv6's smallest MTU.
pub(crate) fn room(server: IpAddr, encapsulation: Encapsulation, mtu: u32) -> Option<u32> {
    let room = mtu.saturating_sub(encapsulation.overhead(server.is_ipv6()) as u32);
    (!server.is_ipv6() || room >= SMALLEST_IPV6).then_some(room)
}

impl Director {
    /// From the client, inside another packet to the server.
    #[inline(never)] // the way of packets without a tunnel stays short
    pub(crate) fn tunnel_to_server(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ends: &Ends,
    ) -> Verdict {
        let Arrival { now, host, headers } = arrival;
        let (server, reporter) = (ends.server_address, Some(ends.virtual_address));
        if is_local(host, server) {
            return Verdict::Deliver;
        }
        let Some(tunnel) = self.destinations.get(ends.destination).map(|it| it.config.tunnel) else {
            return Verdict::Drop(Reason::DestinationUnavailable);
        };
        ip_options::record(arrival, packet, headers.destination, None);
        if let Err(verdict) = check_hop_limit(arrival, packet, reporter) {
            return verdict;
        }
        let (Some(link), Some(source)) = (host.path_mtu(server), host.source_address(server)) else {
            return Verdict::Drop(Reason::NoRoute);
        };
        rewrite::decrement_hop_limit(packet.as_mut_slice());
        let encapsulation = encapsulation(&tunnel, self.flow_port(packet, arrival));
        let overhead = encapsulation.overhead(server.is_ipv6());
        let Some(room) = room(server, encapsulation, self.tunnel_paths.mtu(now, server, link)) else {
            return Verdict::Drop(Reason::TunnelTooSmall);
        };
        let dont_fragment =
            headers.dont_fragment && (headers.is_ipv6() || self.sysctls.value(Sysctl::PmtuDisc) != 0);
        if dont_fragment && packet.is_too_big(headers, room as usize) {
            let kind = ErrorKind::FragmentationNeeded { mtu: room };
            return refuse(packet, reporter, kind, Reason::TooBig);
        }
        // An IPv6 packet's outer header over IPv4 may be fragmented; what fits is not.
        let dont_fragment = dont_fragment && !headers.is_ipv6();
        let identification = match dont_fragment || server.is_ipv6() {
            true => 0,
            false => self.destinations.identify(ends.destination, packet.segments()),
        };
        let outer = Outer { source, destination: server, dont_fragment, identification };
        if packet.is_unsegmented() {
            packet.wrap_segments(outer, encapsulation);
            return Verdict::Forward { next: server };
        }
        if !packet.grow_front(overhead) {
            return Verdict::Drop(Reason::TunnelTooSmall);
        }
        match tunnel::encapsulate(packet.as_mut_slice(), &outer, encapsulation) {
            Ok(()) => Verdict::Forward { next: server },
            Err(_) => Verdict::Drop(Reason::Malformed),
        }
    }

    /// A UDP source port for a packet's flow: the same for all its packets.
    fn flow_port(&self, packet: &Packet<'_>, arrival: Arrival<'_>) -> u16 {
        let headers = arrival.headers;
        let Ports { source, destination } =
            transport::ports(packet.as_slice(), headers).unwrap_or(Ports { source: 0, destination: 0 });
        let client = Address::from(headers.source);
        source_port(self.config.hash_key(), headers.protocol, client, (source, destination))
    }
}
