//! The destination trash: where removed destinations wait, with their counters, for their connections to end or for
//! being added again (spec section 13).

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::command::{DestinationId, ServiceId};
use crate::destination::{DestinationIndex, Destinations};
use crate::time::Instant;

/// Interval of the trash's timer while it is not empty.
const TICK: Duration = Duration::from_secs(60);
/// How long a destination without connections is kept after a tick has found it so.
const IDLE: Duration = Duration::from_secs(120);

/// By what a removed destination is recognised when it is added again: protocol, mark, and for a service without
/// mark its address and port. Not the service itself: it may have been deleted and added anew. The family of a mark
/// service is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    mark: u32,
    protocol: u16,
    address: IpAddr,
    port: u16,
    destination: DestinationId,
}

impl Key {
    fn new(service: &ServiceId, destination: DestinationId) -> Self {
        match *service {
            ServiceId::Address { protocol, address, port } => {
                Self { mark: 0, protocol, address, port, destination }
            }
            ServiceId::Mark { mark, .. } => {
                Self { mark, protocol: 6, address: Ipv4Addr::UNSPECIFIED.into(), port: 0, destination }
            }
        }
    }
}

/// The trash.
#[derive(Debug, Default)]
pub(crate) struct Trash {
    /// Newest first among equals.
    entries: BTreeMap<(Key, Reverse<u64>), Entry>,
    next_serial: u64,
    timer: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    index: DestinationIndex,
    /// When a tick first found it without connections.
    idle_since: Option<Instant>,
}

impl Trash {
    /// Puts a removed destination in. The timer starts when the trash was empty.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        service: &ServiceId,
        id: DestinationId,
        index: DestinationIndex,
    ) {
        if self.entries.is_empty() {
            self.timer = Some(now + TICK);
        }
        self.next_serial += 1;
        let key = (Key::new(service, id), Reverse(self.next_serial));
        self.entries.insert(key, Entry { index, idle_since: None });
    }

    /// Takes a destination out to be used again.
    pub(crate) fn revive(&mut self, service: &ServiceId, id: DestinationId) -> Option<DestinationIndex> {
        let key = Key::new(service, id);
        let found = *self.entries.range((key, Reverse(u64::MAX))..=(key, Reverse(0))).next()?.0;
        self.entries.remove(&found).map(|entry| entry.index)
    }

    /// When [`Trash::expire`] has something to do.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.timer
    }

    /// Runs the timer if it is due; returns the destinations that are to be freed.
    pub(crate) fn expire(&mut self, now: Instant, destinations: &Destinations) -> Vec<DestinationIndex> {
        if self.timer.is_none_or(|timer| now < timer) {
            return Vec::new();
        }
        let mut freed = Vec::new();
        self.entries.retain(|_, entry| {
            if destinations.get(entry.index).is_some_and(|destination| destination.references() > 0) {
                return true;
            }
            match entry.idle_since {
                None => entry.idle_since = Some(now),
                Some(since) if now.saturating_since(since) >= IDLE => {
                    freed.push(entry.index);
                    return false;
                }
                Some(_) => {}
            }
            true
        });
        self.timer = if self.entries.is_empty() { None } else { Some(now + TICK) };
        freed
    }

    /// Number of destinations in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
