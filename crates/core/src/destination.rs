//! Destinations (real servers): what one knows and counts, and the slab that holds them all.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use slab::Slab;

use crate::command::{DestinationConfig, DestinationId, DestinationInfo, ForwardingMethod, ServiceId};
use crate::error::Error;
use crate::estimator::Estimated;
use crate::explain::Journal;
use crate::fast_path::DestinationChange;
use crate::interest::Interest;
use crate::load::{LoadPlace, SharedLines};
use crate::service::ServiceIndex;
use crate::stats::Counters;

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

/// What the replies of a masquerading destination are recognised by; no protocol: of a mark service, any.
type RealServer = (Option<u16>, IpAddr, u16);

/// All destinations, those in the trash included.
#[derive(Default)]
pub(crate) struct Destinations {
    slab: Slab<Destination>,
    /// The available ones by service and identity.
    by_id: HashMap<(ServiceIndex, DestinationId), DestinationIndex>,
    /// The available masquerading ones.
    real_servers: BTreeSet<(RealServer, DestinationIndex)>,
    /// Those that the estimator visits.
    estimated: Vec<DestinationIndex>,
    /// How many available ones are of another family than their service.
    mixed: usize,
    /// Those whose availability has changed since it was asked for.
    changed: BTreeSet<DestinationIndex>,
    /// Those of which something else than counts has changed since it was kept.
    unsaved: BTreeSet<DestinationIndex>,
    /// Those whose counters have changed since they were kept.
    counted: Vec<DestinationIndex>,
    /// Where a fast path counts connections, too.
    shared_loads: Option<SharedLines>,
    last_serial: u64,
    last_created: u64,
    before: Journal<Load>,
}

/// What connections change of a destination: its load, templates, overload.
type Load = (LoadPlace, u32, bool);

impl Destinations {
    /// The destination at `index`.
    pub(crate) fn get(&self, index: DestinationIndex) -> Option<&Destination> {
        self.slab.get(index.0 as usize)
    }

    /// The destination at `index`, to be changed.
    pub(crate) fn get_mut(&mut self, index: DestinationIndex) -> Option<&mut Destination> {
        self.slab.get_mut(index.0 as usize)
    }

    /// The destination of a service with that identity, if it is not in the trash.
    pub(crate) fn find(&self, service: ServiceIndex, id: DestinationId) -> Option<DestinationIndex> {
        self.by_id.get(&(service, id)).copied()
    }

    /// An available masquerading destination with exactly this address and port, of a service of `protocol` or of
    /// a mark service: whose reply a packet without a connection may be.
    pub(crate) fn find_any(&self, protocol: u16, address: IpAddr, port: u16) -> Option<DestinationIndex> {
        [Some(protocol), None].into_iter().find_map(|protocol| {
            let key: RealServer = (protocol, address, port);
            let range = (key, DestinationIndex(0))..=(key, DestinationIndex(u32::MAX));
            self.real_servers.range(range).next().map(|(_, index)| *index)
        })
    }

    /// Of the available masquerading destinations with exactly this address and port, of services of `protocol`, the one
    /// that was added last.
    pub(crate) fn newest(&self, protocol: u16, address: IpAddr, port: u16) -> Option<DestinationIndex> {
        let key: RealServer = (Some(protocol), address, port);
        let range = (key, DestinationIndex(0))..=(key, DestinationIndex(u32::MAX));
        let serial = |index| self.get(index).map_or(0, |destination| destination.serial);
        self.real_servers.range(range).map(|(_, index)| *index).max_by_key(|index| serial(*index))
    }

    /// Enters a new destination, detached from any service; see [`Destinations::attach`].
    pub(crate) fn insert(
        &mut self,
        id: DestinationId,
        config: DestinationConfig,
        service_id: ServiceId,
    ) -> Result<DestinationIndex, Error> {
        let index = u32::try_from(self.slab.vacant_key()).map_err(|_| Error::OutOfMemory)?;
        self.unsaved.insert(DestinationIndex(index));
        self.last_created += 1;
        self.slab.insert(Destination {
            id,
            config,
            last_weight: config.weight,
            service: None,
            service_serial: 0,
            service_id,
            created: self.last_created,
            serial: 0,
            load: LoadPlace::new(self.shared_loads.as_ref(), index),
            persistent: 0,
            overloaded: false,
            available: false,
            all_ports: false,
            interests: Vec::new(),
            stats: Estimated::default(),
        });
        Ok(DestinationIndex(index))
    }

