//! The host's own stack: a real server on the director, packets passed back, and nothing left behind.

use std::net::{TcpListener, UdpSocket};
use std::thread;

use ipvs_datapath::{Counter, Options, XdpMode};

use crate::director::{Director, Nat, end};
use crate::topology::{SERVER, Topology, VIP, VIP6, echo_tcp, echo_udp, exchange_tcp, exchange_udp};

fn small(mode: XdpMode) -> Options {
    Options { xdp_mode: mode, frames_per_queue: 1024, ..Options::default() }
}

fn local_server(virtual_address: &str, server: &str) {
    let topology = Topology::new();
    // As strict as distributions set it.
    topology.director.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap());
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    director.serve(Nat {
        protocol: 6,
        virtual_end: end(virtual_address, 80),
        server: end(server, 8080),
        local: true,
        direct: false,
    });
    let listener = topology.director.run(|| TcpListener::bind(end(server, 8080)).unwrap());
    let data: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| echo_tcp(&listener, 2));
        let answer = topology.client.run(|| exchange_tcp(end(virtual_address, 80), &data));
        assert!(answer == data);
        assert!(director.counter(Counter::ToHost) > 0 && director.counter(Counter::ReceivedFromHost) > 0);
        // The same server by its own address, of which the engine knows nothing: its answers pass unchanged.
        director.with(|_, services| services.0.clear());
        let answer = topology.client.run(|| exchange_tcp(end(server, 8080), b"directly"));
        assert_eq!(answer, b"directly");
    });
}

#[test]
fn a_real_server_on_the_director_ipv4() {
    local_server(VIP, "10.1.0.1");
}

#[test]
fn a_real_server_on_the_director_ipv6() {
    local_server(VIP6, "fd01::1");
}

#[test]
fn what_the_engine_passes_reaches_the_host() {
    let topology = Topology::new();
    topology.director.ip(&format!("addr add {VIP}/32 dev d0"));
    let director = Director::open(&topology.director, &small(XdpMode::Native));
    // A service that the engine then does not know.
    let nat =
        Nat { protocol: 17, virtual_end: end(VIP, 80), server: end(SERVER, 80), local: false, direct: false };
    director.serve(nat);
    director.with(|_, services| services.0.clear());
    let socket = topology.director.run(|| UdpSocket::bind(end(VIP, 80)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| echo_udp(&socket, 1));
        let answer = topology.client.run(|| exchange_udp(end(VIP, 80), b"hello"));
        assert_eq!(answer.as_deref(), Some(&b"hello"[..]), "{:?}", director.counters());
    });
    assert_eq!(director.counter(Counter::ToHost), 1);
}

/// What a datapath could leave behind in its namespace.
fn traces(topology: &Topology) -> String {
    let rules = topology.director.ip("rule") + &topology.director.ip("-6 rule");
    let routes =
        topology.director.ip("route show table all") + &topology.director.ip("-6 route show table all");
    let links: String = topology
        .director
        .ip("link")
        .lines()
        .filter(|line| line.contains("xdp") || line.contains("ipvsd0"))
        .collect();
    let mut routes: Vec<&str> = routes.lines().collect();
    routes.sort_unstable();
    format!("{links}\n{rules}\n{}", routes.join("\n"))
}

#[test]
fn nothing_is_left_behind() {
    for mode in [XdpMode::Native, XdpMode::Generic] {
        let topology = Topology::new();
        let before = traces(&topology);
        {
            let director = Director::open(&topology.director, &small(mode));
            director.serve(Nat {
                protocol: 6,
                virtual_end: end(VIP, 80),
                server: end("10.1.0.1", 8080),
                local: true,
                direct: false,
            });
            director.wait("the rule of the local server", |_| {
                topology.director.ip("rule").contains("ipproto tcp")
            });
            let during = traces(&topology);
            assert!(during.contains("xdp") && during.contains("ipvsd0"), "{during}");
        }
        assert_eq!(traces(&topology), before);
        // And it can be opened again, also over the rules of one that was killed.
        topology.director.ip("rule add from 10.9.9.9 lookup 1768978035 priority 5000");
        drop(Director::open(&topology.director, &small(mode)));
        assert_eq!(traces(&topology), before);
    }
}

#[test]
fn a_refusal_names_what_is_wrong() {
    let topology = Topology::new();
    let refusal = |options: Options| {
        let error = topology.director.run(|| ipvs_datapath::Datapath::open(&options).unwrap_err());
        error.to_string()
    };
    let named = |name: &str| Options { interfaces: vec![name.into()], ..small(XdpMode::Auto) };
    assert_eq!(
        refusal(named("nope0")),
        "no interface nope0 in this network namespace: see `ip link` for those there are"
    );
    assert_eq!(refusal(named("lo")), "interface lo is not Ethernet: name another with --interface");
    topology.director.ip("link set d1 down");
    assert_eq!(refusal(named("d1")), "interface d1 is down: `ip link set d1 up`");
    topology.director.ip("link add br0 type bridge");
    topology.director.ip("link set br0 up");
    let text = refusal(Options { xdp_mode: XdpMode::Native, ..named("br0") });
    assert!(text.contains("br0") && text.contains("--xdp generic"), "{text}");
    let _running = Director::open(&topology.director, &named("d0"));
    let text = refusal(named("d0"));
    assert!(text.contains("d0") && text.contains("another program has the queue"), "{text}");
}
