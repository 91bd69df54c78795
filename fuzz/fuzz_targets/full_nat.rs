//! Packets of clients and servers into a director with destinations by full NAT, of each protocol, within a family and between them;
//! and ICMP errors about what they were sent. No panic; a packet whose checksums are right has right ones when it leaves, and an ICMP
//! error always; no packet grows by more than the difference of headers; what is to leave in fragments can be cut into such; and
//! whatever came, datagrams still go from client to server and back, with what they carry.
//! Input: pieces (see the library), each: a byte (two low bits: a packet as it is, or a client's, a server's, or an ICMP error about
//! what one of them got; the others: of which service), a byte of what is done to it ([`Treatment`]) and bytes, which replace the
//! packet or are laid over it by exclusive or.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_core::{
    AddressKind, Command, DestinationConfig, DestinationId, Director, ForwardingMethod, Host, Instant,
    Packet, PoolName, ServiceConfig, ServiceId, Verdict,
};
use ipvs_fuzz::{director, pieces};
use ipvs_wire::fragment::{Fragments, Pieces};
use ipvs_wire::icmp_error::{ErrorKind, icmp_error};
use ipvs_wire::{Fragment, Headers, checksum, transport};
use libfuzzer_sys::fuzz_target;

type End = (IpAddr, u16);

/// TCP, UDP and SCTP.
const PROTOCOLS: [u8; 3] = [6, 17, 132];
/// Room before a packet, as the datapath gives it.
const FRONT: usize = 256;
/// Most that another header adds.
const GROWTH: usize = 20;
/// Longest error: IPv6's.
const ERROR: usize = 1280;
/// A segment's flags: SYN and ACK.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn address(ipv6: bool, number: u8) -> IpAddr {
    match ipv6 {
        false => Ipv4Addr::new(10, 0, 0, number).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

const CLIENT: u8 = 1;
const SERVER: u8 = 2;
const VIRTUAL: u8 = 3;
const LOCAL: u8 = 4;
const ROUTER: u8 = 5;
const OWN: u8 = 6;

/// All links have this MTU.
struct Links(u32);

impl Host for Links {
    fn address_kind(&self, it: IpAddr) -> AddressKind {
        if it == address(it.is_ipv6(), OWN) { AddressKind::Local } else { AddressKind::Unicast }
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(self.0)
    }

    fn source_address(&self, towards: IpAddr) -> Option<IpAddr> {
        Some(address(towards.is_ipv6(), OWN))
    }
}

/// A service, by its number: protocol, family of clients, and of the server.
#[derive(Clone, Copy)]
struct Service {
    protocol: u8,
    clients_ipv6: bool,
    servers_ipv6: bool,
    number: u8,
}

impl Service {
    fn all() -> impl Iterator<Item = Self> {
        (0..12).map(|number: u8| Self {
            protocol: PROTOCOLS[usize::from(number / 4)],
            clients_ipv6: number & 1 != 0,
            servers_ipv6: number & 2 != 0,
            number,
        })
    }

    fn client(self) -> End {
        (address(self.clients_ipv6, CLIENT), 4000 + u16::from(self.number))
    }

    fn virtual_end(self) -> End {
        (address(self.clients_ipv6, VIRTUAL), 80 + u16::from(self.number))
    }

    fn server(self) -> End {
        (address(self.servers_ipv6, SERVER), 8000 + u16::from(self.number))
    }
}

fn configured() -> Director {
    let mut director = director();
    let mut run =
        |command| director.execute(Instant::default(), &Links(1500), command).expect("a good command");
    let pool = PoolName::new("local").expect("a name");
    run(Command::AddPool(pool, vec![address(false, LOCAL), address(true, LOCAL)]));
    for it in Service::all() {
        let (address, port) = it.virtual_end();
        let service = ServiceId::Address { protocol: it.protocol.into(), address, port };
        let netmask = if it.clients_ipv6 { 128 } else { u32::MAX };
        run(Command::AddService(service, ServiceConfig { netmask, ..ServiceConfig::new("rr") }));
        let config = DestinationConfig {
            local_pool: Some(pool),
            ..DestinationConfig::new(ForwardingMethod::FULL_NAT, 1)
        };
        let (address, port) = it.server();
        run(Command::AddDestination(service, DestinationId { address, port }, config));
    }
    director
}

/// A packet with so many bytes behind its transport header; of TCP with these flags.
fn packet(protocol: u8, source: End, destination: End, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    match protocol {
        6 => segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]),
        17 => segment.extend([((payload.len() + 8) as u16).to_be_bytes(), [0; 2]].concat()),
        _ => segment.extend([0, 0, 0, 7, 0, 0, 0, 0]),
    }
    segment.extend(payload);
    let mut bytes = match (source.0, destination.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0];
            bytes[2..4].copy_from_slice(&((segment.len() + 20) as u16).to_be_bytes());
            bytes.extend([from.octets(), to.octets()].concat());
            bytes
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut bytes = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            bytes[4..6].copy_from_slice(&(segment.len() as u16).to_be_bytes());
            bytes.extend([from.octets(), to.octets()].concat());
            bytes
        }
        _ => panic!("two families"),
    };
    bytes.extend(segment);
    mend(&mut bytes, true, true);
    bytes
}

