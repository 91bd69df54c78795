//! PROXY protocol, version 2: a server behind masquerading or full NAT is told the client's address by a header ahead of what the client
//! sends.
//!
//! The director ends no TCP connection: the header is put into the client's stream, before its first byte, and from there on
//! the server counts more bytes than the client.
//!
//! - *When*: with the ACK that ends the handshake, so a server that speaks first has it, too. As long as the server has not
//!   acknowledged all of it, every segment of the client's that begins with its first byte, or has none, carries it again; so
//!   whatever is lost, the repetition that mends it anyway brings the header: the client's of its data or FIN, or the ACK with
//!   which it answers the server's repeated SYN.
//! - *Numbers*: what the client sends is moved up by the header's length, what the server acknowledges down, but never below
//!   the stream's first byte. Until the header has been acknowledged, the server's window is shown smaller by it.
//! - *Room*: the server's maximum segment size is shown smaller by the header, so it fits into any segment.
//! - *Data in a SYN* (TCP Fast Open) wait for the handshake: they are taken off, and so is the option.
//!
//! `header.rs`: the header's bytes; `numbers.rs`: what becomes of numbers; `beginnings.rs`: what is kept of connections;
//! `introduce.rs`: the way of a packet.

mod beginnings;
mod header;
mod introduce;
mod numbers;

pub(crate) use beginnings::Beginnings;
