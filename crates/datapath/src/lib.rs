//! Packets in and out: XDP loading, AF_XDP sockets, routes and neighbours, ARP and neighbour discovery for virtual
//! addresses, the host port.
//!
//! [`Datapath`] decides nothing that IPVS decides: it carries packets to an [`Engine`] (the director) and out again as
//! the verdict says. It has no thread and no clock: the daemon's event loop waits for its
//! [descriptors](Datapath::descriptors) and calls [`Datapath::turn`].
//!
//! `unsafe` stands only in `xsk` (memory and rings shared with the kernel), `tun` (an ioctl) and
//! `fast_path::shared_memory` (memory of BPF maps).
#![deny(unsafe_code)]

mod arp;
mod counter;
mod datapath;
mod engine;
mod error;
mod error_limits;
mod ethernet;
mod fast_path;
mod flood;
mod host_port;
mod input;
mod interests;
mod multicast;
mod ndp;
mod netfilter;
mod netlink;
mod network;
mod open;
mod options;
mod output;
mod program;
mod queued;
mod reassembly;
mod segment;
mod syn_filter;
mod trial;
#[allow(unsafe_code)]
mod tun;
mod waiting;
#[allow(unsafe_code)]
mod xsk;

pub use counter::Counter;
pub use datapath::{Attached, Datapath, Turn};
pub use engine::Engine;
pub use error::OpenError;
pub use fast_path::{FastPathOptions, Shared};
pub use options::{Options, XdpMode};
pub use program::ProgramCounters;
pub use syn_filter::SynFilter;
pub use trial::Trial;
