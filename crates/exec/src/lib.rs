//! `ipvsd exec`: runs programs as they are, static ones too, so that their IPVS calls reach the daemon.
//!
//! A seccomp filter shows the calls of IPVS's two interfaces, socket options and generic netlink, to a supervisor: a small
//! process beside the program which answers them by the daemon's control socket. The program is executed in place: its
//! process id, its parent, its signals and its exit code are those of a program run directly, and what it starts is
//! served, too. The supervisor holds no state of IPVS and ends with the last program that it serves.
//!
//! Served are sockets of the network namespace in which it was started; those of other namespaces reach the kernel.
//!
//! # The way of a call
//! ```text
//! program: setsockopt(…) ── filter.rs ──► notification.rs ──► supervisor.rs ──► sockopt_call.rs ─┐
//! program: sendto(960, …) ─────────────────────────────────────────────────► netlink_call/ ──────┴─► daemon.rs
//! ```
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail"))]

mod command;
mod daemon;
mod detached;
pub mod files;
mod filter;
mod memory;
mod netlink_call;
mod notification;
mod privilege;
mod process;
mod sockopt_call;
mod supervisor;
mod syscall;
mod window;

pub use command::{Failure, Launch, Mode, exec};
pub use privilege::Authority;
