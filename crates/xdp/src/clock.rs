//! What time it is, in ticks of the connection table.
//!
//! Reading the clock costs more than looking up a connection. So it is read once in each of the kernel's own ticks (a jiffy: 1 to
//! 10 ms, and never ahead), whose number is one load. All processors share what was read.

use core::{cell::UnsafeCell, ptr};

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use ipvs_flow::Tick;

/// The number of the jiffy in which the clock was read last (its low half), above the tick.
#[repr(transparent)]
struct Read(UnsafeCell<u64>);

// SAFETY: all accesses are single instructions on an aligned word.
unsafe impl Sync for Read {}

#[unsafe(no_mangle)]
static CLOCK: Read = Read(UnsafeCell::new(0));

/// Now, or up to one jiffy ago.
#[inline(always)]
pub fn now() -> Tick {
    // SAFETY: plain helper calls; volatile, as other processors write, too.
    unsafe {
        let jiffy = bpf_jiffies64() as u32;
        let word = ptr::read_volatile(CLOCK.0.get());
        if word as u32 == jiffy {
            return Tick((word >> 32) as u32);
        }
        let tick = Tick::from_nanos(bpf_ktime_get_ns());
        ptr::write_volatile(CLOCK.0.get(), u64::from(jiffy) | u64::from(tick.0) << 32);
        tick
    }
}
