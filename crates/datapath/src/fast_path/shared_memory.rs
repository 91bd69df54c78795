//! The memory of a BPF array map, in the daemon's own address space.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::{io, slice};

use aya::maps::MapData;
use ipvs_flow::Line;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Counters;

/// What may lie in shared memory.
///
/// # Safety
/// Only for types of 64 bytes that are made of atomics alone, so that any content is valid and others may change it.
pub(crate) unsafe trait Shareable {}

// SAFETY: sixteen AtomicU32.
unsafe impl Shareable for Line {}
// SAFETY: eight AtomicU64.
unsafe impl Shareable for Counters {}

/// The values of a map, from 0 on.
#[derive(Debug)]
pub(crate) struct SharedMemory<T> {
    memory: NonNull<T>,
    len: usize,
}

// SAFETY: the mapping is not bound to a thread, and what is in it may be changed by others at any time.
unsafe impl<T: Shareable> Send for SharedMemory<T> {}
// SAFETY: as for Send.
unsafe impl<T: Shareable> Sync for SharedMemory<T> {}

impl<T: Shareable> SharedMemory<T> {
    /// Maps the first `len` values of an array map that was made to be mapped.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub(crate) fn map(map: &MapData, len: u32) -> io::Result<Self> {
        const { assert!(size_of::<T>() == 64 && align_of::<T>() <= 4096) };
        let len = len as usize;
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, len })
    }
}

impl<T: Shareable> AsRef<[T]> for SharedMemory<T> {
    #[inline]
    fn as_ref(&self) -> &[T] {
        // SAFETY: the mapping has `len` values (the kernel refuses to map more than the map has), lives as long as
        // `self`, and by `Shareable` any bytes are values that may change under a shared reference.
        unsafe { slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl<T> Drop for SharedMemory<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`; no borrow of it outlives `self`.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}
