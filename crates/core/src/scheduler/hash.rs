//! The address hash of dh and sh.

use std::net::IpAddr;

use ipvs_flow::{Address, pick};

/// Buckets of dh and sh.
pub(super) const BUCKETS: usize = 256;

/// See [`pick::fold`].
pub(super) fn fold(address: IpAddr) -> u32 {
    pick::fold(Address::from(address), address.is_ipv6())
}

/// See [`pick::bucket`].
pub(super) fn bucket(value: u32) -> usize {
    pick::bucket(value) as usize
}
