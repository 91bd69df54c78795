//! The control socket: generic netlink messages over Unix SOCK_SEQPACKET, many clients, bounded work.

mod client;
mod credentials;
mod listener;
mod server;

pub(super) use credentials::peer_process;
pub use server::{Control, Limits};
