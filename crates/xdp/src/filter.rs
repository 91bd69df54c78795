//! Shedding load: while the daemon cannot keep up, a TCP segment of no known connection is dropped when it comes for the
//! first time, and handed over when it is repeated ([`ipvs_flow::repeats`]). Who means to connect repeats it after a second; a
//! flood from random sources does not.
//!
//! With the fast path the connection table says what is known, and every segment without connection is judged. Without it, and
//! where it does not look into a frame, only SYNs are: of other segments nobody knows here. The table also says which connections helpers
//! expect, whose first SYNs pass.

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, PerCpuArray},
};
use ipvs_flow::{Line, Tick, repeats};

use crate::forward::{self, Standing};
use crate::lookup::{self, Found};
use crate::maps::{Address, Counter, count, filter_mode, serves_any_port};
use crate::packet::{Bytes, read};
use crate::transport::Packet;

/// Modes of the filter: it does nothing; it counts what it would drop; it drops.
const OFF: u32 = 0;
const DROP: u32 = 2;

/// Which segments came. The daemon makes it smaller if it will never turn the filter on.
#[map(name = "first_segments")]
static FIRST_SEGMENTS: Array<Line> = Array::with_max_entries(MEMORY, 0);
const MEMORY: u32 = 1 << 18;

/// The key of its hash, which nobody else must know.
#[map(name = "filter_key")]
static KEY: Array<[u64; 2]> = Array::with_max_entries(1, 0);

/// The segment in question: where packet memory is read there is no stack left to judge it.
#[map(name = "segment")]
static SEGMENT: PerCpuArray<Segment> = PerCpuArray::with_max_entries(1, 0);

/// What matters of a TCP segment to a virtual service.
#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    source: Address,
    destination: Address,
    /// In network order.
    ports: [u16; 2],
    flags: u32,
}

/// Flags of TCP.
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Whether segments are to be judged.
#[inline(always)]
pub fn is_on() -> bool {
    filter_mode() != OFF
}

/// Notes the TCP segment whose header begins at `tcp`; `false` if the flags are not there.
#[inline(always)]
pub fn note(bytes: Bytes, tcp: usize, source: Address, destination: Address) -> bool {
    if !bytes.has(tcp, 14) {
        return false;
    }
    let Some(segment) = SEGMENT.get_ptr_mut(0) else { return false };
    // SAFETY: 14 bytes are there; a value of this processor, and a program is not interrupted by itself.
    unsafe {
        *segment = Segment {
            source,
            destination,
            ports: [read(tcp), read(tcp + 2)],
            flags: u32::from(read::<u8>(tcp + 13)),
        };
    }
    true
}

/// Whether the segment that was noted is to be dropped.
#[inline(always)]
pub fn sheds() -> bool {
    judge() != 0
}

/// A function of its own, for its stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge() -> u32 {
    u32::from(is_shed().unwrap_or(false))
}

/// Whether a helper expects the connection of the packet at hand, which has none: its entry has no client port yet. Only services with
/// ports of any number have helpers.
#[inline(always)]
fn is_expected() -> bool {
    if !serves_any_port() || !matches!(forward::standing(), Standing::Absent) {
        return false;
    }
    let Some(packet) = Packet::at_hand() else { return false };
    let port = packet.headers.source_port;
    packet.headers.source_port = 0;
    let found = lookup::of_client(packet);
    packet.headers.source_port = port;
    matches!(found, Found::Connection(..))
}

#[inline(always)]
fn is_shed() -> Option<bool> {
    let segment = *SEGMENT.get(0)?;
    let is_syn = segment.flags & (SYN | ACK) == SYN;
    let is_judged = match forward::standing() {
        Standing::Unseen => is_syn,
        Standing::Absent => true,
        Standing::Known => false,
    };
    if !is_judged {
        return Some(false);
    }
    let Segment { source, destination, ports: [from, to], .. } = segment;
    let hash = repeats::hash(*KEY.get(0)?, source, destination, u32::from(from) | u32::from(to) << 16);
    // SAFETY: a plain helper call.
    let now = Tick::from_nanos(unsafe { bpf_ktime_get_ns() });
    if repeats::is_repeat(FIRST_SEGMENTS.get(repeats::line_of(hash, MEMORY))?, hash, now) {
        return Some(false);
    }
    if is_syn && is_expected() {
        return Some(false);
    }
    count(Counter::FirstSegments);
    if filter_mode() != DROP {
        return Some(false);
    }
    count(if is_syn { Counter::DroppedSyns } else { Counter::DroppedStrays });
    Some(true)
}
