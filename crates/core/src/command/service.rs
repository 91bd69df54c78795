//! What names a virtual service, and what it is set to.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};

/// Identity of a virtual service.
///
/// `protocol` is any 16-bit number: generic netlink accepts all, and a service of a protocol that IPVS does not
/// know simply never matches a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceId {
    /// By protocol, address and port (0: any port).
    Address {
        /// IP protocol number: 6, 17 or 132.
        protocol: u16,
        /// The virtual address.
        address: IpAddr,
        /// The virtual port.
        port: u16,
    },
    /// By firewall mark, one service per family. What it carries besides is [`MarkTarget`].
    Mark {
        /// Whether it serves IPv6 packets (else IPv4).
        ipv6: bool,
        /// The mark. 0 is possible over generic netlink.
        mark: u32,
    },
}

/// In as few words as there are, rather than field by field: each first packet of a connection looks its service up.
impl Hash for ServiceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Self::Address { protocol, address, port } => {
                let ends = u64::from(protocol) << 48 | u64::from(port) << 32;
                match address {
                    IpAddr::V4(address) => state.write_u64(ends | u64::from(address.to_bits())),
                    IpAddr::V6(address) => {
                        state.write_u128(address.to_bits());
                        state.write_u64(ends);
                    }
                }
            }
            Self::Mark { ipv6, mark } => state.write_u64(u64::from(ipv6) << 32 | u64::from(mark)),
        }
    }
}

impl ServiceId {
    /// Whether the service is of the IPv6 family.
    pub fn is_ipv6(&self) -> bool {
        match self {
            Self::Address { address, .. } => address.is_ipv6(),
            Self::Mark { ipv6, .. } => *ipv6,
        }
    }
}

/// What an IPv4 mark service carries that is not its identity: what stood in the fields for protocol, address and port
/// when it was added. Generic netlink always gives the default; socket options may give others, and show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MarkTarget {
    /// IP protocol number.
    pub protocol: u16,
    /// Address.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
}

impl Default for MarkTarget {
    fn default() -> Self {
        Self { protocol: 6, address: Ipv4Addr::UNSPECIFIED, port: 0 }
    }
}

/// Service flags, the kernel's bits (IP_VS_SVC_F_*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceFlags(pub u32);

impl ServiceFlags {
    /// Persistent: clients stay on their server.
    pub const PERSISTENT: u32 = 0x01;
    /// In the hash table: always set in what is shown, ignored in what is given.
    pub const HASHED: u32 = 0x02;
    /// One-packet scheduling.
    pub const ONE_PACKET: u32 = 0x04;
    /// First scheduler flag: sh-fallback, mh-fallback.
    pub const SCHED1: u32 = 0x08;
    /// Second scheduler flag: sh-port, mh-port.
    pub const SCHED2: u32 = 0x10;
    /// Third scheduler flag.
    pub const SCHED3: u32 = 0x20;

    /// Whether all of `bits` are set.
    pub const fn contains(self, bits: u32) -> bool {
        self.0 & bits == bits
    }
}

/// What a service is set to by add and edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Scheduler name; "none" for no scheduler.
    pub scheduler: String,
    /// Persistence engine name, if any ("sip").
    pub persistence_engine: Option<String>,
    /// Helper that reads its connections ("ftp", "tftp", "none"); `None`: that of its port, if there is one.
    pub helper: Option<String>,
    /// New flag values; only bits in `flags_mask` change (for a new service the others start as 0).
    pub flags: u32,
    /// Which flag bits change.
    pub flags_mask: u32,
    /// Persistence timeout, seconds.
    pub timeout: u32,
    /// Persistence granularity: IPv4 mask in host order (0xffff_ffff: each client), or IPv6 prefix length.
    pub netmask: u32,
    /// Of a mark service; not changed by edit.
    pub target: MarkTarget,
}

impl ServiceConfig {
    /// Each client anew to any server: no persistence, no flags, the helper of the port.
    pub fn new(scheduler: impl Into<String>) -> Self {
        Self {
            scheduler: scheduler.into(),
            persistence_engine: None,
            helper: None,
            flags: 0,
            flags_mask: u32::MAX,
            timeout: 0,
            netmask: u32::MAX,
            target: MarkTarget::default(),
        }
    }
}
