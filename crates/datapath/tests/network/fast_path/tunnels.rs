//! Tunnels in the program: the very bytes that the director makes, whatever stands between the headers.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::SocketAddr;

use ipvs_core::{
    Command, DestinationConfig, DestinationId, ForwardingMethod, ServiceId, Sysctl, Tunnel, TunnelType,
};
use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestRunner};

use super::inside;
use super::pair::{Pair, destination, now};
use super::sent::{ACK, CLIENT, CLIENT6, SYN, Sent, TCP, Twist, UDP, plain, sent};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};

/// Kinds, with flags.
pub(super) const KINDS: [(u8, u16); 6] = [
    (TunnelType::IPIP, 0),
    (TunnelType::GUE, 0),
    (TunnelType::GUE, 1),
    (TunnelType::GUE, 2),
    (TunnelType::GRE, 0),
    (TunnelType::GRE, 1),
];

/// The virtual port of the first tunnel; others follow.
const FIRST_PORT: u16 = 90;

/// A packet as it must be on both paths: without the outer checksum if the inner one is wrong, which the program takes for right.
pub(super) fn comparable<'p>(packet: &'p [u8], sent: &Sent) -> Cow<'p, [u8]> {
    let (header, protocol) = if packet[0] >> 4 == 4 { (20, packet[9]) } else { (40, packet[6]) };
    let field = match protocol {
        // GUE has its port; TCP and UDP of masquerading are to be the same.
        17 if packet[header + 2..header + 4] == 6080u16.to_be_bytes()
            && packet[header + 6..][..2] != [0; 2] =>
        {
            6
        }
        47 if packet[header] & 0x80 != 0 => 4,
        _ => return packet.into(),
    };
    if sent.twist != Twist::Wrong {
        return packet.into();
    }
    let mut packet = packet.to_vec();
    packet[header + field..][..2].fill(0);
    packet.into()
}

fn config(kind: (u8, u16)) -> DestinationConfig {
    let tunnel = Tunnel { kind: kind.0, port: 6080, flags: kind.1 };
    DestinationConfig { tunnel, ..destination(ForwardingMethod::TUNNEL, 1) }
}

pub(super) fn serve(
    pair: &mut Pair,
    protocol: u8,
    at: SocketAddr,
    server: SocketAddr,
    kind: (u8, u16),
) -> ServiceId {
    let service = pair.serve_by(protocol, at, "rr", 0);
    let id = DestinationId { address: server.ip(), port: server.port() };
    pair.execute(Command::AddDestination(service, id, config(kind)));
    service
}

#[test]
fn any_packets_go_through_tunnels_as_the_directors_do() {
    inside(any_packets);
}

/// The same of the program as a classifier.
#[test]
fn any_packets_go_through_tunnels_behind_a_classifier() {
    let topology = Topology::new();
    topology.director.run(|| any_packets(&mut Pair::open_classifier(&topology)));
}

/// Whether TCP in tunnels of a kind is the program's. A classifier leaves those to the daemon that have a checksum of the whole (a remote
/// one implies it), since the packet's own may be yet to be made, and GRE, which the kernel may not know how to cut.
fn takes_tcp(pair: &Pair, kind: (u8, u16)) -> bool {
    !pair.classifier || kind.1 == 0 && kind.0 != TunnelType::GRE
}

pub(super) fn any_packets(pair: &mut Pair) {
    let mut services = Vec::new();
    for vip in [VIP, VIP6] {
        for protocol in [TCP, UDP] {
            for (number, kind) in (0u16..).zip(KINDS) {
                for (more, server) in [(0, SERVER), (KINDS.len() as u16, SERVER6)] {
                    let port = FIRST_PORT + number + more;
                    services.push(serve(pair, protocol, end(vip, port), end(server, 80), kind));
                }
            }
        }
    }
    let packets = (
        sent(),
        0..2 * KINDS.len() as u16,
        prop_oneof![
            3 => 0usize..200,
            1 => 1380usize..1480,
        ],
    );
    let packets = packets.prop_map(|((_, mut sent), tunnel, payload)| {
        let ipv6 = sent.from.is_ipv6();
        let port = if sent.from.port() >= 4000 && sent.from.port() < 4100 { sent.from.port() } else { 4000 };
        sent.from = end(if ipv6 { CLIENT6 } else { CLIENT }, port);
        sent.to = end(if ipv6 { VIP6 } else { VIP }, FIRST_PORT + tunnel);
        Sent { payload, ..sent }
    });
    let config = RunnerConfig { failure_persistence: None, ..RunnerConfig::with_cases(6000) };
    let pair = RefCell::new((pair, 0));
    TestRunner::new(config)
        .run(&packets, |sent| {
            let (pair, number) = &mut *pair.borrow_mut();
            pair.send(&sent);
            *number += 1;
            if *number % 500 == 0 {
                pair.listings(&services);
                let discovers = i64::from(*number % 1000 == 0);
                pair.execute(Command::SetSysctl(Sysctl::PmtuDisc, vec![discovers]));
            }
            Ok(())
        })
        .unwrap();
    let (pair, _) = &mut *pair.borrow_mut();
    pair.listings(&services);
    println!("{} of 6000 packets forwarded by the program", pair.forwarded);
    let kinds = KINDS.into_iter().filter(|kind| takes_tcp(pair, *kind)).count();
    assert!(pair.forwarded as usize > 340 * kinds, "{}", pair.forwarded);
}

