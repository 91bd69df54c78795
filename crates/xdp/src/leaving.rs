//! What a frame meets that the kernel is about to send: if it was put off when it came (`bulk.rs`), it is forwarded now. What is found to
//! be otherwise (another interface, the daemon's) goes to the daemon by a ring: there are but two ways on, out and nowhere.

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::generated::bpf_xdp_load_bytes,
    macros::map,
    maps::RingBuf,
};

use crate::bulk::{HASH_LINE, LONGEST, MULTICAST, ingress, unmarked};
use crate::classify::{JUDGED, classify};
use crate::context::{Context, Difference, Tags, Tunnels, as_xdp_program};
use crate::exit::Fate;
use crate::maps::{Counter, add, count};
use crate::packet::{Bytes, read, write};
use crate::shared::{port, table};
use crate::stages::{Stages, stages};
use crate::transport::{ETHERNET, Packet};
use crate::wrap::{Wrap, wraps_as_xdp_program};
use crate::{filter, forward, steady};
use ipvs_flow::EntryIndex;

/// Frames for the daemon.
#[map(name = "bulk_misfits")]
static MISFITS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// A frame for the daemon.
#[repr(C)]
struct Misfit {
    /// The interface that it came by, or that it is to leave by.
    interface: u32,
    /// Its length; with [`READY`], if it is to leave as it is.
    length: u32,
    frame: [u8; LONGEST],
}
const READY: u32 = 1 << 31;

/// A frame on its way out by an interface, which was put off when it came.
#[repr(transparent)]
pub struct Leaving(xdp_md);

impl Context for Leaving {
    const GUESSES_CHECKSUMS: bool = true;
    const ADJUSTS_CHECKSUMS: bool = false;
    const TAGS: Tags = Tags::Untouched;
    const TUNNELS: Tunnels = Tunnels::None;
    const LEAVES: bool = true;
    const DROP: u32 = xdp_action::XDP_DROP;

    as_xdp_program!();

    #[inline(always)]
    fn receiver(written: (u32, u16)) -> (u32, u16) {
        unmarked(written)
    }

    #[inline(always)]
    fn interface(this: *mut Self) -> u32 {
        ingress(this.cast())
    }
}

impl Wrap for Leaving {
    wraps_as_xdp_program!();
}

/// What a frame meets on its way out.
#[inline(always)]
pub fn leave(context: *mut xdp_md) -> u32 {
    let Some(packet) = Packet::at_hand() else { return xdp_action::XDP_PASS };
    if packet.expected.len() != 0 {
        read_ahead(packet);
    }
    let (bytes, frame) = Bytes::of(context);
    // SAFETY: the Ethernet header is there.
    if !bytes.has(frame, ETHERNET) || unsafe { read::<u8>(frame) } & MULTICAST == 0 {
        return xdp_action::XDP_PASS;
    }
    match forward::forward(context.cast::<Leaving>()) {
        // SAFETY: the kernel's context.
        Some(Fate::Leaves(interface)) if interface == unsafe { (*context).egress_ifindex } => {
            xdp_action::XDP_PASS
        }
        Some(Fate::Leaves(interface) | Fate::PutOff(interface)) => hand_over_ready(context, interface),
        Some(Fate::Done(action)) => action,
        None => not_forwarded(context),
    }
}

/// Begins to read all places that were noted.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_ahead(packet: &mut Packet) -> u32 {
    let table = table();
    add(Counter::PutOff, packet.expected.len());
    for bucket in packet.expected.take() {
        if bucket & HASH_LINE == 0 {
            let _ = table.bucket_at(*bucket);
        } else {
            table.begin_lookup_by_bucket(bucket & !HASH_LINE);
        }
    }
    0
}

/// What was put off and is not forwarded is the daemon's, even if it is the host's: it gives it back.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn not_forwarded(context: *mut xdp_md) -> u32 {
    let (bytes, frame) = Bytes::of(context);
    if !bytes.has(frame, ETHERNET) {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: 14 bytes are there.
    let to = unsafe { (read(frame), read(frame + 4)) };
    let ingress = ingress(context);
    // Another's, to a next hop with a multicast address.
    if !port(ingress).is_some_and(|port| port.has_hardware(unmarked(to))) {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: the same.
    unsafe { write(frame, read::<u8>(frame) ^ MULTICAST) };
    if classify(context) == JUDGED && !forward::wakes() && filter::sheds() {
        return xdp_action::XDP_DROP;
    }
    hand_over(context, ingress, 0)
}

/// Has the daemon send a frame that is ready to leave by an interface: the action.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hand_over_ready(context: *mut xdp_md, interface: u32) -> u32 {
    hand_over(context, interface, READY)
}

#[inline(always)]
fn hand_over(context: *mut xdp_md, interface: u32, ready: u32) -> u32 {
    let length = Context::length(context) as u32;
    if length as usize > LONGEST {
        return xdp_action::XDP_DROP;
    }
    // At least one byte, as the verifier sees, too.
    let length = (length.wrapping_sub(1) & (LONGEST as u32 - 1)) + 1;
    let Some(mut place) = MISFITS.reserve::<Misfit>(0) else {
        count(Counter::MisfitsLost);
        return xdp_action::XDP_DROP;
    };
    let misfit = place.as_mut_ptr();
    // SAFETY: reserved memory, of which the daemon reads no more than the length says; and a plain helper call.
    let copied = unsafe {
        (&raw mut (*misfit).interface).write(interface);
        (&raw mut (*misfit).length).write(length | ready);
        bpf_xdp_load_bytes(context, 0, (&raw mut (*misfit).frame).cast(), length)
    };
    if copied != 0 {
        place.discard(0);
        return xdp_action::XDP_DROP;
    }
    count(Counter::Redirected);
    place.submit(0);
    xdp_action::XDP_DROP
}

stages! { Leaving by xdp_md:
    steady_ipv4 (steady_ipv4_leaving) = steady::forward::<Leaving, false>,
    elsewhere (elsewhere_leaving) = steady::elsewhere::<Leaving>,;
    inbound_ipv4 (inbound_ipv4_leaving) &Packet = forward::inbound, false;
    outbound_ipv4 (outbound_ipv4_leaving) &Packet = forward::outbound, false;
}
