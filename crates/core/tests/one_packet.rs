//! One-packet scheduling and stray packets of real servers, as in `conformance/experiments/one_packet.py` on the
//! reference kernel.

mod rig;

use ipvs_core::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, Reason, ServiceFlags,
    ServiceId, Sysctl, Tunnel, Verdict,
};
use rig::{Family, Rig, round_robin, seen, tcp, udp};

const V4: Family = Family::V4;

fn service(protocol: u16) -> ServiceId {
    ServiceId::Address { protocol, address: V4.vip(), port: 53 }
}

fn ask(rig: &mut Rig, client_port: u16, times: usize) -> String {
    let packet = udp((V4.client(), client_port), (V4.vip(), 53), b"twenty bytes of data", 64);
    (0..times).map(|_| rig.server_for(&packet)).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_datagram_is_scheduled_and_counted_as_a_connection() {
    let mut rig = Rig::new(100);
    rig.pair(service(17), round_robin(ServiceFlags::ONE_PACKET), 53);
    assert_eq!(ask(&mut rig, 4001, 6), "2 1 2 1 2 1");
    assert_eq!(rig.shown(), [] as [&str; 0]);
    for destination in rig.destinations(service(17)) {
        let counters = destination.stats.counters;
        assert_eq!((counters.connections, counters.packets_in, counters.bytes_in), (3, 3, 144));
        assert_eq!((destination.active, destination.inactive), (0, 0));
    }
    // An answer belongs to no connection and passes as it is.
    let answer = udp((V4.server(1), 53), (V4.client(), 4001), b"x", 64);
    assert_eq!(rig.receive(&answer), (Verdict::Pass, answer));
}

#[test]
fn the_datagram_is_rewritten() {
    for family in Family::BOTH {
        let mut rig = Rig::new(100);
        let id = ServiceId::Address { protocol: 17, address: family.vip(), port: 53 };
        let mut config = round_robin(ServiceFlags::ONE_PACKET);
        config.netmask = 128;
        rig.pair(id, config, 5353);
        let (_, bytes) = rig.receive(&udp((family.client(), 4001), (family.vip(), 53), b"x", 64));
        let seen = seen(&bytes);
        assert_eq!((seen.destination, seen.ttl), ((family.server(2), 5353), 63));
        assert!(seen.checksums_ok);
    }
}

/// Loads are never there when the next datagram comes, and thresholds never hold.
#[test]
fn nothing_is_held() {
    for scheduler in ["wlc", "sed", "lc", "nq"] {
        let mut rig = Rig::new(100);
        let config = round_robin(ServiceFlags::ONE_PACKET);
        rig.pair(service(17), ipvs_core::ServiceConfig { scheduler: scheduler.into(), ..config }, 53);
        assert_eq!(ask(&mut rig, 4001, 3), "2 2 2", "{scheduler}");
    }
    for (upper_threshold, lower_threshold) in [(1, 0), (1, 1), (2, 1), (4, 0), (3, 2)] {
        let mut rig = Rig::new(100);
        rig.execute(Command::AddService(service(17), round_robin(ServiceFlags::ONE_PACKET)));
        let id = DestinationId { address: V4.server(1), port: 53 };
        let config = DestinationConfig {
            forwarding: ForwardingMethod::MASQUERADE,
            weight: 1,
            upper_threshold,
            lower_threshold,
            tunnel: Tunnel::default(),
            proxy: None,
            flags: ConnectionFlags::default(),
            local_pool: None,
        };
        rig.execute(Command::AddDestination(service(17), id, config));
        assert_eq!(ask(&mut rig, 4001, 3), "1 1 1");
    }
}

#[test]
fn with_persistence_the_template_decides() {
    let mut rig = Rig::new(100);
    rig.pair(service(17), round_robin(ServiceFlags::ONE_PACKET | ServiceFlags::PERSISTENT), 53);
    assert_eq!(ask(&mut rig, 4001, 4), "2 2 2 2");
    assert_eq!(rig.shown(), ["7:0>1:53>2:53 NONE"]);
    let destination = rig.destinations(service(17))[0];
    assert_eq!((destination.persistent, destination.stats.counters.connections), (1, 4));
}

#[test]
fn a_connection_from_before_keeps_its_datagrams() {
    let mut rig = Rig::new(100);
    rig.pair(service(17), round_robin(0), 53);
    assert_eq!(ask(&mut rig, 4001, 2), "2 2");
    rig.execute(Command::EditService(service(17), round_robin(ServiceFlags::ONE_PACKET)));
    assert_eq!(ask(&mut rig, 4001, 2), "2 2");
    assert_eq!(ask(&mut rig, 4002, 3), "1 2 1");
}

/// TCP on a service with the flag makes connections as ever.
#[test]
fn only_datagrams() {
    let mut rig = Rig::new(100);
    rig.pair(service(6), round_robin(ServiceFlags::ONE_PACKET), 53);
    rig.receive(&tcp((V4.client(), 4001), (V4.vip(), 53), "S", b"", 64));
    assert_eq!(rig.shown(), ["7:4001>1:53>2:53 SYN_RECV"]);
}

#[test]
fn a_stray_answer_is_refused_if_so_set() {
    let mut rig = Rig::new(100);
    rig.pair(service(17), round_robin(0), 53);
    rig.pair(service(6), round_robin(0), 53);
    let client = (V4.client(), 4001);
    let strays = [
        (udp((V4.server(1), 53), client, b"x", 64), true),
        (udp((V4.server(1), 54), client, b"x", 64), false),
        (udp((V4.server(3), 53), client, b"x", 64), false),
        (tcp((V4.server(1), 53), client, "A", b"", 64), true),
        (tcp((V4.server(1), 53), client, "SA", b"", 64), true),
        (tcp((V4.server(1), 53), client, "R", b"", 64), false),
        (tcp((V4.server(1), 53), client, "RA", b"", 64), false),
    ];
    for (packet, _) in &strays {
        assert_eq!(rig.receive(packet).0, Verdict::Pass);
    }
    rig.set(Sysctl::NatIcmpSend, 1);
    for (packet, refused) in &strays {
        let (verdict, bytes) = rig.receive(packet);
        if !refused {
            assert_eq!((verdict, &bytes), (Verdict::Pass, packet));
            continue;
        }
        assert_eq!(verdict, Verdict::Reply(Reason::NoConnection));
        let answer = seen(&bytes);
        assert_eq!((answer.source.0, answer.destination.0), (V4.director(), V4.server(1)));
        assert!(answer.checksums_ok);
        // It quotes the packet as the host was about to forward it.
        assert_eq!(seen(&answer.payload).ttl, 63);
    }
}
