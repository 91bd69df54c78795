//! All destinations, those in the trash included: found by identity and by address, attached to services and detached.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use slab::Slab;

use super::loads::Load;
use super::{Destination, DestinationIndex};
use crate::command::{DestinationConfig, DestinationId, ForwardingMethod, ServiceId};
use crate::error::Error;
use crate::estimator::Estimated;
use crate::explain::Journal;
use crate::load::{LoadPlace, SharedLines};
use crate::service::ServiceIndex;

/// What the replies of a masquerading destination are recognised by; no protocol: of a mark service, any.
type RealServer = (Option<u16>, IpAddr, u16);

/// All destinations, those in the trash included.
#[derive(Default)]
pub(crate) struct Destinations {
    pub(super) slab: Slab<Destination>,
    /// The available ones by service and identity.
    by_id: HashMap<(ServiceIndex, DestinationId), DestinationIndex>,
    /// The available masquerading ones.
    real_servers: BTreeSet<(RealServer, DestinationIndex)>,
    /// Those that the estimator visits.
    pub(super) estimated: Vec<DestinationIndex>,
    /// How many available ones are of another family than their service.
    mixed: usize,
    /// Those whose availability, tunnel or path has changed since it was asked for.
    pub(super) changed: BTreeSet<DestinationIndex>,
    /// Those of which something else than counts has changed since it was kept.
    pub(super) unsaved: BTreeSet<DestinationIndex>,
    /// Those whose counters have changed since they were kept.
    pub(super) counted: Vec<DestinationIndex>,
    /// Where a fast path counts connections, too.
    pub(super) shared_loads: Option<SharedLines>,
    last_serial: u64,
    last_created: u64,
    pub(super) before: Journal<Load>,
}

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
        if destination.config.tunnel != config.tunnel {
            self.changed.insert(index);
        }
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

    /// Whether a helper of its service expects connections at ports of any number.
    pub(crate) fn set_all_ports(&mut self, index: DestinationIndex, all_ports: bool) {
        if let Some(destination) = self.get_mut(index) {
            destination.all_ports = all_ports;
            self.unsaved.insert(index);
        }
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

    /// All, those in the trash included.
    pub(crate) fn indices(&self) -> Vec<DestinationIndex> {
        self.slab.iter().map(|(index, _)| DestinationIndex(index as u32)).collect()
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
