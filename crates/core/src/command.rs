//! The command set: one for all interfaces (generic netlink, socket options, our own client).

use std::net::{IpAddr, Ipv4Addr};

use crate::explain::{Question, Step};
use crate::local_pool::PoolName;
use crate::marks::MarkRule;
use crate::stats::{Counters, Stats};
use crate::sync_daemon::{SyncDaemonConfig, SyncRole};
use crate::sysctl::Sysctl;

/// Identity of a virtual service.
///
/// `protocol` is any 16-bit number: generic netlink accepts all, and a service of a protocol that IPVS does not
/// know simply never matches a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Identity of a destination within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId {
    /// The real server's address; its family may differ from the service's with tunneling.
    pub address: IpAddr,
    /// The real server's port.
    pub port: u16,
}

/// How packets reach a destination: the kernel's numbers (IP_VS_CONN_F_FWD_MASK).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ForwardingMethod(pub u8);

impl ForwardingMethod {
    /// Masquerading (NAT).
    pub const MASQUERADE: Self = Self(0);
    /// Local: a server on the director.
    pub const LOCAL: Self = Self(1);
    /// Tunneling.
    pub const TUNNEL: Self = Self(2);
    /// Direct routing.
    pub const DIRECT: Self = Self(3);
    /// Bypass: to the packet's own destination.
    pub const BYPASS: Self = Self(4);
    /// Full NAT, an extension of ours: also the client's address is replaced, by one of a pool. The kernel has no method of this
    /// number.
    pub const FULL_NAT: Self = Self(5);

    /// Whether the server's answers pass the director, so that what both ends say can be changed.
    pub const fn answers_pass(self) -> bool {
        matches!(self, Self::MASQUERADE | Self::FULL_NAT)
    }
}

/// Flags for a destination's connections besides the method, the kernel's bits (IP_VS_CONN_F_*). Only socket options can
/// give and show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionFlags(pub u32);

impl ConnectionFlags {
    /// One-packet scheduling.
    pub const ONE_PACKET: u32 = 0x2000;
    /// Connection tracking.
    pub const CONNTRACK: u32 = 0x1_0000;
    /// Those that can be given.
    pub const GIVEN: u32 = Self::ONE_PACKET | Self::CONNTRACK;
}

/// How a tunneled packet is encapsulated. Any value of `kind` is kept as given, as the kernel does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Encapsulation: see [`TunnelType`].
    pub kind: u8,
    /// UDP port for GUE.
    pub port: u16,
    /// 1: checksum, 2: remote checksum offload.
    pub flags: u16,
}

/// Encapsulations, the kernel's numbers (IP_VS_CONN_F_TUNNEL_TYPE_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunnelType;

impl TunnelType {
    /// IP in IP.
    pub const IPIP: u8 = 0;
    /// Generic UDP encapsulation.
    pub const GUE: u8 = 1;
    /// Generic routing encapsulation.
    pub const GRE: u8 = 2;
}

/// What a destination is set to by add and edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Forwarding method.
    pub forwarding: ForwardingMethod,
    /// More flags; others than [`ConnectionFlags::GIVEN`] are dropped.
    pub flags: ConnectionFlags,
    /// Weight; negative is refused.
    pub weight: i32,
    /// No new connections at this many; 0: no limit.
    pub upper_threshold: u32,
    /// New connections again below this many; 0: three quarters of the upper one.
    pub lower_threshold: u32,
    /// Encapsulation for tunneling.
    pub tunnel: Tunnel,
    /// Where full NAT takes local addresses from; with another method there is none.
    pub local_pool: Option<PoolName>,
    /// Ours: whether the server is told each client's address by a PROXY protocol header (version 2) ahead of what the client
    /// sends over TCP; `None`: as it was, at first not. Shown as `Some(true)` or `None`. Connections keep what they began with.
    pub proxy: Option<bool>,
}

impl DestinationConfig {
    /// The method as clients see it that know the kernel's alone: full NAT is masquerading to them. (The number without a pool is one
    /// that they gave.)
    pub const fn kernel_method(&self) -> ForwardingMethod {
        match self.local_pool {
            Some(_) => ForwardingMethod::MASQUERADE,
            None => self.forwarding,
        }
    }

    /// Without thresholds, flags or options of tunneling.
    pub fn new(forwarding: ForwardingMethod, weight: i32) -> Self {
        Self {
            forwarding,
            flags: ConnectionFlags::default(),
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
            local_pool: None,
            proxy: None,
        }
    }
}

