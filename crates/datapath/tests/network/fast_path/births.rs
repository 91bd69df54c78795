//! New connections in the program: the choices are the director's own, whichever of the two makes them.

use std::net::IpAddr;

use ipvs_core::{Command, DestinationConfig, DestinationId, ForwardingMethod, ServiceFlags, ServiceId};

use super::inside;
use super::pair::{Pair, destination};
use super::sent::{ACK, CLIENT, FIN, RST, SYN, Sent, TCP, Twist, UDP, plain};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};

const SERVERS: [&str; 5] = ["10.2.0.2", "10.2.0.3", "10.2.0.4", "10.2.0.5", "10.2.0.6"];
const SERVERS6: [&str; 5] = ["fd02::2", "fd02::3", "fd02::4", "fd02::5", "fd02::6"];

/// A generator of numbers that is enough for tests.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub(super) fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// All servers are behind the link to the one that there is.
pub(super) fn make_servers_known(topology: &Topology, pair: &mut Pair) {
    let text = topology.server.ip("-o link show s0");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mac = words[words.iter().position(|word| *word == "link/ether").unwrap() + 1];
    for address in SERVERS.iter().chain(&SERVERS6) {
        topology.director.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev d1"));
    }
    while pair.datapath.turn(super::now(), &mut pair.one).more {}
}

pub(super) fn edit(service: ServiceId, server: &str, config: DestinationConfig) -> Command {
    Command::EditDestination(service, DestinationId { address: server.parse().unwrap(), port: 8080 }, config)
}

/// Thousands of packets to services with all kinds of schedulers, changed in between.
#[test]
fn choices_are_the_directors() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        make_servers_known(&topology, pair);
        let (fallback, with_port) = (ServiceFlags::SCHED1, ServiceFlags::SCHED2);
        let schedulers = [
            ("rr", 0),
            ("wrr", 0),
            ("fo", 0),
            ("sh", 0),
            ("sh", fallback | with_port),
            ("dh", 0),
            ("mh", with_port),
            ("mh", fallback),
            ("lblc", 0),
        ];
        let mut services = Vec::new();
        for (number, (scheduler, flags)) in schedulers.into_iter().enumerate() {
            for (vip, servers) in [(VIP, SERVERS), (VIP6, SERVERS6)] {
                let protocol = if number % 3 == 2 { UDP } else { TCP };
                let at = end(vip, 1000 + number as u16);
                let service = pair.serve_by(protocol, at, scheduler, flags);
                let method = match number % 4 {
                    0 => ForwardingMethod::MASQUERADE,
                    2 => ForwardingMethod::TUNNEL,
                    _ => ForwardingMethod::DIRECT,
                };
                for server in servers {
                    pair.add(service, end(server, 8080), method);
                }
                services.push((service, protocol, at, servers, method));
            }
        }
        let ids: Vec<ServiceId> = services.iter().map(|it| it.0).collect();
        let mut random = Random(0x5eed);
        let (mut by_program, mut begun) = (0, 0);
        for number in 0..6000 {
            let (service, protocol, at, servers, method) = random.of(&services);
            let host = 2 + random.below(40);
            let prefix = if at.is_ipv4() { "10.1.0." } else { "fd01::" };
            let from = end(&format!("{prefix}{host}"), 20 + random.below(60) as u16);
            let flags = random.of(&[SYN, SYN, SYN, SYN, ACK, FIN | ACK, RST, SYN | RST, SYN | ACK]);
            let twist = random.of(&[Twist::None, Twist::None, Twist::None, Twist::None, Twist::Partial]);
            let before = pair.connections().len();
            let fast = pair.send(&Sent { twist, ..plain(protocol, from, at, flags) });
            let new = pair.connections().len() > before;
            begun += u32::from(new);
            by_program += u32::from(new && fast);
            if number % 40 == 0 {
                let server = random.of(&servers);
                let weight = random.of(&[0, 1, 1, 2, 3, 7]);
                let id = DestinationId { address: server.parse().unwrap(), port: 8080 };
                match random.below(6) {
                    0 => {
                        pair.execute(Command::DeleteDestination(service, id));
                        pair.add(service, end(server, 8080), method);
                    }
                    1 => {
                        let config = DestinationConfig { upper_threshold: 3, ..destination(method, weight) };
                        pair.execute(edit(service, server, config));
                    }
                    _ => {
                        pair.execute(edit(service, server, destination(method, weight)));
                    }
                }
                pair.listings(&ids);
            }
            if number % 400 == 399 {
                // So that neither table is full: some of the entries of the one are set aside.
                pair.end_after(100_000);
            }
        }
        pair.listings(&ids);
        println!("{by_program} of {begun} connections begun by the program");
        assert!(by_program > 1000 && begun - by_program > 100, "{by_program} of {begun}");
    });
}

