//! The address hash of dh and sh.

use std::net::IpAddr;

/// Buckets of dh and sh.
pub(super) const BUCKETS: usize = 256;

/// An address as one number: IPv4 as it is, IPv6 as the exclusive or of its four words, in host order.
pub(super) fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32
        }
    }
}

/// The bucket of a folded address: the top eight bits of its product with 2^32 divided by the golden ratio squared.
pub(super) fn bucket(value: u32) -> usize {
    (value.wrapping_mul(0x61C8_8647) >> 24) as usize
}
