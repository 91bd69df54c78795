//! The XDP program with its director against a director alone: the same packets give the same bytes, the same table and
//! the same counters.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipvs_core::{
    Command, Config, DestinationConfig, DestinationId, Director, ForwardingMethod, Instant, Packet, Reply,
    ServiceConfig, ServiceId, TableMemory, Timeouts, Tunnel, Verdict,
};
use ipvs_datapath::{Datapath, FastPathOptions, Options, Shared, XdpMode};
use ipvs_flow::Line;
use ipvs_wire::{Headers, checksum};
use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestRunner};
use rustix::time::{ClockId, clock_gettime};

use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};

const TCP: u8 = 6;
const UDP: u8 = 17;
const CAPACITY: u32 = 512;
const CLIENT: &str = "10.1.0.2";
const CLIENT6: &str = "fd01::2";

/// Verdict of XDP.
const REDIRECT: u32 = 4;

/// Memory that the test keeps an eye on.
#[derive(Clone)]
struct Watched(Arc<dyn AsRef<[Line]> + Send + Sync>);

impl AsRef<[Line]> for Watched {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

struct Lines(Box<[Line]>);

impl AsRef<[Line]> for Lines {
    fn as_ref(&self) -> &[Line] {
        &self.0
    }
}

struct Unboxed(Box<dyn AsRef<[Line]> + Send + Sync>);

impl AsRef<[Line]> for Unboxed {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

fn watched(memory: TableMemory) -> Watched {
    match memory {
        TableMemory::Heap(lines) => Watched(Arc::new(Lines(lines))),
        TableMemory::Shared(lines) => Watched(Arc::new(Unboxed(lines))),
    }
}

impl Watched {
    fn director(&self, config: Config, now: Instant) -> Director {
        Director::in_memory(config, now, TableMemory::Shared(Box::new(self.clone()))).unwrap()
    }

    /// All words, the ticks of entries' latest packets aside (word 13), which differ by the time between two runs.
    fn words(&self) -> Vec<[u32; 16]> {
        let entries = self.as_ref().len() - CAPACITY as usize;
        let words = |(number, line): (usize, &Line)| {
            let mut words = line.to_words();
            if number >= entries {
                words[13] = 0;
            }
            words
        };
        self.as_ref().iter().enumerate().map(words).collect()
    }
}

fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Both, side by side, in the director's namespace.
struct Pair {
    datapath: Datapath,
    /// With the program in front.
    one: Director,
    /// Alone.
    other: Director,
    one_table: Watched,
    other_table: Watched,
    /// The interfaces, by (index, hardware address).
    front: (u32, [u8; 6]),
    back: (u32, [u8; 6]),
    forwarded: u32,
    /// What makes the other ends ready.
    ends: Vec<Datapath>,
}

/// A frame that comes in.
#[derive(Clone, Debug)]
struct Sent {
    protocol: u8,
    from: SocketAddr,
    to: SocketAddr,
    flags: u8,
    payload: usize,
    hop_limit: u8,
    /// What is done to the frame afterwards.
    twist: Twist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    None,
    /// The checksum left to hardware.
    Partial,
    /// A wrong transport checksum: nobody's business on the way.
    Wrong,
    /// UDP without checksum.
    NoChecksum,
    /// The IPv4 header's checksum is wrong.
    BadHeader,
    /// A first fragment.
    Fragment,
    /// Bytes behind the packet.
    Trailer,
    /// IPv4 header options.
    Options,
    /// The frame ends early.
    Short,
}

impl Sent {
    fn packet(&self) -> Vec<u8> {
        let transport = if self.protocol == TCP { 20 } else { 8 };
        let ip = if self.from.is_ipv4() { 20 } else { 40 };
        let mut packet = vec![0; ip + transport];
        packet.extend((0..self.payload).map(|byte| (byte * 7) as u8));
        let len = packet.len();
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                packet[0] = 0x45;
                packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                packet[4..6].copy_from_slice(&[0x12, 0x34]);
                packet[6] = if self.twist == Twist::Fragment { 0x20 } else { 0x40 };
                packet[8] = self.hop_limit;
                packet[9] = self.protocol;
                packet[12..16].copy_from_slice(&from.octets());
                packet[16..20].copy_from_slice(&to.octets());
                if self.twist == Twist::Options {
                    packet[0] = 0x46;
                    packet.splice(20..20, [1, 1, 1, 0]);
                    let len = packet.len() as u16;
                    packet[2..4].copy_from_slice(&len.to_be_bytes());
                }
                checksum::fill_ipv4_header(&mut packet);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                packet[0] = 0x60;
                packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
                packet[6] = self.protocol;
                packet[7] = self.hop_limit;
                packet[8..24].copy_from_slice(&from.ip_octets());
                packet[24..40].copy_from_slice(&to.ip_octets());
            }
            _ => panic!("two families"),
        }
        let whole = Headers { fragment: ipvs_wire::Fragment::Whole, ..Headers::parse(&packet).unwrap() };
        let at = whole.transport;
        packet[at..at + 2].copy_from_slice(&self.from.port().to_be_bytes());
        packet[at + 2..at + 4].copy_from_slice(&self.to.port().to_be_bytes());
        let field = if self.protocol == TCP {
            packet[at + 12] = 0x50;
            packet[at + 13] = self.flags;
            at + 16
        } else {
            let len = (8 + self.payload) as u16;
            packet[at + 4..at + 6].copy_from_slice(&len.to_be_bytes());
            at + 6
        };
        checksum::fill_transport(&mut packet, &whole);
        match self.twist {
            Twist::Partial => {
                let ipv6 = self.from.is_ipv6();
                let pseudo = checksum::pseudo_header(&packet, ipv6, self.protocol, packet.len() - at);
                packet[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
            }
            Twist::Wrong => packet[field] ^= 0x55,
            Twist::NoChecksum if self.protocol == UDP => packet[field..field + 2].fill(0),
            Twist::BadHeader if self.from.is_ipv4() => packet[11] ^= 1,
            Twist::Trailer => packet.extend([0xee; 40]),
            Twist::Short => packet.truncate(packet.len() - 1),
            _ => {}
        }
        packet
    }
}

trait Octets {
    fn ip_octets(&self) -> [u8; 16];
}

impl Octets for std::net::Ipv6Addr {
    fn ip_octets(&self) -> [u8; 16] {
        self.octets()
    }
}

impl Pair {
    /// Opens both, with links whose other ends take frames: they have programs of their own.
    fn open(topology: &Topology) -> Self {
        let ready = |namespace: &crate::namespace::Namespace| {
            let options = Options { xdp_mode: XdpMode::Native, frames_per_queue: 64, ..Options::default() };
            namespace.run(|| Datapath::open(&options).unwrap())
        };
        let ends = [ready(&topology.client), ready(&topology.server)];
        Self { ends: Vec::from(ends), ..Self::open_as_it_is(topology) }
    }

