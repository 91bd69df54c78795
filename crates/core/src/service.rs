//! Virtual services: what one knows, and the registry that finds them by identity and by packet.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::command::{MarkTarget, ServiceFlags, ServiceId, ServiceInfo};
use crate::destination::{DestinationIndex, Destinations};
use crate::error::Error;
use crate::estimator::Estimated;
use crate::half_open::QueueIndex;
use crate::helper::Choice;
use crate::persistence_engine::Engine;
use crate::protocol::UDP;
use crate::scheduler::{Change, Flow, Scheduler, View};
use crate::stats::Counters;
use crate::sysctl::Sysctls;
use crate::time::Instant;

/// Position of a service in [`Services`], valid until the service is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServiceIndex(pub(crate) u32);

/// A virtual service.
#[derive(Debug)]
pub(crate) struct Service {
    /// Identity. Never a mark of 0.
    pub(crate) id: ServiceId,
    /// Which service object this is: never used again, unlike the index.
    pub(crate) serial: u64,
    /// Flags, HASHED included.
    pub(crate) flags: ServiceFlags,
    /// Persistence timeout, seconds.
    pub(crate) timeout: u32,
    /// IPv4 mask in host order, or IPv6 prefix length.
    pub(crate) netmask: u32,
    /// Of a mark service.
    pub(crate) target: MarkTarget,
    /// Scheduler with its state; `None` for "none".
    pub(crate) scheduler: Option<Box<dyn Scheduler>>,
    /// When the scheduler's upkeep is due, if it has one.
    pub(crate) upkeep: Option<Instant>,
    /// Persistence engine. Change it by [`Services::set_engine`].
    pub(crate) persistence_engine: Option<Engine>,
    /// Which helper reads its connections.
    pub(crate) helper: Choice,
    /// Destinations, newest first: the order that schedulers walk and listings show.
    pub(crate) destinations: VecDeque<DestinationIndex>,
    /// Its half-open connections.
    pub(crate) half_open: QueueIndex,
    /// Counters and rates. Count through [`crate::Director::count`], so that the estimator learns of it.
    pub(crate) stats: Estimated,
}

impl Service {
    /// Whether its helper expects connections at ports of any number.
    pub(crate) fn uses_all_ports(&self) -> bool {
        self.helper.uses_all_ports(&self.id)
    }

    /// Whether clients stay on their server.
    pub(crate) fn is_persistent(&self) -> bool {
        self.flags.contains(ServiceFlags::PERSISTENT)
    }

    /// Whether each packet of that protocol is a connection of its own.
    pub(crate) fn is_one_packet(&self, protocol: u8) -> bool {
        protocol == UDP && self.flags.contains(ServiceFlags::ONE_PACKET)
    }

    /// Whether a packet to `port` that found this service may start a connection: any port for persistent and for
    /// mark services, else only the service's own (spec section 9).
    pub(crate) fn serves_port(&self, port: u16) -> bool {
        match self.id {
            ServiceId::Mark { .. } => true,
            ServiceId::Address { port: own, .. } => own == port || self.is_persistent(),
        }
    }

    /// The port of an address service; 0: all ports.
    pub(crate) fn own_port(&self) -> Option<u16> {
        match self.id {
            ServiceId::Mark { .. } => None,
            ServiceId::Address { port, .. } => Some(port),
        }
    }

    /// Asks the scheduler for a destination for a new connection.
    pub(crate) fn schedule(
        &mut self,
        destinations: &Destinations,
        sysctls: &Sysctls,
        flow: &Flow,
    ) -> Option<DestinationIndex> {
        let view = View { list: &self.destinations, destinations, flags: self.flags, sysctls };
        self.scheduler.as_mut()?.schedule(view, flow)
    }

    /// As [`Service::schedule`], and the scheduler's next choice stays what it was.
    pub(crate) fn try_schedule(
        &self,
        destinations: &Destinations,
        sysctls: &Sysctls,
        flow: &Flow,
    ) -> Option<DestinationIndex> {
        let view = View { list: &self.destinations, destinations, flags: self.flags, sysctls };
        self.scheduler.as_ref()?.fork(flow).schedule(view, flow)
    }

