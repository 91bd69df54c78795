//! Addresses as the table stores them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address as four 32-bit words whose bytes in memory are in network order. IPv4 addresses take the
/// form ::ffff:a.b.c.d; whether one is meant is said beside it ([`crate::Key::ipv6`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address([u32; 4]);

/// The third word of ::ffff:0:0/96.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Address {
    /// The address made of these words (bytes in memory in network order).
    pub const fn from_words(words: [u32; 4]) -> Self {
        Address(words)
    }

    /// The words (bytes in memory in network order).
    pub const fn words(self) -> [u32; 4] {
        self.0
    }

    /// The IPv4 address whose bytes a word has in memory.
    #[inline(always)]
    pub(crate) const fn of_ipv4_word(word: u32) -> Self {
        Address([0, 0, MAPPED, word])
    }

    /// The unspecified address of a family: `::` or `0.0.0.0`.
    pub const fn unspecified(ipv6: bool) -> Self {
        if ipv6 { Address([0; 4]) } else { Address([0, 0, MAPPED, 0]) }
    }

    /// The address as `std` knows it. For `ipv6` false the last word is the IPv4 address, whatever the others hold.
    pub fn to_ip(self, ipv6: bool) -> IpAddr {
        let [a, b, c, d] = self.0;
        if !ipv6 {
            return IpAddr::V4(Ipv4Addr::from(d.to_ne_bytes()));
        }
        let mut octets = [0u8; 16];
        for (bytes, word) in octets.chunks_exact_mut(4).zip([a, b, c, d]) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(octets))
    }
}

impl From<[u8; 4]> for Address {
    fn from(octets: [u8; 4]) -> Self {
        Address([0, 0, MAPPED, u32::from_ne_bytes(octets)])
    }
}

impl From<[u8; 16]> for Address {
    fn from(o: [u8; 16]) -> Self {
        Address([
            u32::from_ne_bytes([o[0], o[1], o[2], o[3]]),
            u32::from_ne_bytes([o[4], o[5], o[6], o[7]]),
            u32::from_ne_bytes([o[8], o[9], o[10], o[11]]),
            u32::from_ne_bytes([o[12], o[13], o[14], o[15]]),
        ])
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        address.octets().into()
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        address.octets().into()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        let v4 = Ipv4Addr::new(192, 0, 2, 77);
        assert_eq!(Address::from(v4).to_ip(false), IpAddr::V4(v4));
        assert_eq!(Address::from(v4), Address::from(v4.to_ipv6_mapped()));
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6);
        assert_eq!(Address::from(IpAddr::V6(v6)).to_ip(true), IpAddr::V6(v6));
        assert_eq!(Address::unspecified(false), Address::from(Ipv4Addr::UNSPECIFIED));
        assert_eq!(Address::unspecified(true), Address::from(Ipv6Addr::UNSPECIFIED));
    }
}
