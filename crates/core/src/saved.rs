//! What outlives the daemon: services and destinations as records that replace one another, and their counters.
//!
//! A record says all of one object but its counters, so a list of records may be replayed from any point on, and of two
//! about one object the later counts. Destinations keep their index, which entries of the connection table hold.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::command::{DestinationConfig, DestinationId, ServiceConfig, ServiceFlags, ServiceId};
use crate::destination::{Destination, DestinationIndex};
use crate::director::Director;
use crate::local_pool::PoolName;
use crate::service::{Service, ServiceIndex};
use crate::stats::Counters;
use crate::sync_daemon::{SyncDaemonConfig, SyncRole};

/// Places that are looked at for one piece of [`Director::saved_from`].
const PIECE: u32 = 256;

/// A record of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// A service that is there.
    Service(SavedService),
    /// No service has this index.
    NoService(u32),
    /// A destination that is there, in its service or in the trash.
    Destination(SavedDestination),
    /// No destination has this index.
    NoDestination(u32),
    /// A synchronisation daemon runs, or not.
    SyncDaemon(SyncRole, Option<SyncDaemonConfig>),
    /// The addresses of a pool for full NAT; none: it is not there.
    Pool(PoolName, Vec<IpAddr>),
}

/// A service without its counters and what its scheduler remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedService {
    /// Its place.
    pub index: u32,
    /// Which service object it is, never used again; also its place in listings.
    pub serial: u64,
    /// Identity.
    pub id: ServiceId,
    /// All settings; every flag counts.
    pub config: ServiceConfig,
}

/// A destination without its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedDestination {
    /// Its place, which entries of the connection table hold.
    pub index: u32,
    /// Which destination object it is, never used again.
    pub created: u64,
    /// Identity within its service.
    pub id: DestinationId,
    /// Settings.
    pub config: DestinationConfig,
    /// Newest weight that was not zero, or that at its addition.
    pub last_weight: i32,
    /// The service that it belongs to or, in the trash, belonged to.
    pub service: ServiceId,
    /// Which service object that is.
    pub service_serial: u64,
    /// Place in the service's list, the greatest first.
    pub serial: u64,
    /// Not in the trash.
    pub available: bool,
    /// A helper of its service expects connections at ports of any number.
    pub all_ports: bool,
}

/// Whose counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Everything's.
    Total,
    /// Those of the service with this index and serial.
    Service(u32, u64),
    /// Those of the destination with this index that was created as this.
    Destination(u32, u64),
}

/// Counters as they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavedCounters {
    /// Running counters, never zeroed.
    pub running: Counters,
    /// The same at the last zeroing.
    pub base: Counters,
    /// Of a destination: what the fast path's running counters were when they were added to `running`, in the order packets in,
    /// bytes in, packets out, bytes out, connections.
    pub taken: [u64; 5],
    /// Of a destination: it is over its upper threshold.
    pub overloaded: bool,
}

impl Director {
    /// Whether [`Director::take_saves`] has something to tell.
    pub fn has_saves(&self) -> bool {
        self.services.is_unsaved()
            || self.destinations.is_unsaved()
            || self.sync_daemons.is_unsaved()
            || self.connections.pools.is_unsaved()
    }

    /// Records of what has changed since the last call.
    pub fn take_saves(&mut self) -> Vec<Saved> {
        let services = self.services.take_unsaved();
        let destinations = self.destinations.take_unsaved();
        let mut saves = Vec::with_capacity(services.len() + destinations.len());
        saves.extend(services.into_iter().map(|index| match self.services.get(index) {
            Some(service) => saved_service(index.0, service),
            None => Saved::NoService(index.0),
        }));
        saves.extend(destinations.into_iter().map(|index| match self.destinations.get(index) {
            Some(destination) => saved_destination(index.0, destination),
            None => Saved::NoDestination(index.0),
        }));
        if self.sync_daemons.take_unsaved() {
            saves.extend(self.saved_sync_daemons());
        }
        let pools = self.connections.pools.take_unsaved();
        saves.extend(pools.into_iter().map(|name| {
            let pool = self.connections.pools.get(name);
            Saved::Pool(name, pool.map(|pool| pool.addresses.clone()).unwrap_or_default())
        }));
        saves
    }

