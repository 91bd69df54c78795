//! Who is where. `crates/xdp/src/generator.rs` knows the clients' networks, too.

use std::net::Ipv4Addr;

/// The client's own address, from which real sockets ask; frames that are made are from others behind it.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// The director at the clients' and at the servers' side.
pub(crate) const FRONT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(crate) const BACK: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
/// The virtual address.
pub(crate) const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
/// The servers: four addresses of one host.
pub(crate) const SERVERS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 2, 0, 8),
    Ipv4Addr::new(10, 2, 0, 9),
    Ipv4Addr::new(10, 2, 0, 10),
    Ipv4Addr::new(10, 2, 0, 11),
];
/// The network of exactly these.
pub(crate) const SERVERS_MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 252);
/// The hundred servers of a choice by load: addresses of the same host; their network and its mask.
pub(crate) const HUNDRED: u32 = 100;
pub(crate) const HUNDRED_FIRST: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 128);
pub(crate) const HUNDRED_MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 128);
/// Local addresses of full NAT: network and mask.
pub(crate) const LOCALS: (Ipv4Addr, Ipv4Addr) =
    (Ipv4Addr::new(10, 2, 0, 64), Ipv4Addr::new(255, 255, 255, 252));
/// Prefix length of both segments.
pub(crate) const PREFIX: u8 = 24;
/// The clients of frames that are made: network and prefix length, network and mask.
pub(crate) const STRANGERS: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 11);
pub(crate) const CLIENTS: (Ipv4Addr, Ipv4Addr) = (STRANGERS.0, Ipv4Addr::new(255, 224, 0, 0));

/// Port of the virtual services, and of the servers.
pub(crate) const SERVICE_PORT: u16 = 80;
pub(crate) const SERVER_PORT: u16 = 8080;

/// Hardware addresses of the ends of the cables.
pub(crate) const CLIENT_END: [u8; 6] = [2, 0, 0, 0, 0, 0xc0];
pub(crate) const FRONT_END: [u8; 6] = [2, 0, 0, 0, 0, 0xd0];
pub(crate) const BACK_END: [u8; 6] = [2, 0, 0, 0, 0, 0xd1];
pub(crate) const SERVER_END: [u8; 6] = [2, 0, 0, 0, 0, 0x50];
