//! Tunneling: what leaves for the server, path MTUs, errors from within the tunnel.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, DestinationWay, ForwardingMethod, Reason,
    Reply, ServiceId, Sysctl, Tunnel, TunnelType, Verdict,
};
use ipvs_flow::steady::PMTU_DISC;
use ipvs_wire::tunnel::Encapsulation;
use rig::{Family, Rig, seen, tcp, udp, unreachable};

const IPIP: Tunnel = Tunnel { kind: TunnelType::IPIP, port: 0, flags: 0 };
const GUE: Tunnel = Tunnel { kind: TunnelType::GUE, port: 6080, flags: 1 };
const GRE: Tunnel = Tunnel { kind: TunnelType::GRE, port: 0, flags: 1 };

/// A UDP service of `family` with one server, of `server`'s family, in a tunnel.
fn rig(family: Family, server: Family, tunnel: Tunnel) -> (Rig, ServiceId) {
    let mut rig = Rig::new(100);
    rig.host.local.extend([Family::V4.director(), Family::V6.director()]);
    let service = rig.service(family, 17, "rr");
    rig.execute(Command::AddDestination(
        service,
        DestinationId { address: server.server(1), port: 80 },
        DestinationConfig {
            forwarding: ForwardingMethod::TUNNEL,
            flags: ConnectionFlags::default(),
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel,
            local_pool: None,
            proxy: None,
        },
    ));
    (rig, service)
}

