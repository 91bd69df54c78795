//! Ethernet, VLAN tags and ARP; then by network protocol.

use aya_ebpf::bindings::xdp_md;
use ipvs_wire::protocol;

use crate::context::Context;
use crate::maps::{Endpoint, is_answered, is_server, is_virtual};
use crate::packet::{Bytes, ipv4_address, read};
use crate::{filter, ipv4, ipv6};

const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
const ETHERTYPE_ARP: u16 = 0x0806u16.to_be();
const ETHERTYPE_IPV6: u16 = 0x86ddu16.to_be();
const ETHERTYPE_VLAN: u16 = 0x8100u16.to_be();
const ETHERTYPE_QINQ: u16 = 0x88a8u16.to_be();

/// Whose a frame is.
pub type Concern = u32;
/// The host's.
pub const HOST: Concern = 0;
/// The daemon's.
pub const DAEMON: Concern = 1;
/// The daemon's, if the filter lets it pass: a TCP segment, which was [noted](filter::note).
pub const JUDGED: Concern = 2;

/// [`DAEMON`] or [`HOST`].
#[inline(always)]
pub fn concern(daemon: bool) -> Concern {
    if daemon { DAEMON } else { HOST }
}

/// Whose the frame is. A function of its own, as those of `stages.rs`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn classify(context: *mut xdp_md) -> Concern {
    concern_of_frame(context)
}

/// Whose the frame is.
#[inline(always)]
pub fn concern_of_frame<C: Context>(context: *mut C) -> Concern {
    let (bytes, data) = Bytes::of(context);
    if !bytes.has(data, 14) {
        return HOST;
    }
    // SAFETY: 14 bytes are there.
    let mut ethertype: u16 = unsafe { read(data + 12) };
    let mut network = data + 14;
    for _ in 0..2 {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
            break;
        }
        if !bytes.has(network, 4) {
            return HOST;
        }
        // SAFETY: 4 bytes are there.
        ethertype = unsafe { read(network + 2) };
        network += 4;
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4::concern(bytes, network),
        ETHERTYPE_IPV6 => ipv6::concern(bytes, network),
        ETHERTYPE_ARP => concern(arp_concerns_daemon(bytes, network)),
        _ => HOST,
    }
}

/// ARP requests (RFC 826; Ethernet and IPv4) for an address that the daemon stands in for.
#[inline(always)]
fn arp_concerns_daemon(bytes: Bytes, arp: usize) -> bool {
    if !bytes.has(arp, 28) {
        return false;
    }
    // SAFETY: 28 bytes are there.
    unsafe {
        read::<u16>(arp) == 1u16.to_be()
            && read::<u16>(arp + 2) == ETHERTYPE_IPV4
            && read::<u16>(arp + 6) == 1u16.to_be()
            && is_answered(&ipv4_address(arp + 24))
    }
}

/// A transport packet: to a virtual service, from a destination, or to an address that the daemon stands in for (it then
/// refuses what no service takes, as a host would).
#[inline(always)]
pub fn concern_of_transport(
    bytes: Bytes,
    ports: usize,
    protocol: u8,
    source: [u32; 4],
    destination: [u32; 4],
) -> Concern {
    if !bytes.has(ports, 4) {
        return HOST;
    }
    let is_tcp = protocol == protocol::TCP;
    let protocol = u16::from(protocol);
    // SAFETY: 4 bytes are there.
    let (source_port, destination_port) = unsafe { (read(ports), read(ports + 2)) };
    let from = Endpoint { protocol, port: source_port, address: source };
    let is_virtual = is_virtual(&Endpoint { protocol, port: destination_port, address: destination });
    if !is_virtual {
        if is_server(&from) {
            return DAEMON;
        }
        if !is_answered(&destination) {
            return HOST;
        }
    }
    // A server that is itself a client is no stranger.
    let is_judged = is_tcp
        && filter::is_on()
        && !(is_virtual && is_server(&from))
        && filter::note(bytes, ports, source, destination);
    if is_judged { JUDGED } else { DAEMON }
}
