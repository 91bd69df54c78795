//! Full NAT end to end through the engine: both ends replaced and put back, ports of a pool, ICMP, listings.

mod across;
mod helpers;
mod lengths;
mod pools;
mod ports;
#[path = "../rig/mod.rs"]
mod rig;
mod sctp;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{
    Command, Config, DestinationConfig, DestinationId, Error, ForwardingMethod, Interest, InterestChange,
    PoolInfo, PoolName, Reason, Reply, ServiceConfig, ServiceFlags, ServiceId, Sysctl, Verdict,
};
use rig::{End, Family, Rig, round_robin, seen, tcp, udp, unreachable};

fn pool(name: &str) -> PoolName {
    PoolName::new(name).expect("a name")
}

fn local(family: Family, number: u8) -> IpAddr {
    family.ip(&format!("10.0.0.{}", 100 + number), &format!("2001:db8:3::1:{number:x}"))
}

fn by(pool: PoolName) -> DestinationConfig {
    DestinationConfig { local_pool: Some(pool), ..DestinationConfig::new(ForwardingMethod::FULL_NAT, 1) }
}

fn add_server(rig: &mut Rig, service: ServiceId, address: IpAddr) {
    rig.execute(Command::AddDestination(service, DestinationId { address, port: 8080 }, by(pool("local"))));
}

/// A service with one server by full NAT, from a pool of one address.
fn full_nat(family: Family, protocol: u16, config: Config) -> (Rig, ServiceId) {
    let mut rig = Rig::with(config);
    let service = rig.service(family, protocol, "rr");
    rig.execute(Command::AddPool(pool("local"), vec![local(family, 1)]));
    add_server(&mut rig, service, family.server(1));
    (rig, service)
}

fn small() -> Config {
    Config { capacity: 1000, ..Config::default() }
}

fn listed(rig: &mut Rig) -> PoolInfo {
    match rig.execute(Command::ListPools { cursor: 0, limit: 10 }) {
        Reply::Pools { items, next: None } if items.len() == 1 => items[0].clone(),
        other => panic!("{other:?}"),
    }
}

/// Sends a packet, which must be forwarded to `next`; its ends then.
fn forwarded(rig: &mut Rig, packet: &[u8], next: IpAddr) -> (End, End) {
    let (verdict, bytes) = rig.receive(packet);
    assert_eq!(verdict, Verdict::Forward { next });
    let seen = seen(&bytes);
    assert!(seen.checksums_ok);
    assert_eq!(seen.ttl, 63);
    (seen.source, seen.destination)
}

#[test]
fn a_tcp_connection_lives_through_its_states() {
    for family in Family::BOTH {
        let (mut rig, service) = full_nat(family, 6, small());
        let (client, vip, server) = ((family.client(), 40_000), (family.vip(), 80), (family.server(1), 8080));
        let (from, to) = forwarded(&mut rig, &tcp(client, vip, "S", b"", 64), server.0);
        assert_eq!((from.0, to), (local(family, 1), server));
        assert!(from.1 >= 1024);
        for (inbound, flags, state, counts) in [
            (false, "SA", "SYN_RECV", (1, 0)),
            (true, "A", "ESTABLISHED", (1, 0)),
            (true, "A", "ESTABLISHED", (1, 0)),
            (false, "A", "ESTABLISHED", (1, 0)),
            (false, "FA", "FIN_WAIT", (0, 1)),
            (true, "FA", "TIME_WAIT", (0, 1)),
            (false, "A", "TIME_WAIT", (0, 1)),
        ] {
            let (sent, wanted) = match inbound {
                true => ((client, vip), (from, server)),
                false => ((server, from), (vip, client)),
            };
            let packet = tcp(sent.0, sent.1, flags, b"payload", 64);
            assert_eq!(forwarded(&mut rig, &packet, wanted.1.0), wanted, "{family:?} {flags}");
            assert_eq!(rig.state(), state);
            let destination = rig.destinations(service)[0];
            assert_eq!((destination.active, destination.inactive), counts, "{family:?} after {flags}");
        }
        assert_eq!(rig.connections()[0].local, Some(from));
        let counters = rig.destinations(service)[0].stats.counters;
        assert_eq!((counters.connections, counters.packets_in, counters.packets_out), (1, 4, 4));
        assert_eq!((listed(&mut rig).connections, listed(&mut rig).references), (1, 1));
        // Neither half a tick before the end of TIME_WAIT nor after it.
        rig.advance(Duration::from_millis(119_900));
        assert_eq!(listed(&mut rig).connections, 1);
        rig.advance(Duration::from_millis(200));
        assert_eq!((listed(&mut rig).connections, rig.connections()), (0, vec![]));
    }
}

