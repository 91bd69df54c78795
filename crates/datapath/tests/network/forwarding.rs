//! Forwarding in both modes and families.

use std::net::{TcpListener, UdpSocket};
use std::thread;

use ipvs_datapath::{Attach, Counter, Mode, Options, XdpMode};

use crate::director::{Director, Nat, end};
use crate::topology::{
    SERVER, SERVER6, Topology, VIP, VIP6, echo_tcp, echo_udp, exchange_tcp, exchange_udp, pattern,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn options(mode: Mode) -> Options {
    Options {
        attach: if mode == Mode::Tc { Attach::Tc } else { Attach::Xdp }.into(),
        xdp_mode: if mode == Mode::Generic { XdpMode::Generic } else { XdpMode::Native },
        frames_per_queue: 1024,
        ..Options::default()
    }
}

fn nat(protocol: u8, virtual_address: &str, server: &str) -> Nat {
    Nat {
        protocol,
        virtual_end: end(virtual_address, 80),
        server: end(server, 8080),
        local: false,
        direct: false,
    }
}

fn udp_and_tcp(mode: Mode, virtual_address: &str, server: &str) {
    udp_and_tcp_through(Topology::new(), &options(mode), mode, virtual_address, server);
}

fn udp_and_tcp_through(
    topology: Topology,
    options: &Options,
    mode: Mode,
    virtual_address: &str,
    server: &str,
) {
    let director = Director::open(&topology.director, options);
    director.with(move |datapath, _| {
        assert!(datapath.attached().iter().all(|attached| attached.mode == mode));
        assert_eq!(datapath.attached().len(), 2);
    });
    director.serve(nat(UDP, virtual_address, server));
    director.serve(nat(TCP, virtual_address, server));
    let (socket, listener) = topology
        .server
        .run(|| (UdpSocket::bind(end(server, 8080)).unwrap(), TcpListener::bind(end(server, 8080)).unwrap()));
    let data = pattern(5_000_000);
    thread::scope(|scope| {
        scope.spawn(|| echo_udp(&socket, 1));
        // The first packet finds no neighbour: it waits.
        let answer = topology.client.run(|| exchange_udp(end(virtual_address, 80), b"ping"));
        assert_eq!(answer.as_deref(), Some(&b"ping"[..]), "counters: {:?}", director.counters());
        scope.spawn(|| echo_tcp(&listener, 1));
        let answer = topology.client.run(|| exchange_tcp(end(virtual_address, 80), &data));
        assert!(answer == data, "{} of {} bytes", answer.len(), data.len());
    });
    println!("{:?}", director.counters());
    assert!(director.counter(Counter::Queued) >= 1);
    if virtual_address == VIP {
        assert!(director.counter(Counter::ArpAnswered) >= 1);
    } else {
        assert!(director.counter(Counter::SolicitationAnswered) >= 1);
    }
    assert_eq!(director.counter(Counter::ToHost), 0);
    // What the ends left to be cut was cut by nobody, or only for the wire.
    let is_tc = mode == Mode::Tc;
    assert_eq!(director.counter(Counter::Unsegmented) > 0, is_tc);
    assert!(!is_tc || director.counter(Counter::Segmented) == 0);
    assert_eq!(director.counter(Counter::Parked) > 0, is_tc && options.parking);
    assert_eq!(director.counter(Counter::BroughtWhole), 0);
}

#[test]
fn native_ipv4() {
    udp_and_tcp(Mode::Native, VIP, SERVER);
}

#[test]
fn native_ipv6() {
    udp_and_tcp(Mode::Native, VIP6, SERVER6);
}

/// Frames in several buffers: drivers take the program for those where frames are too long for the other.
#[test]
fn native_with_large_frames() {
    let topology = Topology::new();
    for (namespace, link) in [
        (&topology.client, "c0"),
        (&topology.director, "d0"),
        (&topology.director, "d1"),
        (&topology.server, "s0"),
    ] {
        namespace.ip(&format!("link set {link} mtu 9000"));
    }
    udp_and_tcp_through(topology, &options(Mode::Native), Mode::Native, VIP, SERVER);
}

#[test]
fn generic_ipv4() {
    udp_and_tcp(Mode::Generic, VIP, SERVER);
}

#[test]
fn generic_ipv6() {
    udp_and_tcp(Mode::Generic, VIP6, SERVER6);
}

#[test]
fn tc_ipv4() {
    udp_and_tcp(Mode::Tc, VIP, SERVER);
}

#[test]
fn tc_ipv6() {
    udp_and_tcp(Mode::Tc, VIP6, SERVER6);
}

/// Where packets cannot wait in the kernel, bulk data come by TAP devices.
#[test]
fn tc_without_parking() {
    for (virtual_address, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        let options = Options { parking: false, ..options(Mode::Tc) };
        udp_and_tcp_through(Topology::new(), &options, Mode::Tc, virtual_address, server);
    }
}

#[test]
fn many_connections_at_once() {
    for mode in [Mode::Native, Mode::Generic, Mode::Tc] {
        let topology = Topology::new();
        let director = Director::open(&topology.director, &options(mode));
        director.serve(nat(TCP, VIP, SERVER));
        let listener = topology.server.run(|| TcpListener::bind(end(SERVER, 8080)).unwrap());
        let data = pattern(1_000_000);
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| echo_tcp(&listener, 1));
            }
            for _ in 0..64 {
                scope.spawn(|| {
                    let answer = topology.client.run(|| exchange_tcp(end(VIP, 80), &data));
                    assert!(answer == data, "{} of {} bytes", answer.len(), data.len());
                });
            }
        });
        println!("{mode:?}: {:?}", director.counters());
        // Frames come back from both rings fast enough.
        assert_eq!(director.counter(Counter::NoFrame), 0);
    }
}