/// What a sound packet carries: a chunk where that is SCTP.
fn content(protocol: u8, opens: bool) -> &'static [u8] {
    match (protocol, opens) {
        (132, true) => &[1, 0, 0, 8, 1, 1, 1, 1],
        (132, false) => &[0, 0, 0, 8, 1, 1, 1, 1],
        _ => b"question",
    }
}

/// Makes checksums right, where there are such.
fn mend(bytes: &mut [u8], header: bool, transport: bool) {
    let Ok(headers) = Headers::parse(bytes) else { return };
    if header && !headers.is_ipv6() {
        checksum::fill_ipv4_header(bytes);
    }
    if transport && headers.fragment == Fragment::Whole {
        checksum::fill_transport(bytes, &headers);
    }
}

/// What is done to a packet, bit by bit.
#[derive(Clone, Copy)]
struct Treatment(u8);

impl Treatment {
    const fn has(self, bit: u8) -> bool {
        self.0 & 1 << bit != 0
    }

    fn mends_header(self) -> bool {
        self.has(0)
    }

    fn mends_transport(self) -> bool {
        self.has(1)
    }

    /// It came in fragments.
    fn in_pieces(self) -> bool {
        self.has(2)
    }

    /// It is yet to be cut into segments.
    fn is_unsegmented(self) -> bool {
        self.has(3) && !self.in_pieces()
    }

    /// Routers may fragment it, if it is IPv4.
    fn fragmentable(self) -> bool {
        self.has(4)
    }

    /// So many bytes are added to it.
    fn longer(self) -> usize {
        usize::from(self.0 >> 5 & 3) * 700
    }

    fn mtu(self) -> u32 {
        if self.has(7) { 576 } else { 1500 }
    }
}

fn is_sound(bytes: &[u8]) -> bool {
    Headers::parse(bytes).is_ok_and(|headers| {
        (headers.is_ipv6() || checksum::verify_ipv4_header(bytes))
            && checksum::verify_transport(bytes.get(..headers.total_len).unwrap_or_default(), &headers)
    })
}

fn is_icmp(bytes: &[u8]) -> bool {
    Headers::parse(bytes).is_ok_and(|headers| matches!(headers.protocol, 1 | 58))
}

fn give(director: &mut Director, bytes: &[u8], treatment: Treatment) -> (Verdict, Vec<u8>) {
    let mut buffer = vec![0; FRONT + bytes.len().max(ERROR)];
    buffer[FRONT..FRONT + bytes.len()].copy_from_slice(bytes);
    let is_tcp = Headers::parse(bytes).is_ok_and(|headers| headers.protocol == 6);
    let mut packet = if treatment.is_unsegmented() && is_tcp {
        Packet::unsegmented(&mut buffer, FRONT, bytes.len(), 1400)
    } else {
        let largest = if treatment.in_pieces() { 1300 } else { 0 };
        Packet::reassembled(&mut buffer, FRONT, bytes.len(), largest)
    };
    let sound = is_sound(bytes);
    let verdict = director.receive(Instant::default(), &Links(treatment.mtu()), &mut packet);
    let out = packet.as_slice();
    assert!(out.len() <= (bytes.len() + GROWTH).max(ERROR), "{} bytes of {}", out.len(), bytes.len());
    if let Verdict::Forward { .. } | Verdict::Reply(_) = verdict {
        let headers = Headers::parse(out).expect("a packet");
        assert_eq!(headers.total_len, out.len());
        let made = matches!(verdict, Verdict::Reply(_)) || is_icmp(out);
        assert!(is_sound(out) || !made && !sound, "{out:02x?}");
        cut(out, &headers, packet.cut());
    }
    (verdict, out.to_vec())
}