/// A datagram of the client of `length` bytes in all; over IPv4 routers must not fragment it.
fn datagram(family: Family, length: usize) -> Vec<u8> {
    let headers = if family == Family::V4 { 28 } else { 48 };
    let payload = vec![b'x'; length - headers];
    let mut packet = udp((family.client(), 1234), (family.vip(), 80), &payload, 64);
    if family == Family::V4 {
        packet[6] = 0x40;
        packet[10..12].fill(0);
        let sum = packet[..20].chunks(2).map(|it| u32::from(u16::from_be_bytes([it[0], it[1]]))).sum::<u32>();
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
    packet
}

fn address(packet: &[u8], source: bool) -> IpAddr {
    let (v4, v6) = if source { (12, 8) } else { (16, 24) };
    match packet[0] >> 4 {
        4 => IpAddr::from(<[u8; 4]>::try_from(&packet[v4..v4 + 4]).unwrap()),
        _ => IpAddr::from(<[u8; 16]>::try_from(&packet[v6..v6 + 16]).unwrap()),
    }
}

/// An ICMP error of an IPv4 router about `quoted`: type, code and the MTU where it has one.
fn router_error(kind: u8, code: u8, mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let mut error = unreachable("10.0.0.253".parse().unwrap(), Family::V4.director(), quoted);
    error[20..22].copy_from_slice(&[kind, code]);
    error[26..28].copy_from_slice(&mtu.to_be_bytes());
    error[22..24].fill(0);
    let sum = error[20..]
        .chunks(2)
        .fold(0u32, |sum, it| sum + u32::from(u16::from_be_bytes([it[0], it.get(1).copied().unwrap_or(0)])));
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    error[22..24].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    error
}

#[test]
fn the_packet_goes_to_the_server_inside_another() {
    for family in Family::BOTH {
        for server in Family::BOTH {
            for (tunnel, extra) in [(IPIP, 0), (GUE, 12), (GRE, 8)] {
                let (mut rig, _) = rig(family, server, tunnel);
                let sent = datagram(family, 100);
                let (verdict, packet) = rig.receive(&sent);
                assert_eq!(verdict, Verdict::Forward { next: server.server(1) });
                assert_eq!(
                    (address(&packet, true), address(&packet, false)),
                    (server.director(), server.server(1))
                );
                let overhead = if server == Family::V4 { 20 } else { 40 } + extra;
                let inner = seen(&packet[overhead..]);
                let before = seen(&sent);
                assert_eq!(
                    (inner.source, inner.destination, inner.ttl),
                    (before.source, before.destination, 63)
                );
                assert!(inner.checksums_ok);
                assert_eq!(inner.payload, before.payload);
                // The same flow, the same source port.
                let again = rig.receive(&sent).1;
                assert_eq!(packet[overhead - extra..][..2], again[overhead - extra..][..2]);
            }
        }
    }
}

#[test]
fn what_the_tunnel_cannot_take_is_refused_with_the_mtu_that_it_leaves() {
    for (family, server, tunnel, room) in [
        (Family::V4, Family::V4, IPIP, 1480),
        (Family::V4, Family::V4, GUE, 1468),
        (Family::V4, Family::V6, IPIP, 1460),
        (Family::V6, Family::V6, GUE, 1448),
        (Family::V6, Family::V4, IPIP, 1480),
    ] {
        let (mut rig, service) = rig(family, server, tunnel);
        assert_eq!(rig.receive(&datagram(family, room)).0, Verdict::Forward { next: server.server(1) });
        let (verdict, error) = rig.receive(&datagram(family, room + 1));
        assert_eq!(verdict, Verdict::Reply(Reason::TooBig));
        assert_eq!((address(&error, true), address(&error, false)), (family.vip(), family.client()));
        let icmp = if family == Family::V4 { 20 } else { 40 };
        let said = u32::from_be_bytes(error[icmp + 4..icmp + 8].try_into().unwrap());
        assert_eq!(said, room as u32);
        // The error counts as a packet out.
        let stats = rig.destinations(service)[0].stats.counters;
        assert_eq!((stats.packets_in, stats.packets_out, stats.bytes_out), (2, 1, error.len() as u64));
    }
}

#[test]
fn without_path_mtu_discovery_outer_packets_may_be_fragmented() {
    let (mut rig, _) = rig(Family::V4, Family::V4, IPIP);
    let df = |packet: &[u8]| packet[6] & 0x40 != 0;
    assert!(df(&rig.receive(&datagram(Family::V4, 1480)).1));
    rig.set(Sysctl::PmtuDisc, 0);
    let (verdict, packet) = rig.receive(&datagram(Family::V4, 1500));
    assert_eq!(verdict, Verdict::Forward { next: Family::V4.server(1) });
    assert_eq!((packet.len(), df(&packet), df(&packet[20..])), (1520, false, true));
    // An identification of its own, for the fragments.
    let next = rig.receive(&datagram(Family::V4, 1500)).1;
    assert_ne!(packet[4..6], next[4..6]);
}

#[test]
fn a_tunnel_over_ipv6_that_leaves_less_than_1280_bytes_carries_nothing() {
    let (mut rig, _) = rig(Family::V4, Family::V6, IPIP);
    rig.host.mtu.insert(Family::V6.server(1), 1319);
    assert_eq!(rig.receive(&datagram(Family::V4, 100)).0, Verdict::Drop(Reason::TunnelTooSmall));
    rig.host.mtu.insert(Family::V6.server(1), 1320);
    assert_eq!(rig.receive(&datagram(Family::V4, 100)).0, Verdict::Forward { next: Family::V6.server(1) });
}

#[test]
fn a_server_on_the_director_gets_the_packet_as_it_came() {
    for family in Family::BOTH {
        let (mut rig, _) = rig(family, family, GRE);
        rig.host.local.push(family.server(1));
        let sent = datagram(family, 100);
        assert_eq!(rig.receive(&sent), (Verdict::Deliver, sent));
    }
}

#[test]
fn an_error_of_the_client_goes_through_the_tunnel() {
    for family in Family::BOTH {
        let (mut rig, service) = rig(family, family, IPIP);
        rig.receive(&datagram(family, 100));
        let answer = udp((family.vip(), 80), (family.client(), 1234), b"answer", 60);
        let error = unreachable(family.client(), family.vip(), &answer);
        let (verdict, packet) = rig.receive(&error);
        assert_eq!(verdict, Verdict::Forward { next: family.server(1) });
        let overhead = if family == Family::V4 { 20 } else { 40 };
        assert_eq!(seen(&packet[overhead..]).payload, answer);
        assert_eq!(rig.destinations(service)[0].stats.counters.packets_in, 2);
    }
}

#[test]
fn errors_from_within_the_tunnel_reach_the_client() {
    for (tunnel, overhead) in [(IPIP, 20), (GUE, 32), (GRE, 28)] {
        let (mut rig, service) = rig(Family::V4, Family::V4, tunnel);
        let outer = rig.receive(&datagram(Family::V4, 700)).1;
        let inner = &outer[overhead..];
        // A router may quote a part alone: 128 bytes.
        for (kind, code, quoted) in [(3, 1, outer.len()), (11, 0, 128), (4, 0, 128)] {
            let (verdict, error) = rig.receive(&router_error(kind, code, 0, &outer[..quoted]));
            assert_eq!(verdict, Verdict::Forward { next: Family::V4.client() });
            assert_eq!(address(&error, true), Family::V4.vip());
            assert_eq!(error[20..22], [kind, code]);
            assert_eq!(error[28..], inner[..(quoted - overhead).min(548)]);
        }
        // As on the reference: what was taken out of the error counts, and the error.
        let stats = rig.destinations(service)[0].stats.counters;
        assert_eq!(stats.packets_out, 6);
        let part = 128 - overhead as u64;
        assert_eq!(stats.bytes_out, 700 + 576 + 2 * (part + part + 28));
        // The path MTU is learned, and forgotten after ten minutes.
        for (said, known) in [(600, 600), (20, 552)] {
            let (verdict, error) = rig.receive(&router_error(3, 4, said, &outer));
            assert_eq!(verdict, Verdict::Forward { next: Family::V4.client() });
            assert_eq!(u16::from_be_bytes([error[26], error[27]]), known - overhead as u16);
            assert_eq!(rig.receive(&datagram(Family::V4, 700)).0, Verdict::Reply(Reason::TooBig));
        }
        rig.advance(Duration::from_secs(600));
        assert_eq!(
            rig.receive(&datagram(Family::V4, 700)).0,
            Verdict::Forward { next: Family::V4.server(1) }
        );
    }
}

/// What a fast path is told of a tunnel: how, and the path MTU as long as it is believed.
#[test]
fn a_fast_path_learns_of_tunnels_and_of_their_paths() {
    let (mut rig, service) = rig(Family::V4, Family::V4, IPIP);
    let server = Family::V4.server(1);
    let way = |rig: &mut Rig| {
        let changes = rig.director.take_destination_changes();
        assert!(changes.len() <= 1);
        changes.first().map(|change| change.way.unwrap())
    };
    let first = DestinationWay { address: server, encapsulation: Encapsulation::Ipip, path_mtu: None };
    assert_eq!(way(&mut rig), Some(first));
    assert_eq!((first.room(1500), first.room(10)), (Some(1480), Some(0)));
    let outer = rig.receive(&datagram(Family::V4, 700)).1;
    assert_eq!(way(&mut rig), None);
    for (said, told) in [(600, Some(600)), (600, None), (700, None), (20, Some(552))] {
        rig.receive(&router_error(3, 4, said, &outer));
        assert_eq!(way(&mut rig), told.map(|mtu| DestinationWay { path_mtu: Some(mtu), ..first }));
    }
    assert_eq!(DestinationWay { path_mtu: Some(552), ..first }.room(1500), Some(532));
    // Forgotten with the first packet after its time.
    rig.advance(Duration::from_secs(600));
    assert_eq!(way(&mut rig), None);
    rig.receive(&datagram(Family::V4, 700));
    assert_eq!(way(&mut rig), Some(first));
    let edit = |tunnel| {
        let id = DestinationId { address: server, port: 80 };
        let config = DestinationConfig { tunnel, ..DestinationConfig::new(ForwardingMethod::TUNNEL, 1) };
        Command::EditDestination(service, id, config)
    };
    rig.execute(edit(IPIP));
    assert_eq!(way(&mut rig), None);
    rig.execute(edit(GUE));
    let encapsulation = Encapsulation::Gue { source_port: 0, port: 6080, checksum: true };
    assert_eq!(way(&mut rig), Some(DestinationWay { encapsulation, ..first }));
    let over_ipv6 = DestinationWay { address: Family::V6.server(1), ..first };
    assert_eq!((over_ipv6.room(1320), over_ipv6.room(1319)), (Some(1280), None));
    let pmtu_disc = |rig: &Rig| rig.director.state_timeouts()[PMTU_DISC];
    assert_eq!(pmtu_disc(&rig), 1);
    rig.set(Sysctl::PmtuDisc, 0);
    assert_eq!(pmtu_disc(&rig), 0);
}

#[test]
fn errors_about_what_is_no_tunnel_of_ours_are_the_hosts() {
    let (mut rig, _) = rig(Family::V4, Family::V4, IPIP);
    let outer = rig.receive(&datagram(Family::V4, 700)).1;
    // About a packet to somebody else.
    let mut other = outer.clone();
    other[19] = 77;
    // About a connection that is not ours.
    let mut stranger = outer.clone();
    stranger[41] = 99;
    // Too short to say which connection.
    let short = &outer[..28];
    for quoted in [&other[..], &stranger[..], short] {
        assert_eq!(rig.receive(&router_error(3, 1, 0, quoted)).0, Verdict::Pass);
    }
    // A damaged error teaches nothing.
    let mut damaged = router_error(3, 4, 600, &outer);
    damaged[27] ^= 1;
    assert_eq!(rig.receive(&damaged).0, Verdict::Drop(Reason::IcmpMalformed));
    assert_eq!(rig.receive(&datagram(Family::V4, 700)).0, Verdict::Forward { next: Family::V4.server(1) });
    // For another host.
    rig.host.local.clear();
    assert_eq!(rig.receive(&router_error(3, 1, 0, &outer)).0, Verdict::Pass);
}

#[test]
fn states_and_counters_are_those_of_direct_routing() {
    let mut rig = Rig::new(100);
    let service = rig.service(Family::V4, 6, "rr");
    rig.destination(service, Family::V4.server(1), ForwardingMethod::TUNNEL, 1);
    let (client, vip) = ((Family::V4.client(), 1234), (Family::V4.vip(), 80));
    for (flags, state) in [("S", "SYN_RECV"), ("A", "ESTABLISHED"), ("FA", "FIN_WAIT")] {
        rig.receive(&tcp(client, vip, flags, b"", 64));
        assert_eq!(rig.state(), state);
    }
    let Reply::Service(_) = rig.execute(Command::GetService(service)) else { panic!() };
    let server = &rig.destinations(service)[0];
    assert_eq!((server.active, server.inactive), (0, 1));
    assert_eq!((server.stats.counters.packets_in, server.stats.counters.bytes_in), (3, 120));
}
