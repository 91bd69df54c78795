//! Half-open connections under a flood: a quota per service, and room in a full table. Ours, not the kernel's.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use std::time::Duration;

use ipvs_core::{
    Command, Config, ConnectionFlags, DestinationConfig, DestinationId, Director, Eviction, ForwardingMethod,
    Reason, ServiceFlags, ServiceId, Tunnel, Verdict,
};
use rig::{Family, Rig, round_robin, tcp, udp};

const V4: Family = Family::V4;

fn service(port: u16) -> ServiceId {
    ServiceId::Address { protocol: 6, address: V4.vip(), port }
}

fn rig(capacity: u32, half_open_quota: u32) -> Rig {
    let mut rig = Rig::new(capacity);
    let config = Config { capacity, half_open_quota, seed: 7, ..Config::default() };
    rig.director = Director::new(config, rig.now).expect("a director");
    rig.pair(service(80), round_robin(0), 80);
    rig
}

/// From a client of its own for each number.
fn from(number: u32, port: u16, flags: &str) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    tcp(([10, a, b, c].into(), 4000), (V4.vip(), port), flags, b"", 64)
}

fn establish(rig: &mut Rig, number: u32) {
    assert!(matches!(rig.receive(&from(number, 80, "S")).0, Verdict::Forward { .. }));
    assert!(matches!(rig.receive(&from(number, 80, "A")).0, Verdict::Forward { .. }));
}

fn in_state(rig: &mut Rig, state: &str) -> usize {
    rig.connections().iter().filter(|it| it.state == state).count()
}

fn evicted(rig: &Rig) -> [u64; 2] {
    let mut counts = rig.director.evictions();
    [Eviction::HalfOpenQuota, Eviction::TableFull].map(|reason| {
        let (which, count) = counts.next().expect("a counter");
        assert_eq!(which, reason);
        count
    })
}

#[test]
fn a_flood_stays_within_the_quota_and_takes_no_established_connection() {
    let mut rig = rig(1000, 50);
    (0..100).for_each(|number| establish(&mut rig, number));
    for number in 1000..3000 {
        assert!(matches!(rig.receive(&from(number, 80, "S")).0, Verdict::Forward { .. }));
        // An honest client answers when fewer than the quota have come after it.
        if number % 100 == 0 {
            rig.receive(&from(500_000 + number, 80, "S"));
        }
        if number % 100 == 40 {
            rig.receive(&from(500_000 + number - 40, 80, "A"));
        }
    }
    assert_eq!((in_state(&mut rig, "ESTABLISHED"), in_state(&mut rig, "SYN_RECV")), (120, 50));
    assert_eq!(evicted(&rig), [2000 - 50, 0]);
    let destinations = rig.destinations(service(80));
    let active: u32 = destinations.iter().map(|it| it.active).sum();
    assert_eq!((active, destinations.iter().map(|it| it.inactive).sum::<u32>()), (170, 0));
    for number in 0..100 {
        assert!(matches!(rig.receive(&from(number, 80, "A")).0, Verdict::Forward { .. }));
    }
}

#[test]
fn each_service_has_a_quota_of_its_own() {
    let mut rig = rig(1000, 10);
    rig.pair(service(90), round_robin(ServiceFlags::PERSISTENT), 90);
    (0..8).for_each(|number| drop(rig.receive(&from(number, 90, "S"))));
    (0..100).for_each(|number| drop(rig.receive(&from(number, 80, "S"))));
    assert_eq!((in_state(&mut rig, "SYN_RECV"), evicted(&rig)), (18, [90, 0]));
    (8..100).for_each(|number| drop(rig.receive(&from(number, 90, "S"))));
    assert_eq!((in_state(&mut rig, "SYN_RECV"), evicted(&rig)), (20, [180, 0]));
    assert_eq!(in_state(&mut rig, "NONE"), 10, "templates of which nothing came go too");
    // A datagram is not half-open.
    let datagrams = ServiceId::Address { protocol: 17, address: V4.vip(), port: 80 };
    rig.pair(datagrams, round_robin(0), 80);
    for port in 1000..1100 {
        rig.receive(&udp((V4.client(), port), (V4.vip(), 80), b"x", 64));
    }
    assert_eq!(in_state(&mut rig, "UDP"), 100);
    // Those of a service that is gone are no longer counted as anyone's.
    rig.execute(Command::DeleteService(service(80)));
    rig.pair(service(80), round_robin(0), 80);
    (200..205).for_each(|number| drop(rig.receive(&from(number, 80, "S"))));
    assert_eq!((in_state(&mut rig, "SYN_RECV"), evicted(&rig)), (25, [180, 0]));
}

