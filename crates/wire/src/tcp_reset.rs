//! The reset that answers a segment which belongs to no connection (RFC 9293 section 3.10.7.1).

use core::net::IpAddr;

use crate::{Fragment, Headers, bytes, checksum, protocol, tcp, transport};

/// The longest reset, bytes: IPv6 header and TCP header.
pub const MAX_LEN: usize = 60;

/// Makes the reset that a host answers to `original`, from its destination to its source; writes it to the start of
/// `out` and returns its length in bytes. `None` if there is none: no whole TCP segment, a reset itself, or `out` is
/// shorter than [`MAX_LEN`].
pub fn tcp_reset(original: &[u8], headers: &Headers, out: &mut [u8]) -> Option<usize> {
    if headers.protocol != protocol::TCP || headers.fragment != Fragment::Whole {
        return None;
    }
    let flags = tcp::flags(original, headers).ok()?;
    let ports = transport::ports(original, headers).ok()?;
    if flags.rst() {
        return None;
    }
    let segment = original.get(headers.transport..headers.total_len)?;
    let data = segment.len().checked_sub(usize::from(bytes::u8_at(segment, 12)? >> 4) * 4)?;
    let occupied = u32::try_from(data).ok()? + u32::from(flags.syn()) + u32::from(flags.fin());
    // An acknowledged sequence number is the one they expect from us; else acknowledge all they sent.
    let (sequence, acknowledgement, answer) = if flags.ack() {
        (bytes::u32_at(segment, 8)?, 0, 0x04)
    } else {
        (0, bytes::u32_at(segment, 4)?.wrapping_add(occupied), 0x14)
    };
    let header_len = if headers.is_ipv6() { 40 } else { 20 };
    let out = out.get_mut(..header_len + 20)?;
    out.fill(0);
    match (headers.destination, headers.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes::put(out, 0, [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, protocol::TCP]).ok()?;
            bytes::put(out, 12, from.octets()).ok()?;
            bytes::put(out, 16, to.octets()).ok()?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes::put(out, 0, [0x60, 0, 0, 0, 0, 20, protocol::TCP, 64]).ok()?;
            bytes::put(out, 8, from.octets()).ok()?;
            bytes::put(out, 24, to.octets()).ok()?;
        }
        _ => return None,
    }
    bytes::put_u16(out, header_len, ports.destination).ok()?;
    bytes::put_u16(out, header_len + 2, ports.source).ok()?;
    bytes::put(out, header_len + 4, sequence.to_be_bytes()).ok()?;
    bytes::put(out, header_len + 8, acknowledgement.to_be_bytes()).ok()?;
    bytes::put(out, header_len + 12, [0x50, answer]).ok()?;
    checksum::fill_ipv4_header(out);
    let made = Headers::parse(out).ok()?;
    checksum::fill_transport(out, &made);
    Some(out.len())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use etherparse::{NetHeaders, PacketBuilder, PacketHeaders, TransportHeader};

    use super::*;

    fn answer(packet: &[u8]) -> Option<(NetHeaders, etherparse::TcpHeader, bool)> {
        let headers = Headers::parse(packet).unwrap();
        let mut out = [0; MAX_LEN];
        let len = tcp_reset(packet, &headers, &mut out)?;
        let made = Headers::parse(&out[..len]).unwrap();
        let ok = checksum::verify_transport(&out[..len], &made);
        let parsed = PacketHeaders::from_ip_slice(&out[..len]).unwrap();
        let Some(TransportHeader::Tcp(tcp)) = parsed.transport else { panic!("no TCP") };
        Some((parsed.net.unwrap(), tcp, ok))
    }

    #[test]
    fn a_syn_is_acknowledged_with_the_reset() {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9)
            .tcp(1000, 80, 0xffff_ffff, 512)
            .syn()
            .write(&mut packet, b"ab")
            .unwrap();
        let (net, tcp, ok) = answer(&packet).unwrap();
        let NetHeaders::Ipv4(ip, _) = net else { panic!("family") };
        assert!(ok && ip.header_checksum == ip.calc_header_checksum());
        assert_eq!((ip.source, ip.destination, ip.time_to_live), ([10, 0, 0, 2], [10, 0, 0, 1], 64));
        assert_eq!((tcp.source_port, tcp.destination_port), (80, 1000));
        assert_eq!((tcp.rst, tcp.ack, tcp.sequence_number, tcp.acknowledgment_number), (true, true, 0, 2));
    }

    #[test]
    fn an_acknowledgement_gives_the_sequence_number() {
        let mut packet = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 9)
            .tcp(1000, 80, 5, 512)
            .ack(77)
            .write(&mut packet, b"ab")
            .unwrap();
        let (net, tcp, ok) = answer(&packet).unwrap();
        let NetHeaders::Ipv6(ip, _) = net else { panic!("family") };
        assert!(ok);
        assert_eq!((ip.source, ip.destination), ([2; 16], [1; 16]));
        assert_eq!((tcp.rst, tcp.ack, tcp.sequence_number), (true, false, 77));
    }

    #[test]
    fn a_reset_is_not_answered() {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([1; 4], [2; 4], 9).tcp(1, 2, 3, 4).rst().write(&mut packet, b"").unwrap();
        assert!(answer(&packet).is_none());
    }
}
