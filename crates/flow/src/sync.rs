//! The atomic operations: `core`'s; loom's when its model checker runs the crate (`--cfg loom`); for the XDP program
//! made of compiler intrinsics, as `core` has no 32-bit atomics there.

#[cfg(loom)]
pub(crate) use checked::{
    AtomicU32, load_contended, load_own, load_traced, lock_taken, lock_to_release, store_contended,
};
#[cfg(not(any(loom, target_arch = "bpf")))]
pub(crate) use core::sync::atomic::{AtomicU32, fence};
#[cfg(not(loom))]
pub(crate) use core::{hint::spin_loop, sync::atomic::Ordering};
#[cfg(target_arch = "bpf")]
pub(crate) use in_kernel::{AtomicU32, fence};
#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{Ordering, fence},
};

/// Loads a word that others, too, may change now, and that the thread will change if it is what it should be: such as the control word of
/// a chain whose lock it holds.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn load_contended(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

/// Loads a word that this side alone changes.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn load_own(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

/// Loads a word that others may change now and this thread does not.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn load_traced(word: &AtomicU32, ordering: Ordering) -> u32 {
    word.load(ordering)
}

/// Stores to a word that others may change now by compare-exchange, lock or not.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn store_contended(word: &AtomicU32, value: u32, ordering: Ordering) {
    word.store(value, ordering);
}

/// Notes that the thread has taken a writers' lock. For the model checker.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn lock_taken() {}

/// Notes that the thread will now release a writers' lock. For the model checker.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn lock_to_release() {}

/// Atomics of the XDP program.
///
/// Loads and stores are single instructions, which the kernel translates to single instructions of the machine; what is
/// behind is kept in order against the compiler only. That is enough on x86-64, whose loads are Acquire and whose stores
/// are Release by themselves; on other machines the daemon does not turn forwarding in the program on.
#[cfg(target_arch = "bpf")]
#[allow(unsafe_code, reason = "intrinsics on a cell's pointer")]
mod in_kernel {
    use core::{
        cell::UnsafeCell,
        fmt,
        intrinsics::{self, AtomicOrdering::SeqCst},
        sync::atomic::{Ordering, compiler_fence},
    };

    #[repr(transparent)]
    pub(crate) struct AtomicU32(UnsafeCell<u32>);

    // SAFETY: all accesses are atomic instructions.
    unsafe impl Sync for AtomicU32 {}

    #[inline(always)]
    pub(crate) fn fence(order: Ordering) {
        compiler_fence(order);
    }

    impl AtomicU32 {
        pub(crate) const fn new(value: u32) -> Self {
            AtomicU32(UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn load(&self, _: Ordering) -> u32 {
            // SAFETY: the cell's own pointer; one aligned load.
            let value = unsafe { self.0.get().read_volatile() };
            compiler_fence(Ordering::SeqCst);
            value
        }

        #[inline(always)]
        pub(crate) fn store(&self, value: u32, _: Ordering) {
            compiler_fence(Ordering::SeqCst);
            // SAFETY: as in `load`.
            unsafe { self.0.get().write_volatile(value) }
        }

        #[inline(always)]
        pub(crate) fn fetch_add(&self, value: u32, _: Ordering) -> u32 {
            // SAFETY: as in `load`.
            unsafe { intrinsics::atomic_xadd::<u32, u32, { SeqCst }>(self.0.get(), value) }
        }

        #[inline(always)]
        pub(crate) fn swap(&self, value: u32, _: Ordering) -> u32 {
            // SAFETY: as in `load`.
            unsafe { intrinsics::atomic_xchg::<u32, { SeqCst }>(self.0.get(), value) }
        }

        pub(crate) fn fetch_or(&self, value: u32, _: Ordering) -> u32 {
            // SAFETY: as in `load`.
            unsafe { intrinsics::atomic_or::<u32, u32, { SeqCst }>(self.0.get(), value) }
        }

        pub(crate) fn fetch_and(&self, value: u32, _: Ordering) -> u32 {
            // SAFETY: as in `load`.
            unsafe { intrinsics::atomic_and::<u32, u32, { SeqCst }>(self.0.get(), value) }
        }

        #[inline(always)]
        pub(crate) fn compare_exchange(
            &self,
            old: u32,
            new: u32,
            _: Ordering,
            _: Ordering,
        ) -> Result<u32, u32> {
            // SAFETY: as in `load`.
            let (found, done) =
                unsafe { intrinsics::atomic_cxchg::<u32, { SeqCst }, { SeqCst }>(self.0.get(), old, new) };
            if done { Ok(found) } else { Err(found) }
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            old: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            self.compare_exchange(old, new, success, failure)
        }
    }

    impl fmt::Debug for AtomicU32 {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.load(Ordering::Relaxed).fmt(formatter)
        }
    }
}

/// Loom's atomic, with other ways to load for writers.
///
/// Of the accesses to a word, loom 0.7 remembers the latest only. A thread that loads a word and then stores to it makes
/// loom forget that another thread had loaded the word before, and so the interleaving in which the store comes first is
/// never tried. So writers load without a trace: under a lock by `unsync_load`, which also checks that no store races
/// with it; where one may race, by adding nothing.
#[cfg(loom)]
mod checked {
    use core::{cell::Cell, ops::Deref};

    use loom::sync::atomic::{AtomicU32 as Atomic, Ordering};

    loom::thread_local! {
        static LOCKS: Cell<u32> = Cell::new(0);
    }

    #[derive(Debug)]
    pub(crate) struct AtomicU32(Atomic);

    impl AtomicU32 {
        pub(crate) fn new(value: u32) -> Self {
            AtomicU32(Atomic::new(value))
        }

        #[allow(unsafe_code, reason = "loom asks for it; in the model checker only")]
        pub(crate) fn load(&self, ordering: Ordering) -> u32 {
            if LOCKS.with(Cell::get) > 0 {
                // SAFETY: loom itself panics if the load races with a store.
                unsafe { self.0.unsync_load() }
            } else {
                self.0.load(ordering)
            }
        }

        /// Without a Relaxed store of the value that is there: loom would try each of the two for every load.
        pub(crate) fn store(&self, value: u32, ordering: Ordering) {
            let held = LOCKS.with(Cell::get) > 0 && ordering == Ordering::Relaxed;
            if !held || self.load(ordering) != value {
                self.0.store(value, ordering);
            }
        }
    }

    impl Deref for AtomicU32 {
        type Target = Atomic;

        fn deref(&self) -> &Atomic {
            &self.0
        }
    }

    pub(crate) fn load_contended(word: &AtomicU32) -> u32 {
        word.fetch_add(0, Ordering::Relaxed)
    }

    pub(crate) fn load_own(word: &AtomicU32) -> u32 {
        lock_taken();
        let value = word.load(Ordering::Relaxed);
        lock_to_release();
        value
    }

    pub(crate) fn load_traced(word: &AtomicU32, ordering: Ordering) -> u32 {
        word.0.load(ordering)
    }

    /// By an exchange: loom does not know that a store comes after the compare-exchange that did not see it, and would let the word
    /// have either value afterwards.
    pub(crate) fn store_contended(word: &AtomicU32, value: u32, ordering: Ordering) {
        word.swap(value, ordering);
    }

    pub(crate) fn lock_taken() {
        LOCKS.with(|locks| locks.set(locks.get() + 1));
    }

    pub(crate) fn lock_to_release() {
        LOCKS.with(|locks| locks.set(locks.get() - 1));
    }
}
