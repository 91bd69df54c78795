//! What clients and servers say on control connections, through a director with every helper. No panic; memory is bounded: few
//! data connections; and no wrong rewrite: what a side gets is what was said, but for the virtual address in an answer that
//! names the server's, and by full NAT for the client's place in its commands, wherever segments begin and end.
//! Input: a byte, which of the ways to the server ([`WAYS`]), and pieces (see the library), each: a byte (bit 0: from the server,
//! bit 1: by TFTP, bit 2: sent again from an earlier place, bit 3: FIN) and what is said.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_core::{
    Command, DestinationConfig, DestinationId, Director, ForwardingMethod, Instant, Packet, PoolName, Reply,
    ServiceConfig, ServiceId, Verdict,
};
use ipvs_fuzz::{Router, director, pieces};
use ipvs_wire::{Headers, checksum, transport};
use libfuzzer_sys::fuzz_target;

type End = (IpAddr, u16);

/// How packets come to the server.
#[derive(Clone, Copy)]
struct Way {
    full_nat: bool,
    clients_ipv6: bool,
    servers_ipv6: bool,
}

const fn way(full_nat: bool, clients_ipv6: bool, servers_ipv6: bool) -> Way {
    Way { full_nat, clients_ipv6, servers_ipv6 }
}

const WAYS: [Way; 6] = [
    way(false, false, false),
    way(false, true, true),
    way(true, false, false),
    way(true, true, true),
    way(true, true, false),
    way(true, false, true),
];

const VIRTUAL: u8 = 100;
const SERVER: u8 = 1;
const CLIENT: u8 = 2;
const LOCAL: u8 = 3;
/// Room before a packet, as the datapath gives it.
const FRONT: usize = 256;

fn address(ipv6: bool, number: u8) -> IpAddr {
    match ipv6 {
        false => Ipv4Addr::new(10, 0, number, 1).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

impl Way {
    fn client(self) -> End {
        (address(self.clients_ipv6, CLIENT), 5000)
    }

    fn service(self, port: u16) -> End {
        (address(self.clients_ipv6, VIRTUAL), port)
    }

    fn server(self, port: u16) -> End {
        (address(self.servers_ipv6, SERVER), port)
    }
}

fn configured(way: Way) -> Director {
    let mut director = director();
    let mut run = |command| director.execute(Instant::default(), &Router, command).expect("a good command");
    let local_pool = way.full_nat.then(|| PoolName::new("local").expect("a name"));
    if let Some(pool) = local_pool {
        run(Command::AddPool(pool, vec![address(false, LOCAL), address(true, LOCAL)]));
    }
    let method = if way.full_nat { ForwardingMethod::FULL_NAT } else { ForwardingMethod::MASQUERADE };
    for (protocol, port) in [(6, 21), (17, 69)] {
        let service = ServiceId::Address { protocol, address: way.service(port).0, port };
        let netmask = if way.clients_ipv6 { 128 } else { u32::MAX };
        run(Command::AddService(service, ServiceConfig { netmask, ..ServiceConfig::new("rr") }));
        let config = DestinationConfig { local_pool, ..DestinationConfig::new(method, 1) };
        let (address, port) = way.server(port);
        run(Command::AddDestination(service, DestinationId { address, port }, config));
    }
    director
}

/// A packet with this behind its IP header and right checksums.
fn packet(protocol: u8, source: IpAddr, destination: IpAddr, transport: &[u8]) -> Vec<u8> {
    let length = transport.len() as u16;
    let mut bytes = match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = (length + 20).to_be_bytes();
            let start = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
            [&start[..], &from.octets(), &to.octets()].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = length.to_be_bytes();
            [&[0x60, 0, 0, 0, high, low, protocol, 64][..], &from.octets(), &to.octets()].concat()
        }
        _ => panic!("two families"),
    };
    bytes.extend(transport);
    let headers = Headers::parse(&bytes).expect("a packet");
    if !headers.is_ipv6() {
        checksum::fill_ipv4_header(&mut bytes);
    }
    checksum::fill_transport(&mut bytes, &headers);
    bytes
}

fn segment((source, destination): (End, End), flags: u8, numbers: [u32; 2], data: &[u8]) -> Vec<u8> {
    let mut tcp = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    tcp.extend(numbers.map(u32::to_be_bytes).concat());
    tcp.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    tcp.extend(data);
    packet(6, source.0, destination.0, &tcp)
}

/// What is to be known of a segment that came out.
struct Seen<'a> {
    from: End,
    numbers: [u32; 2],
    fin: bool,
    data: &'a [u8],
}

