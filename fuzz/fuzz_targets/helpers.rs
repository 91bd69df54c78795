//! What clients and servers say on control connections, through a director with every helper. No panic; memory is bounded: few
//! data connections; and no wrong rewrite: what a side gets is what was said, but for the virtual address in an answer that
//! names the server's, wherever segments begin and end.
//! Input: pieces (see the library), each: a byte (bit 0: from the server, bit 1: by TFTP, bit 2: sent again from an earlier
//! place, bit 3: FIN) and what is said.
#![no_main]

use std::net::Ipv4Addr;

use ipvs_core::{
    Command, DestinationConfig, DestinationId, Director, ForwardingMethod, Instant, Packet, Reply,
    ServiceConfig, ServiceId, Verdict,
};
use ipvs_fuzz::{Router, director, pieces};
use libfuzzer_sys::fuzz_target;

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);

fn configured() -> Director {
    let mut director = director();
    let mut run = |command| director.execute(Instant::default(), &Router, command).expect("a good command");
    for (protocol, port) in [(6, 21), (17, 69)] {
        let service = ServiceId::Address { protocol, address: VIRTUAL.into(), port };
        run(Command::AddService(service, ServiceConfig::new("rr")));
        let config = DestinationConfig::new(ForwardingMethod::MASQUERADE, 1);
        run(Command::AddDestination(service, DestinationId { address: SERVER.into(), port }, config));
    }
    director
}

/// The Internet checksum of `bytes`, on top of `sum`.
fn checksum(bytes: &[u8], mut sum: u32) -> u16 {
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn ipv4(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, mut transport: Vec<u8>) -> Vec<u8> {
    let at = if protocol == 6 { 16 } else { 6 };
    let ends = [source.octets(), destination.octets()].concat();
    let pseudo = u32::from(!checksum(&ends, u32::from(protocol) + transport.len() as u32));
    let sum = checksum(&transport, pseudo);
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes[2..4].copy_from_slice(&((transport.len() + 20) as u16).to_be_bytes());
    bytes.extend(ends);
    let sum = checksum(&bytes, 0);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(transport);
    bytes
}

/// One side of the conversation.
#[derive(Default)]
struct Said {
    before: Vec<u8>,
    after: Vec<u8>,
    ended: bool,
}

/// The lines with server's addresses of answers taken out, and of those that became virtual.
fn without_addresses(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match line {
            [b'2', b'2', b'7' | b'9', b' ', ..] => {}
            other => out.extend(other),
        }
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let mut director = configured();
    let mut sides = [Said::default(), Said::default()];
    let mut buffer = vec![0; 70_000];
    let mut give = |director: &mut Director, packet: &[u8]| {
        buffer[..packet.len()].copy_from_slice(packet);
        let mut packet = Packet::new(&mut buffer, 0, packet.len());
        let verdict = director.receive(Instant::default(), &Router, &mut packet);
        (verdict, packet.as_slice().to_vec())
    };
    let segment = |from_server: bool, flags: u8, sequence: u32, data: &[u8]| {
        let (source, destination) = if from_server { (SERVER, CLIENT) } else { (CLIENT, VIRTUAL) };
        let (from, to) = if from_server { (21_u16, 5000_u16) } else { (5000, 21) };
        let mut tcp = [from.to_be_bytes(), to.to_be_bytes()].concat();
        tcp.extend(sequence.to_be_bytes());
        tcp.extend(1u32.to_be_bytes());
        tcp.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        tcp.extend(data);
        ipv4(6, source, destination, tcp)
    };
    for (from_server, flags) in [(false, 0x02), (true, 0x12), (false, 0x10)] {
        give(&mut director, &segment(from_server, flags, 0, b""));
    }
    for piece in pieces(input) {
        let Some((mode, text)) = piece.split_first().filter(|(_, text)| text.len() < 2000) else { continue };
        let from_server = mode & 1 != 0;
        if mode & 2 != 0 {
            let mut datagram = vec![0x13, 0x88, 0, 69];
            datagram.extend(((text.len() + 8) as u16).to_be_bytes());
            datagram.extend([0, 0]);
            datagram.extend(text);
            give(&mut director, &ipv4(17, CLIENT, VIRTUAL, datagram));
            continue;
        }
        let side = &mut sides[usize::from(from_server)];
        let fin = mode & 8 != 0;
        if side.ended {
            continue;
        }
        // Sent again: from an earlier place, and on.
        let again = if mode & 4 != 0 { side.before.len().min(usize::from(mode >> 4) * 7) } else { 0 };
        let start = side.before.len() - again;
        side.before.extend(text);
        let sequence = 1 + start as u32;
        let packet = segment(from_server, if fin { 0x11 } else { 0x10 }, sequence, &side.before[start..]);
        let (verdict, packet) = give(&mut director, &packet);
        let Verdict::Forward { .. } = verdict else { continue };
        let at = u32::from_be_bytes(packet[24..28].try_into().expect("a segment")).wrapping_sub(1) as usize;
        let (data, out_fin) = (&packet[40..], packet[33] & 1 != 0);
        if at == usize::MAX & 0xffff_ffff {
            continue;
        }
        assert!(at <= side.after.len(), "a gap");
        let known = data.len().min(side.after.len() - at);
        assert_eq!(&side.after[at..at + known], &data[..known], "something else than before");
        side.after.extend(&data[known..]);
        side.ended = out_fin;
        // The other end acknowledges.
        let mut acknowledgment =
            segment(!from_server, 0x10, 1 + sides[usize::from(!from_server)].before.len() as u32, b"");
        let side = &sides[usize::from(from_server)];
        let number = 1 + side.after.len() as u32 + u32::from(side.ended);
        acknowledgment[28..32].copy_from_slice(&number.to_be_bytes());
        acknowledgment[36..38].copy_from_slice(&[0, 0]);
        let (source, destination) = if from_server { (CLIENT, VIRTUAL) } else { (SERVER, CLIENT) };
        let acknowledgment = ipv4(6, source, destination, acknowledgment[20..].to_vec());
        let (_, acknowledgment) = give(&mut director, &acknowledgment);
        let before = u32::from_be_bytes(acknowledgment[28..32].try_into().expect("a segment")) as usize;
        assert!(before <= 1 + side.before.len() + 1, "what was not sent is acknowledged");
        if side.ended {
            // Answers' lines aside everything arrives as it was said, and the client's side is never changed.
            if from_server {
                assert_eq!(without_addresses(&side.after), without_addresses(&side.before));
            } else {
                assert_eq!(side.after, side.before);
            }
        }
    }
    let command = Command::ListConnections { cursor: 0, limit: 1000 };
    let Ok(Reply::Connections { items, .. }) = director.execute(Instant::default(), &Router, command) else {
        panic!("no listing");
    };
    // Two control connections and what they expect.
    assert!(items.len() <= 2 + 8 + 8, "{} connections", items.len());
});
