//! Reading packet memory in the way the verifier can follow.

use crate::context::Context;

/// An address: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`; read as words for speed.
pub type Address = [u32; 4];

/// The bytes of a frame's first buffer, or as many as can be read of a packet of the host's stack.
#[derive(Clone, Copy)]
pub struct Bytes {
    end: usize,
}

impl Bytes {
    #[inline(always)]
    pub fn of<C: Context>(context: *mut C) -> (Self, usize) {
        let (start, end) = C::bytes(context);
        (Self { end }, start)
    }

    /// Where the bytes end.
    #[inline(always)]
    pub fn end(self) -> usize {
        self.end
    }

    /// Whether `length` bytes at `at` lie inside the packet. The verifier learns the bound from this comparison, so it
    /// must stand before the reads, on the very pointer that they use.
    #[inline(always)]
    pub fn has(self, at: usize, length: usize) -> bool {
        at + length <= self.end
    }
}

/// Reads a `T` at `at`.
///
/// # Safety
/// [`Bytes::has`] must have said that the bytes are there. Packet memory has no alignment to speak of for 16- and
/// 32-bit reads on the machines that XDP runs on; the kernel aligns IP headers to 4 bytes (2 with an odd VLAN tag), and
/// an unaligned-safe read would become byte loads.
#[inline(always)]
pub unsafe fn read<T: Copy>(at: usize) -> T {
    // SAFETY: by the caller.
    unsafe { *(at as *const T) }
}

/// Stores `value` at `at`.
///
/// # Safety
/// As [`read`].
#[inline(always)]
pub unsafe fn write<T: Copy>(at: usize, value: T) {
    // SAFETY: by the caller.
    unsafe { *(at as *mut T) = value }
}

/// The IPv4 address at `at` in its mapped form.
///
/// # Safety
/// As [`read`].
#[inline(always)]
pub unsafe fn ipv4_address(at: usize) -> Address {
    // SAFETY: by the caller.
    mapped(unsafe { read(at) })
}

/// The IPv4 address in a word, in its mapped form.
#[inline(always)]
pub const fn mapped(word: u32) -> Address {
    [0, 0, 0xffffu32.to_be(), word]
}

/// The IPv6 address at `at`.
///
/// # Safety
/// As [`read`].
#[inline(always)]
pub unsafe fn ipv6_address(at: usize) -> Address {
    // SAFETY: by the caller.
    unsafe { read(at) }
}
