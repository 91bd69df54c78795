//! Packets in and out: XDP loading, AF_XDP sockets, routes and neighbours, ARP and neighbour discovery for virtual
//! addresses, the host port.
//!
//! [`Datapath`] decides nothing that IPVS decides: it carries packets to an [`Engine`] (the director) and out again as
//! the verdict says. It has no thread and no clock: the daemon's event loop waits for its
//! [descriptors](Datapath::descriptors) and calls [`Datapath::turn`].
//!
//! `unsafe` stands only in `xsk` (memory and rings shared with the kernel), `tun` (an ioctl) and
//! `shared_memory` (memory of BPF maps and files) and `namespace` (a socket option, a thread in a namespace of its own).
#![deny(unsafe_code)]

mod arp;
mod attach;
mod classifier;
mod counter;
mod datapath;
mod engine;
mod error;
mod error_limits;
mod ethernet;
mod fast_path;
mod filter;
mod flood;
mod from_tap;
mod host_port;
mod input;
mod interests;
mod leftovers;
mod multicast;
#[allow(unsafe_code)]
mod namespace;
mod ndp;
mod netfilter;
mod netlink;
mod network;
mod open;
mod options;
mod output;
mod parked;
mod parking;
mod pins;
mod program;
mod queued;
mod reassembly;
mod segment;
mod several;
#[allow(unsafe_code)]
mod shared_memory;
mod syn_filter;
mod tap;
mod trial;
#[allow(unsafe_code)]
mod tun;
mod unsegmented;
mod waiting;
#[allow(unsafe_code)]
mod xsk;

pub use attach::{Attach, AttachRule, AttachRuleError, Mode};
pub use counter::Counter;
pub use datapath::{Attached, Datapath, Readable, Source, Turn};
pub use engine::Engine;
pub use error::OpenError;
pub use fast_path::{BulkLookup, FastPathOptions, Previous, Shared};
pub use leftovers::remove_leftovers;
pub use namespace::cookie as namespace_cookie;
pub use options::{Options, XdpMode};
pub use pins::{Pins, PinsError};
pub use program::ProgramCounters;
pub use shared_memory::{Cells, Shareable, SharedMemory};
pub use syn_filter::SynFilter;
pub use tap::{Offload, Tap};
pub use trial::Trial;
