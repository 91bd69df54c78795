//! Full NAT end to end through the engine: both ends replaced and put back, ports of a pool, ICMP, listings.

mod rig;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{
    Command, Config, DestinationConfig, DestinationId, Error, ForwardingMethod, Interest, InterestChange,
    PoolInfo, PoolName, Reason, Reply, ServiceFlags, ServiceId, Sysctl, Verdict,
};
use rig::{End, Family, Rig, round_robin, seen, tcp, udp, unreachable};

/// Ports that one address has towards one server.
const PORTS: usize = 64_512;

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

/// Client number `n`.
fn client(n: usize) -> End {
    (IpAddr::from([172, 16, (n / 50_000) as u8, 9]), 10_000 + (n % 50_000) as u16)
}

#[test]
fn every_port_at_once_and_then_none() {
    let (mut rig, service) = full_nat(Family::V4, 6, Config { capacity: 1 << 18, ..Config::default() });
    let (vip, server) = ((Family::V4.vip(), 80), Family::V4.server(1));
    let mut ports = BTreeSet::new();
    for n in 0..PORTS {
        let (from, _) = forwarded(&mut rig, &tcp(client(n), vip, "S", b"", 64), server);
        assert!(ports.insert(from.1), "port {} twice, at connection {n}", from.1);
    }
    let refused = tcp(client(PORTS), vip, "S", b"", 64);
    let (verdict, bytes) = rig.receive(&refused);
    assert_eq!(verdict, Verdict::Reply(Reason::PoolExhausted));
    assert_eq!((seen(&bytes).source.0, seen(&bytes).payload), (vip.0, refused.clone()));
    let of_pool = listed(&mut rig);
    assert_eq!((of_pool.connections, of_pool.exhausted), (PORTS as u64, 1));
    // Each answer finds its client.
    for port in [*ports.first().unwrap(), *ports.last().unwrap(), 30_000] {
        let answer = tcp((server, 8080), (local(Family::V4, 1), port), "SA", b"", 64);
        assert!(matches!(rig.receive(&answer).0, Verdict::Forward { next } if next != server));
    }
    // Another server of the service has all its ports yet, from the same address; and so has another address.
    add_server(&mut rig, service, Family::V4.server(2));
    let verdicts: Vec<_> =
        (0..4).map(|n| rig.receive(&tcp(client(PORTS + n), vip, "S", b"", 64)).0).collect();
    let other = Verdict::Forward { next: Family::V4.server(2) };
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == other).count(), 2);
    rig.execute(Command::AddPool(pool("local"), vec![local(Family::V4, 2)]));
    for n in 10..14 {
        assert!(matches!(rig.receive(&tcp(client(PORTS + n), vip, "S", b"", 64)).0, Verdict::Forward { .. }));
    }
    rig.advance(Duration::from_secs(61));
    assert_eq!(listed(&mut rig).connections, 0);
    assert!(matches!(rig.receive(&refused).0, Verdict::Forward { .. }));
}

#[test]
fn a_hundred_thousand_connections_reuse_no_port_that_is_in_use() {
    let (mut rig, _) = full_nat(Family::V4, 6, Config { capacity: 1 << 18, ..Config::default() });
    let (vip, server) = ((Family::V4.vip(), 80), (Family::V4.server(1), 8080));
    let mut in_use: HashMap<u16, u64> = HashMap::new();
    let mut most = 0;
    for n in 0..100_000 {
        let client = client(n);
        let (from, _) = forwarded(&mut rig, &tcp(client, vip, "S", b"", 64), server.0);
        let now = rig.now.as_nanos();
        let since = in_use.insert(from.1, now);
        // TIME_WAIT is 120 s.
        assert!(since.is_none_or(|since| now - since >= 119_000_000_000), "port {} in use", from.1);
        forwarded(&mut rig, &tcp(server, from, "SA", b"", 64), client.0);
        forwarded(&mut rig, &tcp(client, vip, "A", b"", 64), server.0);
        forwarded(&mut rig, &tcp(server, from, "FA", b"", 64), client.0);
        forwarded(&mut rig, &tcp(client, vip, "FA", b"", 64), server.0);
        forwarded(&mut rig, &tcp(server, from, "A", b"", 64), client.0);
        if n % 500 == 499 {
            rig.advance(Duration::from_secs(1));
            most = most.max(listed(&mut rig).connections);
        }
    }
    assert!(most >= 59_500, "{most} at once");
    assert_eq!(listed(&mut rig).exhausted, 0);
}

