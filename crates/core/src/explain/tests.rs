//! What is said of a packet is what then becomes of it; and saying it changes nothing at all.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipvs_flow::Line;

use super::*;
use crate::command::{
    Command, ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, ServiceConfig,
    ServiceFlags, ServiceId, Tunnel,
};
use crate::director::Config;
use crate::fast_path::FastPath;
use crate::host::AddressKind;
use crate::local_pool::PoolName;
use crate::marks::MarkRule;
use crate::memory::Lines;
use crate::random::Random;
use crate::scheduler::testing::{TestHost, ip, seconds, settings};
use crate::stats::Counters;
use crate::sysctl::Sysctl;
use crate::{Choices, ErrorLimits, NextHop, Reachability, SharedLines};

/// Destinations whose loads are shared: some are not.
const LOADS: usize = 6;

/// As [`TestHost`], with limits of errors, ways for tunnels and names of interfaces.
pub(super) struct Limited;

impl Host for Limited {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        TestHost.address_kind(address)
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn next_hop(&self, address: IpAddr) -> Option<NextHop> {
        Some(NextHop { interface: "eth1".into(), neighbour: address, reachability: Reachability::Known })
    }

    fn error_limits(&self) -> ErrorLimits {
        ErrorLimits::DEFAULT
    }

    fn source_address(&self, towards: IpAddr) -> Option<IpAddr> {
        Some(ip(if towards.is_ipv6() { "2001:db8:1::fe" } else { "10.8.0.254" }))
    }
}

/// What a fast path shares with the director, without one.
#[derive(Debug)]
struct Beside {
    loads: Arc<Vec<Line>>,
    /// Slots and next choice by service.
    sequences: BTreeMap<u32, (u32, u32, u32)>,
}

impl FastPath for Beside {
    fn take(&mut self, _: u32) -> Counters {
        Counters::default()
    }

    fn revoke(&mut self, _: u32) {}

    fn loads(&self) -> Option<SharedLines> {
        Some(self.loads.clone())
    }

    fn publish(&mut self, service: u32, choices: &Choices) -> bool {
        self.sequences.insert(service, (choices.slots.len() as u32, choices.restart, 0));
        true
    }

    fn withdraw(&mut self, service: u32) -> u32 {
        self.sequences.remove(&service).map_or(0, |(_, _, next)| next)
    }

    fn make_choice(&mut self, service: u32) -> Option<u32> {
        let (slots, restart, next) = self.sequences.get_mut(&service)?;
        let made = *next;
        *next = if made + 1 >= *slots { *restart } else { made + 1 };
        Some(made)
    }

    fn next_choice(&self, service: u32) -> Option<u32> {
        self.sequences.get(&service).map(|(_, _, next)| *next)
    }
}

/// All that a director is, as text and the words of its connection table.
fn state(director: &mut Director) -> (String, Vec<[u32; 16]>, Vec<String>) {
    // The one hash map that a trial may fill and empty: its order may change.
    let data = std::mem::take(&mut director.connections.template_data);
    let text = format!("{director:?}");
    let mut shown: Vec<_> =
        data.templates().map(|index| format!("{index:?} {:?}", data.shown(index))).collect();
    shown.sort();
    director.connections.template_data = data;
    let Lines::Real(memory) = director.connections.table.memory() else { panic!("a trial goes on") };
    (text, memory.iter().map(|line| line.to_words()).collect(), shown)
}

struct Run {
    director: Director,
    random: Random,
    now: Instant,
    /// The latest packets to virtual addresses.
    latest: Vec<Question>,
    /// What was seen, so that a run says something.
    seen: std::collections::BTreeMap<String, u32>,
    /// Nothing keeps the fast path from beginning connections.
    plain: bool,
}

fn local_pool() -> PoolName {
    PoolName::new("local").unwrap()
}

