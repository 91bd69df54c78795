//! For measurements only (`cargo bench -p ipvs-datapath --bench fast_path`): the forwarding of `main.rs` behind a step that
//! makes the frame anew, so that a run of many rounds does not meet what it rewrote itself. Not part of what users run.
#![no_std]
#![no_main]
#![allow(dead_code, reason = "the program's modules, of which this needs some")]

mod birth;
mod bulk;
mod cache;
mod clock;
mod connection;
mod context;
mod encapsulate;
mod exit;
mod expected;
mod forward;
mod full_nat;
mod lookup;
mod maps;
mod packet;
mod plain;
mod rewrite;
mod route;
mod shared;
mod stages;
mod steady;
mod step;
mod sums;
mod transport;
mod vlan;
mod wrap;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::generated::{bpf_redirect, bpf_xdp_adjust_head},
    macros::{map, xdp},
    maps::Array,
    programs::XdpContext,
};
use ipvs_wire::checksum;

use crate::packet::{Bytes, read, write};

/// What frames to make.
#[repr(C)]
struct Plan {
    /// State of the generator of flow numbers, never 0.
    random: u32,
    /// Number of flows less one: a power of two less one.
    mask: u32,
    /// 1: from the server to the client.
    back: u32,
    /// Network of the clients, or of the local addresses in their place, of 16 bits; host order.
    clients: u32,
    /// Virtual address or server, network order; port, host order.
    other: u32,
    other_port: u32,
    /// First bytes of the frame.
    hardware: [u32; 3],
    /// 1: what a tunnel put before the frame in the round before is taken off; where there is nothing, the same call is made.
    tunnel: u32,
}

/// Length of the frames.
const FRAME: usize = 64;

#[map(name = "plan")]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);

/// The limit: nothing at all.
#[xdp]
pub fn empty(_: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// The limit of a program that sends a frame on.
#[xdp]
pub fn redirect(context: XdpContext) -> u32 {
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(context.ingress_ifindex() as u32, 0) as u32 }
}

/// Making the frame alone.
#[xdp]
pub fn make(context: XdpContext) -> u32 {
    if make_frame(&context) { xdp_action::XDP_TX } else { xdp_action::XDP_ABORTED }
}

/// Making the frame and forwarding it.
#[xdp]
pub fn make_and_forward(context: XdpContext) -> u32 {
    if !make_frame(&context) {
        return xdp_action::XDP_ABORTED;
    }
    let fate = forward::forward(context.ctx);
    fate.map_or(xdp_action::XDP_ABORTED, |fate| fate.action(&exit::EXITS))
}

/// Programs that make the frame and hand it to a plain balancer.
macro_rules! plain {
    ($($program:ident by $find:ident;)*) => {$(
        /// Making the frame, and a plain balancer.
        #[xdp]
        pub fn $program(context: XdpContext) -> u32 {
            if !make_frame(&context) {
                return xdp_action::XDP_ABORTED;
            }
            plain::balance(&context, plain::$find)
        }
    )*};
}

plain! {
    plain_by_lru by in_lru;
    plain_by_hash by in_hash;
    plain_by_lines by in_lines;
    plain_by_tags by in_tags;
}

/// Flow `i`: client's network + the low 16 bits, port 1024 + the others.
#[inline(always)]
fn make_frame(context: &XdpContext) -> bool {
    let Some(plan) = PLAN.get_ptr_mut(0) else { return false };
    // SAFETY: the map's one value, which nobody else uses meanwhile.
    if unsafe { (*plan).tunnel } != 0 {
        let more = context.data_end() - context.data() - FRAME;
        // SAFETY: a plain helper call; pointers into the packet are made anew behind it.
        unsafe { bpf_xdp_adjust_head(context.ctx, more as i32) };
    }
    let (bytes, data) = Bytes::of(context.ctx);
    if !bytes.has(data, 54) {
        return false;
    }
    // SAFETY: the map's one value, which nobody else uses meanwhile; 54 bytes of frame are there.
    unsafe {
        let mut random = (*plan).random;
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        (*plan).random = random;
        let flow = random & (*plan).mask;
        let client = ((*plan).clients | flow & 0xffff).to_be();
        let (port, other_port) =
            (((1024 + (flow >> 16)) as u16).to_be(), ((*plan).other_port as u16).to_be());
        let (from, to, from_port, to_port) = if (*plan).back != 0 {
            ((*plan).other, client, other_port, port)
        } else {
            (client, (*plan).other, port, other_port)
        };
        write(data, (*plan).hardware);
        write(data + 12, forward::ETHERTYPE_IPV4);
        write(data + 22, 64u8);
        write(data + 24, 0u16);
        write(data + 26, from);
        write(data + 30, to);
        let words: [u32; 5] = read(data + 14);
        write(data + 24, !checksum::fold(words.iter().map(|word| u64::from(*word)).sum()));
        write(data + 34, from_port);
        write(data + 36, to_port);
        write(data + 50, 0x1234u16);
    }
    true
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// As in `main.rs`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
