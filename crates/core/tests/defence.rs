//! The defence, as in `conformance/experiments/defence.py` and `drop_entry.py` on the reference kernel.

mod rig;

use std::time::Duration;

use ipvs_core::{Command, Reply, ServiceFlags, ServiceId, Sysctl};
use rig::{Family, Rig, round_robin, tcp, udp};

const V4: Family = Family::V4;
const LEVELS: [Sysctl; 3] = [Sysctl::DropPacket, Sysctl::DropEntry, Sysctl::SecureTcp];

fn service(protocol: u16) -> ServiceId {
    ServiceId::Address { protocol, address: V4.vip(), port: 80 }
}

fn segment(client_port: u16, flags: &str) -> Vec<u8> {
    tcp((V4.client(), client_port), (V4.vip(), 80), flags, b"", 64)
}

fn rig(capacity: u32) -> Rig {
    let mut rig = Rig::new(capacity);
    rig.pair(service(6), round_robin(0), 80);
    rig
}

fn value(rig: &mut Rig, sysctl: Sysctl) -> i64 {
    match rig.execute(Command::GetSysctl(sysctl)) {
        Reply::Sysctls(values) => values[0].1[0],
        other => panic!("{other:?}"),
    }
}

/// Which of the next SYNs reach a server.
fn pattern(rig: &mut Rig, first: u16, n: u16) -> String {
    let one = |port| if rig.server_for(&segment(port, "S")) == "defence" { '.' } else { 'x' };
    (first..first + n).map(one).collect()
}

#[test]
fn levels_follow_the_memory() {
    for (pages, written, shown) in
        [(2000, 1, 1), (2000, 2, 1), (2000, 3, 3), (1023, 1, 2), (1023, 2, 2), (1023, 3, 3)]
    {
        let mut rig = rig(10);
        rig.director.set_available_memory(pages);
        assert!(!rig.director.watches_memory());
        for sysctl in LEVELS {
            rig.set(sysctl, written);
            assert_eq!(value(&mut rig, sysctl), shown, "{sysctl:?} {pages} {written}");
        }
        assert!(rig.director.watches_memory());
        rig.advance(Duration::from_secs(2));
        assert_eq!(LEVELS.map(|sysctl| value(&mut rig, sysctl)), [shown; 3]);
    }
    let mut rig = rig(10);
    rig.set(Sysctl::DropPacket, 1);
    for (pages, shown) in [(1024, 1), (1023, 2), (1024, 1), (u64::MAX, 1)] {
        rig.director.set_available_memory(pages);
        rig.advance(Duration::from_millis(1000));
        assert_eq!(value(&mut rig, Sysctl::DropPacket), shown, "{pages}");
    }
    rig.set(Sysctl::DropPacket, 0);
    assert!(!rig.director.watches_memory());
}

#[test]
fn one_of_so_many_new_connections_is_dropped() {
    for (rate, expected) in [
        (10, ".xxxxxxxxx.xxxxxxxxx.xxxxxxxxx.xxxxxxxxx.xxxx"),
        (3, ".xx.xx.xx.xx.x"),
        (2, ".x.x.x.x.x.x.x"),
        (1, ".............."),
        (0, "xxxxxxxxxxxxxx"),
        (-1, ".............."),
    ] {
        let mut rig = rig(100);
        rig.set(Sysctl::AmDroprate, rate);
        rig.set(Sysctl::DropPacket, 3);
        assert_eq!(pattern(&mut rig, 4001, expected.len() as u16), expected, "{rate}");
        rig.set(Sysctl::DropPacket, 0);
        assert_eq!(pattern(&mut rig, 5001, 14), "x".repeat(14));
    }
    // Short of memory: amemthresh / (amemthresh - available).
    let mut rig = rig(100);
    rig.director.set_available_memory(768);
    rig.set(Sysctl::DropPacket, 1);
    assert_eq!(pattern(&mut rig, 4001, 9), "xxx.xxx.x");
    rig.director.set_available_memory(1024);
    rig.advance(Duration::from_secs(1));
    assert_eq!(pattern(&mut rig, 5001, 9), "x".repeat(9));
}

/// Only what might start a connection of a service, persistent or not; source port 20 too, which never does.
#[test]
fn what_drop_packet_tests() {
    let mut rig = rig(100);
    rig.pair(service(17), round_robin(ServiceFlags::ONE_PACKET), 80);
    let persistent = ServiceId::Address { protocol: 6, address: V4.vip(), port: 90 };
    rig.pair(persistent, round_robin(ServiceFlags::PERSISTENT), 90);
    let to_90 = |port| tcp((V4.client(), port), (V4.vip(), 90), "S", b"", 64);
    rig.receive(&segment(4001, "S"));
    rig.receive(&to_90(4001));
    rig.set(Sysctl::AmDroprate, 1);
    rig.set(Sysctl::DropPacket, 3);
    for (packet, expected) in [
        (segment(4001, "A"), "2"),
        (segment(4002, "S"), "defence"),
        (segment(20, "S"), "defence"),
        (segment(4003, "A"), "not-served"),
        (to_90(4004), "defence"),
        (udp((V4.client(), 4004), (V4.vip(), 80), b"x", 64), "defence"),
        (udp((V4.client(), 20), (V4.vip(), 80), b"x", 64), "defence"),
        (udp((V4.client(), 20), (V4.vip(), 81), b"x", 64), "not-served"),
    ] {
        assert_eq!(rig.server_for(&packet), expected);
    }
}

