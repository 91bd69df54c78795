//! Checked, panic-free views of network packets, checksums and in-place rewriting. `no_std`, no allocation.
//!
//! A *packet* here is a layer-3 slice that starts at the IP header; a *frame* starts at the Ethernet header.
//! Numbers come out in host order. No function panics, whatever the bytes: what is too short or wrong is
//! [`Malformed`].
//!
//! Two ways in: [`Headers::parse`] reads in one pass what the balancing of a packet needs, and the functions that
//! take a packet with its [`Headers`] read or rewrite it in place; the views ([`ipv4::Ipv4Packet`],
//! [`tcp::TcpPacket`], …) give every field of one header.
#![no_std]
#![forbid(unsafe_code)]

pub mod arp;
mod bytes;
pub mod checksum;
pub mod crc32c;
pub mod echo;
pub mod ethernet;
pub mod family;
pub mod fragment;
mod headers;
pub mod icmp_error;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
mod malformed;
pub mod ndp;
pub mod protocol;
pub mod rewrite;
pub mod sctp;
pub mod tcp;
mod tcp_reset;
pub mod transport;
pub mod tunnel;
pub mod udp;

pub use headers::{Fragment, Headers};
pub use malformed::Malformed;
pub use tcp_reset::{MAX_LEN as TCP_RESET_LEN, tcp_reset};
pub use transport::Ports;