#[test]
fn a_port_is_free_when_its_connection_has_ended_and_not_before() {
    let (mut rig, _) = full_nat(Family::V4, 17, Config { capacity: 1 << 18, ..Config::default() });
    let (vip, server) = ((Family::V4.vip(), 80), Family::V4.server(1));
    let mut first = 0;
    for n in 0..PORTS {
        let (from, _) = forwarded(&mut rig, &udp(client(n), vip, b"x", 64), server);
        if n == 0 {
            first = from.1;
            rig.advance(Duration::from_secs(1));
        }
    }
    let newcomer = udp(client(PORTS), vip, b"x", 64);
    // The first ends after 300 s, the others a second later.
    rig.advance(Duration::from_millis(298_900));
    assert_eq!(rig.receive(&newcomer).0, Verdict::Reply(Reason::PoolExhausted));
    rig.advance(Duration::from_millis(200));
    assert_eq!(forwarded(&mut rig, &newcomer, server).0.1, first);
}

#[test]
fn a_client_that_begins_anew_gets_another_port() {
    let (mut rig, _) = full_nat(Family::V4, 6, small());
    let (client, vip, server) = (client(0), (Family::V4.vip(), 80), Family::V4.server(1));
    let (first, _) = forwarded(&mut rig, &tcp(client, vip, "S", b"", 64), server);
    rig.receive(&tcp(client, vip, "A", b"", 64));
    rig.receive(&tcp(client, vip, "R", b"", 64));
    assert_eq!(rig.state(), "CLOSE");
    let (second, _) = forwarded(&mut rig, &tcp(client, vip, "S", b"", 64), server);
    assert_ne!(first, second);
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (1, 1));
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

#[test]
fn a_full_table_takes_neither_half_of_a_connection() {
    let mut rig = Rig::with(Config { capacity: 7, ..Config::default() });
    let service = rig.service(Family::V4, 17, "rr");
    rig.execute(Command::AddPool(pool("local"), vec![local(Family::V4, 1)]));
    add_server(&mut rig, service, Family::V4.server(1));
    let verdicts: Vec<_> =
        (0..5).map(|n| rig.receive(&udp(client(n), (Family::V4.vip(), 80), b"x", 64)).0).collect();
    let forward = Verdict::Forward { next: Family::V4.server(1) };
    assert_eq!(verdicts[..3], [forward; 3]);
    assert_eq!(verdicts[3..], [Verdict::Drop(Reason::TableFull); 2]);
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (3, 3));
    // Of TCP, half-open ones give way, with their reply entries.
    let mut rig = Rig::with(Config { capacity: 7, ..Config::default() });
    let service = rig.service(Family::V4, 6, "rr");
    rig.execute(Command::AddPool(pool("local"), vec![local(Family::V4, 1)]));
    add_server(&mut rig, service, Family::V4.server(1));
    for n in 0..50 {
        assert_eq!(rig.receive(&tcp(client(n), (Family::V4.vip(), 80), "S", b"", 64)).0, forward);
    }
    assert_eq!((rig.connections().len(), listed(&mut rig).connections), (3, 3));
}