/// Timeouts in seconds: TCP established, TCP after FIN, UDP. In [`Command::SetTimeouts`] 0 leaves one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP ESTABLISHED; default 900.
    pub tcp: i32,
    /// TCP FIN_WAIT; default 120.
    pub tcp_fin: i32,
    /// UDP; default 300.
    pub udp: i32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { tcp: 900, tcp_fin: 120, udp: 300 }
    }
}

/// A command to the director.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Add a virtual service.
    AddService(ServiceId, ServiceConfig),
    /// Change a virtual service; its statistics stay.
    EditService(ServiceId, ServiceConfig),
    /// Delete a virtual service and its destinations; connections stay.
    DeleteService(ServiceId),
    /// Delete all virtual services.
    Flush,
    /// Zero the counters of one service and its destinations, or of everything.
    Zero(Option<ServiceId>),
    /// Add a destination to a service.
    AddDestination(ServiceId, DestinationId, DestinationConfig),
    /// Change a destination.
    EditDestination(ServiceId, DestinationId, DestinationConfig),
    /// Change a destination, by a client that knows the kernel's methods alone: if it says masquerading, full NAT stays, with its
    /// pool, for that is what the client was shown ([`DestinationConfig::kernel_method`]).
    EditKernelDestination(ServiceId, DestinationId, DestinationConfig),
    /// Delete a destination.
    DeleteDestination(ServiceId, DestinationId),
    /// Set timeouts; 0 leaves one alone.
    SetTimeouts(Timeouts),
    /// Ask for the timeouts.
    GetTimeouts,
    /// Ask for version and table size.
    GetInfo,
    /// Ask for the counters of everything.
    GetStats,
    /// Ask for one setting.
    GetSysctl(Sysctl),
    /// Ask for all settings.
    ListSysctls,
    /// All reasons for which packets were dropped, with their counters ([`Reply::Drops`]).
    ListDrops,
    /// Set a setting; where fewer values are given than it holds, the others stay.
    SetSysctl(Sysctl, Vec<i64>),
    /// Start the synchronisation daemon of the kernel's number (see [`SyncRole`]).
    StartSyncDaemon(u32, SyncDaemonConfig),
    /// Stop the synchronisation daemon of the kernel's number.
    StopSyncDaemon(u32),
    /// Ask for the synchronisation daemons that run.
    ListSyncDaemons,
    /// Add a rule that gives packets their firewall mark, behind the others.
    AddMark(MarkRule),
    /// Delete the rule that matches the same and gives the same mark. Connections go on while packets of theirs come.
    DeleteMark(MarkRule),
    /// List the rules that give packets their firewall marks, in order, from position `cursor`, at most `limit`.
    ListMarks {
        /// Where the previous page ended, or 0.
        cursor: u64,
        /// At most this many.
        limit: usize,
    },
    /// Add addresses to a pool of local addresses for full NAT; makes the pool if there is none of that name.
    AddPool(PoolName, Vec<IpAddr>),
    /// Take addresses out of a pool; without any, delete the pool. Connections that use them go on.
    DeletePool(PoolName, Vec<IpAddr>),
    /// List pools by name, from position `cursor`, at most `limit`.
    ListPools {
        /// Where the previous page ended, or 0.
        cursor: u64,
        /// At most this many.
        limit: usize,
    },
    /// Ask what would become of a packet ([`Reply::Explanation`]). Nothing changes, nothing is sent.
    Explain(Question),
    /// Ask for one service.
    GetService(ServiceId),
    /// List services after the given cursor (0: from the first), at most `limit`.
    ListServices {
        /// Where the previous page ended, or 0.
        cursor: u64,
        /// At most this many.
        limit: usize,
    },
    /// List the destinations of a service, in order, from position `cursor`, at most `limit`.
    ListDestinations {
        /// The service.
        service: ServiceId,
        /// Where the previous page ended, or 0.
        cursor: u64,
        /// At most this many.
        limit: usize,
    },
    /// List connections from table position `cursor`, at most `limit`.
    ListConnections {
        /// Where the previous page ended, or 0.
        cursor: u64,
        /// At most this many.
        limit: usize,
    },
}

/// A service as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Identity.
    pub id: ServiceId,
    /// Scheduler name, "none" if none.
    pub scheduler: String,
    /// Persistence engine name, if any.
    pub persistence_engine: Option<String>,
    /// Helper as it was given, see [`ServiceConfig::helper`].
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
