//! Ports of local addresses: how many there are, and when they are free.

use super::*;

/// Ports that one address has towards one server.
const PORTS: usize = 64_512;

/// Client number `n`.
pub(super) fn client(n: usize) -> End {
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
