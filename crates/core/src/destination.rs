//! Destinations (real servers): what one knows and counts, and all of them.

mod all;
mod changes;
mod loads;

use crate::command::{DestinationConfig, DestinationId, DestinationInfo, ServiceId};
use crate::estimator::Estimated;
use crate::interest::Interest;
use crate::load::LoadPlace;
use crate::service::ServiceIndex;

pub(crate) use all::Destinations;

/// Position of a destination in [`Destinations`]: stable for its life, trash included; the connection table's
/// entries hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DestinationIndex(pub(crate) u32);

/// As what a connection is counted at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A connection that is active.
    Active,
    /// A connection that is not (as every new one).
    Inactive,
    /// A persistence template.
    Template,
}

/// A real server of one service. Lives on in the trash after its removal while connections refer to it.
#[derive(Debug)]
pub(crate) struct Destination {
    /// Address and port.
    pub(crate) id: DestinationId,
    /// Settings as last given.
    pub(crate) config: DestinationConfig,
    /// Newest non-zero weight, or the weight at add (mh uses it).
    pub(crate) last_weight: i32,
    /// The service it belongs to; `None` in the trash.
    pub(crate) service: Option<ServiceIndex>,
    /// Which service object it belongs, or in the trash belonged, to: tells a service from one that was deleted and
    /// added again.
    pub(crate) service_serial: u64,
    /// Identity of that service.
    pub(crate) service_id: ServiceId,
    /// Which destination object this is: never used again, unlike its index.
    pub(crate) created: u64,
    /// Place in the service's list: the list is sorted by it, the greatest first.
    pub(crate) serial: u64,
    /// Its connections.
    pub(crate) load: LoadPlace,
    /// Persistence templates.
    pub(crate) persistent: u32,
    /// Over its upper threshold (IP_VS_DEST_F_OVERLOAD).
    pub(crate) overloaded: bool,
    /// In its service's list, not in the trash (IP_VS_DEST_F_AVAILABLE).
    pub(crate) available: bool,
    /// Its service's helper expects connections at ports of any number.
    pub(crate) all_ports: bool,
    /// The interests in packets of its connections that it holds: of its service, of its method, and until its connections have ended of
    /// methods that it had.
    pub(crate) interests: Vec<Interest>,
    /// Counters and rates. Count through [`crate::Director::count`], so that the estimator learns of it.
    pub(crate) stats: Estimated,
}

impl Destination {
    /// Active connections.
    pub(crate) fn active(&self) -> u32 {
        self.load.get().active()
    }

    /// Inactive connections.
    pub(crate) fn inactive(&self) -> u32 {
        self.load.get().inactive()
    }

    /// Active plus inactive connections.
    pub(crate) fn total(&self) -> u32 {
        self.load.get().total()
    }

    /// Connections and templates that refer to it: never freed before this is 0.
    pub(crate) fn references(&self) -> u32 {
        self.total().saturating_add(self.persistent)
    }

    /// Whether a scheduler may choose it: weight above 0 and not overloaded.
    pub(crate) fn usable(&self) -> bool {
        self.config.weight > 0 && !self.overloaded
    }

    /// Whether it is told clients' addresses by the PROXY protocol.
    pub(crate) fn is_told_clients(&self) -> bool {
        self.config.proxy == Some(true)
    }

    /// The number of connections from which on falling below ends the overload: the lower threshold, or three
    /// quarters of the upper one.
    fn lower_limit(&self) -> u32 {
        let DestinationConfig { upper_threshold: upper, lower_threshold: lower, .. } = self.config;
        if lower == 0 { upper - upper / 4 } else { lower }
    }

    /// Sets the overload mark after the thresholds were given: between the two limits it stays as it was.
    pub(crate) fn judge_overload(&mut self) {
        let upper = self.config.upper_threshold;
        if upper == 0 || self.total() < self.lower_limit() {
            self.overloaded = false;
        } else if self.total() >= upper {
            self.overloaded = true;
        }
    }

    /// Whether its address is of another family than its service.
    fn is_mixed(&self) -> bool {
        self.id.address.is_ipv6() != self.service_id.is_ipv6()
    }

    /// As listings show it.
    pub(crate) fn info(&self) -> DestinationInfo {
        DestinationInfo {
            id: self.id,
            config: self.config,
            active: self.active(),
            inactive: self.inactive(),
            persistent: self.persistent,
            stats: self.stats.shown(),
        }
    }
}