    /// Makes a new or revived destination available as part of a service, before all others of it.
    pub(crate) fn attach(
        &mut self,
        index: DestinationIndex,
        service: ServiceIndex,
        service_serial: u64,
        service_id: ServiceId,
    ) {
        self.last_serial += 1;
        let Some(destination) = self.slab.get_mut(index.0 as usize) else { return };
        destination.service_serial = service_serial;
        destination.service_id = service_id;
        destination.serial = self.last_serial;
        self.unsaved.insert(index);
        self.enter(index, service);
    }

    /// Makes a destination that knows its service and its place available.
    fn enter(&mut self, index: DestinationIndex, service: ServiceIndex) {
        let Some(destination) = self.slab.get_mut(index.0 as usize) else { return };
        self.changed.insert(index);
        destination.service = Some(service);
        destination.available = true;
        self.mixed += usize::from(destination.is_mixed());
        self.by_id.insert((service, destination.id), index);
        if let Some(key) = real_server(destination) {
            self.real_servers.insert((key, index));
        }
        if !destination.stats.listed {
            destination.stats.listed = true;
            self.estimated.push(index);
        }
    }

    /// Ends a destination's availability and its part in its service (it goes to the trash); its estimator stops.
    pub(crate) fn detach(&mut self, index: DestinationIndex) {
        let Some(destination) = self.slab.get_mut(index.0 as usize) else { return };
        self.changed.insert(index);
        self.unsaved.insert(index);
        if let Some(key) = real_server(destination) {
            self.real_servers.remove(&(key, index));
        }
        if let Some(service) = destination.service.take() {
            self.by_id.remove(&(service, destination.id));
        }
        if destination.available {
            self.mixed -= usize::from(destination.is_mixed());
        }
        destination.available = false;
    }

    /// Whether an available destination is of another family than its service.
    pub(crate) const fn any_mixed(&self) -> bool {
        self.mixed > 0
    }

    /// Gives an available destination new settings.
    pub(crate) fn configure(&mut self, index: DestinationIndex, config: DestinationConfig) {
        let Some(destination) = self.slab.get_mut(index.0 as usize) else { return };
        self.unsaved.insert(index);
        let before = real_server(destination);
        destination.config = config;
        if config.weight != 0 {
            destination.last_weight = config.weight;
        }
        destination.judge_overload();
        let after = real_server(destination);
        if before != after {
            before.map(|key| self.real_servers.remove(&(key, index)));
            after.map(|key| self.real_servers.insert((key, index)));
        }
        self.note_counted(index);
    }

    /// Frees a destination to which nothing refers.
    pub(crate) fn remove(&mut self, index: DestinationIndex) -> Option<Destination> {
        self.detach(index);
        let destination = self.slab.try_remove(index.0 as usize)?;
        if destination.stats.listed {
            self.estimated.retain(|other| *other != index);
        }
        Some(destination)
    }

    /// Changes of loads are to be taken back from now on.
    pub(crate) fn begin_trial(&mut self) {
        self.before.begin();
    }

    /// Takes back the changes of the trial.
    pub(crate) fn end_trial(&mut self) {
        for (index, (load, persistent, overloaded)) in self.before.end() {
            if let Some(destination) = self.slab.get_mut(index as usize) {
                destination.load = load;
                destination.persistent = persistent;
                destination.overloaded = overloaded;
            }
        }
    }

    /// The destination at `index`, whose load is about to change: in a trial a copy of it, since others may see the load itself.
    fn load_mut(&mut self, index: DestinationIndex) -> Option<&mut Destination> {
        let destination = self.slab.get_mut(index.0 as usize)?;
        self.before.keep(index.0, || {
            let load = destination.load.set_aside();
            (load, destination.persistent, destination.overloaded)
        });
        Some(destination)
    }

    /// Counts a connection or template at a destination. Reaching the upper threshold overloads it.
    pub(crate) fn bind(&mut self, index: DestinationIndex, bound: Bound) {
        let Some(destination) = self.load_mut(index) else { return };
        if bound == Bound::Template {
            destination.persistent += 1;
            return;
        }
        let total = destination.load.get().enter(bound == Bound::Active);
        let upper = destination.config.upper_threshold;
        if upper != 0 && total == upper {
            destination.overloaded = true;
            self.note_counted(index);
        }
    }

    /// A fast path has counted a connection: thresholds that were set meanwhile are judged.
    pub(crate) fn judge(&mut self, index: DestinationIndex) {
        if let Some(destination) = self.get_mut(index)
            && destination.config.upper_threshold != 0
        {
            destination.judge_overload();
            self.note_counted(index);
        }
    }

