//! The order in which listings show services and destinations.
//!
//! The original subtracts 32-bit numbers and looks at the sign of the wrapped difference, so its order is not
//! transitive: 200.0.0.1 comes before 5.0.0.1 and after 128.0.0.1. What comes out then depends on the sorting
//! algorithm too: the C library's top-down merge sort.

use std::net::IpAddr;

use ipvs_core::{DestinationId, ServiceId};

/// Sorts by `difference`, which is negative if the first comes first: a stable top-down merge sort that splits before
/// the middle and takes from the left half unless the right one comes first.
pub(super) fn merge_sort<T>(mut items: Vec<T>, difference: &impl Fn(&T, &T) -> i32) -> Vec<T> {
    if items.len() <= 1 {
        return items;
    }
    let total = items.len();
    let right = merge_sort(items.split_off(total / 2), difference);
    let left = merge_sort(items, difference);
    let mut merged = Vec::with_capacity(total);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let next = if difference(first, second) <= 0 { left.next() } else { right.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// Services by mark (0 for addresses), family, protocol, address, port.
pub(super) fn service_difference(first: &ServiceId, second: &ServiceId) -> i32 {
    let key = |id: &ServiceId| match *id {
        ServiceId::Mark { mark, .. } => (mark, 0, None, 0),
        ServiceId::Address { protocol, address, port } => (0, protocol, Some(address), port),
    };
    let (first_key, second_key) = (key(first), key(second));
    let differences = [
        first_key.0.wrapping_sub(second_key.0) as i32,
        i32::from(first.is_ipv6()) - i32::from(second.is_ipv6()),
        i32::from(first_key.1) - i32::from(second_key.1),
        match (first_key.2, second_key.2) {
            (Some(first), Some(second)) => address_difference(first, second),
            _ => 0,
        },
        i32::from(first_key.3) - i32::from(second_key.3),
    ];
    differences.into_iter().find(|difference| *difference != 0).unwrap_or(0)
}

/// Destinations by address and port.
pub(super) fn destination_difference(first: &DestinationId, second: &DestinationId) -> i32 {
    match address_difference(first.address, second.address) {
        0 => i32::from(first.port) - i32::from(second.port),
        difference => difference,
    }
}

/// An IPv4 address compares with the first word of an IPv6 one; an IPv6 address as a whole, with an IPv4 one that ends
/// in zeros.
fn address_difference(first: IpAddr, second: IpAddr) -> i32 {
    let words = |address| match address {
        IpAddr::V4(address) => [u32::from(address), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
        }
    };
    let compared = if first.is_ipv6() { 4 } else { 1 };
    let pairs = words(first).into_iter().zip(words(second)).take(compared);
    pairs.map(|(first, second)| first.wrapping_sub(second) as i32).find(|it| *it != 0).unwrap_or(0)
}