/// The program forwards each kind, and begins connections through it.
#[test]
fn every_kind_is_the_programs() {
    inside(every_kind);
}

/// As a classifier some, of TCP.
#[test]
fn some_kinds_are_a_classifiers() {
    let topology = Topology::new();
    topology.director.run(|| every_kind(&mut Pair::open_classifier(&topology)));
}

fn every_kind(pair: &mut Pair) {
    let mut port = FIRST_PORT;
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        for server in [SERVER, SERVER6] {
            for kind in KINDS {
                port += 1;
                let service = serve(pair, TCP, end(vip, port), end(server, 80), kind);
                let to = |flags| plain(TCP, end(client, 4000), end(vip, port), flags);
                let is_programs = takes_tcp(pair, kind);
                for flags in [SYN, ACK, ACK | 8] {
                    assert_eq!(pair.send(&to(flags)), is_programs, "{kind:?}");
                }
                // Nothing inside, and the longest that fits; one byte more is refused by the director.
                assert_eq!(pair.send(&Sent { payload: 0, ..to(ACK) }), is_programs, "{kind:?}");
                let headers = if client == CLIENT { 40 } else { 60 };
                let between = match kind {
                    (TunnelType::IPIP, _) => 0,
                    (TunnelType::GUE, _) => 12,
                    (_, 0) => 4,
                    _ => 8,
                };
                let room = 1500 - between - if server == SERVER { 20 } else { 40 };
                let most = room - headers;
                assert_eq!(pair.send(&Sent { payload: most, ..to(ACK) }), is_programs, "{kind:?}");
                assert!(!pair.send(&Sent { payload: most + 1, ..to(ACK) }), "{kind:?}");
                pair.listings(&[service]);
            }
        }
    }
}

/// A tunnel that is changed, and one whose link is too small.
#[test]
fn tunnels_follow_commands_and_the_network() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        let service = serve(pair, UDP, end(VIP, 90), end(SERVER, 80), KINDS[0]);
        let over_ipv6 = serve(pair, UDP, end(VIP, 91), end(SERVER6, 80), KINDS[0]);
        let id = DestinationId { address: end(SERVER, 80).ip(), port: 80 };
        let to = |port| plain(UDP, end(CLIENT, 4000), end(VIP, port), 0);
        assert!(pair.send(&to(90)) && pair.send(&to(91)));
        for kind in KINDS {
            pair.execute(Command::EditDestination(service, id, config(kind)));
            assert!(pair.send(&to(90)), "{kind:?}");
        }
        // Connections keep the method by which they began.
        pair.execute(Command::EditDestination(service, id, destination(ForwardingMethod::DIRECT, 1)));
        assert!(pair.send(&to(90)));
        assert!(pair.send(&plain(UDP, end(CLIENT, 4001), end(VIP, 90), 0)));
        // Over IPv6 a tunnel has room for 1280 bytes or is none.
        let frames = [90, 91].map(|port| pair.frame(&to(port)));
        let mut until = |mtu: u32, expected: [bool; 2]| {
            topology.director.ip(&format!("link set d1 mtu {mtu}"));
            let mut seen = [false; 2];
            for _ in 0..500 {
                pair.datapath.turn(now(), &mut pair.one);
                seen = [0, 1].map(|place: usize| {
                    let frame = &frames[place];
                    pair.datapath.try_program(pair.front.0, frame, 1).unwrap().frame != *frame
                });
                if seen == expected {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("{mtu}: {seen:?}");
        };
        until(1319, [true, false]);
        until(1320, [true, true]);
        let _ = over_ipv6;
    });
}