    /// Tells the scheduler of a change.
    pub(crate) fn changed(&mut self, destinations: &Destinations, sysctls: &Sysctls, change: Change) {
        let view = View { list: &self.destinations, destinations, flags: self.flags, sysctls };
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.changed(view, change);
        }
    }

    /// Place of one of its destinations in the list.
    pub(crate) fn position(&self, destinations: &Destinations, index: DestinationIndex) -> Option<usize> {
        let serial = destinations.get(index)?.serial;
        let position = self.first_at_or_below(destinations, serial);
        (self.destinations.get(position) == Some(&index)).then_some(position)
    }

    /// Position of the first destination in the list whose serial is `serial` or less (the list falls).
    pub(crate) fn first_at_or_below(&self, destinations: &Destinations, serial: u64) -> usize {
        self.destinations
            .partition_point(|index| destinations.get(*index).is_some_and(|other| other.serial > serial))
    }

    /// As listings show it.
    pub(crate) fn info(&self) -> ServiceInfo {
        ServiceInfo {
            id: self.id,
            scheduler: self.scheduler.as_ref().map_or(crate::scheduler::NONE, |it| it.name()).to_owned(),
            persistence_engine: self.persistence_engine.map(|engine| engine.name().to_owned()),
            helper: self.helper.name().map(str::to_owned),
            flags: self.flags,
            timeout: self.timeout,
            netmask: self.netmask,
            target: self.target,
            destinations: u32::try_from(self.destinations.len()).unwrap_or(u32::MAX),
            stats: self.stats.shown(),
        }
    }
}

pub(crate) const TCP: u16 = 6;
pub(crate) const FTP: u16 = 21;
const FTP_DATA: u16 = 20;
/// Ports from here on are unprivileged: passive FTP data connections go there.
const UNPRIVILEGED: u16 = 1024;

/// All services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    slab: Slab<Service>,
    /// Looked up for each new connection, so by a faster hash than the usual one; who sets up services is no attacker.
    by_id: HashMap<ServiceId, ServiceIndex, RandomState>,
    /// In the order of listings; see [`order`].
    ordered: BTreeMap<u64, ServiceIndex>,
    /// Those that the estimator visits, with their serials: what was deleted since is passed over.
    estimated: Vec<(ServiceIndex, u64)>,
    /// How many are of IPv4.
    ipv4: u32,
    /// How many have a persistence engine.
    with_engine: u32,
    /// When the schedulers with upkeep want theirs.
    upkeeps: BTreeSet<(Instant, ServiceIndex)>,
    /// Those of which something else than counters has changed since it was kept.
    unsaved: BTreeSet<ServiceIndex>,
    /// Those whose counters have changed since they were kept, with their serials.
    counted: Vec<(ServiceIndex, u64)>,
    last_serial: u64,
}

impl Services {
    /// The service at `index`.
    pub(crate) fn get(&self, index: ServiceIndex) -> Option<&Service> {
        self.slab.get(index.0 as usize)
    }

    /// The service at `index`, to be changed.
    pub(crate) fn get_mut(&mut self, index: ServiceIndex) -> Option<&mut Service> {
        self.slab.get_mut(index.0 as usize)
    }

    /// The service of that identity.
    #[inline]
    pub(crate) fn find_id(&self, id: &ServiceId) -> Option<ServiceIndex> {
        self.by_id.get(id).copied()
    }

    /// The service that a packet to `address` and `port` with firewall mark `mark` (0: none) is for: by mark, else
    /// exactly, else the address's FTP service for what may be FTP data, else the address's service for all ports
    /// (spec section 9).
    pub(crate) fn find(&self, protocol: u16, address: IpAddr, port: u16, mark: u32) -> Option<ServiceIndex> {
        if mark != 0
            && let Some(index) = self.find_id(&ServiceId::Mark { ipv6: address.is_ipv6(), mark })
        {
            return Some(index);
        }
        let at = |port| self.find_id(&ServiceId::Address { protocol, address, port });
        if let Some(index) = at(port) {
            return Some(index);
        }
        if protocol == TCP
            && (port == FTP_DATA || port >= UNPRIVILEGED)
            && let Some(index) = at(FTP)
        {
            return Some(index);
        }
        at(0)
    }

