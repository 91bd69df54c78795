//! Full NAT where it is needed: client, director and servers in one network, and no route of a server leads to the director.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ipvs_core::{
    Command, Config, DestinationConfig, DestinationId, Director, ForwardingMethod, Instant, PoolName, Reply,
    ServiceConfig, ServiceId,
};
use ipvs_datapath::{Datapath, Options, XdpMode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use crate::director::end;
use crate::namespace::{Namespace, join};
use crate::topology::{echo_tcp, echo_udp, exchange_tcp, exchange_udp};

/// Hosts of 10.3.0.0/24 and fd03::/64 on one switch.
struct Network {
    client: Namespace,
    director: Namespace,
    server: Namespace,
    _switch: Namespace,
}

fn network() -> Network {
    let switch = Namespace::new("sw");
    switch.ip("link add br0 type bridge");
    switch.ip("link set br0 up");
    let host = |role: &str, number: u8| {
        let namespace = Namespace::new(role);
        join((&switch, &format!("p{number}")), (&namespace, "e0"));
        switch.ip(&format!("link set p{number} master br0"));
        namespace.ip(&format!("addr add 10.3.0.{number}/24 dev e0"));
        namespace.ip(&format!("addr add fd03::{number}/64 dev e0 nodad"));
        namespace
    };
    let (client, director, server) = (host("c", 2), host("d", 1), host("s", 3));
    Network { client, director, server, _switch: switch }
}

fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Runs a director with these commands, and `what` meanwhile; then tells the connections' local ends.
fn with_director(
    namespace: &Namespace,
    options: &Options,
    commands: Vec<Command>,
    what: impl FnOnce(),
) -> Vec<Option<(IpAddr, u16)>> {
    let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            Namespace::enter_named(namespace.name());
            let mut datapath = Datapath::open(options).unwrap();
            let mut director = Director::new(Config { capacity: 4096, ..Config::default() }, now()).unwrap();
            for command in commands {
                director.execute(now(), datapath.host(), command).unwrap();
            }
            datapath.apply_interest(director.take_interest_changes());
            ready.store(true, Ordering::Release);
            while !stop.load(Ordering::Acquire) {
                director.poll(now());
                if datapath.turn(now(), &mut director).more {
                    continue;
                }
                let descriptors = datapath.descriptors();
                let mut fds: Vec<PollFd<'_>> =
                    descriptors.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
                let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 2_000_000 }));
            }
            let list = Command::ListConnections { cursor: 0, limit: 4096 };
            match director.execute(now(), datapath.host(), list) {
                Ok(Reply::Connections { items, .. }) => items.iter().map(|it| it.local).collect(),
                other => panic!("{other:?}"),
            }
        });
        while !ready.load(Ordering::Acquire) && !run.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        // So that the director ends though `what` fails.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        stop.store(true, Ordering::Release);
        let locals = run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        locals
    })
}

fn commands(vip: SocketAddr, server: SocketAddr, local: IpAddr) -> Vec<Command> {
    let pool = PoolName::new("local").unwrap();
    let config =
        DestinationConfig { local_pool: Some(pool), ..DestinationConfig::new(ForwardingMethod::FULL_NAT, 1) };
    let netmask = if vip.is_ipv4() { u32::MAX } else { 128 };
    let mut commands = vec![Command::AddPool(pool, vec![local])];
    for protocol in [6, 17] {
        let service = ServiceId::Address { protocol, address: vip.ip(), port: vip.port() };
        commands.push(Command::AddService(service, ServiceConfig { netmask, ..ServiceConfig::new("rr") }));
        let id = DestinationId { address: server.ip(), port: server.port() };
        commands.push(Command::AddDestination(service, id, config));
    }
    commands
}

fn serves(mode: XdpMode, vip: &str, server: &str, local: &str) {
    let network = network();
    let options = Options { xdp_mode: mode, frames_per_queue: 1024, ..Options::default() };
    let (vip, server) = (end(vip, 80), end(server, 8080));
    let local: IpAddr = local.parse().unwrap();
    let (socket, listener) =
        network.server.run(|| (UdpSocket::bind(server).unwrap(), TcpListener::bind(server).unwrap()));
    let data: Vec<u8> = (0..2_000_000_usize).map(|index| (index * 31 + index / 251) as u8).collect();
    let locals = with_director(&network.director, &options, commands(vip, server, local), || {
        thread::scope(|scope| {
            scope.spawn(|| echo_udp(&socket, 2));
            scope.spawn(|| echo_tcp(&listener, 3));
            let answer = network.client.run(|| exchange_udp(vip, b"ping"));
            assert_eq!(answer.as_deref(), Some(&b"ping"[..]));
            // In fragments, which have another length in the other family.
            let answer = network.client.run(|| exchange_udp(vip, &data[..4000]));
            assert_eq!(answer.as_deref(), Some(&data[..4000]));
            for length in [1, 1000, data.len()] {
                let sent = &data[..length];
                let answer = network.client.run(|| exchange_tcp(vip, sent));
                assert!(answer == sent, "{} of {length} bytes", answer.len());
            }
        });
    });
    assert_eq!(locals.len(), 5);
    assert!(locals.iter().all(|it| it.is_some_and(|(address, _)| address == local)), "{locals:?}");
    // Nobody but the director speaks for these addresses.
    let own = if local.is_ipv4() { "10.3.0.1" } else { "fd03::1" };
    let mac =
        |words: &str| words.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned);
    let of = |address: &str| mac(&network.server.ip(&format!("neigh show {address} dev e0")));
    assert!(of(&local.to_string()).is_some());
    network.server.run(|| {
        let _ = std::process::Command::new("ping").args(["-n", "-c", "1", "-W", "2", own]).output();
    });
    assert_eq!(of(&local.to_string()), of(own));
}

#[test]
fn native_ipv4() {
    serves(XdpMode::Native, "10.3.0.100", "10.3.0.3", "10.3.0.50");
}

#[test]
fn generic_ipv6() {
    serves(XdpMode::Generic, "fd03::100", "fd03::3", "fd03::50");
}

#[test]
fn ipv6_clients_of_an_ipv4_server() {
    serves(XdpMode::Native, "fd03::100", "10.3.0.3", "10.3.0.50");
}

#[test]
fn ipv4_clients_of_an_ipv6_server() {
    serves(XdpMode::Generic, "10.3.0.100", "fd03::3", "fd03::50");
}
