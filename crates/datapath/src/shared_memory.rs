//! Memory that outlives the process, or that others have too: of a BPF array map, or of a file.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::{io, slice};

use aya::maps::MapData;
use ipvs_flow::Line;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What may lie in shared memory.
///
/// # Safety
/// Only for types of 64 bytes that are made of atomics alone, so that any content is valid and others may change it.
pub unsafe trait Shareable {}

/// Eight counters in a cache line.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Cells(pub [AtomicU64; 8]);

// SAFETY: sixteen AtomicU32.
unsafe impl Shareable for Line {}
// SAFETY: eight AtomicU64.
unsafe impl Shareable for Cells {}

/// Values of 64 bytes, from the first of a map or a file on.
#[derive(Debug)]
pub struct SharedMemory<T> {
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
        Self::of(map.fd().as_fd(), len)
    }

    /// Maps the first `len` values of a file. Nobody may make it shorter while it is mapped: the process would be killed
    /// (SIGBUS) when it looks there.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if it is shorter; else what mmap(2) says.
    pub fn of_file(file: &File, len: u32) -> io::Result<Self> {
        if file.metadata()?.len() < u64::from(len) * size_of::<T>() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Self::of(file.as_fd(), len)
    }

    fn of(fd: BorrowedFd<'_>, len: u32) -> io::Result<Self> {
        const { assert!(size_of::<T>() == 64 && align_of::<T>() <= 4096) };
        let len = len as usize;
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, len })
    }

    /// Keeps it mapped until the process ends.
    pub fn leak(self) -> &'static [T] {
        let this = ManuallyDrop::new(self);
        // SAFETY: as in `as_ref`, and nobody unmaps it any more.
        unsafe { slice::from_raw_parts(this.memory.as_ptr(), this.len) }
    }
}

impl<T: Shareable> AsRef<[T]> for SharedMemory<T> {
    #[inline]
    fn as_ref(&self) -> &[T] {
        // SAFETY: the mapping has `len` values (the kernel refuses to map more than a map has, `of_file` looks), lives as long as
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