    /// Enters a service; its serial is set here.
    pub(crate) fn insert(&mut self, mut service: Service) -> Result<ServiceIndex, Error> {
        let index = ServiceIndex(u32::try_from(self.slab.vacant_key()).map_err(|_| Error::OutOfMemory)?);
        self.last_serial += 1;
        service.serial = self.last_serial;
        self.unsaved.insert(index);
        self.register(index, &service);
        self.slab.insert(service);
        Ok(index)
    }

    fn register(&mut self, index: ServiceIndex, service: &Service) {
        self.by_id.insert(service.id, index);
        self.ordered.insert(order(&service.id, service.serial), index);
        self.ipv4 += u32::from(!service.id.is_ipv6());
        self.with_engine += u32::from(service.persistence_engine.is_some());
    }

    /// Puts in services of a former run, each at its index.
    pub(crate) fn restore(&mut self, all: Vec<(u32, Service)>) {
        for (index, service) in &all {
            self.last_serial = self.last_serial.max(service.serial);
            self.register(ServiceIndex(*index), service);
        }
        self.slab = all.into_iter().map(|(index, service)| (index as usize, service)).collect();
    }

    /// Notes that something else than counters of a service has changed.
    pub(crate) fn note_unsaved(&mut self, index: ServiceIndex) {
        self.unsaved.insert(index);
    }

    /// Those of which something else than counters has changed since the last call; those that are gone among them.
    pub(crate) fn take_unsaved(&mut self) -> BTreeSet<ServiceIndex> {
        std::mem::take(&mut self.unsaved)
    }

    /// Whether something has changed that [`Services::take_unsaved`] tells.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The services at `from` and behind, at most `limit` places on.
    pub(crate) fn next_from(&self, from: u32, limit: u32) -> impl Iterator<Item = (u32, &Service)> {
        let end = from.saturating_add(limit).min(self.extent());
        (from..end).filter_map(|index| Some((index, self.slab.get(index as usize)?)))
    }

    /// No service has this index or a greater one.
    pub(crate) fn extent(&self) -> u32 {
        u32::try_from(self.slab.capacity()).unwrap_or(u32::MAX)
    }

    /// Notes that the counters of a service have changed.
    pub(crate) fn note_counted(&mut self, index: ServiceIndex) {
        if let Some(service) = self.slab.get_mut(index.0 as usize)
            && !std::mem::replace(&mut service.stats.changed, true)
        {
            self.counted.push((index, service.serial));
        }
    }

    /// Those whose counters have changed since the last call.
    pub(crate) fn take_counted(&mut self) -> Vec<ServiceIndex> {
        let slab = &mut self.slab;
        let counted = std::mem::take(&mut self.counted).into_iter();
        let mut counted: Vec<_> = counted
            .filter_map(|(index, serial)| {
                let service = slab.get_mut(index.0 as usize).filter(|it| it.serial == serial)?;
                service.stats.changed = false;
                Some(index)
            })
            .collect();
        counted.dedup();
        counted
    }

    /// Takes a service out.
    pub(crate) fn remove(&mut self, index: ServiceIndex) -> Option<Service> {
        let service = self.slab.try_remove(index.0 as usize)?;
        self.unsaved.insert(index);
        self.by_id.remove(&service.id);
        if let Some(due) = service.upkeep {
            self.upkeeps.remove(&(due, index));
        }
        self.ordered.remove(&order(&service.id, service.serial));
        self.ipv4 -= u32::from(!service.id.is_ipv6());
        self.with_engine -= u32::from(service.persistence_engine.is_some());
        Some(service)
    }