#[test]
fn secure_tcp_goes_by_other_tables() {
    for (level, states) in [
        (0, ["SYN_RECV", "SYN_RECV", "ESTABLISHED", "ESTABLISHED"]),
        (1, ["SYN_RECV", "SYN_RECV", "ESTABLISHED", "ESTABLISHED"]),
        (3, ["SYN_RECV", "SYNACK", "SYNACK", "ESTABLISHED"]),
    ] {
        let mut rig = rig(100);
        rig.set(Sysctl::SecureTcp, level);
        let answer = |flags| tcp((V4.server(2), 80), (V4.client(), 4001), flags, b"", 64);
        for (packet, state) in
            [segment(4001, "S"), answer("SA"), segment(4001, "A"), answer("A")].iter().zip(states)
        {
            rig.receive(packet);
            assert_eq!(rig.state(), state, "{level}");
        }
    }
}

/// Half-open connections go at random, about one of 32 each second; others that are not idle stay.
#[test]
fn a_flood_is_thinned_out() {
    let mut rig = rig(8000);
    for port in 1000..3000 {
        rig.receive(&segment(port, "S"));
        rig.receive(&segment(port + 2000, "S"));
        rig.receive(&segment(port + 2000, "A"));
    }
    rig.set(Sysctl::DropEntry, 3);
    let count = |rig: &mut Rig, state| {
        let (mut cursor, mut count) = (Some(0), 0);
        while let Some(from) = cursor {
            match rig.execute(Command::ListConnections { cursor: from, limit: 1000 }) {
                Reply::Connections { items, next } => {
                    count += items.iter().filter(|it| it.state == state).count();
                    cursor = next;
                }
                other => panic!("{other:?}"),
            }
        }
        count
    };
    for _ in 0..20 {
        rig.advance(Duration::from_secs(1));
    }
    // (31/32)^20 is 0.53.
    let half_open = count(&mut rig, "SYN_RECV");
    assert!((900..1220).contains(&half_open), "{half_open}");
    assert_eq!(count(&mut rig, "ESTABLISHED"), 2000);
    // Idle for a minute, those of two packets are drawn one of two.
    for _ in 0..80 {
        rig.advance(Duration::from_secs(1));
    }
    let established = count(&mut rig, "ESTABLISHED");
    assert!((800..1500).contains(&established), "{established}");
    let destinations = rig.destinations(service(6));
    let active: u32 = destinations.iter().map(|destination| destination.active).sum();
    assert_eq!(active as usize, established, "what is dropped is no longer counted");
    rig.set(Sysctl::DropEntry, 0);
    rig.advance(Duration::from_secs(30));
    assert_eq!(count(&mut rig, "ESTABLISHED"), established);
}

/// A template goes while nothing was established through it, but never before its connections.
#[test]
fn templates_in_a_flood() {
    let mut rig = Rig::new(8000);
    rig.pair(service(6), round_robin(ServiceFlags::PERSISTENT), 80);
    for client in 0..1000_u16 {
        let [high, low] = client.to_be_bytes();
        let from = |flags| tcp(([10, 1, high, low].into(), 4001), (V4.vip(), 80), flags, b"", 64);
        rig.receive(&from("S"));
        if client % 2 == 0 {
            rig.receive(&from("A"));
        }
    }
    rig.set(Sysctl::DropEntry, 3);
    for _ in 0..30 {
        rig.advance(Duration::from_secs(1));
    }
    let destinations = rig.destinations(service(6));
    let sum = |count: fn(&ipvs_core::DestinationInfo) -> u32| destinations.iter().map(count).sum::<u32>();
    let (active, persistent) = (sum(|it| it.active), sum(|it| it.persistent));
    assert!((600..850).contains(&active), "{active}");
    assert_eq!(persistent, active, "each template goes with its half-open connection");
}

/// As in `conformance/experiments/drop_lottery.py`: idle for a minute, of connections of n packets one of n that are
/// picked goes, up to eight packets. After 35 s the kernel had 35, 56, 69, 87 and 100 % left.
#[test]
fn the_lottery_goes_by_packets() {
    const EACH: u16 = 1000;
    let mut rig = Rig::new(8000);
    rig.pair(service(17), round_robin(0), 80);
    for (packets, port) in
        [1_u8, 2, 3, 8, 9].into_iter().flat_map(|n| (1000..1000 + EACH).map(move |p| (n, p)))
    {
        let packet = udp(([192, 0, 2, packets].into(), port), (V4.vip(), 80), b"x", 64);
        (0..packets).for_each(|_| drop(rig.receive(&packet)));
    }
    rig.set(Sysctl::DropEntry, 3);
    let left = |rig: &mut Rig| -> u32 {
        rig.destinations(service(17)).iter().map(|destination| destination.inactive).sum()
    };
    for _ in 0..59 {
        rig.advance(Duration::from_secs(1));
    }
    assert_eq!(left(&mut rig), 5 * u32::from(EACH), "none was idle for a minute");
    for _ in 0..36 {
        rig.advance(Duration::from_secs(1));
    }
    let expected = [(1, 330), (2, 576), (3, 694), (8, 872), (9, 1000)];
    let sum: u32 = expected.iter().map(|(_, count)| count).sum();
    assert!(left(&mut rig).abs_diff(sum) < 200, "{}", left(&mut rig));
    let mut counts = std::collections::BTreeMap::new();
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        let Reply::Connections { items, next } =
            rig.execute(Command::ListConnections { cursor: from, limit: 1000 })
        else {
            panic!("no connections")
        };
        for it in items {
            *counts.entry(it.client).or_insert(0_u32) += 1;
        }
        cursor = next;
    }
    for (packets, count) in expected {
        let seen = counts[&std::net::IpAddr::from([192, 0, 2, packets])];
        assert!(seen.abs_diff(count) < 70, "{packets} packets: {seen}, not about {count}");
    }
}