    /// Opens both. Neighbours are known beforehand.
    fn open_as_it_is(topology: &Topology) -> Self {
        let mac = |namespace: &crate::namespace::Namespace, link: &str| {
            let text = namespace.ip(&format!("-o link show {link}"));
            let words: Vec<&str> = text.split_whitespace().collect();
            let place = words.iter().position(|word| *word == "link/ether").unwrap();
            words[place + 1].to_owned()
        };
        let (client, server) = (mac(&topology.client, "c0"), mac(&topology.server, "s0"));
        for (address, mac, link) in [
            (CLIENT, &client, "d0"),
            (CLIENT6, &client, "d0"),
            (SERVER, &server, "d1"),
            (SERVER6, &server, "d1"),
        ] {
            topology.director.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev {link}"));
        }
        for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{family}"), "1").unwrap();
        }
        let interface = |link: &str| {
            let text = topology.director.ip(&format!("-o link show {link}"));
            let index = text.split(':').next().unwrap().trim().parse().unwrap();
            let octets: Vec<u8> = mac(&topology.director, link)
                .split(':')
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                .collect();
            (index, octets.try_into().unwrap())
        };
        let config = Config { capacity: CAPACITY, seed: 99, ..Config::default() };
        let options = Options {
            xdp_mode: XdpMode::Native,
            frames_per_queue: 256,
            fast_path: Some(FastPathOptions {
                capacity: CAPACITY,
                hash_key: config.hash_key(),
                destinations: 64,
            }),
            ..Options::default()
        };
        let mut datapath = Datapath::open(&options).unwrap();
        let Shared { memory, fast_path } = datapath.take_shared().unwrap();
        let one_table = watched(memory);
        let other_table = watched(TableMemory::heap(CAPACITY).unwrap());
        let start = now();
        let mut one = one_table.director(config, start);
        one.set_fast_path(fast_path);
        let other = other_table.director(config, start);
        let (front, back) = (interface("d0"), interface("d1"));
        Self { datapath, one, other, one_table, other_table, front, back, forwarded: 0, ends: Vec::new() }
    }

