//! What the packet filter in front of us (the XDP program) must hand over: virtual services and the real servers
//! whose replies have to be rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::command::{ServiceId, Tunnel, TunnelType};
use crate::ipsec::ISAKMP;
use crate::protocol;
use crate::service::{FTP, TCP};

/// Packets that the director must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// Packets *to* a virtual service.
    Virtual {
        /// IP protocol number.
        protocol: u16,
        /// The virtual address.
        address: IpAddr,
        /// The virtual port; 0: all ports.
        port: u16,
    },
    /// Packets *from* a masquerading destination.
    Server {
        /// IP protocol number.
        protocol: u16,
        /// The real server's address.
        address: IpAddr,
        /// The real server's port; 0: all ports.
        port: u16,
    },
    /// Packets *to* a network, because they may have a firewall mark. Its addresses are not the director's.
    Network {
        /// IP protocol number.
        protocol: u16,
        /// The network's first address.
        address: IpAddr,
        /// Length of its prefix, bits.
        prefix: u8,
    },
    /// Packets that netfilter gave a firewall mark, whatever they are: of a mark service.
    Mark {
        /// Of IPv6, not IPv4.
        ipv6: bool,
        /// The mark.
        mark: u32,
    },
}

impl Interest {
    /// What a service needs; `all_ports`: its helper expects connections at ports of any number. To a mark service also come
    /// the packets of our own rules that give the mark.
    pub(crate) fn of_service(id: &ServiceId, all_ports: bool) -> Self {
        match *id {
            ServiceId::Address { protocol, address, .. } => {
                Self::Virtual { protocol, address, port: served_port(id, all_ports) }
            }
            ServiceId::Mark { ipv6, mark } => Self::Mark { ipv6, mark },
        }
    }

    /// What the replies of a masquerading destination of `service` need. Port 0 stands for the packet's port: that of
    /// the service, or for one that serves all ports any, whichever port the destination has. Mark services serve all
    /// protocols, and persistent ones send to the packet's port.
    pub(crate) fn of_server(service: &ServiceId, all_ports: bool, address: IpAddr, port: u16) -> Vec<Self> {
        let of = |protocol, port| Self::Server { protocol, address, port };
        match (*service, served_port(service, all_ports)) {
            (ServiceId::Address { protocol, .. }, 0) => vec![of(protocol, 0)],
            (ServiceId::Address { protocol, .. }, served) => {
                vec![of(protocol, if port == 0 { served } else { port })]
            }
            (ServiceId::Mark { .. }, _) => {
                protocol::BALANCED.iter().map(|&protocol| of(protocol, 0)).collect()
            }
        }
    }

    /// What is needed of a destination by full NAT: nothing, for its answers come to a local address. But where it may open connections
    /// that a helper expects (TCP), the filter of first segments must know that it is no stranger.
    pub(crate) fn of_translated_server(
        service: &ServiceId,
        all_ports: bool,
        address: IpAddr,
    ) -> Option<Self> {
        let is_tcp = match *service {
            ServiceId::Address { protocol, .. } => protocol == TCP,
            ServiceId::Mark { .. } => true,
        };
        let opens = is_tcp && served_port(service, all_ports) == 0;
        opens.then_some(Self::Server { protocol: TCP, address, port: 0 })
    }
}

impl Interest {
    /// What the errors need that come back from within a tunnel: they quote packets to its far end, of this protocol and, with
    /// GUE, to this port. `None` over IPv6, whose errors IPVS leaves to the host.
    pub(crate) fn of_tunnel(address: IpAddr, tunnel: &Tunnel) -> Option<Self> {
        let (protocol, port) = match tunnel.kind {
            TunnelType::GUE => (protocol::UDP, tunnel.port),
            TunnelType::GRE => (ipvs_wire::protocol::GRE, 0),
            _ => (ipvs_wire::protocol::IPIP, 0),
        };
        address.is_ipv4().then_some(Self::Server { protocol: u16::from(protocol), address, port })
    }
}

impl Interest {
    /// What follows connections of this interest without being of their protocol: ESP and AH.
    pub(crate) fn followers(self) -> impl Iterator<Item = Self> {
        const FOLLOWERS: [u16; 2] = [ipvs_wire::protocol::ESP as u16, ipvs_wire::protocol::AH as u16];
        let (protocol, port) = match self {
            Self::Virtual { protocol, port, .. } | Self::Server { protocol, port, .. } => (protocol, port),
            Self::Network { protocol, .. } => (protocol, 0),
            Self::Mark { .. } => (0, 0),
        };
        let keys = protocol == u16::from(protocol::UDP) && matches!(port, 0 | ISAKMP);
        FOLLOWERS.into_iter().filter(move |_| keys).map(move |protocol| match self {
            Self::Virtual { address, .. } => Self::Virtual { protocol, address, port: 0 },
            Self::Server { address, .. } => Self::Server { protocol, address, port: 0 },
            Self::Network { address, prefix, .. } => Self::Network { protocol, address, prefix },
            Self::Mark { .. } => self,
        })
    }
}

/// The one port that an address service serves; 0 for all: a service for all ports, one whose helper expects connections, and
/// FTP, whose data connections go to other ports (with persistence they are scheduled like the control connection).
fn served_port(id: &ServiceId, all_ports: bool) -> u16 {
    match *id {
        _ if all_ports => 0,
        ServiceId::Address { protocol: TCP, port: FTP, .. } | ServiceId::Mark { .. } => 0,
        ServiceId::Address { port, .. } => port,
    }
}