fn seen(bytes: &[u8]) -> Seen<'_> {
    let headers = Headers::parse(bytes).expect("a packet");
    let tcp = &bytes[headers.transport..];
    let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().expect("a segment"));
    let from = (headers.source, transport::ports(bytes, &headers).expect("ports").source);
    let data = &tcp[usize::from(tcp[12] >> 4) * 4..];
    Seen { from, numbers: [number(4), number(8)], fin: tcp[13] & 1 != 0, data }
}

/// One side of the conversation.
#[derive(Default)]
struct Said {
    before: Vec<u8>,
    after: Vec<u8>,
    ended: bool,
}

/// All lines but those that begin like one that names an address, or asks for one.
fn without_addresses(text: &[u8], beginnings: &[&str]) -> Vec<u8> {
    let names = |line: &[u8]| {
        beginnings
            .iter()
            .any(|it| line.get(..it.len()).is_some_and(|at| at.eq_ignore_ascii_case(it.as_bytes())))
    };
    text.split_inclusive(|&byte| byte == b'\n').filter(|line| !names(line)).flatten().copied().collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((first, input)) = input.split_first() else { return };
    let way = WAYS[usize::from(*first) % WAYS.len()];
    let mut director = configured(way);
    let mut sides = [Said::default(), Said::default()];
    let mut buffer = vec![0; 70_000];
    let mut give = |director: &mut Director, packet: &[u8]| {
        buffer[FRONT..FRONT + packet.len()].copy_from_slice(packet);
        let mut packet = Packet::new(&mut buffer, FRONT, packet.len());
        let verdict = director.receive(Instant::default(), &Router, &mut packet);
        (verdict, packet.as_slice().to_vec())
    };
    // Both ends as their senders name them, the server's once the client's SYN has told whom it sees.
    let client = (way.client(), way.service(21));
    let (_, opened) = give(&mut director, &segment(client, 0x02, [0, 0], b""));
    let ends = [client, (way.server(21), seen(&opened).from)];
    give(&mut director, &segment(ends[1], 0x12, [0, 1], b""));
    give(&mut director, &segment(ends[0], 0x10, [1, 1], b""));
    for piece in pieces(input) {
        let Some((mode, text)) = piece.split_first().filter(|(_, text)| text.len() < 2000) else { continue };
        if mode & 2 != 0 {
            let mut datagram = vec![0x13, 0x88, 0, 69];
            datagram.extend(((text.len() + 8) as u16).to_be_bytes());
            datagram.extend([0, 0]);
            datagram.extend(text);
            give(&mut director, &packet(17, way.client().0, way.service(69).0, &datagram));
            continue;
        }
        let (this, other) = (usize::from(mode & 1), usize::from(mode & 1 == 0));
        let side = &mut sides[this];
        let fin = mode & 8 != 0;
        if side.ended {
            continue;
        }
        // Sent again: from an earlier place, and on.
        let again = if mode & 4 != 0 { side.before.len().min(usize::from(mode >> 4) * 7) } else { 0 };
        let start = side.before.len() - again;
        side.before.extend(text);
        let flags = if fin { 0x11 } else { 0x10 };
        let packet = segment(ends[this], flags, [1 + start as u32, 1], &side.before[start..]);
        let (verdict, packet) = give(&mut director, &packet);
        let Verdict::Forward { .. } = verdict else { continue };
        let Seen { numbers, data, fin, .. } = seen(&packet);
        let at = numbers[0].wrapping_sub(1);
        if at == u32::MAX {
            continue;
        }
        let at = at as usize;
        assert!(at <= side.after.len(), "a gap");
        let known = data.len().min(side.after.len() - at);
        assert_eq!(&side.after[at..at + known], &data[..known], "something else than before");
        side.after.extend(&data[known..]);
        side.ended = fin;
        // The other end acknowledges.
        let number = 1 + side.after.len() as u32 + u32::from(side.ended);
        let own = 1 + sides[other].before.len() as u32;
        let (_, acknowledgment) = give(&mut director, &segment(ends[other], 0x10, [own, number], b""));
        let before = seen(&acknowledgment).numbers[1] as usize;
        let side = &sides[this];
        assert!(before <= 1 + side.before.len() + 1, "what was not sent is acknowledged");
        if side.ended {
            // Lines about addresses aside everything arrives as it was said; masquerading never changes the client's side.
            let beginnings: &[&str] = match (this, way.full_nat) {
                (0, false) => &[],
                (0, true) => &["PORT", "EPRT", "PASV", "EPSV"],
                _ => &["227 ", "229 "],
            };
            let plain = |text| without_addresses(text, beginnings);
            assert_eq!(plain(&side.after), plain(&side.before));
        }
    }
    let command = Command::ListConnections { cursor: 0, limit: 1000 };
    let Ok(Reply::Connections { items, .. }) = director.execute(Instant::default(), &Router, command) else {
        panic!("no listing");
    };
    // Two control connections and what they expect.
    assert!(items.len() <= 2 + 8 + 8, "{} connections", items.len());
});
