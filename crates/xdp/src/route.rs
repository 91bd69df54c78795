//! The way to a client: the host's own routes and neighbours, with what was found last remembered.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_fib_lookup, macros::map, maps::PerCpuArray};
use ipvs_flow::Tick;

use crate::context::Context;
use crate::maps::{Address, network_generation};
use crate::shared::port;
use crate::transport::Headers;

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
#[derive(Clone, Copy)]
pub struct Hop {
    pub interface: u32,
    /// The first twelve bytes of the frame.
    pub hardware: [u32; 3],
    /// The VLAN tag that the frame gets, as it stands there; 0: none.
    pub tag: u32,
}

/// A hop found before. (Aligned as values of its map are; LLVM 22 fails on copies of more.)
#[repr(C, align(8))]
struct Remembered {
    destination: Address,
    ingress: u32,
    /// The network's generation, and the time, when it was found.
    generation: u32,
    tick: u32,
    mtu: u32,
    interface: u32,
    hardware: [u32; 3],
    tag: u32,
    /// To the length of a cache line.
    rest: [u32; 2],
}

impl Remembered {
    #[inline(always)]
    fn hop(&self) -> Hop {
        Hop { interface: self.interface, hardware: self.hardware, tag: self.tag }
    }
}

/// Hops found before, at the low bits of the destination's last word: half a megabyte for each processor. Where that meets no more
/// than as many thousand clients within a second, most lookups of the kernel's routes are spared.
#[map(name = "hops")]
static HOPS: PerCpuArray<Remembered> = PerCpuArray::with_max_entries(HOPS_LEN, 0);
const HOPS_LEN: u32 = 8192;

/// Longest time that a hop is remembered, in ticks: about a second. Changes are announced by the daemon, except some of
/// path MTUs.
const REMEMBER: u32 = 256;

/// The next hop as [`look_up`] finds it, remembered for a while.
#[inline(always)]
pub fn hop<C: Context, const V6: bool>(
    context: *mut C,
    packet: &Headers,
    ingress: u32,
    now: Tick,
) -> Option<Hop> {
    let (remembered, is_it) = recall(packet, ingress, now)?;
    if is_it {
        return Some(remembered.hop());
    }
    let generation = network_generation();
    let (hop, mtu) = look_up::<C, V6>(context, ingress, packet)?;
    let Hop { interface, hardware, tag } = hop;
    *remembered = Remembered {
        destination: packet.destination,
        ingress,
        generation,
        tick: now.0,
        mtu,
        interface,
        hardware,
        tag,
        rest: [0; 2],
    };
    Some(hop)
}

/// Begins to load the place of a hop towards the client whose address has this last word: that may take long.
#[inline(always)]
pub fn begin(client: u32) {
    if let Some(remembered) = HOPS.get_ptr(place_of(client)) {
        // SAFETY: a plain value of the map; volatile, as nothing is done with it.
        let _ = unsafe { (&raw const (*remembered).tick).read_volatile() };
    }
}

/// Where the hop towards a client is remembered.
#[inline(always)]
const fn place_of(client: u32) -> u32 {
    // The last bytes differ most between clients.
    (client ^ client.swap_bytes()) & (HOPS_LEN - 1)
}

/// The next hop, if it is remembered.
#[inline(always)]
pub fn known_hop(packet: &Headers, ingress: u32, now: Tick) -> Option<Hop> {
    let (remembered, is_it) = recall(packet, ingress, now)?;
    if !is_it {
        return None;
    }
    Some(remembered.hop())
}

/// Where the next hop of a packet would be remembered, and whether it is.
#[inline(always)]
fn recall(packet: &Headers, ingress: u32, now: Tick) -> Option<(&'static mut Remembered, bool)> {
    let [a, b, c, d] = packet.destination;
    let remembered = HOPS.get_ptr_mut(place_of(d))?;
    // SAFETY: values of this processor, and a program is not interrupted by itself.
    let remembered = unsafe { &mut *remembered };
    let [e, f, g, h] = remembered.destination;
    let difference = a ^ e | b ^ f | c ^ g | d ^ h | ingress ^ remembered.ingress;
    let is_it = difference == 0
        && network_generation() == remembered.generation
        && now.since(Tick(remembered.tick)) < REMEMBER
        && packet.largest <= remembered.mtu;
    Some((remembered, is_it))
}

/// The next hop towards the packet's destination, with the way's MTU (or as much of it as is known: the length of the packet's longest segment);
/// `None` if there is none yet, the packet is too large, or frames do not
/// leave there from here. The source plays no part, as it plays none for the daemon.
#[inline(always)]
fn look_up<C: Context, const V6: bool>(
    context: *mut C,
    ingress: u32,
    packet: &Headers,
) -> Option<(Hop, u32)> {
    let [a, b, c, d] = packet.destination;
    let mut lookup = Lookup {
        family: if V6 { INET6 } else { INET },
        protocol: packet.protocol,
        ports: [0; 2],
        length: packet.largest as u16,
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
    if result != 0 {
        return None;
    }
    // For a VLAN device the helper names that device, and the port of its number the interface under it.
    let (interface, tag) = port(lookup.interface)?.exit()?;
    let [s0, s1, s2, d0, d1, d2] = lookup.hardware;
    let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    let hardware = [pair(d0, d1), pair(d2, s0), pair(s1, s2)];
    // The helper leaves the MTU where the length was, since Linux 5.17.
    Some((Hop { interface, hardware, tag }, u32::from(lookup.length)))
}
