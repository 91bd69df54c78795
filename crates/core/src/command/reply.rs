//! What commands are answered with.

use std::net::IpAddr;

use super::{DestinationConfig, DestinationId, MarkTarget, ServiceFlags, ServiceId, Timeouts};
use crate::explain::Step;
use crate::local_pool::PoolName;
use crate::marks::MarkRule;
use crate::stats::{Counters, Stats};
use crate::sync_daemon::{SyncDaemonConfig, SyncRole};
use crate::sysctl::Sysctl;

/// A service as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Identity.
    pub id: ServiceId,
    /// Scheduler name, "none" if none.
    pub scheduler: String,
    /// Persistence engine name, if any.
    pub persistence_engine: Option<String>,
    /// Helper as it was given, see [`ServiceConfig::helper`](super::ServiceConfig::helper).
    pub helper: Option<String>,
    /// Flags, HASHED included.
    pub flags: ServiceFlags,
    /// Persistence timeout, seconds.
    pub timeout: u32,
    /// IPv4 mask in host order, or IPv6 prefix length.
    pub netmask: u32,
    /// Of a mark service.
    pub target: MarkTarget,
    /// Number of destinations.
    pub destinations: u32,
    /// Counters and rates.
    pub stats: Stats,
}

/// A destination as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationInfo {
    /// Identity.
    pub id: DestinationId,
    /// Settings.
    pub config: DestinationConfig,
    /// Active connections.
    pub active: u32,
    /// Inactive connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Counters and rates.
    pub stats: Stats,
}

/// What a persistence engine took from the packet that a template was made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineData {
    /// The engine's name.
    pub name: String,
    /// What it took, 1 to 255 bytes: of SIP, the Call-ID.
    pub data: Box<[u8]>,
}

/// A connection as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// IP protocol number; 0 for a firewall-mark template.
    pub protocol: u8,
    /// Client address.
    pub client: IpAddr,
    /// Client port.
    pub client_port: u16,
    /// Virtual address.
    pub virtual_address: IpAddr,
    /// Virtual port.
    pub virtual_port: u16,
    /// Real server's address.
    pub destination: IpAddr,
    /// Real server's port.
    pub destination_port: u16,
    /// State's name as the kernel prints it ("ESTABLISHED").
    pub state: &'static str,
    /// Seconds until it expires.
    pub expires: u32,
    /// Of a template that a persistence engine has part in.
    pub engine: Option<EngineData>,
    /// With full NAT, from where its packets come to the server: an address of the pool and a port.
    pub local: Option<(IpAddr, u16)>,
}

/// A pool of local addresses as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolInfo {
    /// Its name.
    pub name: PoolName,
    /// Its addresses, in the order in which they were added.
    pub addresses: Vec<IpAddr>,
    /// Connections that use these addresses now, each with a port of its own towards its server.
    pub connections: u64,
    /// Packets that began no connection because all ports were in use, since the daemon started.
    pub exhausted: u64,
    /// Destinations that take addresses from it.
    pub references: u32,
}

/// Version and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Version as the kernel codes it: 0x010201 for 1.2.1.
    pub version: u32,
    /// Size of the connection table as shown to users (the kernel's number of hash buckets).
    pub table_size: u32,
    /// Number of IPv4 services: those that socket options show.
    pub services: u32,
}

/// Packets dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropCount {
    /// Who dropped them: `director`, which decides ([`crate::Reason`]), or `datapath`, which moves packets.
    pub by: String,
    /// The reason's name.
    pub reason: String,
    /// How many, since the daemon started.
    pub packets: u64,
    /// Of a defence that is turned on and off: it is on now.
    pub active: bool,
}

/// The counters of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TotalStats {
    /// Counters since the last zeroing, and rates.
    pub shown: Stats,
    /// Counters since the start, never zeroed.
    pub running: Counters,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done; nothing to say.
    Done,
    /// Timeouts.
    Timeouts(Timeouts),
    /// Version and sizes.
    Info(Info),
    /// The counters of everything.
    Stats(Box<TotalStats>),
    /// Dropped packets by reason.
    Drops(Vec<DropCount>),
    /// What would become of a packet: what is decided about it, in order; the last is the verdict.
    Explanation(Vec<Step>),
    /// Settings and their values.
    Sysctls(Vec<(Sysctl, Vec<i64>)>),
    /// The synchronisation daemons that run, the master first.
    SyncDaemons(Vec<(SyncRole, SyncDaemonConfig)>),
    /// A page of the rules that give packets their firewall marks, in order.
    Marks {
        /// The rules.
        items: Vec<MarkRule>,
        /// Where to go on; `None` after the last.
        next: Option<u64>,
    },
    /// A page of pools, by name.
    Pools {
        /// The pools.
        items: Vec<PoolInfo>,
        /// Where to go on; `None` after the last.
        next: Option<u64>,
    },
    /// One service.
    Service(Box<ServiceInfo>),
    /// A page of services, in the table's order.
    Services {
        /// The services.
        items: Vec<ServiceInfo>,
        /// Where to go on; `None` after the last.
        next: Option<u64>,
    },
    /// A page of destinations, in the service's order.
    Destinations {
        /// The destinations.
        items: Vec<DestinationInfo>,
        /// Where to go on; `None` after the last.
        next: Option<u64>,
    },
    /// A page of connections.
    Connections {
        /// The connections.
        items: Vec<ConnectionInfo>,
        /// Where to go on; `None` after the last.
        next: Option<u64>,
    },
}
