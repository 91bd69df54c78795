//! Rewriting addresses, ports and hop limit in place, with every checksum updated.
//!
//! The functions read the old values from the packet, not from [`Headers`], so one `Headers` serves several
//! rewrites of the same packet (its own addresses are then those from before).

use core::net::IpAddr;

use crate::{Fragment, Headers, Malformed, bytes, checksum, crc32c, protocol};

/// Which end of the packet is rewritten.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

/// Replaces source address and port. The IPv4 header, TCP, UDP and ICMPv6 checksums are updated incrementally,
/// SCTP's CRC is computed anew if the port changes. A UDP checksum of zero ("none") becomes the whole checksum, as
/// kernel IPVS does in both families (seen on the reference, 6.1); in a fragment it stays zero. The port is ignored
/// where there is none: other protocols and later fragments.
///
/// # Errors
/// [`Malformed::Family`] for an address of the other family, [`Malformed::Truncated`] for a packet without the whole
/// fixed transport header, [`Malformed::Fragment`] for a new port in the first fragment of an SCTP packet, whose CRC
/// cannot be computed. The packet is then unchanged.
#[inline]
pub fn set_source(packet: &mut [u8], headers: &Headers, address: IpAddr, port: u16) -> Result<(), Malformed> {
    rewrite(packet, headers, End::Source, address, port, false)
}

/// Replaces destination address and port; as [`set_source`].
///
/// # Errors
/// As [`set_source`].
#[inline]
pub fn set_destination(
    packet: &mut [u8],
    headers: &Headers,
    address: IpAddr,
    port: u16,
) -> Result<(), Malformed> {
    rewrite(packet, headers, End::Destination, address, port, false)
}

/// Replaces source address and port of the packet quoted in an ICMP error, and its IPv4 header checksum. The quoted
/// transport checksum stays as it was, and thus wrong, as kernel IPVS leaves it (seen on the reference, 6.1): nobody
/// checks it. Four bytes of the transport header suffice. The checksum of the ICMP message around it is the caller's:
/// see [`checksum::fill_transport`].
///
/// # Errors
/// As [`set_source`].
pub fn set_embedded_source(
    quoted: &mut [u8],
    headers: &Headers,
    address: IpAddr,
    port: u16,
) -> Result<(), Malformed> {
    rewrite(quoted, headers, End::Source, address, port, true)
}

/// Replaces destination address and port of the packet quoted in an ICMP error; as [`set_embedded_source`].
///
/// # Errors
/// As [`set_source`].
pub fn set_embedded_destination(
    quoted: &mut [u8],
    headers: &Headers,
    address: IpAddr,
    port: u16,
) -> Result<(), Malformed> {
    rewrite(quoted, headers, End::Destination, address, port, true)
}

#[inline]
fn rewrite(
    packet: &mut [u8],
    headers: &Headers,
    end: End,
    address: IpAddr,
    port: u16,
    embedded: bool,
) -> Result<(), Malformed> {
    if address.is_ipv6() != headers.is_ipv6() {
        return Err(Malformed::Family);
    }
    let port_change = port_change(packet, headers, end, port, embedded)?;
    let addresses = match address {
        IpAddr::V4(address) => {
            let offset = match end {
                End::Source => 12,
                End::Destination => 16,
            };
            let difference = replace(packet, offset, address.octets())?;
            let header_checksum = bytes::u16_at(packet, 10).ok_or(Malformed::Truncated)?;
            bytes::put_u16(packet, 10, checksum::update(header_checksum, difference))?;
            difference
        }
        IpAddr::V6(address) => {
            let offset = match end {
                End::Source => 8,
                End::Destination => 24,
            };
            replace(packet, offset, address.octets())?
        }
    };
    rewrite_transport(packet, headers, addresses, port_change, embedded)
}

/// A port to be replaced.
struct PortChange {
    /// Offset of the port in the transport header.
    offset: usize,
    old: u16,
    new: u16,
}