    fn execute(&mut self, command: Command) -> Reply {
        let now = now();
        let one = self.one.execute(now, self.datapath.host(), command.clone());
        let other = self.other.execute(now, self.datapath.host(), command);
        assert_eq!(one, other);
        self.follow();
        one.unwrap()
    }

    fn follow(&mut self) {
        let _ = (self.one.take_interest_changes(), self.other.take_interest_changes());
        let changes = self.one.take_destination_changes();
        self.datapath.follow_director(&changes, &self.one.state_timeouts());
    }

    fn serve(
        &mut self,
        protocol: u8,
        at: SocketAddr,
        server: SocketAddr,
        forwarding: ForwardingMethod,
    ) -> ServiceId {
        let id = ServiceId::Address { protocol: protocol.into(), address: at.ip(), port: at.port() };
        let netmask = if at.is_ipv4() { u32::MAX } else { 128 };
        self.execute(Command::AddService(
            id,
            ServiceConfig {
                scheduler: "rr".into(),
                persistence_engine: None,
                flags: 0,
                flags_mask: u32::MAX,
                timeout: 0,
                netmask,
            },
        ));
        self.add(id, server, forwarding);
        id
    }

    fn add(&mut self, service: ServiceId, server: SocketAddr, forwarding: ForwardingMethod) {
        self.execute(Command::AddDestination(
            service,
            DestinationId { address: server.ip(), port: server.port() },
            DestinationConfig {
                forwarding,
                weight: 1,
                upper_threshold: 0,
                lower_threshold: 0,
                tunnel: Tunnel::default(),
            },
        ));
    }

    /// Gives a packet to both; whether the program forwarded it.
    fn send(&mut self, sent: &Sent) -> bool {
        let packet = sent.packet();
        let from_client = [CLIENT, CLIENT6].contains(&sent.from.ip().to_string().as_str());
        let (index, own) = if from_client { self.front } else { self.back };
        let mut frame = own.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9]);
        frame.extend(if sent.from.is_ipv4() { [8, 0] } else { [0x86, 0xdd] });
        frame.extend(&packet);
        let trial = self.datapath.try_program(index, &frame, 1).unwrap();
        let now = now();
        let (verdict, bytes) = judge(&mut self.other, &self.datapath, now, &packet);
        // A hand-over is a redirect as well: to the socket, unchanged.
        let fast = trial.action == REDIRECT && trial.frame != frame;
        if fast {
            assert!(matches!(verdict, Verdict::Forward { .. }), "{sent:?}: {verdict:?}");
            assert_eq!(trial.frame[14..14 + bytes.len()], bytes, "{sent:?}");
            assert_eq!(trial.frame.len(), frame.len());
            let to = if let Verdict::Forward { next } = verdict { next.to_string() } else { String::new() };
            let by = if [CLIENT, CLIENT6].contains(&to.as_str()) { self.front.1 } else { self.back.1 };
            assert_eq!(trial.frame[6..12], by, "{sent:?}");
            self.forwarded += 1;
        } else {
            assert_eq!(trial.frame, frame, "{sent:?}: handed over changed");
            let one = judge(&mut self.one, &self.datapath, now, &packet);
            assert_eq!(one, (verdict, bytes), "{sent:?}");
        }
        // Sent, and nothing more came.
        self.one.settle();
        self.one.settle();
        assert!(!self.one.is_unsettled());
        assert!(self.one_table.words() == self.other_table.words(), "{sent:?}: the tables differ");
        fast
    }

    fn listings(&mut self, services: &[ServiceId]) {
        for service in services {
            self.execute(Command::GetService(*service));
            self.execute(Command::ListDestinations { service: *service, cursor: 0, limit: 100 });
        }
        self.execute(Command::GetStats);
    }
}

fn judge(director: &mut Director, datapath: &Datapath, now: Instant, packet: &[u8]) -> (Verdict, Vec<u8>) {
    let mut buffer = vec![0; 4096];
    buffer[256..256 + packet.len()].copy_from_slice(packet);
    let bytes = &mut buffer[256..256 + packet.len()];
    if let Ok(headers) = Headers::parse(bytes) {
        checksum::complete_partial(bytes, &headers);
    }
    let mut packet = Packet::new(&mut buffer, 256, packet.len());
    let verdict = director.receive(now, datapath.host(), &mut packet);
    (verdict, packet.as_slice().to_vec())
}

const SYN: u8 = 2;
const ACK: u8 = 0x10;

fn plain(protocol: u8, from: SocketAddr, to: SocketAddr, flags: u8) -> Sent {
    Sent { protocol, from, to, flags, payload: 100, hop_limit: 64, twist: Twist::None }
}

