//! The system's allocator with counters: how often memory is asked for, and how much is held.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, counting.
pub(crate) struct Counting {
    calls: AtomicU64,
    held: AtomicU64,
}

impl Counting {
    pub(crate) const fn new() -> Self {
        Self { calls: AtomicU64::new(0), held: AtomicU64::new(0) }
    }

    /// Allocations and reallocations so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes held now, as asked for (without the allocator's own overhead).
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

// SAFETY: every call goes to `System` unchanged; counting has no effect on memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.held.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System::dealloc`; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.held.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.held.fetch_add(size as u64, Ordering::Relaxed);
        self.held.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System::realloc`; the pointer came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
