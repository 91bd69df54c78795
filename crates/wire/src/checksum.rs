//! The Internet checksum (RFC 1071), its incremental update (RFC 1624), and the transport checksums of a packet.

use crate::{Fragment, Headers, Malformed, bytes, crc32c, protocol};

/// Ones' complement sum of big-endian 16-bit words, folded to 16 bits, not inverted. An odd last byte counts as the
/// upper half of a word. 0 only for no data or all zeros.
#[inline]
pub fn sum(data: &[u8]) -> u16 {
    // Ones' complement addition does not care about byte order (RFC 1071 section 2), so the words are added as they
    // lie in memory, and only the result is swapped; 2^32 of them fit before the 64 bits overflow.
    let (words, rest) = data.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u64::from(u32::from_ne_bytes(last));
    u16::from_be(fold(total))
}

/// Folds a sum of words into 16 bits by adding the carries back in.
#[inline]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Ones' complement sum of two folded sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// What replacing `old` by `new` adds to a sum: both of the same even length, at an even offset.
#[inline]
pub fn difference(old: &[u8], new: &[u8]) -> u16 {
    add(!sum(old), sum(new))
}

/// A checksum after `difference` was added to the data it covers (RFC 1624 equation 3).
#[inline]
pub const fn update(checksum: u16, difference: u16) -> u16 {
    !add(!checksum, difference)
}

/// Sum of the pseudo-header: both addresses, the protocol and the upper-layer length in bytes (RFC 9293 section
/// 3.1, RFC 8200 section 8.1). Folded, not inverted. 0 if the packet is too short.
///
/// With an IPv6 routing header that has segments left the final destination would count; such packets do not reach
/// a destination as they are, and the header's destination is taken.
#[inline]
pub fn pseudo_header(packet: &[u8], ipv6: bool, protocol: u8, length: usize) -> u16 {
    let addresses = if ipv6 { packet.get(8..40) } else { packet.get(12..20) }.unwrap_or_default();
    let length = fold(length as u64);
    add(sum(addresses), add(u16::from(protocol), length))
}

/// How the checksum of a transport protocol is made.
struct Kind {
    /// Offset of the checksum field in the transport header.
    field: usize,
    /// The data that it covers, from the transport header's start, bytes.
    length: usize,
    /// The sum of the pseudo-header, 0 where there is none.
    pseudo: u16,
}

/// How the Internet checksum of this packet is made; `None` for a protocol without one, for fragments, which do not
/// hold all the data, and for a UDP length that is wrong.
#[inline]
fn kind(packet: &[u8], headers: &Headers) -> Option<Kind> {
    if headers.fragment != Fragment::Whole {
        return None;
    }
    let payload = headers.payload(packet);
    let ipv6 = headers.is_ipv6();
    let (field, length) = match headers.protocol {
        protocol::TCP => (16, payload.len()),
        protocol::UDP => (6, usize::from(bytes::u16_at(payload, 4)?)),
        protocol::ICMP if !ipv6 => return Some(Kind { field: 2, length: payload.len(), pseudo: 0 }),
        protocol::ICMPV6 if ipv6 => (2, payload.len()),
        _ => return None,
    };
    if length > payload.len() || length < field + 2 {
        return None;
    }
    Some(Kind { field, length, pseudo: pseudo_header(packet, ipv6, headers.protocol, length) })
}

/// Leaves the transport checksum of a packet to the network card, or whoever cuts the packet into segments: the field gets the sum
/// of the pseudo-header. Returns the field's offset in the transport header; `None` as for a protocol without checksum.
pub fn leave_to_card(packet: &mut [u8], headers: &Headers) -> Option<usize> {
    let Kind { field, pseudo, .. } = kind(packet, headers)?;
    let at = headers.transport + field;
    packet.get_mut(at..at + 2)?.copy_from_slice(&pseudo.to_be_bytes());
    Some(field)
}

