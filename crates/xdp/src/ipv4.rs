//! IPv4.

use crate::classify::{Concern, HOST, concern_of_transport};
use crate::maps::concerns_fragment;
use crate::packet::{Bytes, ipv4_address, read};
use crate::{classify, icmp};

const ICMP: u8 = 1;

/// Start of the payload of the IPv4 packet at `ip`, `None` if that is no IPv4 packet.
#[inline(always)]
pub fn payload(bytes: Bytes, ip: usize) -> Option<usize> {
    if !bytes.has(ip, 20) {
        return None;
    }
    // SAFETY: 20 bytes are there.
    let version_length: u8 = unsafe { read(ip) };
    let length = usize::from(version_length & 0xf) * 4;
    (version_length >> 4 == 4 && length >= 20).then_some(ip + length)
}

/// Whose the IPv4 packet at `ip` is.
#[inline(always)]
pub fn concern(bytes: Bytes, ip: usize) -> Concern {
    let Some(payload) = payload(bytes, ip) else { return HOST };
    // SAFETY: `payload` checked 20 bytes.
    let (fragment, protocol, source, destination) =
        unsafe { (read::<u16>(ip + 6), read::<u8>(ip + 9), ipv4_address(ip + 12), ipv4_address(ip + 16)) };
    // Of a datagram that goes to the daemon all fragments do, and only the first has ports.
    if fragment & 0x3fffu16.to_be() != 0 {
        return classify::concern(concerns_fragment(&source, &destination));
    }
    if protocol == ICMP {
        return classify::concern(icmp::v4_concerns_daemon(bytes, payload, &destination));
    }
    concern_of_transport(bytes, payload, protocol, source, destination)
}
