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

#[cfg(test)]
mod tests {
    use super::*;

    /// "TCP address", "UDP address" (port 80) or a signed mark.
    fn service(text: &&str) -> ServiceId {
        match text.split_once(' ') {
            Some((protocol, address)) => ServiceId::Address {
                protocol: if protocol == "TCP" { 6 } else { 17 },
                address: address.parse().expect("an address"),
                port: 80,
            },
            None => ServiceId::Mark { ipv6: false, mark: text.parse::<i32>().expect("a mark") as u32 },
        }
    }

    /// What the original made, on the reference kernel, of the order in which the kernel listed these.
    #[test]
    fn orders_services_as_the_original_does() {
        let kernel = [
            "TCP 1::8000:8000",
            "TCP 1:1::1",
            "TCP 1::8001",
            "TCP 1::8000:0:1",
            "TCP 1::8000:0:0:1",
            "TCP 1:8000::1",
            "TCP ::1",
            "TCP ffff::1",
            "TCP 8000::1",
            "TCP 7fff::1",
            "TCP 1::1",
            "TCP fd00::1",
            "UDP 129.0.0.1",
            "UDP 50.0.0.1",
            "UDP 255.0.0.1",
            "UDP 200.0.0.1",
            "UDP 128.0.0.1",
            "UDP 127.0.0.1",
            "UDP 100.0.0.1",
            "UDP 1.0.0.1",
            "TCP 2001:db8::1",
            "-2130706432",
            "838860800",
            "-16777216",
            "-939524096",
            "-2147483648",
            "2130706432",
            "1677721600",
            "16777216",
        ];
        let original = [
            "-939524096",
            "-16777216",
            "UDP 1.0.0.1",
            "UDP 50.0.0.1",
            "UDP 100.0.0.1",
            "UDP 127.0.0.1",
            "UDP 128.0.0.1",
            "UDP 129.0.0.1",
            "UDP 200.0.0.1",
            "UDP 255.0.0.1",
            "TCP fd00::1",
            "TCP ffff::1",
            "TCP ::1",
            "TCP 1::1",
            "TCP 1::8001",
            "TCP 1::8000:8000",
            "TCP 1::8000:0:1",
            "TCP 1::8000:0:0:1",
            "TCP 1:1::1",
            "TCP 1:8000::1",
            "TCP 2001:db8::1",
            "TCP 7fff::1",
            "TCP 8000::1",
            "16777216",
            "838860800",
            "1677721600",
            "2130706432",
            "-2147483648",
            "-2130706432",
        ];
        let services = kernel.iter().map(service).collect();
        let original: Vec<_> = original.iter().map(service).collect();
        assert_eq!(merge_sort(services, &service_difference), original);
    }
}
