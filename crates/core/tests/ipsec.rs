//! ESP and AH follow the client's ISAKMP connection, as in `conformance/experiments/isakmp.py`.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use std::net::IpAddr;
use std::time::Duration;

use etherparse::IpNumber;
use ipvs_core::{
    Command, Counters, DestinationConfig, DestinationId, ForwardingMethod, Interest, Reason, ServiceId,
    Sysctl, Verdict,
};
use rig::{Family, Rig, ip, round_robin, seen, udp, unreachable};

const ESP: u8 = 50;
const AH: u8 = 51;

fn other(protocol: u8, source: IpAddr, destination: IpAddr, ttl: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    ip(source, destination, ttl).write(&mut bytes, IpNumber(protocol), &[7; 32]).unwrap();
    bytes
}

/// Source, destination, hop limit.
fn ends(packet: &[u8]) -> (IpAddr, IpAddr, u8) {
    let headers = ipvs_wire::Headers::parse(packet).unwrap();
    (headers.source, headers.destination, headers.hop_limit)
}

struct Keys {
    rig: Rig,
    service: ServiceId,
    family: Family,
}

impl Keys {
    fn new(family: Family, method: ForwardingMethod, server_port: u16) -> Self {
        let mut rig = Rig::new(64);
        rig.host.local.push(family.vip());
        let service = ServiceId::Address { protocol: 17, address: family.vip(), port: 500 };
        let netmask = if family == Family::V4 { u32::MAX } else { 128 };
        rig.execute(Command::AddService(
            service,
            ipvs_core::ServiceConfig { timeout: 0, netmask, ..round_robin(0) },
        ));
        let config = DestinationConfig {
            forwarding: method,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: ipvs_core::Tunnel::default(),
            proxy: None,
            flags: ipvs_core::ConnectionFlags::default(),
            local_pool: None,
        };
        let id = DestinationId { address: family.server(1), port: server_port };
        rig.execute(Command::AddDestination(service, id, config));
        Self { rig, service, family }
    }

    fn exchange(&mut self) {
        let packet = udp((self.family.client(), 500), (self.family.vip(), 500), b"keys", 64);
        assert!(matches!(self.rig.receive(&packet).0, Verdict::Forward { .. }));
    }

    fn client_sends(&mut self, protocol: u8) -> (Verdict, Vec<u8>) {
        self.rig.receive(&other(protocol, self.family.client(), self.family.vip(), 64))
    }

    fn server_sends(&mut self, protocol: u8) -> (Verdict, Vec<u8>) {
        self.rig.receive(&other(protocol, self.family.server(1), self.family.client(), 64))
    }

    fn counters(&mut self) -> Counters {
        self.rig.destinations(self.service)[0].stats.counters
    }
}

#[test]
fn both_ways_by_masquerading() {
    for family in Family::BOTH {
        let mut keys = Keys::new(family, ForwardingMethod::MASQUERADE, 500);
        let (client, vip, server) = (family.client(), family.vip(), family.server(1));
        assert_eq!((keys.client_sends(ESP).0, keys.server_sends(ESP).0), (Verdict::Pass, Verdict::Pass));
        keys.exchange();
        keys.rig.advance(Duration::from_secs(100));
        let (verdict, packet) = keys.client_sends(ESP);
        assert_eq!((verdict, ends(&packet)), (Verdict::Forward { next: server }, (client, server, 63)));
        assert_eq!(packet[packet.len() - 32..], [7; 32]);
        assert_eq!(keys.rig.connections()[0].expires, 300);
        keys.rig.advance(Duration::from_secs(100));
        let (verdict, packet) = keys.server_sends(ESP);
        assert_eq!((verdict, ends(&packet)), (Verdict::Forward { next: client }, (vip, client, 63)));
        assert_eq!(keys.rig.connections()[0].expires, 300);
        let head = if family == Family::V4 { 20 } else { 40 };
        let wanted = Counters {
            connections: 1,
            packets_in: 2,
            packets_out: 1,
            bytes_in: head + 12 + head + 32,
            bytes_out: head + 32,
        };
        assert_eq!(keys.counters(), wanted);
        // Of another client, of another server.
        let stranger = family.ip("192.0.2.8", "2001:db8:1::8");
        assert_eq!(keys.rig.receive(&other(ESP, stranger, vip, 64)).0, Verdict::Pass);
        assert_eq!(keys.rig.receive(&other(ESP, family.server(2), client, 64)).0, Verdict::Pass);
        let expired = keys.rig.receive(&other(ESP, client, vip, 1));
        assert_eq!(expired.0, Verdict::Reply(Reason::HopLimitExceeded));
        // AH is an extension header in IPv6.
        if family == Family::V4 {
            assert_eq!(keys.client_sends(AH).0, Verdict::Forward { next: server });
        }
    }
}

