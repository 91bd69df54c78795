//! The IPVS engine: virtual services, destinations, schedulers, connections and the command set.
//!
//! [`Director`] is *sans-IO*: it opens no socket, reads no clock and starts no thread. Time, randomness and facts
//! about this host come in as arguments ([`Instant`], a seed, [`Host`]), so a test drives it with a virtual clock
//! and any run can be replayed. Packets go in at layer 3 by [`Director::receive`] and come out rewritten in place
//! with a [`Verdict`]; commands go in by [`Director::execute`].
//!
//! The oracle for every rule is kernel IPVS (see `docs/compatibility.md` for the known differences).
#![forbid(unsafe_code)]

mod adopt;
mod ahead;
mod births;
mod bypass;
mod command;
mod connections;
#[cfg(test)]
mod consistency;
mod control;
mod defence;
mod destination;
mod director;
mod drop_entry;
mod drops;
mod error;
mod error_limits;
mod established;
mod estimator;
mod explain;
mod fast_path;
mod forward;
mod full_nat;
mod half_open;
mod helper;
mod host;
mod icmp;
mod interest;
mod ip_options;
mod ipsec;
mod load;
mod local_pool;
mod marks;
mod memory;
mod orphans;
mod packet;
mod persistence;
mod persistence_engine;
mod protocol;
mod proxy;
mod random;
mod receive;
mod restore;
mod room;
mod saved;
mod schedule;
mod schedule_icmp;
mod scheduler;
mod segment;
mod server_begins;
mod service;
mod standby;
mod stats;
mod strays;
mod sync_daemon;
mod sysctl;
mod template_data;
mod time;
mod timeouts;
mod translated;
mod trash;
mod tunnel_errors;
mod unowned;
mod verdict;

pub use adopt::Adopted;
pub use births::Choices;
pub use command::{
    Command, ConnectionFlags, ConnectionInfo, DestinationConfig, DestinationId, DestinationInfo, DropCount,
    EngineData, ForwardingMethod, Info, MarkTarget, PoolInfo, Reply, ServiceConfig, ServiceFlags, ServiceId,
    ServiceInfo, Timeouts, TotalStats, Tunnel, TunnelType,
};
pub use director::{Config, Director};
pub use error::Error;
pub use error_limits::ErrorLimits;
pub use explain::{Fact, Question, Step};
pub use fast_path::{DestinationChange, DestinationWay, FastPath, FastPathEvent};
pub use helper::{HelperInfo, helpers};
pub use host::{AddressKind, Host, NextHop, Reachability};
pub use interest::{Interest, InterestChange};
pub use ipvs_flow::MemoryError;
pub use load::SharedLines;
pub use local_pool::{MOST_POOL_ADDRESSES, PoolName};
pub use marks::{MOST_MARK_RULES, MOST_PORT_RANGES, MarkRule, PortRange};
pub use memory::TableMemory;
pub use packet::{Hook, Packet};
pub use restore::Restored;
pub use saved::{Counted, Saved, SavedCounters, SavedDestination, SavedService};
pub use scheduler::MaglevSize;
pub use stats::{Counters, Rates, Stats};
pub use sync_daemon::{SyncDaemonConfig, SyncRole};
pub use sysctl::Sysctl;
pub use time::Instant;
pub use verdict::{Eviction, Reason, Verdict};
