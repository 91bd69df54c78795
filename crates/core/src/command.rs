//! The command set: one for all interfaces (generic netlink, socket options, our own client).

mod destination;
mod reply;
mod service;

pub use destination::{
    ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, Tunnel, TunnelType,
};
pub use reply::{
    ConnectionInfo, DestinationInfo, DropCount, EngineData, Info, PoolInfo, Reply, ServiceInfo, TotalStats,
};
pub use service::{MarkTarget, ServiceConfig, ServiceFlags, ServiceId};

use std::net::IpAddr;

use crate::explain::Question;
use crate::local_pool::PoolName;
use crate::marks::MarkRule;
use crate::sync_daemon::SyncDaemonConfig;
use crate::sysctl::Sysctl;

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
    /// Start the synchronisation daemon of the kernel's number (see [`SyncRole`](crate::sync_daemon::SyncRole)).
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
