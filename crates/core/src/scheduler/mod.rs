//! Schedulers: which destination gets a new connection. One file each; [`by_name`] knows them all.

use core::fmt::Debug;

use crate::destination::{DestinationIndex, Destinations};
use crate::service::Service;

/// What a scheduler may look at besides the service: the packet's addresses and ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Source address of the packet (the client).
    pub(crate) source: core::net::IpAddr,
    /// Source port.
    pub(crate) source_port: u16,
    /// Destination address of the packet (the virtual address, or any with a firewall mark).
    pub(crate) destination: core::net::IpAddr,
    /// Destination port.
    pub(crate) destination_port: u16,
}

/// What a scheduler sees of its service: the destinations in list order (newest first).
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) list: &'a std::collections::VecDeque<DestinationIndex>,
    pub(crate) destinations: &'a Destinations,
    /// The service's flags (SCHED1..3 configure some schedulers).
    pub(crate) flags: crate::ServiceFlags,
}

/// A change of a service's destination list, told to its scheduler after it took effect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Added (at the head of the list).
    Added(DestinationIndex),
    /// Settings changed.
    Edited(DestinationIndex),
    /// Removed; `predecessor` is what stood before it in the list, `None` if it was the first.
    Removed { gone: DestinationIndex, predecessor: Option<DestinationIndex> },
}

/// A scheduler bound to one service, with its state.
pub(crate) trait Scheduler: Debug + Send {
    /// The name by which it is known.
    fn name(&self) -> &'static str;

    /// Reacts to a change of the destinations. The default keeps no state that could need it.
    fn changed(&mut self, _view: View<'_>, _change: Change) {}

    /// Chooses a destination for a new connection; `None` if there is no usable one.
    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex>;
}