/// A change of what the director must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterestChange {
    /// Needed from now on.
    Added(Interest),
    /// No longer needed.
    Removed(Interest),
}

/// How often an interest is held, and whether the datapath was told.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    count: u32,
    told: bool,
}

/// All interests, counted by holder. A change that is taken back before it was drained is never told.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    held: BTreeMap<Interest, Holding>,
    touched: BTreeSet<Interest>,
}

impl Interests {
    /// One holder more.
    pub(crate) fn hold(&mut self, interest: Interest) {
        interest.followers().for_each(|follower| self.hold_one(follower));
        self.hold_one(interest);
    }

    fn hold_one(&mut self, interest: Interest) {
        let holding = self.held.entry(interest).or_default();
        holding.count += 1;
        if holding.count == 1 {
            self.touched.insert(interest);
        }
    }

    /// One holder less.
    pub(crate) fn release(&mut self, interest: Interest) {
        interest.followers().for_each(|follower| self.release_one(follower));
        self.release_one(interest);
    }

    fn release_one(&mut self, interest: Interest) {
        let Some(holding) = self.held.get_mut(&interest) else { return };
        holding.count = holding.count.saturating_sub(1);
        if holding.count == 0 {
            self.touched.insert(interest);
        }
    }

    /// The changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<InterestChange> {
        let mut changes = Vec::new();
        for interest in std::mem::take(&mut self.touched) {
            let Some(holding) = self.held.get_mut(&interest) else { continue };
            match (holding.count > 0, holding.told) {
                (true, false) => changes.push(InterestChange::Added(interest)),
                (false, true) => changes.push(InterestChange::Removed(interest)),
                _ => {}
            }
            holding.told = holding.count > 0;
            if holding.count == 0 {
                self.held.remove(&interest);
            }
        }
        changes
    }

    /// All that is held now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Interest> {
        self.held.iter().filter(|(_, holding)| holding.count > 0).map(|(interest, _)| *interest)
    }

    /// Whether `address` is virtual for some protocol and port that IPVS balances.
    pub(crate) fn is_virtual(&self, address: IpAddr) -> bool {
        let at = |protocol, port| Interest::Virtual { protocol, address, port };
        protocol::BALANCED.iter().any(|&protocol| {
            let mut range = self.held.range(at(protocol, 0)..=at(protocol, u16::MAX));
            range.any(|(_, holding)| holding.count > 0)
        })
    }

    /// Number of holders of `interest`.
    #[cfg(test)]
    pub(crate) fn count(&self, interest: Interest) -> u32 {
        self.held.get(&interest).map_or(0, |holding| holding.count)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn interest(port: u16) -> Interest {
        Interest::Virtual { protocol: 6, address: Ipv4Addr::LOCALHOST.into(), port }
    }

    #[test]
    fn ports_of_a_service_and_of_its_servers() {
        let address: IpAddr = Ipv4Addr::LOCALHOST.into();
        for (protocol, port, all_ports, server_port, virtual_wanted, server_wanted) in [
            (6, 80, false, 0, 80, 80),
            (6, 80, false, 8080, 80, 8080),
            (6, 0, false, 0, 0, 0),
            (6, 0, false, 8080, 0, 0),
            (6, 21, false, 2121, 0, 0),
            (17, 21, false, 2121, 21, 2121),
            (6, 2121, true, 21, 0, 0),
        ] {
            let id = ServiceId::Address { protocol, address, port };
            let to = Interest::Virtual { protocol, address, port: virtual_wanted };
            let from = Interest::Server { protocol, address, port: server_wanted };
            assert_eq!(Interest::of_service(&id, all_ports), to);
            assert_eq!(Interest::of_server(&id, all_ports, address, server_port), [from]);
        }
    }

    #[test]
    fn of_servers_behind_full_nat() {
        let address: IpAddr = Ipv4Addr::LOCALHOST.into();
        for (protocol, port, all_ports, opens) in [
            (6, 80, false, false),
            (6, 21, false, true),
            (6, 2121, true, true),
            (6, 0, false, true),
            (17, 69, true, false),
        ] {
            let id = ServiceId::Address { protocol, address, port };
            let wanted = opens.then_some(Interest::Server { protocol: 6, address, port: 0 });
            assert_eq!(Interest::of_translated_server(&id, all_ports, address), wanted, "{protocol} {port}");
        }
        let id = ServiceId::Mark { ipv6: false, mark: 1 };
        assert!(Interest::of_translated_server(&id, false, address).is_some());
    }

    #[test]
    fn told_once_per_change() {
        let mut interests = Interests::default();
        interests.hold(interest(1));
        interests.hold(interest(1));
        interests.hold(interest(2));
        interests.release(interest(2));
        assert_eq!(interests.take_changes(), [InterestChange::Added(interest(1))]);
        assert!(interests.take_changes().is_empty());
        interests.release(interest(1));
        assert!(interests.take_changes().is_empty());
        assert_eq!(interests.iter().collect::<Vec<_>>(), [interest(1)]);
        // Taken back before it was told.
        interests.release(interest(1));
        interests.hold(interest(1));
        assert!(interests.take_changes().is_empty());
        interests.release(interest(1));
        assert_eq!(interests.take_changes(), [InterestChange::Removed(interest(1))]);
        assert!(interests.held.is_empty());
    }
}