/// What an IPv6 authentication header protects decides.
#[test]
fn behind_an_ipv6_authentication_header() {
    let family = Family::V6;
    let mut keys = Keys::new(family, ForwardingMethod::DIRECT, 500);
    keys.exchange();
    let mut header = vec![ESP, 4, 0, 0];
    header.extend([0; 20]);
    header.extend([7; 32]);
    let mut bytes = Vec::new();
    ip(family.client(), family.vip(), 64).write(&mut bytes, IpNumber(AH), &header).unwrap();
    assert_eq!(keys.rig.receive(&bytes).0, Verdict::Forward { next: family.server(1) });
}

#[test]
fn other_methods_and_other_ports() {
    for method in [ForwardingMethod::DIRECT, ForwardingMethod::TUNNEL] {
        let mut keys = Keys::new(Family::V4, method, 500);
        keys.exchange();
        assert_eq!(keys.client_sends(AH).0, Verdict::Forward { next: Family::V4.server(1) });
        assert_eq!(keys.server_sends(AH).0, Verdict::Pass);
        // Our own error counts as from the server, as for other packets.
        let expired = other(ESP, Family::V4.client(), Family::V4.vip(), 1);
        assert_eq!(keys.rig.receive(&expired).0, Verdict::Reply(Reason::HopLimitExceeded));
        assert_eq!((keys.counters().packets_in, keys.counters().packets_out), (3, 1));
    }
    let mut keys = Keys::new(Family::V4, ForwardingMethod::MASQUERADE, 5500);
    keys.exchange();
    assert_eq!(keys.client_sends(ESP).0, Verdict::Forward { next: Family::V4.server(1) });
    assert_eq!(keys.server_sends(ESP).0, Verdict::Pass);
}

#[test]
fn errors_about_them_follow_too() {
    for family in Family::BOTH {
        let mut keys = Keys::new(family, ForwardingMethod::MASQUERADE, 500);
        let (client, vip, server) = (family.client(), family.vip(), family.server(1));
        keys.exchange();
        let (verdict, packet) = keys.rig.receive(&unreachable(client, vip, &other(ESP, vip, client, 60)));
        assert_eq!(verdict, Verdict::Forward { next: server });
        let error = seen(&packet);
        assert!(error.checksums_ok);
        assert_eq!(error.destination.0, server);
        assert_eq!(ends(&error.payload), (server, client, 60));
        assert_eq!(error.payload[error.payload.len() - 32..], [7; 32]);
        let (verdict, packet) =
            keys.rig.receive(&unreachable(server, client, &other(ESP, client, server, 60)));
        assert_eq!(verdict, Verdict::Forward { next: client });
        let error = seen(&packet);
        assert_eq!((error.source.0, ends(&error.payload)), (vip, (client, vip, 60)));
        let unknown = unreachable(client, vip, &other(ESP, vip, family.server(9), 60));
        assert_eq!(keys.rig.receive(&unknown).0, Verdict::Pass);
    }
}

#[test]
fn a_removed_server() {
    let mut keys = Keys::new(Family::V4, ForwardingMethod::MASQUERADE, 500);
    keys.exchange();
    let id = DestinationId { address: Family::V4.server(1), port: 500 };
    keys.rig.execute(Command::DeleteDestination(keys.service, id));
    assert_eq!(keys.client_sends(ESP).0, Verdict::Drop(Reason::DestinationUnavailable));
    assert!(matches!(keys.server_sends(ESP).0, Verdict::Forward { .. }));
    keys.rig.set(Sysctl::ExpireNodestConn, 1);
    assert_eq!(keys.client_sends(ESP).0, Verdict::Pass);
    assert!(keys.rig.connections().is_empty());
}

#[test]
fn the_packet_filter_hands_them_over() {
    let mut keys = Keys::new(Family::V4, ForwardingMethod::MASQUERADE, 500);
    let (vip, server) = (Family::V4.vip(), Family::V4.server(1));
    let wanted: Vec<_> = [17, 50, 51]
        .into_iter()
        .flat_map(|protocol| {
            let port = if protocol == 17 { 500 } else { 0 };
            [
                Interest::Virtual { protocol, address: vip, port },
                Interest::Server { protocol, address: server, port },
            ]
        })
        .collect();
    let held = keys.rig.director.interests();
    assert_eq!(held.len(), wanted.len());
    assert!(wanted.iter().all(|interest| held.contains(interest)), "{held:?}");
    keys.rig.execute(Command::Flush);
    for _ in 0..20 {
        keys.rig.advance(Duration::from_secs(60));
    }
    assert!(keys.rig.director.interests().is_empty());
}
