//! lblc: locality-based least connection.

use core::time::Duration;

use crate::destination::DestinationIndex;
use crate::scheduler::cache::{Cache, UPKEEP};
use crate::scheduler::least::WLC;
use crate::scheduler::{Cached, Flow, Scheduler, View};
use crate::sysctl::{Sysctl, Sysctls};
use crate::time::Instant;

/// The destination that a destination address went to last; as wlc when that is not available, has weight 0, or is
/// overloaded while another is half idle.
#[derive(Debug, Default)]
pub(crate) struct LocalityLeastConnection {
    cache: Cache<Cached>,
}

impl Scheduler for LocalityLeastConnection {
    fn name(&self) -> &'static str {
        "lblc"
    }

    fn upkeep_interval(&self) -> Option<Duration> {
        Some(UPKEEP)
    }

    fn upkeep(&mut self, now: Instant, sysctls: &Sysctls) {
        self.cache.upkeep(now, sysctls.seconds(Sysctl::LblcExpiration));
    }

    fn fork(&self, flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self { cache: self.cache.only(flow.destination) })
    }

    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex> {
        let cached = self.cache.get_mut(flow.destination, flow.now);
        if let Some((index, destination)) = cached.and_then(|cached| cached.available(view))
            && destination.config.weight > 0
            && !view.is_crowded(destination)
        {
            return Some(index);
        }
        let index = WLC.choose(view)?;
        self.cache.insert(flow.destination, flow.now, Cached::new(view, index)?);
        Some(index)
    }
}
