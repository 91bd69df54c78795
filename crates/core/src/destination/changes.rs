//! What has changed of destinations since somebody asked: counters for the estimator, settings to keep, availability for a fast path.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{DestinationIndex, Destinations};
use crate::fast_path::{DestinationChange, DestinationWay};
use crate::forward::tunnel::encapsulation;
use crate::service::ServiceIndex;
use crate::stats::Counters;

impl Destinations {
    /// Counts at a destination and tells the estimator. Returns its service.
    pub(crate) fn count(
        &mut self,
        index: DestinationIndex,
        count: impl FnOnce(&mut Counters),
    ) -> Option<ServiceIndex> {
        let destination = self.slab.get_mut(index.0 as usize)?;
        count(&mut destination.stats.counters);
        if !destination.stats.changed {
            destination.stats.changed = true;
            self.counted.push(index);
        }
        if !destination.stats.listed && destination.available {
            destination.stats.listed = true;
            self.estimated.push(index);
        }
        destination.service
    }

    /// Notes that counters or the overload mark of a destination have changed.
    pub(crate) fn note_counted(&mut self, index: DestinationIndex) {
        if let Some(destination) = self.slab.get_mut(index.0 as usize)
            && !std::mem::replace(&mut destination.stats.changed, true)
        {
            self.counted.push(index);
        }
    }

    /// Those whose counters have changed since the last call.
    pub(crate) fn take_counted(&mut self) -> Vec<DestinationIndex> {
        let counted = std::mem::take(&mut self.counted);
        for index in &counted {
            if let Some(destination) = self.slab.get_mut(index.0 as usize) {
                destination.stats.changed = false;
            }
        }
        counted
    }

    /// Those of which something else than counts has changed since the last call; those that are gone among them.
    pub(crate) fn take_unsaved(&mut self) -> BTreeSet<DestinationIndex> {
        std::mem::take(&mut self.unsaved)
    }

    /// Whether something has changed that [`Destinations::take_unsaved`] tells.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Has the availability of a destination told anew.
    pub(crate) fn note_change(&mut self, index: DestinationIndex) {
        self.changed.insert(index);
    }

    /// Has all destinations with this address told anew.
    pub(crate) fn note_changes_at(&mut self, addresses: &BTreeSet<IpAddr>) {
        let there = self.slab.iter().filter(|(_, destination)| addresses.contains(&destination.id.address));
        self.changed.extend(there.map(|(index, _)| DestinationIndex(index as u32)));
    }

    /// Those whose availability, tunnel or path has changed since the last call. `learned` tells the path MTU that was learned for an address.
    pub(crate) fn take_changes(&mut self, learned: impl Fn(IpAddr) -> Option<u32>) -> Vec<DestinationChange> {
        let changes = self.changed.iter().map(|&index| {
            let way = self.get(index).filter(|it| it.available).map(|it| DestinationWay {
                address: it.id.address,
                encapsulation: encapsulation(&it.config.tunnel, 0),
                path_mtu: learned(it.id.address),
            });
            DestinationChange { index: index.0, way }
        });
        let changes = changes.collect();
        self.changed.clear();
        changes
    }

    /// Runs the estimator over the destinations that have something to estimate.
    pub(crate) fn estimate(&mut self, periods: u64) {
        let slab = &mut self.slab;
        self.estimated.retain(|index| {
            let Some(destination) = slab.get_mut(index.0 as usize) else { return false };
            destination.stats.listed = destination.available && destination.stats.estimate(periods);
            destination.stats.listed
        });
    }
}
