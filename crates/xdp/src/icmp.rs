//! ICMP and ICMPv6: errors about connections of the daemon, what goes to a virtual address, neighbour solicitations.

use crate::maps::{Address, Endpoint, is_answered, is_server, is_virtual, is_virtual_address};
use crate::packet::{Bytes, ipv4_address, ipv6_address, read};
use crate::{ipv4, ipv6};

/// RFC 792 errors: destination unreachable, source quench, time exceeded, parameter problem. (Redirects concern the
/// host's routes.)
#[inline(always)]
fn is_v4_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 11 | 12)
}

/// Neighbour solicitation (RFC 4861).
const SOLICITATION: u8 = 135;

/// Whether the ICMP message at `icmp` goes to the daemon: any to a virtual address (to one that is also the host's only
/// errors: the host answers the rest itself), and errors that quote a packet of a connection.
#[inline(always)]
pub fn v4_concerns_daemon(bytes: Bytes, icmp: usize, destination: &Address) -> bool {
    if !bytes.has(icmp, 8) {
        return false;
    }
    if is_answered(destination) {
        return true;
    }
    // SAFETY: 8 bytes are there.
    if !is_v4_error(unsafe { read(icmp) }) {
        return false;
    }
    if is_virtual_address(destination) {
        return true;
    }
    let quoted = icmp + 8;
    let Some(ports) = ipv4::payload(bytes, quoted) else { return false };
    // SAFETY: `payload` checked 20 bytes.
    let (fragment, protocol, from, to) = unsafe {
        (
            read::<u16>(quoted + 6),
            read::<u8>(quoted + 9),
            ipv4_address(quoted + 12),
            ipv4_address(quoted + 16),
        )
    };
    fragment & 0x1fffu16.to_be() == 0 && quoted_concerns_daemon(bytes, ports, protocol, from, to)
}

/// As [`v4_concerns_daemon`]; types below 128 are errors. Neighbour discovery stays with the host but for solicitations
/// of addresses that the daemon stands in for.
#[inline(always)]
pub fn v6_concerns_daemon(bytes: Bytes, icmp: usize, destination: &Address) -> bool {
    if !bytes.has(icmp, 8) {
        return false;
    }
    // SAFETY: 8 bytes are there.
    let kind: u8 = unsafe { read(icmp) };
    if kind == SOLICITATION {
        // SAFETY: 24 bytes are there.
        return bytes.has(icmp, 24) && is_answered(&unsafe { ipv6_address(icmp + 8) });
    }
    if matches!(kind, 133..=137) {
        return false;
    }
    if is_answered(destination) {
        return true;
    }
    if kind >= 128 {
        return false;
    }
    if is_virtual_address(destination) {
        return true;
    }
    let quoted = icmp + 8;
    let Some(payload) = ipv6::quoted_payload(bytes, quoted) else { return false };
    // SAFETY: `quoted_payload` checked 40 bytes.
    let (from, to) = unsafe { (ipv6_address(quoted + 8), ipv6_address(quoted + 24)) };
    !payload.later_fragment && quoted_concerns_daemon(bytes, payload.at, payload.protocol, from, to)
}

/// Whether a quoted packet came from a virtual service, went to a destination, or went to a virtual service: a server's
/// that got it by direct routing.
#[inline(always)]
fn quoted_concerns_daemon(bytes: Bytes, ports: usize, protocol: u8, from: Address, to: Address) -> bool {
    if !bytes.has(ports, 4) {
        return false;
    }
    let protocol = u16::from(protocol);
    // SAFETY: 4 bytes are there.
    let (from_port, to_port) = unsafe { (read(ports), read(ports + 2)) };
    is_server(&Endpoint { protocol, port: to_port, address: to })
        || is_virtual(&Endpoint { protocol, port: from_port, address: from })
        || is_virtual(&Endpoint { protocol, port: to_port, address: to })
}