#[test]
fn pools_are_checked() {
    let mut rig = Rig::new(1000);
    let family = Family::V4;
    let service = rig.service(family, 6, "rr");
    let v6 = rig.service(Family::V6, 6, "rr");
    let (one, two, three) = (local(family, 1), local(family, 2), local(family, 3));
    let (name, other) = (pool("local"), pool("other"));
    let id = |address| DestinationId { address, port: 80 };
    let with = |method, pool| DestinationConfig { local_pool: pool, ..DestinationConfig::new(method, 1) };
    let try_it = |rig: &mut Rig, command| rig.director.execute(rig.now, &rig.host, command).err();
    let multicast: IpAddr = "224.0.0.1".parse().unwrap();
    for (command, error) in [
        (Command::AddPool(name, vec![]), Some(Error::PoolEmpty)),
        (Command::AddPool(name, vec![multicast]), Some(Error::PoolAddressNotUnicast)),
        (Command::AddPool(name, vec!["127.0.0.1".parse().unwrap()]), Some(Error::PoolAddressNotUnicast)),
        (Command::AddPool(name, vec![one, family.vip()]), Some(Error::PoolAddressVirtual)),
        (Command::AddPool(name, vec![one, one]), Some(Error::PoolAddressExists)),
        (Command::DeletePool(name, vec![]), Some(Error::NoSuchPool)),
        (Command::AddPool(name, vec![one, two]), None),
        (Command::AddPool(other, vec![three, one]), Some(Error::PoolAddressExists)),
        (
            Command::AddService(ServiceId::Address { protocol: 17, address: one, port: 1 }, round_robin(0)),
            Some(Error::PoolAddressVirtual),
        ),
        (
            Command::AddDestination(
                service,
                id(family.server(1)),
                with(ForwardingMethod::MASQUERADE, Some(name)),
            ),
            Some(Error::PoolWithoutFullNat),
        ),
        (
            Command::AddDestination(
                service,
                id(family.server(1)),
                with(ForwardingMethod::FULL_NAT, Some(other)),
            ),
            Some(Error::NoSuchPool),
        ),
        (
            Command::AddDestination(
                v6,
                id(Family::V6.server(1)),
                with(ForwardingMethod::FULL_NAT, Some(name)),
            ),
            Some(Error::PoolFamily),
        ),
        (
            Command::AddDestination(v6, id(family.server(1)), with(ForwardingMethod::FULL_NAT, None)),
            Some(Error::MixedFamily),
        ),
        (
            Command::AddDestination(
                service,
                id(family.server(1)),
                with(ForwardingMethod::FULL_NAT, Some(name)),
            ),
            None,
        ),
        (Command::DeletePool(name, vec![three]), Some(Error::NoSuchPoolAddress)),
        (Command::DeletePool(name, vec![]), Some(Error::PoolInUse)),
        (Command::DeletePool(name, vec![one, two]), Some(Error::PoolInUse)),
        (Command::DeletePool(name, vec![one]), None),
        (Command::EditDestination(service, id(family.server(1)), with(ForwardingMethod::DIRECT, None)), None),
        (Command::DeletePool(name, vec![two]), None),
        (Command::DeletePool(name, vec![]), Some(Error::NoSuchPool)),
    ] {
        assert_eq!(try_it(&mut rig, command.clone()), error, "{command:?}");
    }
    // Helpers and one-packet services.
    rig.execute(Command::AddPool(name, vec![one]));
    for (protocol, port, flags) in [(6, 21, 0), (17, 53, ServiceFlags::ONE_PACKET)] {
        let service = ServiceId::Address { protocol, address: family.vip(), port };
        rig.execute(Command::AddService(service, round_robin(flags)));
        let command = Command::AddDestination(service, id(family.server(1)), by(name));
        assert_eq!(try_it(&mut rig, command), Some(Error::FullNatService));
    }
    // The kernel takes any number for a method; without pool it is none that forwards.
    let config = DestinationConfig::new(ForwardingMethod::FULL_NAT, 1);
    rig.execute(Command::EditDestination(service, id(family.server(1)), config));
    let (verdict, _) = rig.receive(&tcp(client(0), (family.vip(), 80), "S", b"", 64));
    assert_eq!(verdict, Verdict::Drop(Reason::MethodNotSupported));
}

