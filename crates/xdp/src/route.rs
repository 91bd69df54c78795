//! The way to a client: the host's own routes and neighbours.

use core::ffi::c_void;

use aya_ebpf::{bindings::xdp_md, helpers::generated::bpf_fib_lookup};

use crate::shared::port;
use crate::transport::Packet;

const INET: u8 = 2;
const INET6: u8 = 10;

/// struct bpf_fib_lookup, as far as it is used.
#[repr(C)]
struct Lookup {
    family: u8,
    protocol: u8,
    ports: [u16; 2],
    length: u16,
    interface: u32,
    class: u32,
    source: [u32; 4],
    destination: [u32; 4],
    vlan: u32,
    /// Source, then destination.
    hardware: [u16; 6],
}

/// Where a packet leaves.
pub struct Hop {
    pub interface: u32,
    /// The first twelve bytes of the frame.
    pub hardware: [u32; 3],
}

/// The next hop towards the packet's destination; `None` if there is none yet, the packet is too large, or frames do not
/// leave there from here. The source plays no part, as it plays none for the daemon.
#[inline(always)]
pub fn hop<const V6: bool>(context: *mut xdp_md, ingress: u32, packet: &Packet) -> Option<Hop> {
    let [a, b, c, d] = packet.destination;
    let mut lookup = Lookup {
        family: if V6 { INET6 } else { INET },
        protocol: packet.protocol,
        ports: [0; 2],
        length: packet.length as u16,
        interface: ingress,
        class: 0,
        source: [0; 4],
        destination: if V6 { [a, b, c, d] } else { [d, 0, 0, 0] },
        vlan: 0,
        hardware: [0; 6],
    };
    // SAFETY: the structure has the size and layout that the helper knows.
    let result = unsafe {
        bpf_fib_lookup(context.cast::<c_void>(), (&raw mut lookup).cast(), size_of::<Lookup>() as i32, 0)
    };
    if result != 0 || !port(lookup.interface)?.takes_frames() {
        return None;
    }
    let [s0, s1, s2, d0, d1, d2] = lookup.hardware;
    let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    Some(Hop { interface: lookup.interface, hardware: [pair(d0, d1), pair(d2, s0), pair(s1, s2)] })
}
