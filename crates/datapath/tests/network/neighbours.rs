//! Routes and neighbours: direct routing, fragments, neighbours that move or do not answer.

use std::net::UdpSocket;
use std::thread;

use ipvs_datapath::{Counter, Options, XdpMode};

use crate::director::{Director, Nat, end};
use crate::topology::{SERVER, Topology, VIP, echo_udp, exchange_udp};

fn small(mode: XdpMode) -> Options {
    Options { xdp_mode: mode, frames_per_queue: 1024, ..Options::default() }
}

fn nat(server: &str) -> Nat {
    Nat { protocol: 17, virtual_end: end(VIP, 80), server: end(server, 8080), local: false, direct: false }
}

#[test]
fn direct_routing_leaves_the_packet_alone() {
    let topology = Topology::new();
    topology.server.ip(&format!("addr add {VIP}/32 dev lo"));
    // The answers go past the director's engine, as its host forwards them.
    topology.director.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    director.serve(Nat { direct: true, server: end(SERVER, 0), ..nat(SERVER) });
    let socket = topology.server.run(|| UdpSocket::bind(end(VIP, 80)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| echo_udp(&socket, 1));
        let answer = topology.client.run(|| exchange_udp(end(VIP, 80), b"direct"));
        assert_eq!(answer.as_deref(), Some(&b"direct"[..]), "{:?}", director.counters());
    });
}

#[test]
fn a_smaller_link_gets_fragments() {
    let topology = Topology::new();
    topology.director.ip("link set d1 mtu 1000");
    topology.server.ip("link set s0 mtu 1000");
    // Datagrams without "don't fragment", as large as the client's link takes.
    topology.client.run(|| std::fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1").unwrap());
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    director.serve(nat(SERVER));
    let socket = topology.server.run(|| UdpSocket::bind(end(SERVER, 8080)).unwrap());
    let data: Vec<u8> = (0..1400u32).map(|number| number as u8).collect();
    let received = thread::scope(|scope| {
        let server = scope.spawn(|| {
            socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            let mut buffer = vec![0; 2000];
            let (len, _) = socket.recv_from(&mut buffer).unwrap();
            buffer.truncate(len);
            buffer
        });
        topology.client.run(|| {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client.send_to(&data, end(VIP, 80)).unwrap();
        });
        server.join().unwrap()
    });
    assert!(received == data);
    assert_eq!(director.counter(Counter::Fragmented), 1);
}

#[test]
fn a_neighbour_that_does_not_answer_costs_only_its_packets() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    director.serve(nat("10.2.0.77"));
    topology.client.run(|| {
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..100 {
            client.send_to(b"?", end(VIP, 80)).unwrap();
        }
    });
    director.wait("the packets are given up", |director| {
        let queued = director.counter(Counter::Queued);
        let dropped =
            director.counter(Counter::NeighbourFailed) + director.counter(Counter::NeighbourQueueFull);
        queued >= 64 && dropped == 100
    });
    assert!(director.counter(Counter::NeighbourQueueFull) >= 36);
}

#[test]
fn a_server_that_moves_is_followed() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    director.serve(nat(SERVER));
    let socket = topology.server.run(|| UdpSocket::bind(end(SERVER, 8080)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| echo_udp(&socket, 3));
        // The first one waits until the neighbour is known.
        assert!(topology.client.run(|| exchange_udp(end(VIP, 80), b"before")).is_some());
        assert!(topology.client.run(|| exchange_udp(end(VIP, 80), b"known")).is_some());
        // It gets another hardware address, and says so.
        topology.server.ip("link set s0 address 02:00:00:00:00:42");
        topology
            .director
            .ip(&format!("neigh replace {SERVER} lladdr 02:00:00:00:00:42 dev d1 nud reachable"));
        assert!(topology.client.run(|| exchange_udp(end(VIP, 80), b"after")).is_some());
    });
}

#[test]
fn a_changed_route_is_followed() {
    let topology = Topology::new();
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    // An address behind the server; no route at first.
    topology.server.ip("addr add 10.7.0.7/32 dev lo");
    director.serve(nat("10.7.0.7"));
    assert!(topology.client.run(|| exchange_udp(end(VIP, 80), b"lost")).is_none());
    assert_eq!(director.counter(Counter::NoRoute), 1);
    topology.director.ip(&format!("route add 10.7.0.0/24 via {SERVER}"));
    let socket = topology.server.run(|| UdpSocket::bind(end("10.7.0.7", 8080)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| echo_udp(&socket, 2));
        for data in [&b"found"[..], b"known"] {
            assert!(
                topology.client.run(|| exchange_udp(end(VIP, 80), data)).is_some(),
                "{:?}",
                director.counters()
            );
        }
    });
    topology.director.ip("route del 10.7.0.0/24");
    assert!(topology.client.run(|| exchange_udp(end(VIP, 80), b"lost")).is_none());
    assert_eq!(director.counter(Counter::NoRoute), 2);
}
