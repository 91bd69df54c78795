//! Packets of all kinds into a director whose destinations are behind tunnels: clients', and errors from within the tunnels, whole
//! and damaged. No panic; no packet grows by more than the outer headers; and whatever routers say of a path, a tunnel goes on
//! carrying small packets, to the same bytes.
//! Input: pieces (see the library), each: a byte (two low bits: a packet as it is; an error about what a tunnel carried, damaged;
//! the same with its checksum made right; a client's packet, damaged; the others: which tunnel) and bytes, which replace the
//! packet or are laid over it by exclusive or.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_core::{
    AddressKind, Command, DestinationConfig, DestinationId, Director, ForwardingMethod, Host, Instant,
    Packet, ServiceConfig, ServiceId, Tunnel, Verdict,
};
use ipvs_fuzz::{director, pieces};
use libfuzzer_sys::fuzz_target;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 254);
const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe);
/// Kinds and flags of tunnels.
const TUNNELS: [(u8, u16); 6] = [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)];
/// Room before a packet, as the datapath gives it.
const FRONT: usize = 256;
/// Most that outer headers add: IPv6, UDP and GUE.
const GROWTH: usize = 40 + 12;
/// Longest error: IPv6's.
const ERROR: usize = 1280;

struct Ends;

impl Host for Ends {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        if address == OWN || address == OWN6 { AddressKind::Local } else { AddressKind::Unicast }
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn source_address(&self, towards: IpAddr) -> Option<IpAddr> {
        Some(if towards.is_ipv6() { OWN6.into() } else { OWN.into() })
    }
}

fn port(tunnel: usize, over_ipv6: bool) -> u16 {
    80 + tunnel as u16 * 2 + u16::from(over_ipv6)
}

fn configured() -> Director {
    let mut director = director();
    let mut run = |command| director.execute(Instant::default(), &Ends, command).expect("a good command");
    for (number, (kind, flags)) in TUNNELS.into_iter().enumerate() {
        for over_ipv6 in [false, true] {
            let port = port(number, over_ipv6);
            let service = ServiceId::Address { protocol: 17, address: VIRTUAL.into(), port };
            run(Command::AddService(service, ServiceConfig::new("rr")));
            let address: IpAddr = if over_ipv6 {
                Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1).into()
            } else {
                Ipv4Addr::new(10, 0, 1, 1).into()
            };
            let tunnel = Tunnel { kind, port: 6080, flags };
            let config = DestinationConfig { tunnel, ..DestinationConfig::new(ForwardingMethod::TUNNEL, 1) };
            run(Command::AddDestination(service, DestinationId { address, port }, config));
        }
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

fn ipv4(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    bytes[2..4].copy_from_slice(&((payload.len() + 20) as u16).to_be_bytes());
    bytes.extend([source.octets(), destination.octets()].concat());
    let sum = checksum(&bytes, 0);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A client's datagram of 300 bytes.
fn datagram(port: u16) -> Vec<u8> {
    let mut udp = [4000u16.to_be_bytes(), port.to_be_bytes(), 280u16.to_be_bytes(), [0; 2]].concat();
    udp.resize(280, 0x78);
    let ends = [CLIENT.octets(), VIRTUAL.octets()].concat();
    let sum = checksum(&udp, u32::from(!checksum(&ends, 17 + 280)));
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(17, CLIENT, VIRTUAL, &udp)
}

/// A router's error about `outer`: too large.
fn error_about(outer: &[u8]) -> Vec<u8> {
    let mut icmp = vec![3, 4, 0, 0, 0, 0, 2, 0x58];
    icmp.extend(outer);
    let sum = checksum(&icmp, 0);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(1, Ipv4Addr::new(10, 0, 1, 253), OWN, &icmp)
}

fn give(director: &mut Director, bytes: &[u8]) -> (Verdict, Vec<u8>) {
    let mut buffer = vec![0; FRONT + bytes.len().max(ERROR)];
    buffer[FRONT..FRONT + bytes.len()].copy_from_slice(bytes);
    let mut packet = Packet::new(&mut buffer, FRONT, bytes.len());
    let verdict = director.receive(Instant::default(), &Ends, &mut packet);
    assert!(packet.len() <= (bytes.len() + GROWTH).max(ERROR), "{} bytes of {}", packet.len(), bytes.len());
    (verdict, packet.as_slice().to_vec())
}

fuzz_target!(|input: &[u8]| {
    let mut director = configured();
    let ports: Vec<u16> =
        (0..TUNNELS.len()).flat_map(|number| [port(number, false), port(number, true)]).collect();
    let carried: Vec<Vec<u8>> = ports
        .iter()
        .map(|&port| {
            let (verdict, packet) = give(&mut director, &datagram(port));
            assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
            packet
        })
        .collect();
    for piece in pieces(input) {
        let Some((mode, bytes)) = piece.split_first().filter(|(_, bytes)| bytes.len() < 2000) else {
            continue;
        };
        let which = usize::from(mode >> 2) % ports.len();
        let mut packet = match mode & 3 {
            0 => {
                give(&mut director, bytes);
                continue;
            }
            3 => datagram(ports[which]),
            _ => error_about(&carried[which]),
        };
        for (to, from) in packet.iter_mut().zip(bytes) {
            *to ^= from;
        }
        if mode & 3 == 2 && packet.len() > 28 {
            packet[22..24].fill(0);
            let sum = checksum(&packet[20..], 0);
            packet[22..24].copy_from_slice(&sum.to_be_bytes());
        }
        give(&mut director, &packet);
    }
    for (port, before) in ports.iter().zip(&carried) {
        let (verdict, packet) = give(&mut director, &datagram(*port));
        assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
        // They must not be fragmented, so they have no identification, which would run on.
        assert_eq!(packet, *before);
    }
});
