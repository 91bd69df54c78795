//! From IPv4 to IPv6 and back: headers, transport checksums and ICMP errors (RFC 7915), with addresses that the caller chooses.

use core::net::IpAddr;

use crate::{Fragment, Headers, Malformed, bytes, checksum, protocol, transport};

/// Length of the longer header.
pub const HEADER_MAX: usize = 40;
/// What IPv6 packets are longer.
pub const DIFFERENCE: u32 = 20;

/// Packets up to this length lose IPv6's rule that routers do not fragment them: an IPv6 sender need not go below 1280 bytes
/// (RFC 7915 section 5.1).
const FRAGMENTABLE: usize = 1260;
const SMALLEST_IPV6_MTU: u32 = 1280;

/// Source or destination of the packet in its new family.
pub type End = (IpAddr, u16);

/// Writes the header that a packet with `headers` gets, from `source` to `destination`, both of one family; returns its length. The
/// hop limit is given: it may have been counted down meanwhile. IPv4 options and IPv6 extension headers are lost. `in_pieces`: it came in
/// fragments, so in IPv4 it may leave in such.
///
/// # Errors
/// [`Malformed::Family`] for addresses of two families, [`Malformed::BadLength`] for a packet that is too long for the other
/// family, [`Malformed::Fragment`] for a fragment.
pub fn header(
    headers: &Headers,
    hop_limit: u8,
    in_pieces: bool,
    source: IpAddr,
    destination: IpAddr,
    out: &mut [u8; HEADER_MAX],
) -> Result<usize, Malformed> {
    if headers.fragment != Fragment::Whole {
        return Err(Malformed::Fragment);
    }
    let payload = headers.total_len.checked_sub(headers.transport).ok_or(Malformed::BadLength)?;
    let field = |length: usize| u16::try_from(length).map_err(|_| Malformed::BadLength);
    out.fill(0);
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = payload + 20;
            bytes::put(out, 0, [0x45, headers.traffic_class])?;
            bytes::put_u16(out, 2, field(length)?)?;
            bytes::put_u16(out, 6, if length > FRAGMENTABLE && !in_pieces { 0x4000 } else { 0 })?;
            bytes::put(out, 8, [hop_limit, headers.protocol])?;
            bytes::put(out, 12, from.octets())?;
            bytes::put(out, 16, to.octets())?;
            let (header, _) = out.split_at_mut(20);
            checksum::fill_ipv4_header(header);
            Ok(20)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let class = headers.traffic_class;
            bytes::put(out, 0, [0x60 | class >> 4, class << 4])?;
            bytes::put_u16(out, 4, field(payload)?)?;
            bytes::put(out, 6, [headers.protocol, hop_limit])?;
            bytes::put(out, 8, from.octets())?;
            bytes::put(out, 24, to.octets())?;
            Ok(HEADER_MAX)
        }
        _ => Err(Malformed::Family),
    }
}

/// Puts other ports into a transport header, whose packet had `headers` and gets other addresses. TCP and UDP checksums are updated
/// incrementally, so one that was wrong stays wrong. Returns whether the checksum is to be computed anew by
/// [`checksum::fill_transport`] when the packet has its new header: SCTP's, and that of a UDP datagram that had none.
///
/// # Errors
/// [`Malformed::Truncated`] without the whole fixed transport header.
pub fn set_transport(
    payload: &mut [u8],
    headers: &Headers,
    source: End,
    destination: End,
) -> Result<bool, Malformed> {
    let fixed = transport::fixed_header_len(headers.protocol).ok_or(Malformed::BadHeader)?;
    if payload.len() < fixed {
        return Err(Malformed::Truncated);
    }
    let ports = set_ports(payload, source.1, destination.1)?;
    let field = match headers.protocol {
        protocol::TCP => 16,
        protocol::UDP => 6,
        _ => return Ok(true),
    };
    let old = bytes::u16_at(payload, field).ok_or(Malformed::Truncated)?;
    if headers.protocol == protocol::UDP && old == 0 {
        return Ok(true);
    }
    let before = checksum::add(sum(headers.source), sum(headers.destination));
    let after = checksum::add(sum(source.0), sum(destination.0));
    let difference = checksum::add(ports, checksum::add(!before, after));
    bytes::put_u16(payload, field, checksum::stored(headers.protocol, checksum::update(old, difference)))?;
    Ok(false)
}

/// Puts other ports into a transport header, of which these may be all that is there; returns what that changes in a checksum.
///
/// # Errors
/// [`Malformed::Truncated`] without ports.
pub fn set_ports(payload: &mut [u8], source: u16, destination: u16) -> Result<u16, Malformed> {
    let old = (bytes::u16_at(payload, 0), bytes::u16_at(payload, 2));
    let (Some(old_source), Some(old_destination)) = old else { return Err(Malformed::Truncated) };
    bytes::put_u16(payload, 0, source)?;
    bytes::put_u16(payload, 2, destination)?;
    let old = checksum::add(!old_source, !old_destination);
    Ok(checksum::add(old, checksum::add(source, destination)))
}

fn sum(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(address) => checksum::sum(&address.octets()),
        IpAddr::V6(address) => checksum::sum(&address.octets()),
    }
}

/// Type, code and the four bytes after the checksum of an ICMP error in the other family (RFC 7915 sections 4.2 and 5.2). `None`:
/// it has none there.
pub fn error_fields(from_ipv6: bool, (kind, code, rest): (u8, u8, [u8; 4])) -> Option<(u8, u8, [u8; 4])> {
    const NOTHING: [u8; 4] = [0; 4];
    Some(match (from_ipv6, kind, code) {
        (false, 3, 2) => (4, 1, u32::from(6u8).to_be_bytes()),
        (false, 3, 3) => (1, 4, NOTHING),
        (false, 3, 4) => {
            let mtu = u32::from_be_bytes(rest) & 0xffff;
            // Routers older than RFC 1191 do not tell.
            let mtu = if mtu == 0 { SMALLEST_IPV6_MTU } else { mtu + DIFFERENCE };
            (2, 0, mtu.max(SMALLEST_IPV6_MTU).to_be_bytes())
        }
        (false, 3, 9 | 10 | 13 | 15) => (1, 1, NOTHING),
        (false, 3, 0 | 1 | 5..=8 | 11 | 12) => (1, 0, NOTHING),
        (false, 11, code) => (3, code, NOTHING),
        (true, 1, 1) => (3, 10, NOTHING),
        (true, 1, 4) => (3, 3, NOTHING),
        (true, 1, 0 | 2 | 3) => (3, 1, NOTHING),
        (true, 2, _) => {
            let mtu = u32::from_be_bytes(rest).saturating_sub(DIFFERENCE).min(0xffff);
            (3, 4, mtu.to_be_bytes())
        }
        (true, 3, code) => (11, code, NOTHING),
        (true, 4, 1) => (3, 2, NOTHING),
        _ => return None,
    })
}