#[test]
fn a_datagram_without_checksum_gets_one() {
    let (mut rig, _) = full_nat(Family::V4, 17, small());
    let (client, vip, server) =
        (("192.0.2.7".parse().unwrap(), 5000), (Family::V4.vip(), 80), Family::V4.server(1));
    let mut packet = udp(client, vip, b"question", 64);
    packet[26..28].fill(0);
    let (from, to) = forwarded(&mut rig, &packet, server);
    assert_eq!(to, (server, 8080));
    let mut answer = udp(to, from, b"answer", 64);
    answer[26..28].fill(0);
    assert_eq!(forwarded(&mut rig, &answer, client.0), (vip, client));
    assert_eq!((rig.state(), rig.connections()[0].expires), ("UDP", 300));
}

#[test]
fn only_the_server_of_a_connection_answers_it() {
    for family in Family::BOTH {
        let (mut rig, service) = full_nat(family, 17, small());
        let (client, vip, server) = ((family.client(), 5000), (family.vip(), 80), (family.server(1), 8080));
        let (from, _) = forwarded(&mut rig, &udp(client, vip, b"q", 64), server.0);
        // Another port or address of a server, another local port, and the client itself in the server's place.
        for (source, destination) in [
            ((server.0, 8081), from),
            ((family.server(2), 8080), from),
            (server, (from.0, from.1 ^ 1)),
            (client, from),
        ] {
            let (verdict, _) = rig.receive(&udp(source, destination, b"x", 64));
            assert_eq!(verdict, Verdict::Reply(Reason::NotServed), "{source:?} {destination:?}");
        }
        // What a host would send in the director's place is no packet of the connection, and the server's to the client neither.
        for (source, destination) in [(from, server), (server, client)] {
            assert_eq!(rig.receive(&udp(source, destination, b"x", 64)).0, Verdict::Pass);
        }
        let counters = rig.destinations(service)[0].stats.counters;
        assert_eq!((counters.packets_in, counters.packets_out), (1, 0));
    }
}

#[test]
fn icmp_errors_are_translated_both_ways() {
    for family in Family::BOTH {
        let (mut rig, service) = full_nat(family, 17, small());
        let (client, vip, server) = ((family.client(), 5000), (family.vip(), 80), (family.server(1), 8080));
        let (_, at_server) = rig.receive(&udp(client, vip, b"question", 64));
        let from = seen(&at_server).source;
        for reporter in [server.0, family.ip("198.51.100.1", "2001:db8:9::1")] {
            let (verdict, bytes) = rig.receive(&unreachable(reporter, from.0, &at_server));
            assert_eq!(verdict, Verdict::Forward { next: client.0 });
            let outer = seen(&bytes);
            assert_eq!((outer.source.0, outer.destination.0, outer.checksums_ok), (vip.0, client.0, true));
            let inner = seen(&outer.payload);
            assert_eq!((inner.source, inner.destination), (client, vip));
        }
        let (_, at_client) = rig.receive(&udp(server, from, b"answer", 64));
        let router = family.ip("198.51.100.1", "2001:db8:9::1");
        let (verdict, bytes) = rig.receive(&unreachable(router, vip.0, &at_client));
        assert_eq!(verdict, Verdict::Forward { next: server.0 });
        let outer = seen(&bytes);
        assert_eq!((outer.source.0, outer.destination.0, outer.checksums_ok), (from.0, server.0, true));
        let inner = seen(&outer.payload);
        assert_eq!((inner.source, inner.destination), (server, from));
        let counters = rig.destinations(service)[0].stats.counters;
        assert_eq!((counters.packets_in, counters.packets_out), (2, 3));
        // A packet too large for the way to the server.
        rig.host.mtu.insert(server.0, 1300);
        let (verdict, bytes) = rig.receive(&udp(client, vip, &[0; 1400], 64));
        assert_eq!((verdict, seen(&bytes).source.0), (Verdict::Reply(Reason::TooBig), vip.0));
    }
}

#[test]
fn a_persistent_client_stays_on_its_server_and_its_template_goes_last() {
    let mut rig = Rig::new(1000);
    let family = Family::V4;
    let service = ServiceId::Address { protocol: 6, address: family.vip(), port: 80 };
    rig.execute(Command::AddService(service, round_robin(ServiceFlags::PERSISTENT)));
    rig.execute(Command::AddPool(pool("local"), vec![local(family, 1), local(family, 2)]));
    add_server(&mut rig, service, family.server(1));
    add_server(&mut rig, service, family.server(2));
    let vip = (family.vip(), 80);
    let mut locals = BTreeSet::new();
    for port in 0..6 {
        let packet = tcp((family.client(), 4000 + port), vip, "S", b"", 64);
        let (from, _) = forwarded(&mut rig, &packet, family.server(2));
        locals.insert(from.0);
    }
    assert_eq!(locals.len(), 2);
    rig.set(Sysctl::ExpireNodestConn, 1);
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (7, 6));
    rig.advance(Duration::from_secs(200));
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (1, 0));
    // Connections of a removed destination end with their entries, and the template with the last.
    rig.receive(&tcp((family.client(), 5000), vip, "S", b"", 64));
    rig.execute(Command::DeleteService(service));
    rig.advance(Duration::from_secs(2));
    assert_eq!((rig.connections(), listed(&mut rig).connections), (vec![], 0));
}