/// Connections begin, become active and inactive, and end, and weights change: the choices by loads remain the director's.
#[test]
fn choices_by_load_are_the_directors() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        make_servers_known(&topology, pair);
        let mut services = Vec::new();
        for (number, scheduler) in ["lc", "wlc", "sed", "nq"].into_iter().enumerate() {
            for (vip, protocol, servers) in [(VIP, TCP, SERVERS), (VIP6, TCP, SERVERS6), (VIP, UDP, SERVERS)]
            {
                let at = end(vip, 2000 + number as u16);
                let service = pair.serve_by(protocol, at, scheduler, 0);
                for server in servers {
                    pair.add(service, end(server, 8080), ForwardingMethod::MASQUERADE);
                }
                services.push((service, protocol, at, servers));
            }
        }
        // As many as the program looks at, nearly.
        let at = end(VIP, 2100);
        let service = pair.serve_by(TCP, at, "wlc", 0);
        for number in 0..120 {
            let server = end(SERVERS[number % SERVERS.len()], 8080 + (number / SERVERS.len()) as u16);
            pair.add(service, server, ForwardingMethod::MASQUERADE);
        }
        services.push((service, TCP, at, SERVERS));
        let mut random = Random(0x10ad);
        let mut by_program = vec![0; services.len()];
        for number in 0..3000 {
            let which = random.below(services.len() as u64) as usize;
            let (service, protocol, at, servers) = services[which];
            // Fewer than the tables hold, so that these are never full.
            let (host, port) = (2 + random.below(6), 4000 + random.below(5) as u16);
            let from = end(&format!("{}{host}", if at.is_ipv4() { "10.1.0." } else { "fd01::" }), port);
            let flags = random.of(&[SYN, SYN, SYN, ACK, ACK, FIN | ACK, RST]);
            let twist = random.of(&[Twist::None, Twist::None, Twist::None, Twist::Partial]);
            let before = pair.connections().len();
            let fast = pair.send(&Sent { twist, ..plain(protocol, from, at, flags) });
            by_program[which] += u32::from(fast && pair.connections().len() > before);
            if number % 50 == 0 {
                let weight = random.of(&[0, 1, 1, 2, 3, 7, 65_535, i32::MAX]);
                let config = destination(ForwardingMethod::MASQUERADE, weight);
                pair.execute(edit(service, random.of(&servers), config));
            }
            if number % 20 == 0 {
                // Those that were reset end, later also those that no segment came of, in the end all.
                let seconds = [20, 20, 20, 200, 200, 100_000][number / 500];
                pair.end_after(seconds);
            }
        }
        pair.listings(&services.iter().map(|it| it.0).collect::<Vec<_>>());
        println!("begun by the program: {by_program:?}");
        assert!(by_program.iter().all(|count| *count >= 20), "{by_program:?}");
    });
}

/// A sequence goes on where it was, whoever made the choices before.
#[test]
fn a_sequence_is_gone_on_with_by_both() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        make_servers_known(&topology, pair);
        let service = pair.serve_by(TCP, end(VIP, 80), "wrr", 0);
        for (server, weight) in SERVERS.iter().zip([3, 1, 2, 1, 5]) {
            pair.add(service, end(server, 8080), ForwardingMethod::MASQUERADE);
            pair.execute(edit(service, server, destination(ForwardingMethod::MASQUERADE, weight)));
        }
        let mut random = Random(7);
        for port in 0..300 {
            let twist = random.of(&[Twist::None, Twist::Partial]);
            let sent = plain(TCP, end(CLIENT, 10_000 + port), end(VIP, 80), SYN);
            assert_eq!(pair.send(&Sent { twist, ..sent }), twist == Twist::None);
            if port % 37 == 5 {
                let weight = 1 + random.below(4) as i32;
                let server = random.of(&SERVERS);
                pair.execute(edit(service, server, destination(ForwardingMethod::MASQUERADE, weight)));
            }
        }
        pair.listings(&[service]);
    });
}