/// Whether the transport checksum of a packet is right: TCP, UDP, SCTP, ICMP, ICMPv6. True also where there is
/// nothing to verify: other protocols, fragments (the data is not all there), IPv4 UDP without checksum.
pub fn verify_transport(packet: &[u8], headers: &Headers) -> bool {
    if headers.fragment != Fragment::Whole {
        return true;
    }
    let payload = headers.payload(packet);
    let known = match headers.protocol {
        protocol::SCTP => return crc32c::verify(payload),
        protocol::TCP | protocol::UDP => true,
        protocol::ICMP => !headers.is_ipv6(),
        protocol::ICMPV6 => headers.is_ipv6(),
        _ => false,
    };
    if !known {
        return true;
    }
    let Some(kind) = kind(packet, headers) else { return false };
    if headers.protocol == protocol::UDP && bytes::u16_at(payload, kind.field) == Some(0) {
        // RFC 768: the sender made none. RFC 8200 section 8.1: IPv6 must have one.
        return !headers.is_ipv6();
    }
    payload.get(..kind.length).is_some_and(|data| add(kind.pseudo, sum(data)) == 0xffff)
}

/// Computes and stores the transport checksum: TCP, UDP (also where it was zero), SCTP, ICMP, ICMPv6. Leaves other
/// protocols, fragments and packets too short alone.
pub fn fill_transport(packet: &mut [u8], headers: &Headers) {
    // A packet too short for the checksum stays as it is.
    let _ = try_fill_transport(packet, headers);
}

fn try_fill_transport(packet: &mut [u8], headers: &Headers) -> Result<(), Malformed> {
    if headers.protocol == protocol::SCTP && headers.fragment == Fragment::Whole {
        return crc32c::fill(headers.payload_mut(packet));
    }
    let kind = kind(packet, headers).ok_or(Malformed::Protocol)?;
    let payload = headers.payload_mut(packet);
    let data = payload.get_mut(..kind.length).ok_or(Malformed::Truncated)?;
    bytes::put_u16(data, kind.field, 0)?;
    let checksum = !add(kind.pseudo, sum(data));
    bytes::put_u16(data, kind.field, stored(headers.protocol, checksum))
}

/// The form in which a checksum is stored: UDP's 0 means "none", so a computed 0 becomes 0xffff (RFC 768).
#[inline]
pub const fn stored(protocol: u8, checksum: u16) -> u16 {
    if checksum == 0 && protocol == protocol::UDP { 0xffff } else { checksum }
}

/// Completes the checksum of a packet that a local sender left to hardware which is not there (CHECKSUM_PARTIAL
/// over veth): if the TCP, UDP or ICMPv6 checksum field holds just the sum of the pseudo-header, or the SCTP one
/// zero, computes the whole checksum. (ICMPv6: errors that kernel IPVS has translated are left so.) Returns whether it did. A correct checksum that happens to look so is computed anew
/// to the same value.
#[inline]
pub fn complete_partial(packet: &mut [u8], headers: &Headers) -> bool {
    let partial = match headers.protocol {
        protocol::TCP | protocol::UDP | protocol::ICMPV6 => match kind(packet, headers) {
            Some(kind) => bytes::u16_at(headers.payload(packet), kind.field) == Some(kind.pseudo),
            None => false,
        },
        protocol::SCTP if headers.fragment == Fragment::Whole => {
            bytes::u32_at(headers.payload(packet), crc32c::CHECKSUM) == Some(0)
        }
        _ => false,
    };
    if partial {
        fill_transport(packet, headers);
    }
    partial
}

/// The IPv4 header, options included; `None` if it is no IPv4 header or not all there.
#[inline]
fn ipv4_header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    (first >> 4 == 4 && length >= 20 && length <= packet.len()).then_some(length)
}

/// Whether the checksum of an IPv4 header is right; false if it is no IPv4 header.
#[inline]
pub fn verify_ipv4_header(packet: &[u8]) -> bool {
    // Nearly all are without options; of a known length no loop is needed.
    if let Some(header @ &[0x45, ..]) = packet.first_chunk::<20>() {
        return sum(header) == 0xffff;
    }
    ipv4_header_len(packet)
        .and_then(|length| packet.get(..length))
        .is_some_and(|header| sum(header) == 0xffff)
}

/// Computes and stores the checksum of an IPv4 header; leaves anything else alone.
#[inline]
pub fn fill_ipv4_header(packet: &mut [u8]) {
    let Some(header) = ipv4_header_len(packet).and_then(|length| packet.get_mut(..length)) else { return };
    if bytes::put_u16(header, 10, 0).is_ok() {
        let checksum = !sum(header);
        // Cannot fail: the header has at least 20 bytes.
        let _ = bytes::put_u16(header, 10, checksum);
    }
}
