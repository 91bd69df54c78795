//! Virtual services: what one knows, and the registry that finds them by identity and by packet.

use std::collections::VecDeque;

use crate::command::{ServiceFlags, ServiceId};
use crate::destination::DestinationIndex;
use crate::estimator::Estimated;
use crate::scheduler::Scheduler;

/// Position of a service in [`Services`]; never reused while a destination in the trash may name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServiceIndex(pub(crate) u32);

/// A virtual service.
#[derive(Debug)]
pub(crate) struct Service {
    /// Identity.
    pub(crate) id: ServiceId,
    /// Flags, HASHED included.
    pub(crate) flags: ServiceFlags,
    /// Persistence timeout, seconds.
    pub(crate) timeout: u32,
    /// IPv4 mask in host order, or IPv6 prefix length.
    pub(crate) netmask: u32,
    /// Scheduler with its state; `None` for "none".
    pub(crate) scheduler: Option<Box<dyn Scheduler>>,
    /// Persistence engine name.
    pub(crate) persistence_engine: Option<String>,
    /// Destinations, newest first: the order that schedulers walk and listings show.
    pub(crate) destinations: VecDeque<DestinationIndex>,
    /// Counters and rates.
    pub(crate) stats: Estimated,
}