/// In the director's namespace.
fn inside(test: impl FnOnce(&mut Pair) + Send) {
    let topology = Topology::new();
    topology.director.run(|| test(&mut Pair::open(&topology)));
}

#[test]
fn established_connections_are_forwarded_by_the_program() {
    inside(|pair| {
        for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
            for (protocol, port) in [(TCP, 80), (UDP, 53)] {
                let service =
                    pair.serve(protocol, end(vip, port), end(server, 8080), ForwardingMethod::MASQUERADE);
                let direct = pair.serve(protocol, end(vip, 81), end(server, 81), ForwardingMethod::DIRECT);
                let out = |flags| plain(protocol, end(client, 4000), end(vip, port), flags);
                let back = |flags| plain(protocol, end(server, 8080), end(client, 4000), flags);
                // The opening is the daemon's.
                assert!(!pair.send(&out(SYN)));
                assert!(!pair.send(&back(SYN | ACK)) || protocol == UDP);
                assert!(!pair.send(&out(ACK)) || protocol == UDP);
                assert!(pair.send(&out(ACK)) && pair.send(&back(ACK)));
                assert!(!pair.send(&plain(protocol, end(client, 4001), end(vip, 81), SYN)));
                // Direct routing sees one side only: the first ACK establishes.
                assert!(
                    !pair.send(&plain(protocol, end(client, 4001), end(vip, 81), ACK)) || protocol == UDP
                );
                assert!(pair.send(&plain(protocol, end(client, 4001), end(vip, 81), ACK)));
                pair.listings(&[service, direct]);
                // Of another timeout the table must learn.
                pair.execute(Command::SetTimeouts(Timeouts { tcp: 50, tcp_fin: 0, udp: 60 }));
                assert!(!pair.send(&out(ACK)) && pair.send(&out(ACK)));
                pair.execute(Command::SetTimeouts(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }));
                // What is counted is not lost with the destination, nor found at another.
                let id = DestinationId { address: end(server, 8080).ip(), port: 8080 };
                pair.send(&out(ACK));
                pair.send(&out(ACK));
                pair.execute(Command::DeleteDestination(service, id));
                assert!(!pair.send(&out(ACK)) && !pair.send(&back(ACK)));
                pair.listings(&[service]);
                pair.add(service, end(server, 8080), ForwardingMethod::MASQUERADE);
                assert!(pair.send(&out(ACK)) && pair.send(&back(ACK)));
                pair.listings(&[service]);
                pair.execute(Command::Zero(Some(service)));
                pair.send(&out(ACK));
                pair.listings(&[service, direct]);
            }
        }
        pair.execute(Command::Zero(None));
        pair.execute(Command::Flush);
        assert!(!pair.send(&plain(TCP, end(CLIENT, 4001), end(VIP, 81), ACK)));
    });
}

fn sent() -> impl Strategy<Value = (bool, Sent)> {
    let twist = prop_oneof![
        12 => Just(Twist::None),
        1 => Just(Twist::Partial),
        2 => Just(Twist::Wrong),
        1 => Just(Twist::NoChecksum),
        1 => Just(Twist::BadHeader),
        1 => Just(Twist::Fragment),
        1 => Just(Twist::Trailer),
        1 => Just(Twist::Options),
        1 => Just(Twist::Short),
    ];
    let flags = prop_oneof![6 => Just(ACK), 2 => Just(ACK | 8), 1 => Just(SYN), 1 => Just(SYN | ACK), 1 => any::<u8>()];
    let hop_limit = prop_oneof![8 => 2u8.., 1 => 0u8..3];
    let payload = prop_oneof![4 => 0usize..80, 1 => 1300usize..1480];
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0u16..4, flags, payload, hop_limit, twist)
        .prop_map(|(ipv6, udp, direct, back, client_port, flags, payload, hop_limit, twist)| {
            let (client, vip, server) = if ipv6 { (CLIENT6, VIP6, SERVER6) } else { (CLIENT, VIP, SERVER) };
            let client = end(client, 4000 + client_port);
            let port = if direct { 81 } else { 80 };
            let (from, to) = if back {
                (end(server, if direct { 81 } else { 8080 }), client)
            } else {
                (client, end(vip, port))
            };
            let protocol = if udp { UDP } else { TCP };
            (direct, Sent { protocol, from, to, flags, payload, hop_limit, twist })
        })
}