/// Cuts a packet as the datapath does.
fn cut(packet: &[u8], headers: &Headers, cut: Option<usize>) {
    let Some(largest) = cut else { return };
    let mut fragments = Fragments::new(packet, headers, 1500, Some(Pieces { largest, ends: &[] }), 7)
        .expect("a packet that may be cut");
    let (mut out, mut carried) = ([0; 1500], 0);
    while let Some(len) = fragments.write_next(&mut out).expect("room") {
        assert!(len <= largest, "{len} bytes");
        let fragment = Headers::parse(&out[..len]).expect("a fragment");
        carried += len - fragment.transport;
    }
    assert_eq!(carried, packet.len() - headers.transport);
}

/// What client and server of each service got.
struct Got {
    at_server: Vec<u8>,
    at_client: Vec<u8>,
}

/// Both directions of a service, which must work for datagrams.
fn exchange(director: &mut Director, it: Service, flags: u8) -> Option<Got> {
    let opens = flags & SYN != 0;
    let question = packet(it.protocol, it.client(), it.virtual_end(), flags, content(it.protocol, opens));
    let (verdict, at_server) = give(director, &question, Treatment(0));
    let forwarded = verdict == Verdict::Forward { next: it.server().0 };
    assert!(forwarded || it.protocol != 17, "{verdict:?}");
    if !forwarded {
        return None;
    }
    let headers = Headers::parse(&at_server).ok()?;
    let ports = transport::ports(&at_server, &headers).ok()?;
    let local = (headers.source, ports.source);
    assert_eq!((local.0, ports.destination), (address(it.servers_ipv6, LOCAL), it.server().1));
    assert!(at_server.ends_with(content(it.protocol, opens)));
    let answer = packet(it.protocol, it.server(), local, flags | ACK, content(it.protocol, false));
    let (verdict, at_client) = give(director, &answer, Treatment(0));
    assert_eq!(verdict, Verdict::Forward { next: it.client().0 });
    let headers = Headers::parse(&at_client).ok()?;
    let ports = transport::ports(&at_client, &headers).ok()?;
    assert_eq!(((headers.source, ports.source), ports.destination), (it.virtual_end(), it.client().1));
    assert!(at_client.ends_with(content(it.protocol, false)));
    Some(Got { at_server, at_client })
}

/// A router's error about a packet.
fn error_about(quoted: &[u8], kind: ErrorKind) -> Vec<u8> {
    let mut out = vec![0; ERROR];
    let ipv6 = quoted[0] >> 4 == 6;
    let len = icmp_error(quoted, address(ipv6, ROUTER), kind, &mut out).expect("a packet");
    out.truncate(len);
    out
}

fuzz_target!(|input: &[u8]| {
    let mut director = configured();
    let services: Vec<Service> = Service::all().collect();
    let got: Vec<Got> =
        services.iter().map(|&it| exchange(&mut director, it, SYN).expect("a new connection")).collect();
    for piece in pieces(input) {
        let [mode, treatment, bytes @ ..] = piece else { continue };
        let treatment = Treatment(*treatment);
        let which = usize::from(mode >> 2) % services.len();
        let (it, Got { at_server, at_client }) = (services[which], &got[which]);
        let headers = Headers::parse(at_server).expect("a packet");
        let local = (headers.source, transport::ports(at_server, &headers).expect("ports").source);
        let long: Vec<u8> = [content(it.protocol, false), &vec![0; treatment.longer()][..]].concat();
        let about = |quoted: &[u8]| {
            let kind = match bytes.first() {
                Some(byte) if byte & 1 != 0 => ErrorKind::FragmentationNeeded { mtu: u32::from(*byte) * 8 },
                _ => ErrorKind::PortUnreachable,
            };
            error_about(quoted, kind)
        };
        let mut packet = match mode & 3 {
            0 => bytes.to_vec(),
            1 => packet(it.protocol, it.client(), it.virtual_end(), ACK, &long),
            2 => packet(it.protocol, it.server(), local, ACK, &long),
            _ if treatment.is_unsegmented() => about(at_server),
            _ => about(at_client),
        };
        if mode & 3 != 0 {
            if treatment.fragmentable() && packet[0] >> 4 == 4 {
                packet[6] &= 0xbf;
            }
            for (to, from) in packet.iter_mut().zip(bytes.get(1..).unwrap_or_default()) {
                *to ^= from;
            }
        }
        mend(&mut packet, treatment.mends_header(), treatment.mends_transport());
        give(&mut director, &packet, treatment);
    }
    for it in services {
        exchange(&mut director, it, ACK);
    }
});
