//! The atomic operations: `core`'s, or loom's when its model checker runs the crate (`--cfg loom`).

#[cfg(not(loom))]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering, fence},
};
#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering, fence},
};