#[test]
fn pools_are_listed_page_by_page() {
    let mut rig = Rig::new(10);
    for number in 1..=5 {
        rig.execute(Command::AddPool(pool(&format!("p{number}")), vec![local(Family::V4, number)]));
    }
    let (mut names, mut cursor) = (Vec::new(), Some(0));
    while let Some(place) = cursor {
        match rig.execute(Command::ListPools { cursor: place, limit: 2 }) {
            Reply::Pools { items, next } => {
                names.extend(items.iter().map(|pool| pool.name.to_string()));
                cursor = next;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names, ["p1", "p2", "p3", "p4", "p5"]);
}

#[test]
fn an_address_that_is_taken_out_serves_its_connections_to_their_end() {
    let family = Family::V4;
    let (mut rig, service) = full_nat(family, 17, small());
    let (vip, server) = ((family.vip(), 80), (family.server(1), 8080));
    let (one, two) = (local(family, 1), local(family, 2));
    let (from, _) = forwarded(&mut rig, &udp(client(0), vip, b"x", 64), server.0);
    rig.director.take_interest_changes();
    rig.execute(Command::AddPool(pool("local"), vec![two]));
    rig.execute(Command::DeletePool(pool("local"), vec![one]));
    let of = |address| [6, 17, 132].map(|protocol| Interest::Virtual { protocol, address, port: 0 });
    let changes = rig.director.take_interest_changes();
    for interest in of(two) {
        assert!(changes.contains(&InterestChange::Added(interest)), "{changes:?}");
    }
    assert!(changes.iter().all(|change| matches!(change, InterestChange::Added(_))), "{changes:?}");
    assert_eq!(forwarded(&mut rig, &udp(server, from, b"y", 64), client(0).0), (vip, client(0)));
    assert_eq!(forwarded(&mut rig, &udp(client(1), vip, b"x", 64), server.0).0.0, two);
    rig.execute(Command::DeleteDestination(service, DestinationId { address: server.0, port: 8080 }));
    rig.execute(Command::DeletePool(pool("local"), vec![]));
    assert_eq!(rig.director.take_interest_changes(), []);
    rig.advance(Duration::from_secs(301));
    let changes = rig.director.take_interest_changes();
    for interest in of(one).into_iter().chain(of(two)) {
        assert!(changes.contains(&InterestChange::Removed(interest)), "{changes:?}");
    }
}

/// A service of one family whose server is of the other.
fn across(clients: Family, protocol: u16) -> (Rig, Family) {
    let servers = if clients == Family::V4 { Family::V6 } else { Family::V4 };
    let mut rig = Rig::with(small());
    let service = rig.service(clients, protocol, "rr");
    rig.execute(Command::AddPool(pool("local"), vec![local(clients, 1), local(servers, 1)]));
    add_server(&mut rig, service, servers.server(1));
    (rig, servers)
}

#[test]
fn clients_reach_servers_of_the_other_family_and_back() {
    for clients in Family::BOTH {
        for protocol in [6, 17] {
            let (mut rig, servers) = across(clients, protocol);
            let (client, vip, server) =
                ((clients.client(), 40_000), (clients.vip(), 80), (servers.server(1), 8080));
            let packet = |from, to, flags, payload: &[u8]| match protocol {
                6 => tcp(from, to, flags, payload, 64),
                _ => udp(from, to, payload, 64),
            };
            // An odd length, and one byte more.
            for payload in [b"seven b".as_slice(), b"eight by", b""] {
                let (verdict, bytes) = rig.receive(&packet(client, vip, "S", payload));
                assert_eq!(verdict, Verdict::Forward { next: server.0 });
                let there = seen(&bytes);
                assert_eq!((there.source.0, there.destination), (local(servers, 1), server));
                assert_eq!((there.ttl, there.checksums_ok, there.payload.as_slice()), (63, true, payload));
                // Byte for byte what a sender of that family would have sent, but for what only IPv4 has.
                let mut expected = packet(there.source, server, "S", payload);
                let hop_limit = if servers == Family::V4 { 8 } else { 7 };
                expected[hop_limit] = 63;
                if servers == Family::V4 {
                    expected[6] = 0;
                    ipvs_wire::checksum::fill_ipv4_header(&mut expected);
                }
                assert_eq!(bytes, expected);
                let (verdict, bytes) = rig.receive(&packet(server, there.source, "SA", payload));
                assert_eq!(verdict, Verdict::Forward { next: client.0 });
                let back = seen(&bytes);
                assert_eq!((back.source, back.destination, back.ttl), (vip, client, 63));
                assert_eq!((back.checksums_ok, back.payload.as_slice()), (true, payload));
            }
            assert_eq!(rig.connections().len(), 1);
        }
    }
}

#[test]
fn a_wrong_checksum_stays_wrong_across_families_and_none_becomes_one() {
    let (mut rig, servers) = across(Family::V4, 17);
    let (client, vip) = ((Family::V4.client(), 40_000), (Family::V4.vip(), 80));
    let mut packet = udp(client, vip, b"question", 64);
    packet[28] ^= 1;
    let (verdict, bytes) = rig.receive(&packet);
    assert_eq!(verdict, Verdict::Forward { next: servers.server(1) });
    assert!(!seen(&bytes).checksums_ok);
    packet[26..28].fill(0);
    assert!(seen(&rig.receive(&packet).1).checksums_ok);
}

#[test]
fn icmp_errors_cross_the_families_both_ways() {
    for clients in Family::BOTH {
        let (mut rig, servers) = across(clients, 17);
        let (client, vip, server) =
            ((clients.client(), 40_000), (clients.vip(), 80), (servers.server(1), 8080));
        let (_, at_server) = rig.receive(&udp(client, vip, b"question", 64));
        let from = seen(&at_server).source;
        let (_, at_client) = rig.receive(&udp(server, from, b"answer", 64));
        let router = servers.ip("198.51.100.1", "2001:db8:9::1");
        for (error, next, outer_ends, inner_ends) in [
            (unreachable(router, from.0, &at_server), client.0, (vip.0, client.0), (client, vip)),
            (unreachable(client.0, vip.0, &at_client), server.0, (from.0, server.0), (server, from)),
        ] {
            let (verdict, bytes) = rig.receive(&error);
            assert_eq!(verdict, Verdict::Forward { next });
            let outer = seen(&bytes);
            assert_eq!(
                (outer.source.0, outer.destination.0, outer.checksums_ok),
                (outer_ends.0, outer_ends.1, true)
            );
            let (start, port_unreachable) = if next.is_ipv4() { (20, [3, 3]) } else { (40, [1, 4]) };
            assert_eq!(bytes[start..start + 2], port_unreachable);
            let inner = seen(&outer.payload);
            assert_eq!((inner.source, inner.destination), inner_ends);
        }
    }
}

/// The other family's header is 20 bytes longer or shorter.
#[test]
fn the_mtu_is_told_in_the_senders_measure() {
    for (clients, fits) in [(Family::V4, 1480), (Family::V6, 1520)] {
        let (mut rig, servers) = across(clients, 17);
        let header = if clients == Family::V4 { 28 } else { 48 };
        let packet =
            |len: usize| udp((clients.client(), 40_000), (clients.vip(), 80), &vec![0; len - header], 64);
        rig.host.mtu.insert(clients.client(), 9000);
        assert_eq!(rig.receive(&packet(fits)).0, Verdict::Forward { next: servers.server(1) });
        let (verdict, bytes) = rig.receive(&packet(fits + 1));
        assert_eq!(verdict, Verdict::Reply(Reason::TooBig));
        let mtu = match clients {
            Family::V4 => u32::from(u16::from_be_bytes([bytes[26], bytes[27]])),
            Family::V6 => u32::from_be_bytes([bytes[44], bytes[45], bytes[46], bytes[47]]),
        };
        assert_eq!(mtu as usize, fits);
    }
}
