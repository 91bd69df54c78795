//! Persistence through the engine. Unless said otherwise the outcomes are those of
//! `conformance/experiments/persistence.py` on the reference kernel.

mod rig;

use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, ServiceConfig,
    ServiceFlags, ServiceId, Sysctl, Tunnel,
};
use rig::{Family, Rig, round_robin, tcp, udp};

const V4: Family = Family::V4;

fn service(port: u16) -> ServiceId {
    ServiceId::Address { protocol: 6, address: V4.vip(), port }
}

fn persistent() -> ServiceConfig {
    round_robin(ServiceFlags::PERSISTENT)
}

fn server(number: u8, port: u16) -> DestinationId {
    DestinationId { address: V4.server(number), port }
}

/// A TCP packet from the client 192.0.2.`client`.
fn from(client: u8, client_port: u16, flags: &str, port: u16) -> Vec<u8> {
    tcp((IpAddr::from([192, 0, 2, client]), client_port), (V4.vip(), port), flags, b"", 64)
}

fn syn(rig: &mut Rig, client: u8, client_port: u16, port: u16) -> String {
    rig.server_for(&from(client, client_port, "S", port))
}

fn rig(port: u16, server_port: u16) -> Rig {
    let mut rig = Rig::new(100);
    rig.pair(service(port), persistent(), server_port);
    rig
}

/// Templates of each destination in the order of the list.
fn templates(rig: &mut Rig, id: ServiceId) -> Vec<u32> {
    rig.destinations(id).iter().map(|destination| destination.persistent).collect()
}

#[test]
fn a_client_stays_on_its_server() {
    let mut rig = rig(80, 8080);
    assert_eq!(syn(&mut rig, 2, 4001, 80), "2");
    assert_eq!(syn(&mut rig, 2, 4002, 80), "2");
    assert_eq!(syn(&mut rig, 3, 4001, 80), "1");
    assert_eq!(
        rig.shown(),
        [
            "2:0>1:80>2:8080 NONE",
            "2:4001>1:80>2:8080 SYN_RECV",
            "2:4002>1:80>2:8080 SYN_RECV",
            "3:0>1:80>1:8080 NONE",
            "3:4001>1:80>1:8080 SYN_RECV",
        ]
    );
    assert_eq!(templates(&mut rig, service(80)), [1, 1]);
    rig.receive(&from(2, 4001, "A", 80));
    assert_eq!(rig.shown()[0], "2:0>1:80>2:8080 ASSURED");
    let counters = rig.destinations(service(80))[0].stats.counters;
    assert_eq!((counters.connections, counters.packets_in), (2, 3), "templates are not counted");
}

#[test]
fn a_network_stays_on_its_server() {
    let mut rig = Rig::new(100);
    rig.pair(service(80), ServiceConfig { netmask: 0xffff_ff00, ..persistent() }, 80);
    assert_eq!([syn(&mut rig, 2, 4001, 80), syn(&mut rig, 3, 4001, 80)], ["2", "2"]);
    assert_eq!(rig.shown()[0], "0:0>1:80>2:80 NONE");
    for (prefix, expected, client) in [(64, "2", "0:0"), (128, "1", "7:0")] {
        let mut rig = Rig::new(100);
        let id = ServiceId::Address { protocol: 6, address: Family::V6.vip(), port: 80 };
        rig.pair(id, ServiceConfig { netmask: prefix, ..persistent() }, 80);
        let other: IpAddr = "2001:db8:1::8".parse().unwrap();
        let vip = (Family::V6.vip(), 80);
        assert_eq!(rig.server_for(&tcp((Family::V6.client(), 1), vip, "S", b"", 64)), "2");
        assert_eq!(rig.server_for(&tcp((other, 1), vip, "S", b"", 64)), expected);
        assert_eq!(rig.shown()[0], format!("{client}>1:80>2:80 NONE"));
    }
}

