//! Beginning where a former run ended: services and destinations from their records, counters, connections.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::command::ServiceFlags;
use crate::control::{destination_interests, readied};
use crate::destination::{Destination, DestinationIndex};
use crate::director::Director;
use crate::estimator::Estimated;
use crate::half_open;
use crate::helper::Choice;
use crate::interest::Interest;
use crate::load::LoadPlace;
use crate::local_pool::{MOST_POOL_ADDRESSES, PoolName};
use crate::persistence_engine;
use crate::saved::{Counted, Latest, Saved, SavedCounters, SavedDestination, SavedService};
use crate::scheduler::{self, Change};
use crate::service::{Service, ServiceIndex};
use crate::stats::Counters;
use crate::time::Instant;

/// No record has a greater index: more destinations than memory would hold.
const MOST: u32 = 1 << 24;

/// What came of [`Director::restore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Services that are there again.
    pub services: u32,
    /// Their destinations.
    pub destinations: u32,
    /// Destinations in the trash.
    pub in_trash: u32,
    /// Records that make no sense here: of schedulers or persistence engines that this version does not have.
    pub refused: u32,
}

impl Director {
    /// Takes up services, destinations and synchronisation daemons of a former run, in a director that has none yet but its
    /// settings. Schedulers start anew.
    pub fn restore(&mut self, now: Instant, saves: impl IntoIterator<Item = Saved>) -> Restored {
        let Latest { services, destinations, sync_daemons, pools } = saves.into_iter().collect();
        for (name, addresses) in pools {
            self.restore_pool(name, &addresses);
        }
        let mut restored = Restored::default();
        let all = services.into_values().filter(|it| it.index < MOST).filter_map(|saved| {
            let index = saved.index;
            let service = self.revived(saved);
            restored.refused += u32::from(service.is_none());
            Some((index, service?))
        });
        let all: Vec<(u32, Service)> = all.collect();
        let known: BTreeMap<u64, ServiceIndex> =
            all.iter().map(|(index, service)| (service.serial, ServiceIndex(*index))).collect();
        self.services.restore(all);
        let all = destinations.into_values().filter(|it| it.index < MOST);
        let all: Vec<SavedDestination> = all.collect();
        self.destinations.restore(all.iter().map(|saved| (saved.index, of_record(saved))).collect());
        let mut lists: BTreeMap<ServiceIndex, Vec<(u64, DestinationIndex)>> = BTreeMap::new();
        let mut trashed = Vec::new();
        for saved in &all {
            let index = DestinationIndex(saved.index);
            match known.get(&saved.service_serial).filter(|_| saved.available) {
                Some(service) => {
                    self.destinations.readmit(index, *service);
                    lists.entry(*service).or_default().push((saved.serial, index));
                }
                None => trashed.push((saved.serial, index, *saved)),
            }
            if let Some(destination) = self.destinations.get_mut(index) {
                destination.interests = destination_interests(destination);
                destination.interests.iter().for_each(|interest| self.interests.hold(*interest));
                let pool = destination.config.local_pool.filter(|_| saved.available);
                self.connections.pools.refer(pool, true);
            }
        }
        restored.in_trash = trashed.len() as u32;
        trashed.sort_by_key(|(serial, ..)| *serial);
        for (_, index, saved) in trashed {
            self.trash.put(now, &saved.service, saved.id, index);
        }
        for &index in known.values() {
            let list = lists.remove(&index).unwrap_or_default();
            restored.services += 1;
            restored.destinations += list.len() as u32;
            self.begin_to_serve(now, index, list);
        }
        for (role, config) in sync_daemons {
            self.sync_daemons.restore(role, config);
        }
        self.judge_standby();
        restored
    }

    fn restore_pool(&mut self, name: PoolName, addresses: &[IpAddr]) {
        for &address in addresses.iter().take(MOST_POOL_ADDRESSES) {
            if !self.connections.pools.is_pooled(address) && self.connections.pools.add(name, address) {
                self.hold_local(address);
            }
        }
    }

