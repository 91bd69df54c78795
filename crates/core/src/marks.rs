//! Firewall marks. Packets have that which netfilter gave them, or, for those that netfilter did not see or mark, that of a list of
//! rules, of which the first that matches counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::director::Director;
use crate::error::Error;
use crate::interest::Interest;
use crate::packet::Packet;
use crate::protocol::{SCTP, TCP, UDP};

/// Most rules: each is looked at for each new connection.
pub const MOST_MARK_RULES: usize = 1024;

/// Most port ranges of a rule.
pub const MOST_PORT_RANGES: usize = 64;

/// Rules with more ports than this ask for all packets to the address, whatever their port.
const MOST_LISTED: u32 = 256;

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

/// Which packets have a mark.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MarkRule {
    /// IP protocol number: 6, 17 or 132.
    pub protocol: u16,
    /// Destination address, or the first of a network.
    pub network: IpAddr,
    /// Length of the network's prefix, bits: 32, for IPv6 128, for a single address.
    pub prefix: u8,
    /// Destination ports; all of them if empty.
    pub ports: Vec<PortRange>,
    /// The mark. 0 is none: what such a rule matches is spared by those after it.
    pub mark: u32,
}

impl MarkRule {
    /// The one form of rules that match the same: without host bits, ports in order and ranges joined.
    ///
    /// # Errors
    /// [`Error::InvalidMarkRule`]: no protocol with services, a prefix that is too long, a range that ends before it
    /// begins, or too many of them.
    pub fn canonical(mut self) -> Result<Self, Error> {
        let known = [TCP, UDP, SCTP].iter().any(|it| u16::from(*it) == self.protocol);
        let ordered = self.ports.iter().all(|range| range.first <= range.last);
        if !known || self.prefix > bits(self.network) || !ordered {
            return Err(Error::InvalidMarkRule);
        }
        self.network = masked(self.network, self.prefix);
        self.ports.sort_unstable();
        let mut ports: Vec<PortRange> = Vec::new();
        for range in self.ports {
            match ports.last_mut().filter(|last| u32::from(range.first) <= u32::from(last.last) + 1) {
                Some(last) => last.last = last.last.max(range.last),
                None => ports.push(range),
            }
        }
        if ports.len() > MOST_PORT_RANGES {
            return Err(Error::InvalidMarkRule);
        }
        if let [PortRange { first: 0, last: u16::MAX }] = ports.as_slice() {
            ports.clear();
        }
        self.ports = ports;
        Ok(self)
    }

    fn matches_address(&self, address: IpAddr) -> bool {
        self.network.is_ipv6() == address.is_ipv6() && masked(address, self.prefix) == self.network
    }

    fn matches(&self, protocol: u16, address: IpAddr, port: u16) -> bool {
        self.protocol == protocol
            && self.matches_address(address)
            && (self.ports.is_empty() || self.ports.iter().any(|it| (it.first..=it.last).contains(&port)))
    }

    /// The packets that the director must see for it.
    pub(crate) fn interests(&self) -> Vec<Interest> {
        let Self { protocol, network: address, prefix, .. } = *self;
        if self.mark == 0 {
            return Vec::new();
        }
        if prefix != bits(address) {
            return vec![Interest::Network { protocol, address, prefix }];
        }
        let count: u32 = self.ports.iter().map(|it| u32::from(it.last) - u32::from(it.first) + 1).sum();
        // Port 0 stands for all.
        if count == 0 || count > MOST_LISTED || self.ports.iter().any(|it| it.first == 0) {
            return vec![Interest::Virtual { protocol, address, port: 0 }];
        }
        let ports = self.ports.iter().flat_map(|it| it.first..=it.last);
        ports.map(|port| Interest::Virtual { protocol, address, port }).collect()
    }
}

/// Bits of an address.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv6() { 128 } else { 32 }
}

/// The network of an address.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// The rules, in order.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<MarkRule>);

impl Marks {
    /// The mark of a packet; 0: none.
    pub(crate) fn of(&self, protocol: u16, address: IpAddr, port: u16) -> u32 {
        self.0.iter().find(|rule| rule.matches(protocol, address, port)).map_or(0, |rule| rule.mark)
    }

    /// Whether some rule is for this address.
    pub(crate) fn cover(&self, address: IpAddr) -> bool {
        self.0.iter().any(|rule| rule.matches_address(address))
    }

    /// Puts a rule behind the others.
    pub(crate) fn add(&mut self, rule: MarkRule) -> Result<(), Error> {
        if self.0.contains(&rule) {
            return Err(Error::MarkRuleExists);
        }
        if self.0.len() >= MOST_MARK_RULES {
            return Err(Error::OutOfMemory);
        }
        self.0.push(rule);
        Ok(())
    }

