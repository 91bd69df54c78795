//! Packets of SCTP, with checksums of an own making.

use std::net::IpAddr;

use super::{End, ip};

/// CRC32c (RFC 9260 appendix A), bit by bit.
pub fn crc32c(data: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}

/// A packet of these chunks, each of eight bytes.
pub fn sctp(source: End, destination: End, chunks: &[u8]) -> Vec<u8> {
    let mut packet = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    packet.extend([0, 0, 0, 7, 0, 0, 0, 0]);
    for kind in chunks {
        packet.extend([*kind, 0, 0, 8, 1, 1, 1, 1]);
    }
    let crc = crc32c(&packet);
    packet[8..12].copy_from_slice(&crc);
    let mut bytes = Vec::new();
    ip(source.0, destination.0, 64).write(&mut bytes, etherparse::IpNumber::SCTP, &packet).unwrap();
    bytes
}

/// Ends of a packet, and whether its checksum is right.
pub fn seen(packet: &[u8]) -> (End, End, bool) {
    let (source, destination, at): (IpAddr, IpAddr, _) = if packet[0] >> 4 == 4 {
        let octets = |at| <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap();
        (octets(12).into(), octets(16).into(), 20)
    } else {
        let octets = |at| <[u8; 16]>::try_from(&packet[at..at + 16]).unwrap();
        (octets(8).into(), octets(24).into(), 40)
    };
    let mut sctp = packet[at..].to_vec();
    let port = |at: usize| u16::from_be_bytes([sctp[at], sctp[at + 1]]);
    let ends = ((source, port(0)), (destination, port(2)));
    let crc: [u8; 4] = sctp[8..12].try_into().unwrap();
    sctp[8..12].fill(0);
    (ends.0, ends.1, crc32c(&sctp) == crc)
}
