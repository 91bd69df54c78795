//! A director in a test: virtual clock, a host made of a table, packets built and read by an independent crate.
#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries, each uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

pub mod sctp;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use ipvs_core::{
    AddressKind, Command, Config, ConnectionInfo, DestinationConfig, DestinationId, DestinationInfo,
    Director, ForwardingMethod, Hook, Host, Instant, MarkTarget, Packet, Reply, ServiceConfig, ServiceId,
    Sysctl, Verdict,
};
use ipvs_wire::tunnel::{Encapsulation, Outer};

/// Client, virtual address and servers, in both families by the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub fn ip(self, v4: &str, v6: &str) -> IpAddr {
        match self {
            Self::V4 => v4.parse().unwrap(),
            Self::V6 => v6.parse().unwrap(),
        }
    }

    pub fn client(self) -> IpAddr {
        self.ip("192.0.2.7", "2001:db8:1::7")
    }

    pub fn vip(self) -> IpAddr {
        self.ip("203.0.113.1", "2001:db8:2::1")
    }

    pub fn server(self, number: u8) -> IpAddr {
        self.ip(&format!("10.0.0.{number}"), &format!("2001:db8:3::{number:x}"))
    }

    pub fn director(self) -> IpAddr {
        self.ip("10.0.0.254", "2001:db8:3::fe")
    }
}

/// A host with a few facts.
#[derive(Default)]
pub struct TableHost {
    pub local: Vec<IpAddr>,
    pub mtu: HashMap<IpAddr, u32>,
    pub unreachable: Vec<IpAddr>,
}

impl Host for TableHost {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        if self.local.contains(&address) { AddressKind::Local } else { AddressKind::Unicast }
    }

    fn path_mtu(&self, address: IpAddr) -> Option<u32> {
        (!self.unreachable.contains(&address)).then(|| self.mtu.get(&address).copied().unwrap_or(1500))
    }

    fn source_address(&self, towards: IpAddr) -> Option<IpAddr> {
        Some(if towards.is_ipv4() { Family::V4.director() } else { Family::V6.director() })
    }
}

/// One end of a packet.
pub type End = (IpAddr, u16);

/// TCP flags by letter: S, A, F, R.
pub fn tcp(source: End, destination: End, flags: &str, payload: &[u8], ttl: u8) -> Vec<u8> {
    numbered(source, destination, flags, (1000, 1), payload, ttl)
}

/// The same with these sequence and acknowledgment numbers.
pub fn segment(source: End, destination: End, flags: &str, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
    numbered(source, destination, flags, numbers, payload, 64)
}

fn numbered(
    source: End,
    destination: End,
    flags: &str,
    (sequence, acknowledgment): (u32, u32),
    payload: &[u8],
    ttl: u8,
) -> Vec<u8> {
    let mut step = ip(source.0, destination.0, ttl).tcp(source.1, destination.1, sequence, 1000);
    for flag in flags.chars() {
        step = match flag {
            'S' => step.syn(),
            'A' => step.ack(acknowledgment),
            'F' => step.fin(),
            'R' => step.rst(),
            other => panic!("no flag {other}"),
        };
    }
    let mut bytes = Vec::new();
    step.write(&mut bytes, payload).unwrap();
    bytes
}

pub fn udp(source: End, destination: End, payload: &[u8], ttl: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    ip(source.0, destination.0, ttl).udp(source.1, destination.1).write(&mut bytes, payload).unwrap();
    bytes
}

/// An ICMP destination unreachable (port) that quotes `quoted`.
pub fn unreachable(source: IpAddr, destination: IpAddr, quoted: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let step = ip(source, destination, 64);
    if source.is_ipv4() {
        let kind =
            etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port);
        step.icmpv4(kind).write(&mut bytes, quoted).unwrap();
    } else {
        let kind =
            etherparse::Icmpv6Type::DestinationUnreachable(etherparse::icmpv6::DestUnreachableCode::Port);
        step.icmpv6(kind).write(&mut bytes, quoted).unwrap();
    }
    bytes
}

pub fn ip(
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), ttl)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source.octets(), destination.octets(), ttl)
        }
        _ => panic!("mixed families"),
    }
}

/// What an independent parser sees in a packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub source: End,
    pub destination: End,
    pub ttl: u8,
    pub checksums_ok: bool,
    pub payload: Vec<u8>,
}

