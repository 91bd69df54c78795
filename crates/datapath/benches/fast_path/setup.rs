//! A loaded program of the measurement (`crates/xdp/src/bench.rs`) with its connections, and a run of it.

use aya::maps::{Array, DevMap, HashMap};
use aya::programs::{TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader};
use ipvs_datapath::{BulkLookup, FastPathOptions};
use ipvs_flow::least::Measure;
use ipvs_flow::pick::{self, Candidate, Rule, SLOTS_PER_CANDIDATE, SLOTS_PER_LINE, Slot};
use ipvs_flow::steady::{BIRTHS, SECURE_TCP};
use ipvs_flow::way::{self, Tunnel, Way};
use ipvs_flow::{
    Address, HeapTable, Key, Layout, Line, Load, NewConnection, RING_LINES, Ring, Table, Tick, flag,
};
use ipvs_wire::tunnel::Encapsulation;

use crate::namespace::Namespace;
use crate::plain;
use crate::turn::Kind;

const HASH_KEY: [u64; 2] = [0x0123_4567, 0x89ab_cdef];
pub(crate) const VIP: [u8; 4] = [10, 1, 0, 100];
pub(crate) const SERVER: [u8; 4] = [10, 2, 0, 2];
pub(crate) const REDIRECT: u32 = 4;
pub(crate) const TX: u32 = 3;
const DESTINATIONS: u32 = 128;
const PICK_LINES: u32 = DESTINATIONS * SLOTS_PER_CANDIDATE / SLOTS_PER_LINE;
const TIMEOUT: u32 = 1000;
/// Networks of 16 bits: clients, and local addresses of full NAT.
pub(crate) const CLIENTS: u32 = 0x0a64_0000;
const LOCALS: u32 = 0x0a65_0000;
/// The number of full NAT among forwarding methods.
const FULL_NAT: u16 = 5;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const SYN: u8 = 0x02;
/// Connections that are begun in a round, and entries set aside for that.
pub(crate) const BIRTHS_EACH: u32 = 8000;

pub(crate) struct Interface {
    pub(crate) index: u32,
    hardware: [u8; 6],
}

fn interface(namespace: &Namespace, name: &str) -> Interface {
    let text = namespace.ip(&format!("-o link show {name}"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let place = words.iter().position(|word| *word == "link/ether").unwrap();
    let octets = words[place + 1].split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap());
    Interface {
        index: text.split(':').next().unwrap().trim().parse().unwrap(),
        hardware: octets.collect::<Vec<_>>().try_into().unwrap(),
    }
}

/// How packets reach the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Masquerading,
    Direct,
    Tunnel,
    FullNat,
    /// None of the director's: a plain balancer over each of its tables.
    Plain,
}

impl Method {
    /// Flags of its connections.
    const fn flags(self) -> u16 {
        match self {
            Self::Masquerading | Self::Plain => 0,
            Self::FullNat => FULL_NAT | flag::TRANSLATED,
            Self::Direct => 0x83,
            Self::Tunnel => 0x82,
        }
    }
}

/// A loaded program with `flows` connections.
pub(crate) struct Setup {
    pub(crate) ebpf: Ebpf,
    front: Interface,
    pub(crate) back: Interface,
    method: Method,
    /// Where the next run's flows begin.
    random: u32,
    /// Whether packets grow.
    tunnel: bool,
    /// Kinds of packets that all flows have had one of.
    met: Vec<Kind>,
}

impl Setup {
    pub(crate) fn new(object: &[u8], flows: u32, method: Method, director: &Namespace) -> Self {
        let entries = if method == Method::FullNat { 2 } else { 1 };
        Self::with(object, (flows, entries * flows), method, director)
    }