#[test]
fn any_packets_meet_the_same_fate() {
    inside(|pair| {
        let mut services = Vec::new();
        for (vip, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
            for protocol in [TCP, UDP] {
                services.push(pair.serve(
                    protocol,
                    end(vip, 80),
                    end(server, 8080),
                    ForwardingMethod::MASQUERADE,
                ));
                services.push(pair.serve(protocol, end(vip, 81), end(server, 81), ForwardingMethod::DIRECT));
            }
        }
        let config = RunnerConfig { failure_persistence: None, ..RunnerConfig::with_cases(6000) };
        let pair = std::cell::RefCell::new(pair);
        TestRunner::new(config)
            .run(&sent(), |(_, sent)| {
                pair.borrow_mut().send(&sent);
                Ok(())
            })
            .unwrap();
        let mut pair = pair.borrow_mut();
        pair.listings(&services);
        println!("{} of 6000 packets forwarded by the program", pair.forwarded);
        assert!(pair.forwarded > 1000, "{}", pair.forwarded);
    });
}

#[test]
fn a_flooded_frame_is_not_forwarded() {
    inside(|pair| {
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let sent = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        pair.send(&sent);
        assert!(pair.send(&sent));
        let mut frame = vec![2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 9, 8, 0];
        frame.extend(sent.packet());
        let trial = pair.datapath.try_program(pair.front.0, &frame, 1).unwrap();
        assert_eq!(trial.frame, frame);
    });
}

#[test]
fn ways_follow_the_network() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        let mut ends = std::mem::take(&mut pair.ends);
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let out = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        let back = plain(UDP, end(SERVER, 8080), end(CLIENT, 4000), 0);
        pair.send(&out);
        assert!(pair.send(&out) && pair.send(&back));
        // Where frames go, zero if the daemon is to send them.
        let to = |pair: &Pair, sent: &Sent, (index, own): (u32, [u8; 6])| {
            let mut frame = own.to_vec();
            frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
            frame.extend(sent.packet());
            let trial = pair.datapath.try_program(index, &frame, 1).unwrap();
            if trial.frame == frame { [0; 6] } else { trial.frame[..6].try_into().unwrap() }
        };
        let mut until = |what: &str, to_server: [u8; 6], to_client: [u8; 6]| {
            let mut seen = Default::default();
            for _ in 0..500 {
                pair.datapath.turn(now(), &mut pair.one);
                seen = (to(pair, &out, pair.front), to(pair, &back, pair.back));
                if seen == (to_server, to_client) {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("{what}: {seen:?}");
        };
        let director = &topology.director;
        director.ip(&format!("neigh replace {SERVER} lladdr 02:00:00:00:00:aa nud permanent dev d1"));
        director.ip(&format!("neigh replace {CLIENT} lladdr 02:00:00:00:00:bb nud permanent dev d0"));
        let (aa, bb, none) = ([2, 0, 0, 0, 0, 0xaa], [2, 0, 0, 0, 0, 0xbb], [0; 6]);
        until("other neighbours", aa, bb);
        director.ip("route add blackhole 10.2.0.2/32");
        // Nor is a packet from it known as its.
        until("no way to the server", none, none);
        director.ip("route del blackhole 10.2.0.2/32");
        until("a way again", aa, bb);
        director.ip("link set d1 mtu 100");
        until("too large for the link", none, bb);
        director.ip("link set d1 mtu 1500");
        until("small enough again", aa, bb);
        director.ip("route add blackhole 10.1.0.2/32");
        until("no way to the client", aa, none);
        director.ip("route del blackhole 10.1.0.2/32");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        until("a host that does not forward", aa, none);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        until("one that does", aa, bb);
        // The other end no longer takes frames.
        ends.pop();
        until("a link to the server that loses frames", none, none);
    });
}

#[test]
fn what_follows_a_change_does_not_overtake_it() {
    inside(|pair| {
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let sent = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        let packet = sent.packet();
        let (index, own) = pair.front;
        let mut frame = own.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
        frame.extend(&packet);
        let forwarded = |pair: &Pair| pair.datapath.try_program(index, &frame, 1).unwrap().frame != frame;
        judge(&mut pair.one, &pair.datapath, now(), &packet);
        assert!(!forwarded(pair), "the first packet is being sent");
        pair.one.settle();
        assert!(!forwarded(pair), "another may wait in the socket");
        pair.one.settle();
        assert!(forwarded(pair));
    });
}

#[test]
fn a_link_that_loses_frames_is_the_daemons() {
    let topology = Topology::new();
    topology.director.run(|| {
        // Neither GRO nor a program at the other ends.
        let pair = &mut Pair::open_as_it_is(&topology);
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let sent = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        for _ in 0..3 {
            assert!(!pair.send(&sent));
            assert!(!pair.send(&plain(UDP, end(SERVER, 8080), end(CLIENT, 4000), 0)));
        }
    });
}
