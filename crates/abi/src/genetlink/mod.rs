//! The IPVS generic netlink family as bytes: requests and answers, both ways, no I/O.
//!
//! The formats are the kernel's (linux/ip_vs.h); their fine points, such as the order of checks and what a malformed
//! attribute is answered with, were recorded from a kernel and are replayed by `tests/genetlink.rs`.
//!
//! A server gives each datagram to a [`Session`], which decodes it ([`decode_request`]), has [`Command`]s executed
//! and encodes what comes of them. A client makes an [`Exchange`] per command. All integers are in host byte order
//! except ports, addresses and IPv4 masks.
//!
//! # What is ours
//! * [`FAMILY_ID`], the family's id. The kernel gives ids of 16 to 1023 only, so a request that went to the kernel by
//!   mistake is refused there with ENOENT and never reaches another family.
//! * [`number::command::GET_CONNECTION`] (128), a dump that answers with one [`number::attribute::CONNECTION`] nest (128) per
//!   connection. Not shown by GETFAMILY, whose answer stays the kernel's to the byte.
//! * [`number::command::GET_SYSCTL`] and [`number::command::SET_SYSCTL`]: the settings of /proc/sys/net/ipv4/vs.
//! * [`number::command::GET_DROP`] (136), a dump: packets dropped, by reason.
//! * [`number::command::EXPLAIN`] (144): what would become of a packet, step by step.
//! * [`number::command::GET_STATS`]: the counters of everything, as /proc/net/ip_vs_stats shows them.
//! * [`number::command::NEW_MARK`], [`number::command::DEL_MARK`] and [`number::command::GET_MARK`]: the rules that give
//!   packets their firewall marks, one [`number::attribute::MARK`] nest each.
//! * [`number::command::NEW_POOL`], [`number::command::DEL_POOL`] and [`number::command::GET_POOL`]: pools of local addresses for
//!   full NAT, [`number::attribute::POOL`] nests. A full-NAT destination has [`number::destination::LOCAL_POOL`] and is else shown as
//!   masquerading, so clients that know the kernel's methods alone accept it; what they send back of it changes neither method nor
//!   pool ([`EditKernelDestination`](ipvs_core::Command::EditKernelDestination)).
//! * [`number::command::SOCKOPT`] (129): a socket option as its caller gave it (see [`crate::sockopt`]). A set is
//!   acknowledged if that is asked for; a get is answered like a dump, by messages of this command with pieces of the
//!   caller's buffer and DONE, or by one error.
//! * Over a Unix socket there is no port id that the kernel could vouch for: answers carry the one of the request.
//!
//! [`Command`]: ipvs_core::Command

mod attribute;
mod connection;
mod destination;
mod dropped;
mod exchange;
mod explain;
mod family;
mod mark;
mod message;
pub mod number;
mod option_exchange;
mod pool;
mod reply;
mod request;
mod service;
mod session;
mod setting;
mod sockopt;
mod stats;
mod sync_daemon;

pub use exchange::{Exchange, Progress, ProtocolError, decode_family, encode_get_family, refusals};
pub use message::{Header, Message, Messages};
pub use option_exchange::{OptionExchange, SockoptAnswer};
pub use reply::{encode_acknowledgement, encode_done, encode_error, encode_reply};
pub use request::{Action, Listing, decode_request};
pub use session::{MAX_REQUEST, Session};
pub use sockopt::SocketOption;

/// Name of the family as clients resolve it.
pub const FAMILY_NAME: &str = "IPVS";

/// The family's id: "IP" in ASCII, above the kernel's range.
pub const FAMILY_ID: u16 = 0x4950;