    /// With a table of another capacity.
    pub(crate) fn with(
        object: &[u8],
        (flows, capacity): (u32, u32),
        method: Method,
        director: &Namespace,
    ) -> Self {
        let (front, back) = (interface(director, "d0"), interface(director, "d1"));
        let layout = Layout::for_capacity(capacity).unwrap();
        let lines = layout.lines_with_cache();
        let memory: Box<[Line]> = (0..lines).map(|_| Line::zeroed()).collect();
        let table: HeapTable = Table::over(memory, capacity, HASH_KEY).unwrap();
        for flow in 0..flows {
            let key = Key {
                ipv6: false,
                template: false,
                protocol: 6,
                client: Address::from((CLIENTS | flow & 0xffff).to_be_bytes()),
                client_port: (1024 + (flow >> 16)) as u16,
                virtual_address: Address::from(VIP),
                virtual_port: 80,
            };
            let flags = method.flags();
            let new = NewConnection {
                key,
                destination: 3,
                destination_port: 8080,
                flags,
                state: 1,
                timeout: TIMEOUT,
            };
            let index = table.insert(&new, Tick(0)).unwrap();
            if method == Method::FullNat {
                let local = Address::from((LOCALS | flow & 0xffff).to_be_bytes());
                let server = Address::from(SERVER);
                let key = Key { client: local, virtual_address: server, virtual_port: 8080, ..key };
                let flags = flags | flag::REPLY;
                let reply = NewConnection { key, destination: index.0, flags, state: 0, timeout: 0, ..new };
                let reply = table.insert(&reply, Tick(0)).unwrap();
                table.set_beside(index, reply.0 + 1);
            }
        }
        let constants = constants(layout);
        let processors = aya::util::nr_cpus().unwrap() as u32;
        let is_plain = method == Method::Plain;
        let (plain_entries, plain_lines) =
            if is_plain { (plain::entries(flows), plain::lines(flows)) } else { (1, 1) };
        let mut ebpf = EbpfLoader::new()
            .override_global("CONSTANTS", &constants, true)
            .override_global("PLAIN_MASK", &(plain::lines(flows) - 1), true)
            .map_max_entries("plain_lru", plain_entries)
            .map_max_entries("plain_hash", plain_entries)
            .map_max_entries("plain_lines", plain_lines)
            .map_max_entries("connections", lines)
            .map_max_entries("ways", DESTINATIONS)
            .map_max_entries("events", RING_LINES * processors)
            .map_max_entries("grants", RING_LINES * processors)
            .map_max_entries("picks", 1)
            .map_max_entries("pick_slots", PICK_LINES)
            .map_max_entries("traffic", DESTINATIONS * processors)
            .load(object)
            .unwrap();
        let mut connections: Array<_, [u32; 16]> = ebpf.map_mut("connections").unwrap().try_into().unwrap();
        for (number, line) in table.memory().iter().enumerate() {
            let words = line.to_words();
            if words != [0; 16] {
                connections.set(number as u32, words, 0).unwrap();
            }
        }
        // The server's port.
        let mut server_ports: Array<_, u64> = ebpf.map_mut("server_ports").unwrap().try_into().unwrap();
        let port = 8080u16.to_be();
        server_ports.set(u32::from(port >> 6), 1 << (port & 63), 0).unwrap();
        let mut timeouts: Array<_, [u32; 16]> = ebpf.map_mut("timeouts").unwrap().try_into().unwrap();
        let mut all = [TIMEOUT; 16];
        all[SECURE_TCP] = 0;
        timeouts.set(0, all, 0).unwrap();
        // Programs of before VLAN devices knew less of interfaces.
        assert!([&front, &back].iter().all(|port| {
            let mut value = [0; 20];
            value[..4].copy_from_slice(&port.index.to_ne_bytes());
            value[4..10].copy_from_slice(&port.hardware);
            value[10] = 1;
            value[12..16].copy_from_slice(&port.index.to_ne_bytes());
            let [short @ .., _, _, _, _, _, _, _, _] = value;
            set_port(&mut ebpf, port.index, value) || set_port(&mut ebpf, port.index, short)
        }));
        let programs = if is_plain { &plain::PROGRAMS[..] } else { &[] };
        for name in ["empty", "redirect", "make", "make_and_forward"].iter().chain(programs) {
            let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
            program.load().unwrap();
        }
        let mut setup =
            Self { ebpf, front, back, method, random: 0x9e37_79b9, tunnel: false, met: Vec::new() };
        setup.set_way(None);
        if is_plain {
            setup.fill_plain(flows);
        }
        setup
    }

    /// Sets the way to all destinations: over IPv6 or not, and what stands between.
    pub(crate) fn set_way(&mut self, tunnel: Option<(bool, Encapsulation)>) {
        self.tunnel = tunnel.is_some();
        let line = Line::zeroed();
        let hardware = [[2, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 2]].map(u32::from_ne_bytes);
        let ipv6 = tunnel.is_some_and(|(ipv6, _)| ipv6);
        let address = |last: u8| match ipv6 {
            true => Address::from([0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]),
            false => Address::from([SERVER[0], SERVER[1], SERVER[2], last]),
        };
        let way =
            Way { address: address(SERVER[3]), interface: self.back.index, mtu: 1500, hardware, tag: 0 };
        let tunnel = tunnel.map(|(ipv6, encapsulation)| Tunnel {
            source: address(1),
            ipv6,
            encapsulation,
            room: 1500 - encapsulation.overhead(ipv6) as u32,
        });
        way::write(&line, &way, tunnel.as_ref());
        let mut ways: Array<_, [u32; 16]> = self.ebpf.map_mut("ways").unwrap().try_into().unwrap();
        (0..DESTINATIONS).for_each(|destination| ways.set(destination, line.to_words(), 0).unwrap());
    }

