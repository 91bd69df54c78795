//! What the engine must know about the host it runs on.

use std::net::IpAddr;

use crate::error::Error;
use crate::error_limits::ErrorLimits;

/// What an address is to this host, as its routing tables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// An address of this host.
    Local,
    /// An ordinary unicast address of another host, reachable or not.
    Unicast,
    /// An IPv6 link-local unicast address of another host.
    LinkLocal,
    /// Broadcast, multicast, unspecified, blackholed or otherwise no host's address.
    Other,
}

/// Whether a neighbour's hardware address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reachability {
    /// It is.
    Known,
    /// The first packet will ask for it.
    Unknown,
    /// It did not answer.
    Failed,
}

/// Where a packet leaves this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Name of the interface.
    pub interface: String,
    /// Whom it is sent to: the address itself or a router.
    pub neighbour: IpAddr,
    /// Whether that one can be sent to.
    pub reachability: Reachability,
}

/// Facts about this host, asked by the engine: implemented over rtnetlink by `ipvs-datapath`, by a table in tests.
pub trait Host {
    /// What `address` is to this host.
    fn address_kind(&self, address: IpAddr) -> AddressKind;

    /// The MTU, in bytes of IP packet, of the path to `address`; `None` if there is no route.
    fn path_mtu(&self, address: IpAddr) -> Option<u32>;

    /// Where a packet to `address` leaves, without asking anybody; `None` if it does not, or it is not known.
    fn next_hop(&self, _address: IpAddr) -> Option<NextHop> {
        None
    }

    /// The MTU of the interface `name`; `None` if there is none of that name.
    fn interface_mtu(&self, _name: &str) -> Option<u32> {
        None
    }

    /// Whether a datagram can leave for `group` (multicast) from the interface `name`.
    ///
    /// # Errors
    /// [`Error::NetworkUnreachable`].
    fn multicast_route(&self, _name: &str, _group: IpAddr) -> Result<(), Error> {
        Ok(())
    }

    /// Milliseconds since midnight, universal time (for IPv4 timestamp options).
    fn milliseconds_of_day(&self) -> u32 {
        0
    }

    /// How often this host sends ICMP errors.
    fn error_limits(&self) -> ErrorLimits {
        ErrorLimits::NONE
    }

    /// The address of this host from which it would answer `address` (source of ICMP errors of its own).
    fn source_address(&self, towards: IpAddr) -> Option<IpAddr>;
}