#[test]
fn a_service_for_all_ports_keeps_them_together() {
    let mut rig = rig(0, 0);
    let ports = [syn(&mut rig, 2, 4001, 80), syn(&mut rig, 2, 4001, 443), syn(&mut rig, 2, 4003, 21)];
    assert_eq!(ports, ["2", "2", "2"]);
    assert_eq!(syn(&mut rig, 2, 20, 22), "not-served", "FTP data is never scheduled");
    assert_eq!(
        rig.shown(),
        [
            "2:0>1:0>2:0 NONE",
            "2:4001>1:443>2:443 SYN_RECV",
            "2:4001>1:80>2:80 SYN_RECV",
            "2:4003>1:21>2:21 SYN_RECV",
        ]
    );
    // Beside one for a single port: a template of its own.
    rig.pair(service(80), persistent(), 80);
    syn(&mut rig, 2, 4005, 80);
    assert_eq!(rig.shown().iter().filter(|row| row.ends_with("NONE")).count(), 2);
}

#[test]
fn ftp_data_follows_the_control_connection() {
    for (server_port, control) in [(21, "2:21"), (2121, "2:2121")] {
        let mut rig = rig(21, server_port);
        assert_eq!(syn(&mut rig, 2, 4001, 21), "2");
        assert_eq!(syn(&mut rig, 2, 4002, 30000), "2");
        assert_eq!(syn(&mut rig, 2, 4003, 20), "2");
        assert_eq!(syn(&mut rig, 3, 4001, 30001), "1");
        assert_eq!(syn(&mut rig, 3, 4002, 21), "1");
        assert_eq!(syn(&mut rig, 4, 4002, 1023), "not-served");
        assert_eq!(
            rig.shown()[..4],
            [
                "2:0>1:0>2:0 NONE".to_owned(),
                format!("2:4001>1:21>{control} SYN_RECV"),
                "2:4002>1:30000>2:30000 SYN_RECV".into(),
                "2:4003>1:20>2:20 SYN_RECV".into(),
            ]
        );
    }
}

#[test]
fn a_quiescent_server_keeps_its_clients_unless_told_otherwise() {
    for (expire, second) in [(0, "2"), (1, "1")] {
        let mut rig = rig(80, 80);
        rig.set(Sysctl::ExpireQuiescentTemplate, expire);
        assert_eq!(syn(&mut rig, 2, 4001, 80), "2");
        rig.weigh(service(80), server(2, 80), 0);
        assert_eq!(syn(&mut rig, 2, 4002, 80), second);
        assert_eq!(syn(&mut rig, 2, 4001, 80), "2");
        if expire == 1 {
            // The old template, out of use, lives on for its connection.
            assert_eq!(rig.shown()[..2], ["2:0>1:65535>2:65535 NONE", "2:0>1:80>1:80 NONE"]);
            assert_eq!(templates(&mut rig, service(80)), [1, 1]);
            rig.advance(Duration::from_secs(900));
            assert_eq!(rig.shown(), [] as [&str; 0]);
            assert_eq!(templates(&mut rig, service(80)), [0, 0]);
        }
    }
}

#[test]
fn the_template_of_a_removed_server_is_replaced() {
    let mut rig = rig(80, 80);
    syn(&mut rig, 2, 4001, 80);
    rig.execute(Command::DeleteDestination(service(80), server(2, 80)));
    assert_eq!(syn(&mut rig, 2, 4002, 80), "1");
    rig.add(service(80), server(2, 80), 1);
    assert_eq!(syn(&mut rig, 2, 4003, 80), "1");
    rig.receive(&from(2, 4001, "A", 80));
    assert_eq!(rig.shown()[..2], ["2:0>1:65535>2:65535 ASSURED", "2:0>1:80>1:80 NONE"]);
    assert_eq!(templates(&mut rig, service(80)), [1, 1]);
    // Removed and added again with no packet between: valid again.
    rig.execute(Command::DeleteDestination(service(80), server(1, 80)));
    rig.add(service(80), server(1, 80), 1);
    assert_eq!(syn(&mut rig, 2, 4004, 80), "1");
}

