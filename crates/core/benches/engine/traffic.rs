//! Packets of many clients, made without measuring.

use std::net::Ipv4Addr;

/// Bytes of a packet: IPv4 and TCP headers and 24 bytes of payload.
pub(crate) const PACKET_LEN: usize = 64;
/// Bytes from one packet of a batch to the next: room for an ICMP error in its place.
pub(crate) const FRAME_LEN: usize = 1024;

pub(crate) const VIRTUAL_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const VIRTUAL_PORT: u16 = 80;
pub(crate) const SERVER_PORT: u16 = 8080;

/// TCP flags of a packet.
#[derive(Clone, Copy)]
pub(crate) enum Flags {
    Syn = 0x02,
    Ack = 0x10,
}

/// One end of a packet.
pub(crate) type End = (Ipv4Addr, u16);

/// The client of connection number `number`: 2^16 addresses, up to 60000 ports each.
pub(crate) fn client(number: u32) -> End {
    let [high, low] = (number as u16).to_be_bytes();
    (Ipv4Addr::new(172, 16, high, low), 1024 + (number >> 16) as u16)
}

/// Server number `number`'s address.
pub(crate) fn server(number: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 1 + number as u8)
}

/// Writes a TCP packet with good checksums.
pub(crate) fn write_packet(frame: &mut [u8], source: End, destination: End, flags: Flags) {
    let packet = &mut frame[..PACKET_LEN];
    packet.fill(0);
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(PACKET_LEN as u16).to_be_bytes());
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&source.0.octets());
    packet[16..20].copy_from_slice(&destination.0.octets());
    let header = checksum(0, &packet[..20]);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    packet[20..22].copy_from_slice(&source.1.to_be_bytes());
    packet[22..24].copy_from_slice(&destination.1.to_be_bytes());
    packet[32] = 0x50;
    packet[33] = flags as u8;
    let pseudo = 6 + (PACKET_LEN as u32 - 20);
    let transport = checksum(pseudo, &packet[12..]);
    packet[36..38].copy_from_slice(&transport.to_be_bytes());
}

/// The Internet checksum of `bytes` and a sum to begin with.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks_exact(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