pub fn seen(packet: &[u8]) -> Seen {
    let sliced = SlicedPacket::from_ip(packet).expect("a valid packet");
    let (source, destination, ttl, header_ok): (IpAddr, IpAddr, u8, bool) = match sliced.net.as_ref().unwrap()
    {
        NetSlice::Ipv4(v4) => {
            let header = v4.header().to_header();
            let sum = header.header_checksum == header.calc_header_checksum();
            (header.source.into(), header.destination.into(), header.time_to_live, sum)
        }
        NetSlice::Ipv6(v6) => {
            let header = v6.header().to_header();
            (header.source.into(), header.destination.into(), header.hop_limit, true)
        }
        other => panic!("{other:?}"),
    };
    let (sport, dport, sum, calculated, payload) = match sliced.transport.as_ref().unwrap() {
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let calculated = match sliced.net.as_ref().unwrap() {
                NetSlice::Ipv4(v4) => header.calc_checksum_ipv4(&v4.header().to_header(), tcp.payload()),
                NetSlice::Ipv6(v6) => header.calc_checksum_ipv6(&v6.header().to_header(), tcp.payload()),
                other => panic!("{other:?}"),
            };
            (header.source_port, header.destination_port, header.checksum, calculated.unwrap(), tcp.payload())
        }
        TransportSlice::Udp(udp) => {
            let header = udp.to_header();
            let calculated = match sliced.net.as_ref().unwrap() {
                NetSlice::Ipv4(v4) => header.calc_checksum_ipv4(&v4.header().to_header(), udp.payload()),
                NetSlice::Ipv6(v6) => header.calc_checksum_ipv6(&v6.header().to_header(), udp.payload()),
                other => panic!("{other:?}"),
            };
            (header.source_port, header.destination_port, header.checksum, calculated.unwrap(), udp.payload())
        }
        TransportSlice::Icmpv4(icmp) => {
            let header = icmp.header();
            (0, 0, header.checksum, header.icmp_type.calc_checksum(icmp.payload()), icmp.payload())
        }
        TransportSlice::Icmpv6(icmp) => {
            let header = icmp.header();
            let (IpAddr::V6(s), IpAddr::V6(d)) = (source, destination) else { panic!("family") };
            let calculated = header.icmp_type.calc_checksum(s.octets(), d.octets(), icmp.payload()).unwrap();
            (0, 0, header.checksum, calculated, icmp.payload())
        }
        other => panic!("{other:?}"),
    };
    Seen {
        source: (source, sport),
        destination: (destination, dport),
        ttl,
        checksums_ok: header_ok && sum == calculated,
        payload: payload.to_vec(),
    }
}

/// Settings of a masquerading destination.
fn masquerading(weight: i32) -> DestinationConfig {
    DestinationConfig::new(ForwardingMethod::MASQUERADE, weight)
}

/// Settings of a service by round robin with these flags; persistent ones for 300 s and each client.
pub fn round_robin(flags: u32) -> ServiceConfig {
    ServiceConfig {
        scheduler: "rr".into(),
        persistence_engine: None,
        helper: None,
        flags,
        flags_mask: u32::MAX,
        timeout: 300,
        netmask: u32::MAX,
        target: MarkTarget::default(),
    }
}

/// A director under test.
pub struct Rig {
    pub director: Director,
    pub host: TableHost,
    pub now: Instant,
}

impl Rig {
    pub fn new(capacity: u32) -> Self {
        Self::with(Config { capacity, ..Config::default() })
    }

