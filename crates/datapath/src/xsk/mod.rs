//! AF_XDP sockets: frames of a packet memory (UMEM) that wander between this process and the kernel over rings.
//!
//! Misuse is impossible through the safe interface: a [`Frame`] is the only right to a piece of the memory, is not
//! `Clone`, is consumed by handing it to the kernel and comes back only when the kernel gave that very piece back.

mod ring;
mod socket;
mod umem;

pub(crate) use socket::{Buffer, Flags, Sizes, Socket};
pub(crate) use umem::{FRAME_SIZE, Frame, HEADROOM, Umem};
