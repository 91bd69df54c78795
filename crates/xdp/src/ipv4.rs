//! IPv4.

use crate::classify::transport_concerns_daemon;
use crate::icmp;
use crate::maps::concerns_fragment;
use crate::packet::{Bytes, ipv4_address, read};

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

/// Whether the IPv4 packet at `ip` goes to the daemon.
#[inline(always)]
pub fn concerns_daemon(bytes: Bytes, ip: usize) -> bool {
    let Some(payload) = payload(bytes, ip) else { return false };
    // SAFETY: `payload` checked 20 bytes.
    let (fragment, protocol, source, destination) =
        unsafe { (read::<u16>(ip + 6), read::<u8>(ip + 9), ipv4_address(ip + 12), ipv4_address(ip + 16)) };
    // Of a datagram that goes to the daemon all fragments do, and only the first has ports.
    if fragment & 0x3fffu16.to_be() != 0 {
        return concerns_fragment(&source, &destination);
    }
    if protocol == ICMP {
        return icmp::v4_concerns_daemon(bytes, payload, &destination);
    }
    transport_concerns_daemon(bytes, payload, protocol, source, destination)
}
