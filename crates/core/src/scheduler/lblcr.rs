//! lblcr: locality-based least connection with replication.

use core::time::Duration;
use std::cmp::Ordering;

use crate::destination::{Destination, DestinationIndex};
use crate::scheduler::cache::{Cache, UPKEEP};
use crate::scheduler::least::WLC;
use crate::scheduler::{Cached, Flow, Scheduler, View};
use crate::sysctl::{Sysctl, Sysctls};
use crate::time::Instant;

/// The least loaded of the destinations that serve a destination address. As wlc when that is overloaded while another
/// is half idle; the one chosen so then serves the address as well, and the most loaded one no longer does when the set
/// was the same for the expiration setting.
#[derive(Debug, Default)]
pub(crate) struct ReplicatedLocality {
    cache: Cache<Servers>,
}

/// The destinations that serve an address, the latest first.
#[derive(Clone, Debug)]
struct Servers {
    list: Vec<Cached>,
    modified: Instant,
}

impl Servers {
    /// The least loaded usable member, the first of equals.
    fn least<'a>(&self, view: View<'a>) -> Option<(DestinationIndex, &'a Destination)> {
        let members = self.list.iter().filter_map(|cached| cached.available(view));
        members
            .filter(|(_, destination)| destination.usable())
            .reduce(|least, next| if compare(next.1, least.1) == Ordering::Less { next } else { least })
    }

    /// Position of the most loaded member that has a weight, the first of equals.
    fn most(&self, view: View<'_>) -> Option<usize> {
        let members = self.list.iter().enumerate();
        members
            .filter_map(|(position, cached)| Some((position, cached.existing(view)?)))
            .filter(|(_, destination)| destination.config.weight > 0)
            .reduce(|most, next| if compare(next.1, most.1) == Ordering::Greater { next } else { most })
            .map(|(position, _)| position)
    }
}

impl Scheduler for ReplicatedLocality {
    fn name(&self) -> &'static str {
        "lblcr"
    }

    fn upkeep_interval(&self) -> Option<Duration> {
        Some(UPKEEP)
    }

    fn upkeep(&mut self, now: Instant, sysctls: &Sysctls) {
        self.cache.upkeep(now, sysctls.seconds(Sysctl::LblcrExpiration));
    }

    fn fork(&self, flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self { cache: self.cache.only(flow.destination) })
    }

    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex> {
        let now = flow.now;
        let Some(servers) = self.cache.get_mut(flow.destination, now) else {
            let index = WLC.choose(view)?;
            let servers = Servers { list: vec![Cached::new(view, index)?], modified: now };
            self.cache.insert(flow.destination, now, servers);
            return Some(index);
        };
        let chosen = servers.least(view);
        let expiration = view.sysctls.seconds(Sysctl::LblcrExpiration);
        if servers.list.len() > 1
            && now.saturating_since(servers.modified) > expiration
            && let Some(position) = servers.most(view)
        {
            servers.list.remove(position);
            servers.modified = now;
        }
        if let Some((index, destination)) = chosen
            && !view.is_crowded(destination)
        {
            return Some(index);
        }
        let index = WLC.choose(view)?;
        let cached = Cached::new(view, index)?;
        if !servers.list.contains(&cached) {
            servers.list.insert(0, cached);
            servers.modified = now;
        }
        Some(index)
    }
}

/// Compares overheads per weight.
fn compare(a: &Destination, b: &Destination) -> Ordering {
    WLC.share(a).compare(WLC.share(b))
}
