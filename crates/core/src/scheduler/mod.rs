//! Schedulers: which destination gets a new connection. One file each; [`by_name`] knows them all.
//!
//! The rules are those of spec section 10. The list of destinations has the newest first; all comparisons are strict,
//! so the first of equals in list order wins.

mod cache;
#[cfg(test)]
mod cache_tests;
mod dh;
mod fo;
mod hash;
mod lblc;
mod lblcr;
mod lc;
mod least;
mod mh;
mod nq;
mod ovf;
mod picks;
mod rr;
mod sed;
mod sh;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod twos;
mod wlc;
mod wrr;

use core::fmt::Debug;
use core::time::Duration;
use std::collections::VecDeque;
use std::net::IpAddr;

use crate::command::ServiceFlags;
use crate::destination::{Destination, DestinationIndex, Destinations};
use crate::error::Error;
use crate::sysctl::Sysctls;
use crate::time::Instant;

pub use mh::MaglevSize;
pub(crate) use picks::{Picks, replay};

/// What a scheduler may look at besides the service: the packet's addresses and ports, and when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// When the packet came.
    pub(crate) now: Instant,
    /// Source address of the packet (the client).
    pub(crate) source: IpAddr,
    /// Source port.
    pub(crate) source_port: u16,
    /// Destination address of the packet (the virtual address, or any with a firewall mark).
    pub(crate) destination: IpAddr,
    /// Destination port.
    pub(crate) destination_port: u16,
}

/// What a scheduler sees of its service: the destinations in list order (newest first).
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The list.
    pub(crate) list: &'a VecDeque<DestinationIndex>,
    /// Where the list's destinations are.
    pub(crate) destinations: &'a Destinations,
    /// The service's flags (SCHED1..3 configure some schedulers).
    pub(crate) flags: ServiceFlags,
    /// The settings.
    pub(crate) sysctls: &'a Sysctls,
}

impl<'a> View<'a> {
    /// The destination at a position of the list.
    fn at(&self, position: usize) -> Option<(DestinationIndex, &'a Destination)> {
        let index = *self.list.get(position)?;
        Some((index, self.destinations.get(index)?))
    }

    /// All destinations in list order.
    fn iter(self) -> impl Iterator<Item = (DestinationIndex, &'a Destination)> {
        self.list.iter().filter_map(move |index| Some((*index, self.destinations.get(*index)?)))
    }

    /// The usable ones in list order.
    fn usable(self) -> impl Iterator<Item = (DestinationIndex, &'a Destination)> {
        self.iter().filter(|(_, destination)| destination.usable())
    }

    /// Whether a destination has more active connections than weight while another has fewer than half of its own.
    fn is_crowded(self, destination: &Destination) -> bool {
        let weight = |it: &Destination| u64::from(it.config.weight.unsigned_abs());
        u64::from(destination.active()) > weight(destination)
            && self.iter().any(|(_, other)| 2 * u64::from(other.active()) < weight(other))
    }
}

/// A change of a service's destination list, told to its scheduler after it took effect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Added at the head: every other one moved one position on.
    Added,
    /// The settings of one changed.
    Edited,
    /// The one at `position` was removed: those behind it moved one position forward.
    Removed {
        /// Where it stood.
        position: usize,
    },
}

/// A scheduler bound to one service, with its state.
pub(crate) trait Scheduler: Debug + Send {
    /// The name by which it is known.
    fn name(&self) -> &'static str;

    /// Starts to serve a service, which may have destinations already.
    ///
    /// # Errors
    /// [`Error::SchedulerRefused`] if it cannot serve it as it is.
    fn bind(&mut self, view: View<'_>) -> Result<(), Error> {
        let _ = view;
        Ok(())
    }

    /// Reacts to a change of the destinations. The default keeps no state that could need it.
    fn changed(&mut self, view: View<'_>, change: Change) {
        let _ = (view, change);
    }

    /// How often [`Scheduler::upkeep`] is due; `None`: never.
    fn upkeep_interval(&self) -> Option<Duration> {
        None
    }

    /// Drops what need not be remembered any longer.
    fn upkeep(&mut self, now: Instant, sysctls: &Sysctls) {
        let _ = (now, sysctls);
    }

    /// One that chooses for this flow as this one would, and whose choice changes nothing here.
    fn fork(&self, flow: &Flow) -> Box<dyn Scheduler>;

    /// What it will choose, if that depends on nothing but addresses, ports, the choices before, and loads.
    fn picks(&self, view: View<'_>) -> Option<Picks> {
        let _ = view;
        None
    }

    /// Chooses a destination for a new connection; `None` if there is no usable one.
    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex>;
}

/// The name that stands for no scheduler: such a service never schedules.
pub(crate) const NONE: &str = "none";

/// A fresh scheduler of that name, `None` for "none". `seed` feeds those that choose at random, `maglev` is the size of mh's
/// table.
///
/// # Errors
/// [`Error::NoSuchScheduler`] if the name is unknown.
pub(crate) fn by_name(
    name: &str,
    seed: u64,
    maglev: MaglevSize,
) -> Result<Option<Box<dyn Scheduler>>, Error> {
    Ok(Some(match name {
        NONE => return Ok(None),
        "rr" => Box::<rr::RoundRobin>::default(),
        "wrr" => Box::<wrr::WeightedRoundRobin>::default(),
        "lc" => Box::new(lc::LeastConnection),
        "wlc" => Box::new(wlc::WeightedLeastConnection),
        "sed" => Box::new(sed::ShortestExpectedDelay),
        "nq" => Box::new(nq::NeverQueue),
        "fo" => Box::new(fo::Failover),
        "ovf" => Box::new(ovf::Overflow),
        "dh" => Box::<dh::DestinationHashing>::default(),
        "sh" => Box::<sh::SourceHashing>::default(),
        "mh" => Box::new(mh::MaglevHashing::new(maglev)),
        "lblc" => Box::<lblc::LocalityLeastConnection>::default(),
        "lblcr" => Box::<lblcr::ReplicatedLocality>::default(),
        "twos" => Box::new(twos::PowerOfTwo::new(seed)),
        _ => return Err(Error::NoSuchScheduler),
    }))
}

/// A destination that a scheduler remembers over changes of the list. Its index may meanwhile be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cached {
    index: DestinationIndex,
    /// [`Destination::created`].
    created: u64,
}

impl Cached {
    fn new(view: View<'_>, index: DestinationIndex) -> Option<Self> {
        Some(Self { index, created: view.destinations.get(index)?.created })
    }

    /// The destination, in the trash perhaps.
    fn existing<'a>(&self, view: View<'a>) -> Option<&'a Destination> {
        view.destinations.get(self.index).filter(|destination| destination.created == self.created)
    }

    /// The destination, if it is not in the trash.
    fn available<'a>(&self, view: View<'a>) -> Option<(DestinationIndex, &'a Destination)> {
        let destination = self.existing(view).filter(|destination| destination.available)?;
        Some((self.index, destination))
    }
}

/// Greatest common divisor.
fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