    pub(crate) fn forwarded(&mut self) -> u64 {
        let traffic: Array<_, [u64; 8]> = self.ebpf.map_mut("traffic").unwrap().try_into().unwrap();
        let directors: u64 = traffic.iter().map(|line| line.unwrap()).map(|line| line[0] + line[2]).sum();
        directors + self.forwarded_by_plain()
    }

    /// Makes the program choose one destination, or the least loaded of several, and sets entries aside on all processors from
    /// `first` on.
    pub(crate) fn expect_births(&mut self, destinations: u32, first: u32) {
        let mut set = |name: &str, lines: &[Line]| {
            let mut map: Array<_, [u32; 16]> = self.ebpf.map_mut(name).unwrap().try_into().unwrap();
            for (number, line) in lines.iter().enumerate() {
                map.set(number as u32, line.to_words(), 0).unwrap();
            }
        };
        let zeroed = |count: u32| (0..count).map(|_| Line::zeroed()).collect::<Vec<Line>>();
        let processors = aya::util::nr_cpus().unwrap() as u32;
        let (picks, slots) = (zeroed(1), zeroed(PICK_LINES));
        let mut key = [0u8; 20];
        key[..2].copy_from_slice(&6u16.to_ne_bytes());
        key[2..4].copy_from_slice(&80u16.to_be_bytes());
        key[4..].copy_from_slice(&std::net::Ipv4Addr::from(VIP).to_ipv6_mapped().octets());
        let [a, b, c, d] = Address::from(VIP).words();
        let service = [6 | u32::from(80u16.to_be()) << 16, a, b, c, d];
        let slot = |destination| Slot { destination, port: 8080, flags: 0x100 };
        if destinations == 1 {
            (0..2).for_each(|number| pick::write_slot(&slots, number, slot(3)));
            pick::write(&picks[0], service, Rule::Sequence, 0, 2, 0);
        } else {
            let candidate = |destination| Candidate { slot: slot(destination), weight: 1 + destination % 3 };
            pick::write_candidates(&slots, 0, (0..destinations).map(candidate));
            pick::write(&picks[0], service, Rule::Least(Measure::Overhead), 0, destinations, 0);
        }
        // The search ends early at one without connections.
        let loads = zeroed(ipvs_flow::LOADS as u32);
        loads.iter().for_each(|line| Load::of(line).set(1000, 0));
        let loads: Vec<[u32; 16]> = loads.iter().map(Line::to_words).collect();
        let loads: Box<[[u32; 16]; ipvs_flow::LOADS]> = loads.try_into().unwrap();
        set("picks", &picks);
        set("pick_slots", &slots);
        set("events", &zeroed(RING_LINES * processors));
        let grants = zeroed(RING_LINES * processors);
        for processor in 0..processors {
            let ring = Ring::at(&grants, processor * RING_LINES);
            (0..BIRTHS_EACH).for_each(|number| {
                assert!(ring.push(first + processor * BIRTHS_EACH + number));
            });
        }
        set("grants", &grants);
        let mut map: Array<_, [[u32; 16]; ipvs_flow::LOADS]> =
            self.ebpf.map_mut("loads").unwrap().try_into().unwrap();
        map.set(0, loads, 0).unwrap();
        let mut timeouts: Array<_, [u32; 16]> = self.ebpf.map_mut("timeouts").unwrap().try_into().unwrap();
        let mut all = [TIMEOUT; 16];
        (all[SECURE_TCP], all[BIRTHS]) = (0, 1);
        timeouts.set(0, all, 0).unwrap();
        let mut services: HashMap<_, [u8; 20], u32> =
            self.ebpf.map_mut("pick_of").unwrap().try_into().unwrap();
        services.insert(key, 0, 0).unwrap();
    }

    /// Whether flows meet their first packet of that kind, which goes the long way.
    pub(crate) fn meets(&mut self, kind: Kind) -> bool {
        let first = !matches!(kind, Kind::Empty | Kind::Redirect) && !self.met.contains(&kind);
        if first {
            self.met.push(kind);
        }
        first
    }