/// The port to be replaced, if the packet has one; checks beforehand all that could fail, so that an error leaves
/// the packet as it was.
#[inline]
fn port_change(
    packet: &[u8],
    headers: &Headers,
    end: End,
    port: u16,
    embedded: bool,
) -> Result<Option<PortChange>, Malformed> {
    if packet.len() < if headers.is_ipv6() { 40 } else { 20 } {
        return Err(Malformed::Truncated);
    }
    if headers.fragment == Fragment::Later {
        return Ok(None);
    }
    let Some(fixed) = crate::transport::fixed_header_len(headers.protocol) else { return Ok(None) };
    let payload = headers.payload(packet);
    if payload.len() < if embedded { 4 } else { fixed } {
        return Err(Malformed::Truncated);
    }
    let offset = match end {
        End::Source => 0,
        End::Destination => 2,
    };
    let old = bytes::u16_at(payload, offset).ok_or(Malformed::Truncated)?;
    if headers.protocol == protocol::SCTP && headers.fragment == Fragment::First && old != port && !embedded {
        return Err(Malformed::Fragment);
    }
    Ok(Some(PortChange { offset, old, new: port }))
}

#[inline]
fn rewrite_transport(
    packet: &mut [u8],
    headers: &Headers,
    addresses: u16,
    port_change: Option<PortChange>,
    embedded: bool,
) -> Result<(), Malformed> {
    let whole = headers.total_len <= packet.len() && headers.fragment == Fragment::Whole;
    let ipv6 = headers.is_ipv6();
    let payload = headers.payload_mut(packet);
    let mut difference = addresses;
    if let Some(PortChange { offset, old, new }) = port_change {
        bytes::put_u16(payload, offset, new)?;
        difference = checksum::add(difference, checksum::add(!old, new));
        if !embedded && headers.protocol == protocol::SCTP && old != new && whole {
            return crc32c::fill(payload);
        }
    }
    if embedded {
        return Ok(());
    }
    let field = match headers.protocol {
        _ if headers.fragment == Fragment::Later => return Ok(()),
        protocol::TCP => 16,
        protocol::UDP => 6,
        protocol::ICMPV6 if ipv6 => 2,
        _ => return Ok(()),
    };
    let Some(old) = bytes::u16_at(payload, field) else { return Ok(()) };
    if headers.protocol == protocol::UDP && old == 0 {
        checksum::fill_transport(packet, headers);
        return Ok(());
    }
    bytes::put_u16(payload, field, checksum::stored(headers.protocol, checksum::update(old, difference)))
}

/// Stores `new` at `offset` and returns the difference that makes to a checksum.
#[inline]
fn replace<const N: usize>(packet: &mut [u8], offset: usize, new: [u8; N]) -> Result<u16, Malformed> {
    let place =
        packet.get_mut(offset..).and_then(<[u8]>::first_chunk_mut::<N>).ok_or(Malformed::Truncated)?;
    let old = core::mem::replace(place, new);
    Ok(checksum::add(!words(old), words(new)))
}

/// [`checksum::sum`] of an address, whose known length lets the compiler unroll it.
#[inline(always)]
fn words<const N: usize>(address: [u8; N]) -> u16 {
    let (words, _) = address.as_chunks::<4>();
    checksum::fold(words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum())
}

/// Decrements the TTL or hop limit, which stays at 0 if it is 0, and updates the IPv4 header checksum. Leaves alone
/// what is no IP packet.
#[inline]
pub fn decrement_hop_limit(packet: &mut [u8]) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => {
            let Some(header) = packet.first_chunk_mut::<20>() else { return };
            if header[8] != 0 {
                header[8] -= 1;
                // The word of TTL and protocol is less by 0x0100.
                let old = u16::from_be_bytes([header[10], header[11]]);
                [header[10], header[11]] = checksum::update(old, !0x0100).to_be_bytes();
            }
        }
        Some(6) => {
            if let Some(hop_limit) = packet.get_mut(7) {
                *hop_limit = hop_limit.saturating_sub(1);
            }
        }
        _ => {}
    }
}
