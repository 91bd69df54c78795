//! Answering ICMP and ICMPv6 echo requests.

use crate::{Fragment, Headers, Malformed, bytes, checksum, protocol};

/// Turns an echo request in place into its reply: addresses swapped, type changed, checksums fixed, hop limit 64,
/// "don't fragment" cleared, all else as it was. Returns whether it was an echo request to be answered: not to a
/// multicast address, whole, with a right checksum, without IPv4 options or IPv6 extension headers. Otherwise the
/// packet is unchanged.
///
/// # Errors
/// [`Malformed::Truncated`] if the slice is not the packet of `headers`.
pub fn reply(packet: &mut [u8], headers: &Headers) -> Result<bool, Malformed> {
    let ipv6 = headers.is_ipv6();
    let (protocol, request, answer, header_len) =
        if ipv6 { (protocol::ICMPV6, 128, 129, 40) } else { (protocol::ICMP, 8, 0, 20) };
    let payload = headers.payload(packet);
    if headers.protocol != protocol
        || headers.fragment != Fragment::Whole
        || headers.transport != header_len
        || headers.destination.is_multicast()
        || payload.len() < 8
        || payload.first() != Some(&request)
        || !checksum::verify_transport(packet, headers)
    {
        return Ok(false);
    }
    // Type and code are one word of the checksum; the addresses' order makes no difference to ICMPv6's.
    let payload = headers.payload_mut(packet);
    let old = bytes::u16_at(payload, 2).ok_or(Malformed::Truncated)?;
    let difference = checksum::difference(&[request, 0], &[answer, 0]);
    bytes::put(payload, 0, [answer])?;
    bytes::put_u16(payload, 2, checksum::update(old, difference))?;
    if ipv6 {
        swap::<16>(packet, 8, 24)?;
        bytes::put(packet, 7, [64])?;
    } else {
        swap::<4>(packet, 12, 16)?;
        bytes::put(packet, 8, [64])?;
        let flags = bytes::u16_at(packet, 6).ok_or(Malformed::Truncated)?;
        bytes::put_u16(packet, 6, flags & !0x4000)?;
        checksum::fill_ipv4_header(packet);
    }
    Ok(true)
}

/// Swaps the addresses at two offsets.
fn swap<const N: usize>(packet: &mut [u8], a: usize, b: usize) -> Result<(), Malformed> {
    let first = bytes::array::<N>(packet, a).ok_or(Malformed::Truncated)?;
    let second = bytes::array::<N>(packet, b).ok_or(Malformed::Truncated)?;
    bytes::put(packet, a, second)?;
    bytes::put(packet, b, first)
}
