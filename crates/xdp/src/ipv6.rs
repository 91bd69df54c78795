//! IPv6 and its extension headers.

use crate::classify::{Concern, HOST, concern_of_transport};
use crate::maps::concerns_fragment;
use crate::packet::{Bytes, ipv6_address, read};
use crate::{classify, icmp};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;

/// Most extension headers looked behind in a packet, and in one quoted by an ICMPv6 error.
const MOST_HEADERS: usize = 6;
const MOST_QUOTED_HEADERS: usize = 2;

/// What lies behind the extension headers.
pub struct Payload {
    /// Start of the transport header.
    pub at: usize,
    /// Its protocol.
    pub protocol: u8,
    /// A fragment, of which the first alone has a transport header.
    pub fragment: bool,
    /// A later fragment.
    pub later_fragment: bool,
}

/// Looks behind at most `MOST` extension headers of the IPv6 packet at `ip`.
#[inline(always)]
fn payload<const MOST: usize>(bytes: Bytes, ip: usize) -> Option<Payload> {
    if !bytes.has(ip, 40) {
        return None;
    }
    // SAFETY: 40 bytes are there.
    let (version, mut protocol) = unsafe { (read::<u8>(ip), read::<u8>(ip + 6)) };
    if version >> 4 != 6 {
        return None;
    }
    let mut at = ip + 40;
    let mut fragment = false;
    for _ in 0..MOST {
        match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                if !bytes.has(at, 8) {
                    return None;
                }
                // SAFETY: 8 bytes are there.
                let (next, length) = unsafe { (read::<u8>(at), read::<u8>(at + 1)) };
                protocol = next;
                at += (usize::from(length) + 1) * 8;
            }
            FRAGMENT => {
                if !bytes.has(at, 8) {
                    return None;
                }
                // SAFETY: 8 bytes are there.
                let (next, offset) = unsafe { (read::<u8>(at), read::<u16>(at + 2)) };
                protocol = next;
                at += 8;
                fragment |= offset & 1u16.to_be() != 0;
                if offset & 0xfff8u16.to_be() != 0 {
                    return Some(Payload { at, protocol, fragment: true, later_fragment: true });
                }
            }
            _ => return Some(Payload { at, protocol, fragment, later_fragment: false }),
        }
    }
    match protocol {
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS => None,
        _ => Some(Payload { at, protocol, fragment, later_fragment: false }),
    }
}

/// Looks into a packet quoted by an ICMPv6 error.
#[inline(always)]
pub fn quoted_payload(bytes: Bytes, ip: usize) -> Option<Payload> {
    payload::<MOST_QUOTED_HEADERS>(bytes, ip)
}

/// Whose the IPv6 packet at `ip` is.
#[inline(always)]
pub fn concern(bytes: Bytes, ip: usize) -> Concern {
    let Some(payload) = payload::<MOST_HEADERS>(bytes, ip) else { return HOST };
    // SAFETY: `payload` checked 40 bytes.
    let (source, destination) = unsafe { (ipv6_address(ip + 8), ipv6_address(ip + 24)) };
    if payload.fragment {
        return classify::concern(concerns_fragment(&source, &destination));
    }
    if payload.protocol == ICMPV6 {
        return classify::concern(icmp::v6_concerns_daemon(bytes, payload.at, &destination));
    }
    concern_of_transport(bytes, payload.at, payload.protocol, source, destination)
}
