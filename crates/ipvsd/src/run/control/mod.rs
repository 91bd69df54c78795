//! The control socket: generic netlink messages over Unix SOCK_SEQPACKET, many clients, bounded work.

mod client;
mod credentials;
mod listener;
mod server;

pub(super) use credentials::peer_process;
pub(super) use listener::refuse_if_used;
pub use server::{Control, Limits};
