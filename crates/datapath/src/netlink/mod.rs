//! What the kernel knows, by rtnetlink: links, addresses, routes, neighbours, and their changes.

mod address;
pub(crate) mod cable;
mod link;
mod monitor;
mod neighbour;
mod request;
mod route;
mod xdp_features;

pub(crate) use address::Addresses;
pub(crate) use link::{Link, Links, bring_up, not_sent};
pub(crate) use monitor::{Change, Monitor};
pub(crate) use neighbour::{Neighbour, Neighbours};
pub(crate) use request::Requests;
pub(crate) use route::{Kind, Route, Routes};
pub(crate) use xdp_features::XdpFeatures;

/// A hardware (MAC) address.
pub(crate) type HardwareAddress = [u8; 6];