    pub(crate) fn begun(&mut self) -> u64 {
        let traffic: Array<_, [u64; 8]> = self.ebpf.map_mut("traffic").unwrap().try_into().unwrap();
        traffic.iter().map(|line| line.unwrap()[4]).sum()
    }

    /// Mean nanoseconds of a packet in a run of `program`.
    pub(crate) fn run_with(
        &mut self,
        program: &str,
        out: bool,
        expected: Option<u32>,
        plan: (u32, u8, u32),
    ) -> f64 {
        let (result, _) = self.run(program, out, plan);
        assert!(expected.is_none_or(|expected| expected == result.return_value));
        result.duration.as_nanos() as f64
    }

    /// A run of `program`, and the last frame as it left it.
    pub(crate) fn run(
        &mut self,
        program: &str,
        out: bool,
        (flows, flags, repeat): (u32, u8, u32),
    ) -> (TestRunResult, Vec<u8>) {
        let ingress = if out { &self.back } else { &self.front };
        let (other, port) = if out { (SERVER, 8080u32) } else { (VIP, 80) };
        let h = ingress.hardware;
        let hardware = [[h[0], h[1], h[2], h[3]], [h[4], h[5], 2, 0], [0, 0, 0, 9]].map(u32::from_ne_bytes);
        let [x, y, z] = hardware;
        let index = ingress.index;
        self.random = self.random.wrapping_mul(0x9e37_79b1).wrapping_add(1) | 1;
        let clients = if out && self.method == Method::FullNat { LOCALS } else { CLIENTS };
        let (out, other) = (u32::from(out), u32::from_ne_bytes(other));
        let plan = [self.random, flows - 1, out, clients, other, port, x, y, z, u32::from(self.tunnel)];
        let mut plans: Array<_, [u32; 10]> = self.ebpf.map_mut("plan").unwrap().try_into().unwrap();
        plans.set(0, plan, 0).unwrap();
        let mut frame = vec![0u8; 64];
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[16..18].copy_from_slice(&50u16.to_be_bytes());
        frame[20] = 0x40;
        (frame[23], frame[46], frame[47]) = (6, 0x50, flags);
        let words = [0, frame.len() as u32, 0, index, 0, 0];
        let context: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let program: &mut Xdp = self.ebpf.program_mut(program).unwrap().try_into().unwrap();
        // As long as with every tunnel.
        let mut left = vec![0u8; 256];
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(&frame),
                data_out: Some(&mut left),
                ctx_in: Some(&context),
                repeat,
                ..TestRunOptions::new()
            })
            .unwrap();
        left.truncate(result.data_size_out as usize);
        (result, left)
    }
}

/// What the verifier says to a program of `object`, forwarding on.
pub(crate) fn whole_program(object: &[u8], name: &str) -> String {
    let layout = Layout::for_capacity(1 << 20).unwrap();
    let constants = constants(layout);
    let mut loader = EbpfLoader::new();
    loader
        .override_global("CONSTANTS", &constants, true)
        .map_max_entries("connections", layout.lines_with_cache());
    let mut ebpf = loader.load(object).unwrap();
    let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
    let before = std::time::Instant::now();
    program.load().unwrap();
    let (seconds, info) = (before.elapsed().as_secs_f32(), program.info().unwrap());
    let verified = info.verified_instruction_count().unwrap_or_default();
    format!(
        "{verified} instructions verified, {} bytes of machine code, loaded in {seconds:.1} s",
        info.size_jitted()
    )
}

/// As `Constants` in the program.
fn constants(layout: Layout) -> [u8; 104] {
    let options = FastPathOptions {
        capacity: layout.capacity(),
        hash_key: HASH_KEY,
        forward: true,
        destinations: DESTINATIONS,
        bulk_lookup: BulkLookup::Off,
    };
    options.constants(layout)
}

/// Tells the program of an interface, if that is how it knows interfaces.
fn set_port<V: aya::Pod>(ebpf: &mut Ebpf, index: u32, value: V) -> bool {
    let exits = ebpf.map_mut("exits").unwrap();
    DevMap::try_from(exits).unwrap().set(index, index, None, 0).unwrap();
    let map = ebpf.map_mut("ports").unwrap();
    Array::<_, V>::try_from(map).is_ok_and(|mut ports| ports.set(index % 256, value, 0).is_ok())
}