    /// Takes a rule out.
    pub(crate) fn delete(&mut self, rule: &MarkRule) -> Result<(), Error> {
        let position = self.0.iter().position(|it| it == rule).ok_or(Error::NoSuchMarkRule)?;
        self.0.remove(position);
        Ok(())
    }

    /// All rules.
    pub(crate) fn rules(&self) -> &[MarkRule] {
        &self.0
    }
}

impl Director {
    /// The mark of a packet to this end; 0: none.
    #[inline]
    pub(crate) fn mark_of(&self, packet: &Packet<'_>, protocol: u16, address: IpAddr, port: u16) -> u32 {
        self.mark_in_question().unwrap_or_else(|| match packet.mark() {
            0 => self.marks.of(protocol, address, port),
            mark => mark,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: u16, network: &str, prefix: u8, ports: &[(u16, u16)], mark: u32) -> MarkRule {
        let ports = ports.iter().map(|&(first, last)| PortRange { first, last }).collect();
        MarkRule { protocol, network: network.parse().unwrap(), prefix, ports, mark }
    }

    fn mark(marks: &Marks, protocol: u16, address: &str, port: u16) -> u32 {
        marks.of(protocol, address.parse().unwrap(), port)
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let mut marks = Marks::default();
        for it in [
            rule(6, "10.0.0.9", 32, &[(80, 80), (443, 443)], 1),
            rule(6, "10.0.0.9", 32, &[(443, 500)], 2),
            rule(6, "10.0.0.0", 24, &[(22, 22)], 0),
            rule(6, "10.0.0.0", 24, &[], 3),
            rule(17, "::", 0, &[], 4),
        ] {
            marks.add(it).unwrap();
        }
        assert_eq!(
            [80, 443, 444, 500, 501, 22].map(|port| mark(&marks, 6, "10.0.0.9", port)),
            [1, 1, 2, 2, 3, 0]
        );
        assert_eq!(["10.0.0.255", "10.0.1.0"].map(|to| mark(&marks, 6, to, 80)), [3, 0]);
        assert_eq!(["2001:db8::1", "10.0.0.9"].map(|to| mark(&marks, 17, to, 80)), [4, 0]);
        assert_eq!(marks.add(rule(17, "::", 0, &[], 4)), Err(Error::MarkRuleExists));
        assert_eq!(marks.delete(&rule(17, "::", 0, &[], 5)), Err(Error::NoSuchMarkRule));
        marks.delete(&rule(17, "::", 0, &[], 4)).unwrap();
        assert_eq!(mark(&marks, 17, "2001:db8::1", 80), 0);
    }

    #[test]
    fn one_form_for_rules_that_match_the_same() {
        let given = rule(6, "10.0.0.9", 24, &[(443, 443), (80, 82), (83, 90), (85, 86)], 1);
        assert_eq!(given.canonical(), Ok(rule(6, "10.0.0.0", 24, &[(80, 90), (443, 443)], 1)));
        let all = rule(132, "2001:db8::1", 0, &[(9, u16::MAX), (0, 8)], 1);
        assert_eq!(all.canonical(), Ok(rule(132, "::", 0, &[], 1)));
        for bad in [
            rule(1, "10.0.0.9", 32, &[], 1),
            rule(6, "10.0.0.9", 33, &[], 1),
            rule(6, "::1", 129, &[], 1),
            rule(6, "10.0.0.9", 32, &[(2, 1)], 1),
            rule(6, "10.0.0.9", 32, &(0..=64).map(|it| (it * 2, it * 2)).collect::<Vec<_>>(), 1),
        ] {
            assert_eq!(bad.clone().canonical(), Err(Error::InvalidMarkRule), "{bad:?}");
        }
    }

    #[test]
    fn interests_of_ports() {
        let ports = |rule: MarkRule| {
            let interests = rule.interests().into_iter();
            let port = |it| if let Interest::Virtual { port, .. } = it { port } else { panic!("{it:?}") };
            interests.map(port).collect::<Vec<_>>()
        };
        assert_eq!(ports(rule(6, "10.0.0.9", 32, &[(80, 82), (443, 443)], 1)), [80, 81, 82, 443]);
        assert_eq!(ports(rule(6, "10.0.0.9", 32, &[], 1)), [0]);
        assert_eq!(ports(rule(6, "10.0.0.9", 32, &[(0, 1)], 1)), [0]);
        assert_eq!(ports(rule(6, "10.0.0.9", 32, &[(1, 256)], 1)).len(), 256);
        assert_eq!(ports(rule(6, "10.0.0.9", 32, &[(1, 257)], 1)), [0]);
        assert!(ports(rule(6, "10.0.0.9", 32, &[], 0)).is_empty());
        let network = Interest::Network { protocol: 6, address: "10.0.0.0".parse().unwrap(), prefix: 31 };
        assert_eq!(rule(6, "10.0.0.0", 31, &[(80, 80)], 1).interests(), [network]);
    }
}