    /// Takes back [`Destinations::bind`]; `bound` says as what the connection counts now. Falling from the lower
    /// limit to one less ends the overload.
    pub(crate) fn unbind(&mut self, index: DestinationIndex, bound: Bound) {
        let Some(destination) = self.load_mut(index) else { return };
        if bound == Bound::Template {
            destination.persistent = destination.persistent.saturating_sub(1);
            return;
        }
        let total = destination.load.get().leave(bound == Bound::Active);
        if total.checked_add(1) == Some(destination.lower_limit()) {
            destination.overloaded = false;
            self.note_counted(index);
        }
    }

    /// A connection becomes active or inactive.
    pub(crate) fn set_active(&mut self, index: DestinationIndex, active: bool) {
        let Some(destination) = self.load_mut(index) else { return };
        let load = destination.load.get();
        if active { load.activate() } else { load.deactivate() }
    }

    /// Counts connections in `lines` from now on, by destination index, as far as those go. For a new director.
    pub(crate) fn share_loads(&mut self, lines: SharedLines) {
        for (index, destination) in &mut self.slab {
            destination.load.share(&lines, index as u32);
        }
        self.shared_loads = Some(lines);
    }

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

    /// Whether a helper of its service expects connections at ports of any number.
    pub(crate) fn set_all_ports(&mut self, index: DestinationIndex, all_ports: bool) {
        if let Some(destination) = self.get_mut(index) {
            destination.all_ports = all_ports;
            self.unsaved.insert(index);
        }
    }

    /// Whether something has changed that [`Destinations::take_unsaved`] tells.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The destinations at `from` and behind, at most `limit` places on.
    pub(crate) fn next_from(&self, from: u32, limit: u32) -> impl Iterator<Item = (u32, &Destination)> {
        let end = from.saturating_add(limit).min(self.extent());
        (from..end).filter_map(|index| Some((index, self.slab.get(index as usize)?)))
    }

    /// No destination has this index or a greater one.
    pub(crate) fn extent(&self) -> u32 {
        u32::try_from(self.slab.capacity()).unwrap_or(u32::MAX)
    }

    /// Puts in destinations of a former run, each at its index; none is available yet, see [`Destinations::readmit`].
    pub(crate) fn restore(&mut self, mut all: Vec<(u32, Destination)>) {
        for (index, destination) in &mut all {
            if let Some(lines) = &self.shared_loads {
                destination.load.share(lines, *index);
            }
            self.last_serial = self.last_serial.max(destination.serial);
            self.last_created = self.last_created.max(destination.created);
        }
        self.slab = all.into_iter().map(|(index, destination)| (index as usize, destination)).collect();
    }

    /// Makes a restored destination available again, at its place in its service.
    pub(crate) fn readmit(&mut self, index: DestinationIndex, service: ServiceIndex) {
        self.enter(index, service);
    }

    /// Has the availability of a destination told anew.
    pub(crate) fn note_change(&mut self, index: DestinationIndex) {
        self.changed.insert(index);
    }

    /// Those whose availability has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<DestinationChange> {
        let address = |index| self.get(index).filter(|it| it.available).map(|it| it.id.address);
        let changes =
            self.changed.iter().map(|&index| DestinationChange { index: index.0, address: address(index) });
        let changes = changes.collect();
        self.changed.clear();
        changes
    }

    /// All, those in the trash included.
    pub(crate) fn indices(&self) -> Vec<DestinationIndex> {
        self.slab.iter().map(|(index, _)| DestinationIndex(index as u32)).collect()
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

    /// Number of destinations, those in the trash included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// All destinations, those in the trash included.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (DestinationIndex, &Destination)> {
        self.slab.iter().map(|(index, destination)| (DestinationIndex(index as u32), destination))
    }
}

impl std::fmt::Debug for Destinations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Destinations").field("slab", &self.slab).finish_non_exhaustive()
    }
}

/// Its entry among the real servers, if it is available and masquerading.
fn real_server(destination: &Destination) -> Option<RealServer> {
    let protocol = match destination.service_id {
        ServiceId::Address { protocol, .. } => Some(protocol),
        ServiceId::Mark { .. } => None,
    };
    (destination.available && destination.config.forwarding == ForwardingMethod::MASQUERADE).then_some((
        protocol,
        destination.id.address,
        destination.id.port,
    ))
}