    /// All services in the order of listings.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = ServiceIndex> {
        self.ordered.values().copied()
    }

    /// Services in the order of listings, with the cursor of each, from `cursor` on (0: from the first).
    pub(crate) fn ordered_from(&self, cursor: u64) -> impl Iterator<Item = (u64, &Service)> {
        self.ordered.range(cursor..).filter_map(|(cursor, index)| Some((*cursor, self.get(*index)?)))
    }

    /// Number of services.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Number of IPv4 services.
    pub(crate) const fn ipv4(&self) -> u32 {
        self.ipv4
    }

    /// Gives a service another persistence engine.
    pub(crate) fn set_engine(&mut self, index: ServiceIndex, engine: Option<Engine>) {
        let Some(service) = self.slab.get_mut(index.0 as usize) else { return };
        let before = std::mem::replace(&mut service.persistence_engine, engine);
        self.with_engine += u32::from(engine.is_some());
        self.with_engine -= u32::from(before.is_some());
    }

    /// Whether a service has a persistence engine.
    pub(crate) const fn any_with_engine(&self) -> bool {
        self.with_engine > 0
    }

    /// Starts the timer of the scheduler's upkeep, if it has one, in place of the one before.
    pub(crate) fn start_upkeep(&mut self, index: ServiceIndex, now: Instant) {
        let Some(service) = self.slab.get_mut(index.0 as usize) else { return };
        if let Some(before) = service.upkeep.take() {
            self.upkeeps.remove(&(before, index));
        }
        let interval = service.scheduler.as_ref().and_then(|scheduler| scheduler.upkeep_interval());
        if let Some(interval) = interval {
            service.upkeep = Some(now + interval);
            self.upkeeps.insert((now + interval, index));
        }
    }

    /// When [`Services::keep_up`] has something to do.
    pub(crate) fn next_upkeep(&self) -> Option<Instant> {
        self.upkeeps.first().map(|(due, _)| *due)
    }

    /// Runs the upkeep of the schedulers that are due.
    pub(crate) fn keep_up(&mut self, now: Instant, sysctls: &Sysctls) {
        while let Some((_, index)) = self.upkeeps.first().copied().filter(|(due, _)| *due <= now) {
            if let Some(service) = self.slab.get_mut(index.0 as usize)
                && let Some(scheduler) = &mut service.scheduler
            {
                scheduler.upkeep(now, sysctls);
            }
            self.start_upkeep(index, now);
        }
    }

    /// Counts at a service and tells the estimator.
    pub(crate) fn count(&mut self, index: ServiceIndex, count: impl FnOnce(&mut Counters)) {
        let Some(service) = self.slab.get_mut(index.0 as usize) else { return };
        count(&mut service.stats.counters);
        if !service.stats.changed {
            service.stats.changed = true;
            self.counted.push((index, service.serial));
        }
        if !service.stats.listed {
            service.stats.listed = true;
            self.estimated.push((index, service.serial));
        }
    }

    /// Runs the estimator over the services that have something to estimate.
    pub(crate) fn estimate(&mut self, periods: u64) {
        let slab = &mut self.slab;
        self.estimated.retain(|(index, serial)| {
            let Some(service) = slab.get_mut(index.0 as usize).filter(|it| it.serial == *serial) else {
                return false;
            };
            service.stats.listed = service.stats.estimate(periods);
            service.stats.listed
        });
    }
}

/// Bits of [`order`] below the bucket's.
const SERIAL_BITS: u32 = 55;

/// Place of a service in listings, as in the kernel's tables (spec section 2.4): address services, then mark services;
/// by hash bucket; within a bucket the newest first. Never 0, so that cursor 0 means the beginning.
fn order(id: &ServiceId, serial: u64) -> u64 {
    let (table, bucket) = match *id {
        ServiceId::Address { protocol, address, port } => {
            let folded = match address {
                IpAddr::V4(address) => address.to_bits(),
                IpAddr::V6(address) => {
                    let bits = address.to_bits();
                    (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32
                }
            };
            let hash = u32::from(protocol) ^ folded ^ u32::from(port) ^ u32::from(port >> 8);
            (0, u64::from(hash & 0xff))
        }
        ServiceId::Mark { mark, .. } => (1, u64::from(mark & 0xff)),
    };
    let newest_first = ((1 << SERIAL_BITS) - 1) - (serial & ((1 << SERIAL_BITS) - 1));
    table << (SERIAL_BITS + 8) | bucket << SERIAL_BITS | newest_first
}