    pub fn with(config: Config) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let director = Director::new(Config { seed: 7, ..config }, now).unwrap();
        Self { director, host: TableHost::default(), now }
    }

    pub fn execute(&mut self, command: Command) -> Reply {
        self.director.execute(self.now, &self.host, command).unwrap()
    }

    /// A service by `scheduler` at the family's virtual address, port 80.
    pub fn service(&mut self, family: Family, protocol: u16, scheduler: &str) -> ServiceId {
        let id = ServiceId::Address { protocol, address: family.vip(), port: 80 };
        let netmask = if family == Family::V4 { u32::MAX } else { 128 };
        self.execute(Command::AddService(
            id,
            ServiceConfig {
                scheduler: scheduler.into(),
                persistence_engine: None,
                helper: None,
                flags: 0,
                flags_mask: u32::MAX,
                timeout: 0,
                netmask,
                target: MarkTarget::default(),
            },
        ));
        id
    }

    /// A service with two masquerading servers of that port, of which server 2 comes first in the list.
    pub fn pair(&mut self, id: ServiceId, config: ServiceConfig, server_port: u16) {
        self.execute(Command::AddService(id, config));
        let family = if id.is_ipv6() { Family::V6 } else { Family::V4 };
        for number in [1, 2] {
            self.add(id, DestinationId { address: family.server(number), port: server_port }, 1);
        }
    }

    /// A masquerading destination.
    pub fn add(&mut self, service: ServiceId, id: DestinationId, weight: i32) {
        self.execute(Command::AddDestination(service, id, masquerading(weight)));
    }

    /// Gives a masquerading destination another weight.
    pub fn weigh(&mut self, service: ServiceId, id: DestinationId, weight: i32) {
        self.execute(Command::EditDestination(service, id, masquerading(weight)));
    }

    pub fn set(&mut self, sysctl: Sysctl, value: i64) {
        self.execute(Command::SetSysctl(sysctl, vec![value]));
    }

    /// The number of the server that a packet goes to, or what else becomes of it.
    pub fn server_for(&mut self, packet: &[u8]) -> String {
        match self.receive(packet).0 {
            Verdict::Forward { next: IpAddr::V4(next) } => next.octets()[3].to_string(),
            Verdict::Forward { next: IpAddr::V6(next) } => next.octets()[15].to_string(),
            Verdict::Drop(reason) | Verdict::Reply(reason) => reason.name().to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// The connections as `client>virtual>server state`, addresses by their last group, and an engine and its data; sorted.
    pub fn shown(&mut self) -> Vec<String> {
        let short = |address: IpAddr, port: u16| match address {
            IpAddr::V4(address) => format!("{}:{port}", address.octets()[3]),
            IpAddr::V6(address) => format!("{:x}:{port}", address.segments()[7]),
        };
        let row = |it: &ConnectionInfo| {
            let (client, server) =
                (short(it.client, it.client_port), short(it.destination, it.destination_port));
            let engine = it.engine.as_ref().map(|it| format!(" {} {}", it.name, it.data.escape_ascii()));
            let engine = engine.unwrap_or_default();
            format!("{client}>{}>{server} {}{engine}", short(it.virtual_address, it.virtual_port), it.state)
        };
        let mut rows: Vec<_> = self.connections().iter().map(row).collect();
        rows.sort();
        rows
    }

    pub fn destination(
        &mut self,
        service: ServiceId,
        address: IpAddr,
        method: ForwardingMethod,
        weight: i32,
    ) {
        let port = if method == ForwardingMethod::MASQUERADE { 8080 } else { 80 };
        self.execute(Command::AddDestination(
            service,
            DestinationId { address, port },
            DestinationConfig::new(method, weight),
        ));
    }

    /// Gives a packet to the director; what it became.
    pub fn receive(&mut self, packet: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buffer = vec![0; 4096];
        buffer[256..256 + packet.len()].copy_from_slice(packet);
        self.judge(Packet::new(&mut buffer, 256, packet.len()))
    }

    /// The same for one that was reassembled from fragments of which the largest had `largest` bytes.
    pub fn receive_reassembled(&mut self, packet: &[u8], largest: usize) -> (Verdict, Vec<u8>) {
        let mut buffer = vec![0; 4096];
        buffer[256..256 + packet.len()].copy_from_slice(packet);
        self.judge(Packet::reassembled(&mut buffer, 256, packet.len(), largest))
    }

    /// The same, and into what fragments it is to be cut. It came whole if `largest` is 0.
    pub fn receive_to_cut(&mut self, packet: &[u8], largest: usize) -> (Verdict, Vec<u8>, Option<usize>) {
        let mut buffer = vec![0; 4096];
        buffer[256..256 + packet.len()].copy_from_slice(packet);
        let mut packet = Packet::reassembled(&mut buffer, 256, packet.len(), largest);
        let verdict = self.director.receive(self.now, &self.host, &mut packet);
        (verdict, packet.as_slice().to_vec(), packet.cut())
    }

    /// The same for one that is yet to be cut into packets of at most `largest` bytes; and what each is to go inside of.
    pub fn receive_unsegmented(
        &mut self,
        packet: &[u8],
        largest: usize,
    ) -> (Verdict, Vec<u8>, Option<(Outer, Encapsulation)>) {
        let mut buffer = vec![0; 8192];
        buffer[256..256 + packet.len()].copy_from_slice(packet);
        let mut packet = Packet::unsegmented(&mut buffer, 256, packet.len(), largest);
        let verdict = self.director.receive(self.now, &self.host, &mut packet);
        (verdict, packet.as_slice().to_vec(), packet.wrapping())
    }

    /// The same for one that netfilter gave away with a mark.
    pub fn receive_from_netfilter(&mut self, packet: &[u8], hook: Hook, mark: u32) -> (Verdict, Vec<u8>) {
        let mut buffer = vec![0; 4096];
        buffer[256..256 + packet.len()].copy_from_slice(packet);
        self.judge(Packet::new(&mut buffer, 256, packet.len()).from_netfilter(hook, mark))
    }

    fn judge(&mut self, mut packet: Packet<'_>) -> (Verdict, Vec<u8>) {
        let verdict = self.director.receive(self.now, &self.host, &mut packet);
        (verdict, packet.as_slice().to_vec())
    }

    pub fn advance(&mut self, time: Duration) {
        self.now = self.now + time;
        while self.director.poll_timeout().is_some_and(|due| due <= self.now) {
            self.director.poll(self.now);
        }
    }

    pub fn connections(&mut self) -> Vec<ConnectionInfo> {
        match self.execute(Command::ListConnections { cursor: 0, limit: 1000 }) {
            Reply::Connections { items, next: None } => items,
            other => panic!("{other:?}"),
        }
    }

    pub fn destinations(&mut self, service: ServiceId) -> Vec<DestinationInfo> {
        match self.execute(Command::ListDestinations { service, cursor: 0, limit: 1000 }) {
            Reply::Destinations { items, next: None } => items,
            other => panic!("{other:?}"),
        }
    }

    pub fn state(&mut self) -> &'static str {
        let connections = self.connections();
        assert_eq!(connections.len(), 1, "{connections:?}");
        connections[0].state
    }
}
