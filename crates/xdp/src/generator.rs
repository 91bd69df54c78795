//! For `ipvsd bench`: makes frames, sends them on without a look, and counts those that arrive. Not part of the director.
//!
//! `generate` runs by BPF_PROG_TEST_RUN with live frames, whose memory is used again and again: it writes everything that
//! is rewritten on the way.
#![no_std]
#![no_main]

#[allow(dead_code, reason = "of the program's module this needs some")]
mod context;
#[allow(dead_code, reason = "as above")]
mod packet;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_ktime_get_ns, generated::bpf_redirect},
    macros::{map, xdp},
    maps::{Array, PerCpuArray},
    programs::XdpContext,
};
use ipvs_wire::checksum;

use crate::packet::{Bytes, read, write};

/// What frames to make and to expect. `ipvs_bench` mirrors it.
#[repr(C)]
struct Plan {
    /// State of the generator of random numbers, never 0.
    random: u32,
    /// The next flow of those in order.
    next: u32,
    /// Number of flows less one: a power of two less one.
    mask: u32,
    /// One of the kinds below.
    kind: u32,
    /// To whom: address (network order), port (host order).
    to: u32,
    to_port: u32,
    /// Sum of the 16-bit words under the transport checksum that are the same in all frames.
    rest: u32,
    /// First bytes of the frame.
    hardware: [u32; 3],
    /// The interface by which `generate` sends.
    out: u32,
    /// The interface by which `redirect` sends.
    onward: u32,
    /// What arrives, without a tunnel's headers: from which network (network order) and its mask.
    from: u32,
    from_mask: u32,
    /// To which network (network order), its mask, to which port (host order).
    server: u32,
    server_mask: u32,
    server_port: u32,
    /// Last bytes of the hardware address that it has; 0: any.
    server_hardware: u32,
    /// A tunnel's headers: to which network and its mask; the protocol, 0: none; the length.
    outer: u32,
    outer_mask: u32,
    outer_protocol: u32,
    outer_length: u32,
    /// Nanoseconds from one frame to the next, and when that is due; 0: as fast as can be.
    interval: u32,
    unused: u32,
    due: u64,
}

/// So many nanoseconds of frames that were due while nothing ran are sent afterwards.
const CATCH_UP: u64 = 1_000_000;

/// Kinds of frames: UDP of flows drawn at random, of flows in order; TCP of random clients.
const IN_ORDER: u32 = 1;
const STRANGERS: u32 = 2;

/// Clients are in 10.96.0.0/11; those of flows in 10.100.0.0/16.
const CLIENTS: u32 = 0x0a60_0000;
const CLIENTS_MASK: u32 = 0xffe0_0000;
const FLOWS: u32 = 0x0a64_0000;

/// A tunnel's headers are at most so long, a mask.
const LONGEST_OUTER: u32 = 63;

/// 64 bytes on a wire, with the check sequence.
const FRAME: usize = 60;
const UDP_CHECKSUM: usize = 40;
const TCP_CHECKSUM: usize = 50;
const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();

#[map(name = "plan")]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);

/// Frames: sent, arrived as they should, arrived otherwise.
#[map(name = "frames")]
static FRAMES: PerCpuArray<u64> = PerCpuArray::with_max_entries(3, 0);

const SENT: u32 = 0;
const RIGHT: u32 = 1;
const WRONG: u32 = 2;

#[inline(always)]
fn count(position: u32) {
    if let Some(value) = FRAMES.get_ptr_mut(position) {
        // SAFETY: a per-CPU value, and an XDP program is not interrupted by itself.
        unsafe { *value += 1 }
    }
}

