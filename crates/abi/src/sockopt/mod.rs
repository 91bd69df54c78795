//! IPVS's socket options as bytes (`setsockopt` and `getsockopt` of level IPPROTO_IP), the kernel's older interface:
//! what ipvsadm and keepalived fall back to without generic netlink, and what old programs speak.
//!
//! An option goes through two hands. Who stands where the system call is made has [`check`] say what the kernel
//! refuses before it reads the caller's memory, and copies as many bytes as it says; who has the director decodes
//! those bytes and executes them ([`decode_set`], [`Reading`]). Only IPv4 can be expressed. Integers are in host byte
//! order except addresses, ports and masks; layouts are those of 64-bit little-endian machines.

mod check;
mod get;
mod layout;
pub mod number;
mod set;

pub use check::{Operation, check};
pub use get::{Page, Reading};
pub use set::{Change, decode_set};