#[test]
fn an_overloaded_server_takes_its_own_clients() {
    let mut rig = Rig::new(100);
    rig.execute(Command::AddService(service(80), persistent()));
    let config = DestinationConfig {
        forwarding: ForwardingMethod::MASQUERADE,
        weight: 1,
        upper_threshold: 1,
        lower_threshold: 0,
        tunnel: Tunnel::default(),
        proxy: None,
        flags: ConnectionFlags::default(),
        local_pool: None,
    };
    rig.execute(Command::AddDestination(service(80), server(1, 80), config));
    assert_eq!(syn(&mut rig, 2, 4001, 80), "1");
    assert_eq!(syn(&mut rig, 2, 4002, 80), "1");
    assert_eq!(syn(&mut rig, 3, 4001, 80), "no-destination");
    assert_eq!(rig.shown().len(), 3, "no template without a server");
}

#[test]
fn an_answer_assures_the_template_of_a_datagram() {
    let mut rig = Rig::new(100);
    let id = ServiceId::Address { protocol: 17, address: V4.vip(), port: 53 };
    rig.pair(id, persistent(), 53);
    let client = (V4.client(), 4001);
    for _ in 0..2 {
        rig.receive(&udp(client, (V4.vip(), 53), b"x", 64));
    }
    assert_eq!(rig.shown(), ["7:0>1:53>2:53 NONE", "7:4001>1:53>2:53 UDP"]);
    rig.receive(&udp((V4.server(2), 53), client, b"x", 64));
    assert_eq!(rig.shown()[0], "7:0>1:53>2:53 ASSURED");
}

/// A template goes by the timeout of its making, restarted by each new connection, and as long as it controls one it
/// lives on for a minute at a time.
#[test]
fn the_life_of_a_template() {
    let mut rig = Rig::new(100);
    rig.pair(service(80), ServiceConfig { timeout: 5, ..persistent() }, 80);
    let expires = |rig: &mut Rig| {
        let connections = rig.connections();
        connections.iter().find(|it| it.client_port == 0).map(|template| template.expires)
    };
    syn(&mut rig, 2, 4001, 80);
    rig.receive(&from(2, 4001, "A", 80));
    rig.advance(Duration::from_secs(3));
    rig.receive(&from(2, 4001, "A", 80));
    assert_eq!(expires(&mut rig), Some(2));
    syn(&mut rig, 2, 4002, 80);
    assert_eq!(expires(&mut rig), Some(5));
    rig.execute(Command::EditService(service(80), persistent()));
    syn(&mut rig, 2, 4003, 80);
    assert_eq!(expires(&mut rig), Some(5));
    let pass = |rig: &mut Rig, seconds| {
        for _ in 0..seconds * 10 {
            rig.advance(Duration::from_millis(100));
        }
    };
    pass(&mut rig, 7);
    assert_eq!(expires(&mut rig), Some(58));
    pass(&mut rig, 60);
    assert_eq!(expires(&mut rig), Some(58));
    rig.receive(&from(2, 4001, "R", 80));
    pass(&mut rig, 11);
    assert_eq!(rig.shown(), ["2:0>1:80>2:80 ASSURED"]);
    pass(&mut rig, 48);
    assert_eq!(rig.shown(), [] as [&str; 0]);
    assert_eq!(templates(&mut rig, service(80)), [0, 0]);
}

/// A connection of a client with template is not scheduled anew, whatever its state.
#[test]
fn no_reuse_under_a_template() {
    let mut rig = rig(80, 80);
    for flags in ["S", "A", "R"] {
        rig.receive(&from(2, 4001, flags, 80));
    }
    assert_eq!(rig.shown()[1], "2:4001>1:80>2:80 CLOSE");
    rig.receive(&from(2, 4001, "S", 80));
    assert_eq!(rig.shown()[1], "2:4001>1:80>2:80 SYN_RECV");
    assert_eq!(rig.destinations(service(80))[0].stats.counters.connections, 1);
}

