//! The packet memory (UMEM) that all sockets share, cut into frames.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{io, slice};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::net::xdp::{XdpUmemReg, XdpUmemRegFlags};

/// Size of a frame in bytes: a page, the largest that AF_XDP takes everywhere.
pub(crate) const FRAME_SIZE: usize = 4096;

/// Bytes that the kernel leaves free before a received packet (XDP_PACKET_HEADROOM): room for an outer header.
pub(crate) const HEADROOM: usize = 256;

/// The right to one frame of a [`Umem`]. Give it back with [`Umem::put`]; one that is dropped is lost to the pool.
#[derive(Debug)]
#[must_use]
pub(crate) struct Frame {
    index: u32,
    umem: u32,
}

/// The packet memory and the pool of its free frames.
#[derive(Debug)]
pub(crate) struct Umem {
    memory: NonNull<u8>,
    frames: u32,
    /// Tells the frames of different memories apart.
    id: u32,
    free: Vec<u32>,
    /// Which frames the kernel has.
    lent: Box<[bool]>,
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread.
unsafe impl Send for Umem {}

impl Umem {
    /// Maps `frames` frames of [`FRAME_SIZE`] bytes.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub(crate) fn new(frames: u32) -> io::Result<Self> {
        static IDS: AtomicU32 = AtomicU32::new(0);
        // SAFETY: a fresh private mapping of zeros at an address that the kernel chooses.
        let memory = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                frames as usize * FRAME_SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        // Packets wander over all frames: in huge pages there are few addresses to translate. Where the kernel has none, or is older
        // than 5.14, pages come as always.
        for advice in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
            // SAFETY: the mapping just made, which nobody uses yet; this advice changes no content.
            let _ = unsafe { madvise(memory, frames as usize * FRAME_SIZE, advice) };
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            memory,
            frames,
            id: IDS.fetch_add(1, Ordering::Relaxed),
            free: (0..frames).rev().collect(),
            lent: vec![false; frames as usize].into(),
        })
    }

    /// What to register with the first socket.
    pub(super) fn registration(&self) -> XdpUmemReg {
        XdpUmemReg {
            addr: self.memory.as_ptr().addr() as u64,
            len: u64::from(self.frames) * FRAME_SIZE as u64,
            chunk_size: FRAME_SIZE as u32,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        }
    }

    /// Frames that are free.
    pub(crate) fn available(&self) -> usize {
        self.free.len()
    }

    /// Takes a free frame.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        self.free.pop().map(|index| Frame { index, umem: self.id })
    }

    /// Gives a frame back to the pool.
    pub(crate) fn put(&mut self, frame: Frame) {
        if frame.umem == self.id {
            self.free.push(frame.index);
        }
    }

    /// The bytes of a frame; none if it belongs to another memory.
    pub(crate) fn bytes_mut<'a>(&'a mut self, frame: &'a mut Frame) -> &'a mut [u8] {
        if frame.umem != self.id || frame.index >= self.frames {
            return &mut [];
        }
        // SAFETY: the frame lies in the mapping (index checked). `Frame` is the one right to it: made by `take` and
        // `reclaim` only, for a frame that is neither free, nor lent, nor held, and not `Clone`; so neither the
        // kernel nor another reference reaches these bytes while the borrow lasts.
        unsafe {
            slice::from_raw_parts_mut(self.memory.as_ptr().add(frame.index as usize * FRAME_SIZE), FRAME_SIZE)
        }
    }

    /// Marks a frame as the kernel's and returns its address in the memory.
    pub(super) fn lend(&mut self, frame: Frame) -> u64 {
        if let Some(lent) = self.lent.get_mut(frame.index as usize) {
            *lent = true;
        }
        u64::from(frame.index) * FRAME_SIZE as u64
    }

    /// Takes back the frame in which `address` lies, with the offset in it. `None` if the kernel does not have it.
    pub(super) fn reclaim(&mut self, address: u64) -> Option<(Frame, usize)> {
        let index = u32::try_from(address / FRAME_SIZE as u64).ok()?;
        let lent = self.lent.get_mut(index as usize)?;
        std::mem::replace(lent, false)
            .then_some((Frame { index, umem: self.id }, (address % FRAME_SIZE as u64) as usize))
    }
}

impl Drop for Umem {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; no borrow of it outlives `self`. The kernel holds the pages on its own
        // account while a socket lives.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.frames as usize * FRAME_SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_once() {
        let mut umem = Umem::new(2).unwrap();
        let frame = umem.take().unwrap();
        let address = umem.lend(frame);
        let (frame, offset) = umem.reclaim(address + 300).unwrap();
        assert_eq!(offset, 300);
        assert!(umem.reclaim(address).is_none());
        umem.put(frame);
        assert_eq!(umem.available(), 2);
        assert!(umem.reclaim(1 << 40).is_none());
    }

    #[test]
    fn frames_of_another_memory_have_no_bytes() {
        let (mut one, mut other) = (Umem::new(1).unwrap(), Umem::new(1).unwrap());
        let mut frame = one.take().unwrap();
        assert_eq!(one.bytes_mut(&mut frame).len(), FRAME_SIZE);
        assert!(other.bytes_mut(&mut frame).is_empty());
        other.put(frame);
        assert_eq!((one.available(), other.available()), (0, 1));
    }
}