    /// A piece of the records of everything, and where the next one begins; `None` behind the last. Begin with 0. What
    /// changes between two pieces [`Director::take_saves`] tells.
    pub fn saved_from(&self, cursor: u64) -> (Vec<Saved>, Option<u64>) {
        let services = u64::from(self.services.extent());
        if let Some(place) = cursor.checked_sub(services) {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let saves = self.destinations.next_from(place, PIECE);
            let mut saves: Vec<_> = saves.map(|(index, it)| saved_destination(index, it)).collect();
            let next = place.saturating_add(PIECE);
            if next < self.destinations.extent() {
                return (saves, Some(services + u64::from(next)));
            }
            saves.extend(self.saved_sync_daemons());
            let pools = self.connections.pools.iter();
            saves.extend(pools.map(|(name, pool)| Saved::Pool(name, pool.addresses.clone())));
            return (saves, None);
        }
        let place = u32::try_from(cursor).unwrap_or(u32::MAX);
        let saves = self.services.next_from(place, PIECE).map(|(index, it)| saved_service(index, it));
        (saves.collect(), Some(services.min(cursor + u64::from(PIECE))))
    }

    fn saved_sync_daemons(&self) -> [Saved; 2] {
        [SyncRole::Master, SyncRole::Backup]
            .map(|role| Saved::SyncDaemon(role, self.sync_daemons.get(role).cloned()))
    }

    /// The counters that have changed since the last call.
    pub fn take_counted(&mut self) -> Vec<(Counted, SavedCounters)> {
        let services = self.services.take_counted();
        let destinations = self.destinations.take_counted();
        if services.is_empty() && destinations.is_empty() && !self.total.changed {
            return Vec::new();
        }
        self.total.changed = false;
        let (running, base) = self.total.kept();
        let mut all = vec![(Counted::Total, SavedCounters { running, base, ..SavedCounters::default() })];
        all.extend(services.into_iter().filter_map(|index| {
            let service = self.services.get(index)?;
            let (running, base) = service.stats.kept();
            let of = Counted::Service(index.0, service.serial);
            Some((of, SavedCounters { running, base, ..SavedCounters::default() }))
        }));
        all.extend(destinations.into_iter().filter_map(|index| {
            let destination = self.destinations.get(index)?;
            let (running, base) = destination.stats.kept();
            let taken = self.fast_path.as_ref().map_or([0; 5], |it| it.taken(index.0));
            let of = Counted::Destination(index.0, destination.created);
            Some((of, SavedCounters { running, base, taken, overloaded: destination.overloaded }))
        }));
        all
    }
}

fn saved_service(index: u32, service: &Service) -> Saved {
    let info = service.info();
    Saved::Service(SavedService {
        index,
        serial: service.serial,
        id: service.id,
        config: ServiceConfig {
            scheduler: info.scheduler,
            persistence_engine: info.persistence_engine,
            helper: info.helper,
            flags: info.flags.0 & !ServiceFlags::HASHED,
            flags_mask: u32::MAX,
            timeout: info.timeout,
            netmask: info.netmask,
            target: info.target,
        },
    })
}

fn saved_destination(index: u32, destination: &Destination) -> Saved {
    Saved::Destination(SavedDestination {
        index,
        created: destination.created,
        id: destination.id,
        config: destination.config,
        last_weight: destination.last_weight,
        service: destination.service_id,
        service_serial: destination.service_serial,
        serial: destination.serial,
        available: destination.available,
        all_ports: destination.all_ports,
    })
}

/// What a list of records comes to: by index.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    pub(crate) services: BTreeMap<ServiceIndex, SavedService>,
    pub(crate) destinations: BTreeMap<DestinationIndex, SavedDestination>,
    pub(crate) sync_daemons: Vec<(SyncRole, Option<SyncDaemonConfig>)>,
    pub(crate) pools: BTreeMap<PoolName, Vec<IpAddr>>,
}

impl FromIterator<Saved> for Latest {
    fn from_iter<I: IntoIterator<Item = Saved>>(saves: I) -> Self {
        let mut this = Self::default();
        for saved in saves {
            match saved {
                Saved::Service(service) => {
                    this.services.insert(ServiceIndex(service.index), service);
                }
                Saved::NoService(index) => {
                    this.services.remove(&ServiceIndex(index));
                }
                Saved::Destination(destination) => {
                    this.destinations.insert(DestinationIndex(destination.index), destination);
                }
                Saved::NoDestination(index) => {
                    this.destinations.remove(&DestinationIndex(index));
                }
                Saved::SyncDaemon(role, config) => this.sync_daemons.push((role, config)),
                Saved::Pool(name, addresses) => {
                    this.pools.insert(name, addresses);
                }
            }
        }
        this
    }
}
