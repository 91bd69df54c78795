//! Destinations (real servers): what one knows and counts, and the slab that holds them all.

use crate::command::{DestinationConfig, DestinationId};
use crate::estimator::Estimated;
use crate::service::ServiceIndex;
use crate::command::ServiceId;

/// Position of a destination in [`Destinations`]: stable for its life, trash included; the connection table's
/// entries hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DestinationIndex(pub(crate) u32);

/// A real server of one service. Lives on in the trash after its removal while connections refer to it.
#[derive(Debug)]
pub(crate) struct Destination {
    /// Address and port.
    pub(crate) id: DestinationId,
    /// Settings as last given.
    pub(crate) config: DestinationConfig,
    /// Newest non-zero weight, or the weight at add (mh uses it).
    pub(crate) last_weight: i32,
    /// The service it belongs to (dead once in the trash).
    pub(crate) service: ServiceIndex,
    /// Identity of that service: how a destination in the trash is recognised.
    pub(crate) service_id: ServiceId,
    /// Active connections.
    pub(crate) active: u32,
    /// Inactive connections.
    pub(crate) inactive: u32,
    /// Persistence templates.
    pub(crate) persistent: u32,
    /// Over its upper threshold (IP_VS_DEST_F_OVERLOAD).
    pub(crate) overloaded: bool,
    /// In its service's list, not in the trash (IP_VS_DEST_F_AVAILABLE).
    pub(crate) available: bool,
    /// Counters and rates.
    pub(crate) stats: Estimated,
}

impl Destination {
    /// Active plus inactive connections.
    pub(crate) fn total(&self) -> u32 {
        self.active + self.inactive
    }

    /// Whether a scheduler may choose it: weight above 0 and not overloaded.
    pub(crate) fn usable(&self) -> bool {
        self.config.weight > 0 && !self.overloaded
    }
}
