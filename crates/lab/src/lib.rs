//! A lab in network namespaces: a client, a director and real servers, joined by virtual Ethernet cables, with real
//! TCP and UDP traffic through a virtual service.
//!
//! ```text
//! masquerading (nat)                              direct routing (dr)
//! client ── front ── director ── back ─┬─ server1   client ─┐
//!            VIP                       ├─ server2   director┼─ front ─┬─ server1 (VIP on lo)
//!                                      └─ ...       VIP                └─ ...
//! ```
//!
//! The bridges `front` and `back` live in a namespace of their own. The director runs `ipvsd run` as a child process
//! and is set up by `ipvsadm`; servers and client are threads of the calling process, each in its host's namespace, but
//! for servers of thousands of connections at once, which are processes.
//! All of it ends with the process, whatever ends it.

#![deny(unsafe_code)]

mod address;
mod child;
mod cleanup;
mod client;
mod control;
mod daemon;
mod error;
mod expectation;
mod interrupt;
mod kills;
mod link;
mod message;
mod namespace;
#[allow(unsafe_code)]
mod offload;
mod options;
mod own_files;
mod pattern;
mod report;
mod run;
mod sent;
mod server;
mod sysctl;
mod topology;

/// What labs are made of, for those of other crates.
pub mod parts {
    pub use crate::child::spawn;
    pub use crate::cleanup::RunDirectory;
    pub use crate::daemon::Daemon;
    pub use crate::interrupt::Interrupt;
    pub use crate::link::{End, Links};
    pub use crate::namespace::Namespace;
    pub use crate::offload::receive_offload;
    pub use crate::sysctl::{has_ipv6, set as set_sysctl};
}

pub use cleanup::clean;
pub use error::Error;
pub use offload::like_a_wire;
pub use options::{Bulk, Flood, Kills, Mode, Options, Protocol, Tunnel, TunnelChecksum};
pub use report::{AtOnce, Failure, Flooded, Killed, Latency, Report, Server, Transfers};
pub use run::run;
pub use sent::{Ends, Sent};
pub use server::crowd::serve_standard_input;