/// What the program cannot know keeps it from beginning connections.
#[test]
fn some_services_are_the_directors() {
    inside(|pair| {
        let service = pair.serve(TCP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let mut port = 4000;
        let mut begin = |pair: &mut Pair| {
            port += 1;
            pair.send(&plain(TCP, end(CLIENT, port), end(VIP, 80), SYN))
        };
        assert!(begin(pair));
        let config = destination(ForwardingMethod::MASQUERADE, 1);
        let limited = DestinationConfig { upper_threshold: 100, ..config };
        for (change, back) in [
            (edit(service, SERVER, limited), edit(service, SERVER, config)),
            (edit(service, SERVER, destination(ForwardingMethod::LOCAL, 1)), edit(service, SERVER, config)),
            (
                Command::SetSysctl(ipvs_core::Sysctl::DropPacket, vec![3]),
                Command::SetSysctl(ipvs_core::Sysctl::DropPacket, vec![0]),
            ),
        ] {
            pair.execute(change.clone());
            assert!(!begin(pair), "{change:?}");
            pair.execute(back);
            assert!(begin(pair), "{change:?} was taken back");
        }
        // Its load is compared with that of one that only the director sends to.
        let compared = pair.serve_by(TCP, end(VIP, 82), "wlc", 0);
        pair.add(compared, end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        assert!(pair.send(&plain(TCP, end(CLIENT, 3000), end(VIP, 82), SYN)));
        pair.add(compared, end("10.2.0.9", 0), ForwardingMethod::TUNNEL);
        assert!(!pair.send(&plain(TCP, end(CLIENT, 3001), end(VIP, 82), SYN)));
        let tunneled = DestinationId { address: "10.2.0.9".parse().unwrap(), port: 0 };
        pair.execute(Command::DeleteDestination(compared, tunneled));
        assert!(pair.send(&plain(TCP, end(CLIENT, 3002), end(VIP, 82), SYN)));
        assert!(!pair.send(&plain(TCP, end(CLIENT, 20), end(VIP, 80), SYN)), "from FTP's data port");
        let to_none: IpAddr = VIP.parse().unwrap();
        assert!(!pair.send(&plain(TCP, end(CLIENT, 4999), (to_none, 81).into(), SYN)));
        pair.serve(TCP, end(VIP, 21), end(SERVER, 21), ForwardingMethod::MASQUERADE);
        assert!(!pair.send(&plain(TCP, end(CLIENT, 5000), end(VIP, 21), SYN)), "a helper reads it");
        // A server of one service is a client of another.
        pair.execute(Command::SetSysctl(ipvs_core::Sysctl::NatIcmpSend, vec![1]));
        let other = pair.serve(UDP, end(VIP6, 53), end(SERVER6, 53), ForwardingMethod::MASQUERADE);
        assert!(!pair.send(&plain(UDP, end(SERVER6, 53), end(VIP6, 53), 0)));
        pair.listings(&[service, other]);
    });
}

/// Without entries that are set aside the daemon begins connections; what it sets aside in its turn is used.
#[test]
fn entries_run_out_and_are_set_aside_again() {
    inside(|pair| {
        pair.serve(TCP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        for round in 0..3 {
            let (mut begun, mut woken) = (0, 0);
            // The director has no turn meanwhile.
            for port in 0..200 {
                let sent = plain(TCP, end(CLIENT, 10_000 + 1000 * round + port), end(VIP, 80), SYN);
                let frame = pair.frame(&sent);
                let fast = pair.datapath.try_program(pair.front.0, &frame, 1).unwrap().frame != frame;
                begun += u32::from(fast);
                woken += u32::from(!fast);
            }
            // A sixteenth of 512, shared by the processors.
            assert!((1..=32).contains(&begun) && woken >= 168, "{begun}, {woken}");
            pair.one.settle();
            assert_eq!(pair.connections().len(), begun as usize);
            pair.one.poll(super::now() + std::time::Duration::from_secs(1000));
            assert!(pair.connections().is_empty(), "they are known to the expiry");
            pair.one.settle();
        }
    });
}