/// What takes an evicted connection's place counts at thresholds as if that had ended.
#[test]
fn thresholds_see_evictions() {
    let mut rig = rig(1000, 4);
    for number in [1, 2] {
        let id = DestinationId { address: V4.server(number), port: 80 };
        let config = DestinationConfig {
            forwarding: ForwardingMethod::MASQUERADE,
            flags: ConnectionFlags::default(),
            weight: 1,
            upper_threshold: 2,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
            local_pool: None,
            proxy: None,
        };
        rig.execute(Command::EditDestination(service(80), id, config));
    }
    let served: Vec<_> = (0..8).map(|number| rig.server_for(&from(number, 80, "S"))).collect();
    assert_eq!(served, ["2", "1", "2", "1", "2", "1", "2", "1"], "who loses its oldest gets the next");
    (4..8).for_each(|number| drop(rig.receive(&from(number, 80, "A"))));
    assert_eq!(rig.server_for(&from(9, 80, "S")), "no-destination", "all are established: none has to go");
}

#[test]
fn a_full_table_makes_room_of_half_open_connections_alone() {
    let mut rig = rig(150, 0);
    (0..100).for_each(|number| establish(&mut rig, number));
    for number in 1000..2000 {
        assert!(matches!(rig.receive(&from(number, 80, "S")).0, Verdict::Forward { .. }));
    }
    assert_eq!(
        (in_state(&mut rig, "ESTABLISHED"), in_state(&mut rig, "SYN_RECV"), evicted(&rig)),
        (100, 50, [0, 950])
    );
    for number in 3000..3100 {
        rig.receive(&from(number, 80, "S"));
        rig.receive(&from(number, 80, "A"));
    }
    // When there is none left, new connections are dropped as ever.
    assert_eq!(in_state(&mut rig, "ESTABLISHED"), 150);
    assert_eq!(rig.receive(&from(4000, 80, "S")).0, Verdict::Drop(Reason::TableFull));
    rig.advance(Duration::from_secs(901));
    assert!(matches!(rig.receive(&from(4000, 80, "S")).0, Verdict::Forward { .. }));
}

/// One new connection does not pay for a long run of established ones; the next ones find the hand further on.
#[test]
fn a_search_for_room_is_bounded() {
    let mut rig = rig(1000, 0);
    (0..990).for_each(|number| establish(&mut rig, number));
    (1000..1010).for_each(|number| drop(rig.receive(&from(number, 80, "S"))));
    let fates: String = (2000..2040)
        .map(|number| if rig.server_for(&from(number, 80, "S")) == "table-full" { '-' } else { '+' })
        .collect();
    // 990 is 7 times 128 and more.
    assert_eq!(fates, "-------++++++++++-------++++++++++------");
}

/// The hand meets a new connection last: an honest client has about as many packets' time as there are half-open ones.
#[test]
fn in_a_full_table_the_oldest_goes_first() {
    let mut rig = rig(100, 0);
    (0..50).for_each(|number| establish(&mut rig, number));
    (1000..1500).for_each(|number| drop(rig.receive(&from(number, 80, "S"))));
    for round in 0..20 {
        rig.receive(&from(900_000 + round, 80, "S"));
        let next = 2000 + 100 * round;
        (next..next + 25).for_each(|number| drop(rig.receive(&from(number, 80, "S"))));
        let answer = rig.server_for(&from(900_000 + round, 80, "A"));
        assert!(["1", "2"].contains(&&*answer), "round {round}: {answer}");
    }
    assert_eq!(in_state(&mut rig, "ESTABLISHED"), 70);
}