const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "twos", "lblc", "lblcr", "none"];
const PORTS: [u16; 5] = [80, 21, 443, 5060, 30_000];
const SETTINGS: [(Sysctl, i64); 11] = [
    (Sysctl::ExpireNodestConn, 1),
    (Sysctl::ExpireQuiescentTemplate, 1),
    (Sysctl::ConnReuseMode, 3),
    (Sysctl::SloppyTcp, 1),
    (Sysctl::SloppySctp, 1),
    (Sysctl::SecureTcp, 3),
    (Sysctl::NatIcmpSend, 1),
    (Sysctl::CacheBypass, 1),
    (Sysctl::DropPacket, 3),
    (Sysctl::AmDroprate, 4),
    (Sysctl::LblcrExpiration, 3),
];

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let plain = seed % 4 == 3;
        let now = Instant::from_nanos(5_000_000_000_000);
        let config = Config {
            capacity: [4, 10, 64][random.below(3) as usize],
            half_open_quota: if plain { 0 } else { [0, 2, 4][random.below(3) as usize] },
            seed,
            ..Config::default()
        };
        let mut director = Director::new(config, now).unwrap();
        if plain || random.below(2) == 0 {
            let loads: Vec<Line> = (0..LOADS).map(|_| Line::zeroed()).collect();
            director.set_fast_path(Box::new(Beside { loads: Arc::new(loads), sequences: BTreeMap::new() }));
        }
        let locals = ["10.8.0.200", "10.8.0.201", "2001:db8:1::200"].map(ip);
        director.execute(now, &Limited, Command::AddPool(local_pool(), locals.to_vec())).unwrap();
        let mut run = Self { director, random, now, latest: Vec::new(), seen: Default::default(), plain };
        for _ in 0..80 {
            run.command();
        }
        run
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    fn service_id(&mut self) -> ServiceId {
        match self.below(8) {
            0 => ServiceId::Mark { ipv6: false, mark: 1 },
            1 | 2 => ServiceId::Address { protocol: 6, address: ip("2001:db8::1"), port: 80 },
            _ => ServiceId::Address {
                protocol: self.pick(&[6, 6, 17, 132]),
                // The second is not the host's.
                address: self.pick(&[ip("10.9.0.1"), ip("10.9.0.1"), ip("10.9.0.1"), ip("10.7.0.1")]),
                port: self.pick(&[80, 80, 80, 21, 0]),
            },
        }
    }

    fn command(&mut self) {
        let id = self.service_id();
        let server = DestinationId {
            address: match id.is_ipv6() {
                true => ip(self.pick(&["2001:db8:1::1", "2001:db8:1::2"])),
                false => ip(self.pick(&["10.8.0.1", "10.8.0.2", "10.8.0.3", "10.9.0.7"])),
            },
            port: self.pick(&[80, 80, 8080, 0]),
        };
        let forwarding = ForwardingMethod(self.pick(&[0, 0, 0, 1, 2, 3, 5, 5]));
        let upper_threshold = if self.plain { 0 } else { self.pick(&[0, 0, 2, 4]) };
        let config = DestinationConfig {
            forwarding,
            flags: ConnectionFlags::default(),
            weight: self.pick(&[0, 1, 1, 1, 2, 5]),
            upper_threshold,
            lower_threshold: 0,
            tunnel: Tunnel { kind: self.pick(&[0, 1, 2]), port: 6080, flags: self.pick(&[0, 1]) },
            local_pool: (forwarding == ForwardingMethod::FULL_NAT).then(local_pool),
            proxy: None,
        };
        let command = match self.below(12) {
            0 | 1 => {
                let flags = self.pick(&[
                    0,
                    0,
                    ServiceFlags::PERSISTENT,
                    ServiceFlags::PERSISTENT,
                    ServiceFlags::ONE_PACKET,
                    ServiceFlags::SCHED1 | ServiceFlags::SCHED2,
                ]);
                let engine = matches!(id, ServiceId::Address { protocol: 17, .. }) && self.below(2) == 0;
                let config = ServiceConfig {
                    flags,
                    timeout: 30,
                    netmask: if id.is_ipv6() { 128 } else { 0xffff_ff00 },
                    persistence_engine: engine.then(|| "sip".to_owned()),
                    ..settings(SCHEDULERS[self.below(SCHEDULERS.len() as u64) as usize])
                };
                match self.director.services.find_id(&id) {
                    Some(_) => Command::EditService(id, config),
                    None => Command::AddService(id, config),
                }
            }
            2..=6 => Command::AddDestination(id, server, config),
            7 | 8 => Command::EditDestination(id, server, config),
            9 => Command::DeleteDestination(id, server),
            10 => {
                let (sysctl, most) = self.pick(&SETTINGS);
                Command::SetSysctl(sysctl, vec![self.below(most as u64 + 1) as i64])
            }
            11 if self.below(4) == 0 => Command::AddMark(MarkRule {
                protocol: 6,
                network: ip("10.9.0.1"),
                prefix: 32,
                ports: Vec::new(),
                mark: 1,
            }),
            11 if self.below(4) == 0 => Command::DeleteService(id),
            _ => return,
        };
        let special = matches!(
            command,
            Command::AddMark(_) | Command::SetSysctl(Sysctl::DropPacket | Sysctl::AmDroprate, _)
        );
        if !(self.plain && special) {
            let _ = self.director.execute(self.now, &Limited, command);
        }
    }

    fn question(&mut self) -> Question {
        if !self.latest.is_empty() && self.below(5) < 3 {
            return self.next_question();
        }
        let (client, port) = (self.below(4), self.pick(&[4000, 4001, 4002, 20]));
        let ipv6 = self.below(6) == 0;
        let client = SocketAddr::new(
            ip(&if ipv6 { format!("2001:db8:2::{client}") } else { format!("10.1.0.{client}") }),
            port,
        );
        let server = self.below(2) == 0 && self.below(2) == 0;
        let address = match (ipv6, server) {
            (true, false) => ip("2001:db8::1"),
            (true, true) => ip("2001:db8:1::1"),
            (false, false) => self.pick(&[ip("10.9.0.1"), ip("10.9.0.1"), ip("10.7.0.1")]),
            (false, true) => ip(self.pick(&["10.8.0.1", "10.8.0.2", "10.8.0.3"])),
        };
        let other = SocketAddr::new(address, self.pick(&[80, 80, 80, 8080]));
        let other = if self.below(4) == 0 { SocketAddr::new(address, self.pick(&PORTS)) } else { other };
        let (source, destination) = if server { (other, client) } else { (client, other) };
        let protocol = self.pick(&[6, 6, 6, 17, 17, 132]);
        let flags = match protocol {
            132 => self.pick(&[1, 1, 2, 0, 6, 7, 10, 11]),
            _ => self.pick(&[2, 2, 2, 2, 2, 2, 2, 0x12, 0x10, 0x11, 4, 0]),
        };
        let size = self.pick(&[0, 0, 0, 100, 1490, 1500]);
        let question = Question { protocol, source, destination, flags, size, mark: None };
        if !server {
            self.latest.truncate(5);
            self.latest.insert(0, question);
        }
        question
    }

    /// One that follows a packet: from its client, or an answer of the server of its connection.
    fn next_question(&mut self) -> Question {
        let number = self.below(self.latest.len() as u64) as usize;
        let it = self.latest[number];
        let flags = match it.protocol {
            132 => self.pick(&[1, 2, 0, 6, 7, 10, 11]),
            _ => self.pick(&[2, 0x12, 0x10, 0x10, 0x10, 0x11, 4]),
        };
        let ends = Ends::read(&it.packet().unwrap()).unwrap();
        let server = self.director.match_of(&ends).and_then(|found| match found {
            crate::receive::Match::Inbound(index) => self.director.ends(index),
            crate::receive::Match::Outbound(_) => None,
        });
        match server {
            Some(server) if self.below(2) == 0 => {
                let source = SocketAddr::new(server.server_address, server.server_port);
                let destination = server.local.map_or(it.source, SocketAddr::from);
                Question { source, destination, flags, ..it }
            }
            _ => Question { flags, ..it },
        }
    }

    /// The packet of a question; datagrams carry a SIP message.
    fn packet(&mut self) -> Vec<u8> {
        let question = self.question();
        let mut bytes = question.packet().unwrap();
        let call = format!("BYE\r\ni: {}\r\n", self.below(4));
        let start = if question.source.is_ipv6() { 48 } else { 28 };
        if question.protocol == 17
            && let Some(place) = bytes.get_mut(start..start + call.len())
        {
            place.copy_from_slice(call.as_bytes());
            let headers = ipvs_wire::Headers::parse(&bytes).unwrap();
            ipvs_wire::checksum::fill_transport(&mut bytes, &headers);
        }
        bytes
    }

    fn step(&mut self) {
        match self.below(20) {
            0..3 => self.command(),
            3 | 4 => {
                let most = self.pick(&[1, 3, 40, 200]);
                self.now = self.now + seconds(self.random.below(most));
                while self.director.poll_timeout().is_some_and(|due| due <= self.now) {
                    self.director.poll(self.now);
                }
                self.director.settle();
            }
            _ => {
                self.compare();
                if self.below(2) == 0 {
                    self.director.settle();
                }
            }
        }
    }

    fn compare(&mut self) {
        if self.below(4) == 0 {
            self.director.settle();
        }
        let bytes = self.packet();
        let before = state(&mut self.director);
        let make = |bytes: &[u8]| {
            let mut buffer = vec![0; 2048];
            buffer[128..128 + bytes.len()].copy_from_slice(bytes);
            buffer
        };
        let (mut tried, mut real) = (make(&bytes), make(&bytes));
        let mut packet = Packet::new(&mut tried, 128, bytes.len());
        let (said, steps) = self.director.try_packet(self.now, &Limited, &mut packet, None);
        let made = packet.as_slice().to_vec();
        let after = state(&mut self.director);
        assert_eq!(before.0, after.0, "{steps:#?}");
        assert_eq!((before.1, before.2), (after.1, after.2), "{steps:#?}");
        let lasting = self.lasting(&bytes);
        if steps
            .iter()
            .any(|step| step.facts.iter().any(|(name, _)| name == "local" && step.name == "connection"))
        {
            *self.seen.entry("full NAT".into()).or_default() += 1;
        }
        let mut packet = Packet::new(&mut real, 128, bytes.len());
        let verdict = self.director.receive(self.now, &Limited, &mut packet);
        assert_eq!((said, made.as_slice()), (verdict, packet.as_slice()), "{steps:#?}");
        self.compare_connection(&bytes, &steps);
        let takes = ("takes".to_owned(), Fact::Flag(true));
        if steps.iter().any(|step| step.name == "fast-path" && step.facts.contains(&takes)) {
            let changes = ("changes".to_owned(), Fact::Flag(true));
            let changes = steps.iter().any(|step| step.facts.contains(&changes));
            assert_eq!(lasting != self.lasting(&bytes), changes, "{steps:#?}");
            *self.seen.entry(format!("fast-path changes state: {changes}")).or_default() += 1;
            *self.seen.entry("fast-path takes it".into()).or_default() += 1;
            let begins = steps.iter().any(|step| step.name == "service");
            *self.seen.entry(format!("fast-path begins it: {begins}")).or_default() += 1;
        }
        for step in &steps {
            *self.seen.entry(step.name.clone()).or_default() += 1;
        }
        if let Verdict::Drop(reason) | Verdict::Reply(reason) = verdict {
            *self.seen.entry(reason.name().into()).or_default() += 1;
        }
    }

    /// What the fast path leaves of a packet's connection: state, timeout, flags.
    fn lasting(&self, bytes: &[u8]) -> Option<(u8, u32, u16)> {
        let (crate::receive::Match::Inbound(index) | crate::receive::Match::Outbound(index)) =
            self.director.match_of(&Ends::read(bytes)?)?;
        let entry = self.director.connections.table.entry(index)?;
        Some((entry.state(), entry.timeout(), entry.flags()))
    }

    /// What was said of the connection that the packet leaves is true.
    fn compare_connection(&mut self, bytes: &[u8], steps: &[Step]) {
        let said = steps.iter().find(|step| step.name == "connection-after");
        let true_one = Ends::read(bytes).and_then(|ends| self.director.describe_after(self.now, &ends));
        assert_eq!(said, true_one.as_ref());
    }
}

#[test]
fn what_is_said_comes_true_and_nothing_changes() {
    let mut seen: std::collections::BTreeMap<String, u32> = Default::default();
    for seed in 0..160 {
        let mut run = Run::new(seed);
        for _ in 0..150 {
            run.step();
        }
        for (name, count) in run.seen {
            *seen.entry(name).or_default() += count;
        }
    }
    println!("{seen:?}");
    for name in [
        "candidate",
        "connection",
        "connection-after",
        "connection-ends",
        "evicted",
        "full NAT",
        "fast-path",
        "fast-path takes it",
        "fast-path begins it: true",
        "fast-path changes state: true",
        "fast-path changes state: false",
        "next-hop",
        "not-scheduled",
        "rewrite",
        "scheduler",
        "server-begins",
        "service",
        "template",
        "defence",
        "destination-unavailable",
        "no-connection",
        "no-destination",
        "no-persistence-data",
        "not-served",
        "table-full",
        "too-big",
    ] {
        assert!(seen.get(name).is_some_and(|count| *count > 1), "too little of {name}: {seen:?}");
    }
}