#[test]
fn persistence_comes_and_goes_with_edits() {
    let mut rig = Rig::new(100);
    rig.pair(service(80), round_robin(0), 80);
    let mut chosen = vec![syn(&mut rig, 2, 4001, 80)];
    rig.execute(Command::EditService(service(80), persistent()));
    chosen.extend([syn(&mut rig, 2, 4002, 80), syn(&mut rig, 2, 4003, 80)]);
    rig.execute(Command::EditService(service(80), round_robin(0)));
    chosen.extend([syn(&mut rig, 2, 4004, 80), syn(&mut rig, 2, 4005, 80)]);
    assert_eq!(chosen, ["2", "1", "1", "2", "1"]);
}

/// Ours: when the table is full of established connections, a new client is dropped and a known one goes on. One whose
/// connection was half-open gives way, with the template of which nothing came.
#[test]
fn a_full_table() {
    let mut rig = Rig::new(3);
    rig.pair(service(80), persistent(), 80);
    assert_eq!(syn(&mut rig, 9, 4001, 80), "2");
    assert_eq!(syn(&mut rig, 2, 4001, 80), "1");
    assert_eq!(rig.shown(), ["2:0>1:80>1:80 NONE", "2:4001>1:80>1:80 SYN_RECV"]);
    assert_eq!(rig.server_for(&from(2, 4001, "A", 80)), "1");
    assert_eq!(syn(&mut rig, 3, 4001, 80), "table-full");
    assert_eq!(rig.server_for(&from(2, 4001, "A", 80)), "1");
}

/// As in `conformance/experiments/persistence_ports.py`: UDP port 21, servers with another port, packets to port 0, and
/// an FTP service beside one for all ports, which share their template.
#[test]
fn ports_of_templates() {
    let udp_ftp = ServiceId::Address { protocol: 17, address: V4.vip(), port: 21 };
    let mut rig = Rig::new(100);
    rig.execute(Command::AddService(udp_ftp, persistent()));
    rig.add(udp_ftp, server(1, 2121), 1);
    let datagram = |port| udp((V4.client(), 4001), (V4.vip(), port), b"x", 64);
    assert_eq!(rig.server_for(&datagram(21)), "1");
    assert_eq!(rig.server_for(&datagram(3000)), "not-served");
    assert_eq!(rig.shown(), ["7:0>1:0>1:0 NONE", "7:4001>1:21>1:2121 UDP"]);

    for (ports, template) in [([80, 0], "2:0>1:0>1:0 NONE"), ([0, 80], "2:0>1:0>1:8080 NONE")] {
        let mut rig = Rig::new(100);
        rig.execute(Command::AddService(service(0), persistent()));
        rig.add(service(0), server(1, 8080), 1);
        for port in ports {
            syn(&mut rig, 2, 4001, port);
        }
        assert_eq!(
            rig.shown(),
            [template, "2:4001>1:0>1:8080 SYN_RECV", "2:4001>1:80>1:80 SYN_RECV"],
            "{ports:?}"
        );
    }

    let mut rig = Rig::new(100);
    rig.execute(Command::AddService(service(80), persistent()));
    rig.add(service(80), server(1, 0), 1);
    syn(&mut rig, 2, 4001, 80);
    assert_eq!(rig.shown(), ["2:0>1:80>1:0 NONE", "2:4001>1:80>1:80 SYN_RECV"]);

    let mut rig = Rig::new(100);
    for (port, number, server_port) in [(21, 1, 21), (0, 2, 0)] {
        rig.execute(Command::AddService(service(port), persistent()));
        rig.add(service(port), server(number, server_port), 1);
    }
    let chosen = [3000, 80, 21].map(|port| syn(&mut rig, 2, 4001, port));
    assert_eq!(chosen, ["1", "1", "1"]);
    assert_eq!(rig.shown()[0], "2:0>1:0>1:0 NONE");
    assert_eq!(rig.connections().len(), 4);
}
