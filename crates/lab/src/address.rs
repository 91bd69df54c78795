//! The address plan: two /24 (IPv4) or /64 (IPv6) segments out of private ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One segment of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Where the client and the virtual address are; where the director is not the servers' gateway, the servers too.
    Front,
    /// Where the servers are behind a masquerading director.
    Back,
}

/// Host numbers within a segment; servers count on from [`SERVER`].
pub(crate) const CLIENT: u8 = 1;
/// The director, on every segment it has.
pub(crate) const DIRECTOR: u8 = 2;
/// The first of the addresses that the director takes for clients with full NAT.
pub(crate) const POOL: u8 = 3;
/// The virtual address, on the front segment.
pub(crate) const VIRTUAL: u8 = 10;
/// The first server.
pub(crate) const SERVER: u8 = 11;

/// The address of host `number` on `segment`: 10.77.0.N and 10.77.1.N, or fd77:0::N and fd77:1::N, where N reads the
/// same in both families (host 10 is fd77::10).
pub(crate) fn of(segment: Segment, number: u8, ipv6: bool) -> IpAddr {
    let network = match segment {
        Segment::Front => 0,
        Segment::Back => 1,
    };
    if ipv6 {
        let number = u16::from(number);
        let digits = (number / 100) << 8 | (number / 10 % 10) << 4 | (number % 10);
        Ipv6Addr::new(0xfd77, network, 0, 0, 0, 0, 0, digits).into()
    } else {
        Ipv4Addr::new(10, 77, network as u8, number).into()
    }
}

/// Prefix length of a segment.
pub(crate) fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

/// Prefix length of a single address.
pub(crate) fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_the_same_in_both_families() {
        assert_eq!(of(Segment::Back, 110, false).to_string(), "10.77.1.110");
        assert_eq!(of(Segment::Back, 110, true).to_string(), "fd77:1::110");
        assert_eq!(of(Segment::Front, VIRTUAL, true).to_string(), "fd77::10");
    }
}
