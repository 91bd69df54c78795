//! The atomic operations: `core`'s, or loom's when its model checker runs the crate (`--cfg loom`).

#[cfg(loom)]
pub(crate) use checked::{AtomicU32, load_contended, lock_taken, lock_to_release};
#[cfg(not(loom))]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering, fence},
};
#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{Ordering, fence},
};

/// Loads a word that others, too, may change now: the control word of a chain whose lock the thread holds.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn load_contended(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

/// Notes that the thread has taken a writers' lock. For the model checker.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn lock_taken() {}

/// Notes that the thread will now release a writers' lock. For the model checker.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn lock_to_release() {}

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

    pub(crate) fn lock_taken() {
        LOCKS.with(|locks| locks.set(locks.get() + 1));
    }

    pub(crate) fn lock_to_release() {
        LOCKS.with(|locks| locks.set(locks.get() - 1));
    }
}
