//! The single-producer single-consumer rings that a socket shares with the kernel.

use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::net::xdp::XdpRingOffset;

/// Values that lie in rings: valid for any bytes.
///
/// # Safety
/// Every bit pattern must be a value of the type.
pub(super) unsafe trait Entry: Copy {}

// SAFETY: an integer.
unsafe impl Entry for u64 {}
// SAFETY: `repr(C)` of integers and a bit set without forbidden values.
unsafe impl Entry for rustix::net::xdp::XdpDesc {}

/// A mapped ring.
#[derive(Debug)]
struct Ring<T> {
    memory: NonNull<u8>,
    bytes: usize,
    offsets: XdpRingOffset,
    /// Number of entries, a power of two.
    size: u32,
    entries: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Entry> Ring<T> {
    fn map(fd: BorrowedFd<'_>, page_offset: u64, offsets: XdpRingOffset, size: u32) -> io::Result<Self> {
        if !size.is_power_of_two() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = offsets.desc as usize + size as usize * size_of::<T>();
        // SAFETY: a fresh mapping at an address that the kernel chooses; the length is the one that the kernel gave
        // the ring (offset of the entries plus their size).
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                fd,
                page_offset,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, bytes, offsets, size, entries: PhantomData })
    }

    fn word(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: `offset` is one of the kernel's offsets of a 32-bit word inside the mapping, aligned by the
        // kernel; the kernel accesses it atomically too.
        unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(offset as usize).cast()) }
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    fn entry(&self, position: u32) -> *mut T {
        let index = (position & (self.size - 1)) as usize;
        // SAFETY: the mask keeps the index below `size`, and the mapping holds `size` entries from this offset.
        unsafe { self.memory.as_ptr().add(self.offsets.desc as usize).cast::<T>().add(index) }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`; no reference into it outlives `self`.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.bytes) };
    }
}

/// A ring that this process fills (fill and tx rings).
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// Next position to write; ahead of the shared one until [`Producer::publish`].
    position: u32,
    /// The consumer's position when last looked at.
    consumed: u32,
}

impl<T: Entry> Producer<T> {
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        page_offset: u64,
        offsets: XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(fd, page_offset, offsets, size)?;
        let position = ring.producer().load(Ordering::Relaxed);
        let consumed = ring.consumer().load(Ordering::Acquire);
        Ok(Self { ring, position, consumed })
    }

    /// Entries that can be pushed.
    pub(super) fn free(&mut self) -> u32 {
        self.ring.size.saturating_sub(self.unconsumed())
    }

    /// Entries that the kernel has not consumed yet, the unpublished included.
    pub(super) fn unconsumed(&mut self) -> u32 {
        // Acquire: the kernel's reads of the entries come before its store of the position.
        self.consumed = self.ring.consumer().load(Ordering::Acquire);
        self.position.wrapping_sub(self.consumed)
    }

    /// Adds an entry; `false` if the ring is full.
    pub(super) fn push(&mut self, value: T) -> bool {
        if self.position.wrapping_sub(self.consumed) >= self.ring.size && self.free() == 0 {
            return false;
        }
        // SAFETY: the slot is inside the mapping, and free: the kernel reads only published entries.
        unsafe { self.ring.entry(self.position).write(value) };
        self.position = self.position.wrapping_add(1);
        true
    }

    /// Shows the kernel what was pushed.
    pub(super) fn publish(&mut self) {
        // Release: the entries are written before the position.
        self.ring.producer().store(self.position, Ordering::Release);
    }
}

/// A ring that the kernel fills (rx and completion rings).
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    /// Next position to read; ahead of the shared one until [`Consumer::release`].
    position: u32,
    /// The producer's position when last looked at.
    produced: u32,
}

impl<T: Entry> Consumer<T> {
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        page_offset: u64,
        offsets: XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(fd, page_offset, offsets, size)?;
        let position = ring.consumer().load(Ordering::Relaxed);
        let produced = ring.producer().load(Ordering::Acquire);
        Ok(Self { ring, position, produced })
    }

    /// Takes the next entry.
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.position == self.produced {
            // Acquire: the kernel's writes of the entries come before its store of the position.
            self.produced = self.ring.producer().load(Ordering::Acquire);
            if self.position == self.produced {
                return None;
            }
        }
        // SAFETY: the slot is inside the mapping and published; the kernel does not write it before it is released;
        // any bytes are a value of `T` (`Entry`).
        let value = unsafe { self.ring.entry(self.position).read() };
        self.position = self.position.wrapping_add(1);
        Some(value)
    }

    /// Gives the slots of the entries taken back to the kernel.
    pub(super) fn release(&mut self) {
        // Release: the entries are read before the position is stored.
        self.ring.consumer().store(self.position, Ordering::Release);
    }
}