/// Makes a frame and sends it.
#[xdp]
pub fn generate(context: XdpContext) -> u32 {
    let (bytes, frame) = Bytes::of(context.ctx);
    let Some(plan) = PLAN.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    if !bytes.has(frame, FRAME) {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: the map's one value, which nobody else uses meanwhile; 60 bytes of frame are there.
    let out = unsafe {
        if (*plan).interval != 0 {
            let now = bpf_ktime_get_ns();
            if now < (*plan).due {
                return xdp_action::XDP_DROP;
            }
            let next = (*plan).due + u64::from((*plan).interval);
            (*plan).due = if next + CATCH_UP < now { now } else { next };
        }
        let mut random = (*plan).random;
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        (*plan).random = random;
        let kind = (*plan).kind;
        let (client, port) = if kind == STRANGERS {
            // The generator goes through all 32-bit numbers but 0 before it repeats one.
            (CLIENTS | random & !CLIENTS_MASK, 1024 + (random >> 21))
        } else {
            let flow = if kind == IN_ORDER {
                let next = (*plan).next;
                (*plan).next = next.wrapping_add(1);
                next
            } else {
                random
            } & (*plan).mask;
            (FLOWS | flow & 0xffff, 1024 + (flow >> 16))
        };
        let (client, port, to_port) =
            (client.to_be(), (port as u16).to_be(), ((*plan).to_port as u16).to_be());
        write(frame, (*plan).hardware);
        // A tunnel's headers lay there.
        write(frame + 12, ETHERTYPE_IPV4);
        write(frame + 22, 64u8);
        write(frame + 24, 0u16);
        write(frame + 26, client);
        write(frame + 30, (*plan).to);
        let words: [u32; 5] = read(frame + 14);
        write(frame + 24, !checksum::fold(words.iter().map(|word| u64::from(*word)).sum()));
        write(frame + 34, port);
        write(frame + 36, to_port);
        let sum = [client, (*plan).to, u32::from(port), u32::from(to_port), (*plan).rest];
        let sum = !checksum::fold(sum.iter().map(|word| u64::from(*word)).sum());
        if kind == STRANGERS {
            write(frame + TCP_CHECKSUM, sum);
        } else {
            // 0 would say that there is none.
            write(frame + UDP_CHECKSUM, if sum == 0 { 0xffff } else { sum });
        }
        (*plan).out
    };
    count(SENT);
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(out, 0) as u32 }
}

/// Sends every frame on: what a director that does nothing would cost.
#[xdp]
pub fn redirect(_: XdpContext) -> u32 {
    let Some(plan) = PLAN.get_ptr(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the map's one value; a plain helper call.
    unsafe { bpf_redirect((*plan).onward, 0) as u32 }
}

/// Counts and drops the frames that were made; others pass.
#[xdp]
pub fn sink(context: XdpContext) -> u32 {
    let (bytes, frame) = Bytes::of(context.ctx);
    let Some(plan) = PLAN.get_ptr(0) else { return xdp_action::XDP_PASS };
    if !bytes.has(frame, 38) {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: 38 bytes are there; the map's one value.
    let (inner, outer_is_right) = unsafe {
        let (hardware, ethertype, protocol, to): (u32, u16, u8, u32) =
            (read(frame + 2), read(frame + 12), read(frame + 23), read(frame + 30));
        if ethertype != ETHERTYPE_IPV4 {
            return xdp_action::XDP_PASS;
        }
        let is_outer = (*plan).outer_protocol == u32::from(protocol);
        (
            frame + if is_outer { ((*plan).outer_length & LONGEST_OUTER) as usize } else { 0 },
            (is_outer || (*plan).outer_protocol == 0)
                && to & (*plan).outer_mask == (*plan).outer
                && ((*plan).server_hardware == 0 || (*plan).server_hardware == hardware),
        )
    };
    if !bytes.has(inner, 38) {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: 38 bytes are there; the map's one value.
    let right = unsafe {
        let (from, to, port): (u32, u32, u16) = (read(inner + 26), read(inner + 30), read(inner + 36));
        if from & (*plan).from_mask != (*plan).from && u32::from_be(from) & CLIENTS_MASK != CLIENTS {
            return xdp_action::XDP_PASS;
        }
        outer_is_right
            && from & (*plan).from_mask == (*plan).from
            && to & (*plan).server_mask == (*plan).server
            && u32::from(u16::from_be(port)) == (*plan).server_port
    };
    count(if right { RIGHT } else { WRONG });
    xdp_action::XDP_DROP
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
