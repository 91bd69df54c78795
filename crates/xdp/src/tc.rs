//! The same decisions on the packets of the host's stack, as a classifier: packets that are yet to be cut into segments pass as
//! they are, which a virtual interface would have to cut before for an XDP program.
//!
//! The daemon gets its packets by a TAP device for each interface, with what the stack knows of their segments and checksums, and
//! sends by the same; or TCP packets wait in the kernel while it reads their headers (`parking.rs`).

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::generated::bpf_redirect,
};

use crate::classify::{Concern, HOST, JUDGED, concern_of_frame};
use crate::context::{Context, gather};
use crate::exit::{self, Fate};
use crate::maps::{Counter, TAPS, count};
use crate::{filter, forward, parking};

/// Bytes that forwarding reads: Ethernet, IPv6, TCP.
const FORWARDED: usize = 14 + 40 + 20;
/// Bytes that are read to find out whose a packet is: what an ICMP error quotes may lie far behind.
const CLASSIFIED: usize = 256;

/// What a packet from outside meets.
#[inline(always)]
pub fn receive(packet: *mut __sk_buff) -> i32 {
    gather(packet, FORWARDED);
    match forward::forward(packet) {
        Some(Fate::Leaves(interface) | Fate::PutOff(interface)) => return exit::redirect(interface) as i32,
        Some(Fate::Done(action)) => return action as i32,
        None => {}
    }
    gather(packet, CLASSIFIED);
    match classify_tc(packet) {
        HOST => {
            count(Counter::Passed);
            return TC_ACT_UNSPEC;
        }
        JUDGED if !forward::wakes() && filter::sheds() => return TC_ACT_SHOT as i32,
        _ => {}
    }
    if let Some(action) = parking::park(packet) {
        return action;
    }
    // SAFETY: the value is a plain u32, written by the daemon before the program is attached.
    match unsafe { TAPS.get(Context::interface(packet)) } {
        // Without daemon there is no such device, and the packet is dropped.
        Some(tap) => {
            count(Counter::Redirected);
            // SAFETY: a plain helper call.
            unsafe { bpf_redirect(*tap, 0) as i32 }
        }
        None => {
            count(Counter::NoSocket);
            TC_ACT_UNSPEC
        }
    }
}

/// What a packet from the daemon meets, which comes by the TAP device of the interface that it is to leave by.
#[inline(always)]
pub fn send(packet: *mut __sk_buff) -> i32 {
    // SAFETY: as in `receive`.
    match unsafe { TAPS.get(Context::interface(packet)) } {
        // SAFETY: a plain helper call.
        Some(interface) => unsafe { bpf_redirect(*interface, 0) as i32 },
        None => TC_ACT_SHOT as i32,
    }
}

/// A function of its own, as those of `stages.rs`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn classify_tc(packet: *mut __sk_buff) -> Concern {
    concern_of_frame(packet)
}