    /// A service as its record says, without destinations.
    fn revived(&mut self, SavedService { serial, id, config, .. }: SavedService) -> Option<Service> {
        let scheduler =
            scheduler::by_name(&config.scheduler, self.next_seed(), self.config.maglev_size).ok()?;
        let engine = config.persistence_engine.as_ref().filter(|name| !name.is_empty());
        let engine = engine.map(|name| persistence_engine::by_name(name)).transpose().ok()?;
        let helper = Choice::for_service(&id, config.helper.as_deref()).ok()?;
        let mut service = Service {
            id,
            serial,
            flags: ServiceFlags(config.flags | ServiceFlags::HASHED),
            timeout: config.timeout,
            netmask: config.netmask,
            target: config.target,
            scheduler: None,
            upkeep: None,
            persistence_engine: engine,
            helper,
            destinations: VecDeque::new(),
            half_open: half_open::NO_SERVICE,
            stats: Estimated::default(),
        };
        service.scheduler = readied(&service, &self.destinations, &self.sysctls, scheduler).ok()?;
        Some(service)
    }

    /// Gives a restored service its destinations, and all that a service has.
    fn begin_to_serve(&mut self, now: Instant, index: ServiceIndex, mut list: Vec<(u64, DestinationIndex)>) {
        list.sort_by(|a, b| b.cmp(a));
        let queue = self.connections.half_open.open();
        let Some(service) = self.services.get_mut(index) else { return };
        service.half_open = queue;
        service.destinations = list.into_iter().map(|(_, index)| index).collect();
        // As if the last one had just been added: schedulers that keep tables fill them.
        service.changed(&self.destinations, &self.sysctls, Change::Added);
        if service.is_persistent() {
            self.connections.expect_control();
        }
        self.interests.hold(Interest::of_service(&service.id, service.uses_all_ports()));
        self.services.start_upkeep(index, now);
        self.births.expect(index);
    }

    /// Goes on counting where a former run ended. Call it behind [`Director::restore`] and [`Director::adopt`]; what is
    /// not known begins at 0. Whether a destination is over its threshold is decided here.
    pub fn restore_counters(&mut self, mut kept: impl FnMut(Counted) -> Option<SavedCounters>) {
        if let Some(kept) = kept(Counted::Total) {
            self.total.resume(kept.running, kept.base);
        }
        self.total.changed = true;
        let all: Vec<ServiceIndex> = self.services.ordered().collect();
        for index in all {
            let Some(service) = self.services.get_mut(index) else { continue };
            if let Some(kept) = kept(Counted::Service(index.0, service.serial)) {
                service.stats.resume(kept.running, kept.base);
            }
            self.services.note_counted(index);
        }
        for index in self.destinations.indices() {
            let Some(destination) = self.destinations.get_mut(index) else { continue };
            if let Some(kept) = kept(Counted::Destination(index.0, destination.created)) {
                destination.stats.resume(kept.running, kept.base);
                destination.overloaded = kept.overloaded;
            }
            destination.judge_overload();
            self.destinations.note_counted(index);
        }
    }

    /// Counts what a fast path of a former run counted at a destination that nobody took over.
    pub fn count_missed(&mut self, destination: u32, missed: Counters) {
        if missed != Counters::default() {
            self.count(DestinationIndex(destination), |counters| *counters = counters.plus(missed));
        }
    }
}

fn of_record(saved: &SavedDestination) -> Destination {
    Destination {
        id: saved.id,
        config: saved.config,
        last_weight: saved.last_weight,
        service: None,
        service_serial: saved.service_serial,
        service_id: saved.service,
        created: saved.created,
        serial: saved.serial,
        load: LoadPlace::new(None, saved.index),
        persistent: 0,
        overloaded: false,
        available: false,
        all_ports: saved.all_ports,
        interests: Vec::new(),
        stats: Estimated::default(),
    }
}

#[cfg(test)]
mod tests;
