//! Adding, changing, deleting and zeroing services.

use std::collections::VecDeque;

use crate::command::{Reply, ServiceConfig, ServiceFlags, ServiceId};
use crate::control::destinations::can_have_full_nat;
use crate::destination::Destinations;
use crate::director::Director;
use crate::error::Error;
use crate::estimator::Estimated;
use crate::half_open;
use crate::helper::Choice;
use crate::interest::Interest;
use crate::persistence_engine::{self, Engine};
use crate::scheduler::{self, Scheduler, View};
use crate::service::{Service, ServiceIndex};
use crate::sysctl::Sysctls;
use crate::time::Instant;

/// The kernel keeps the persistence timeout as 32 bits of clock ticks, 250 a second: greater ones wrap (seen:
/// 4294967295 s is shown as 17179868).
const KERNEL_HZ: u32 = 250;

impl Director {
    pub(super) fn add_service(
        &mut self,
        now: Instant,
        id: ServiceId,
        config: ServiceConfig,
    ) -> Result<Reply, Error> {
        if self.services.find_id(&id).is_some() {
            return Err(Error::ServiceExists);
        }
        if let ServiceId::Address { address, .. } = id
            && self.connections.pools.is_local(address)
        {
            return Err(Error::PoolAddressVirtual);
        }
        let scheduler = scheduler::by_name(&config.scheduler, self.next_seed(), self.config.maglev_size)?;
        let persistence_engine = check(&id, &config)?;
        let helper = Choice::for_service(&id, config.helper.as_deref())?;
        let mut service = Service {
            id,
            serial: 0,
            flags: flags(ServiceFlags::default(), &config),
            timeout: timeout(config.timeout),
            netmask: config.netmask,
            target: config.target,
            scheduler: None,
            upkeep: None,
            persistence_engine,
            helper,
            destinations: VecDeque::new(),
            half_open: half_open::NO_SERVICE,
            stats: Estimated::default(),
        };
        service.scheduler = bound(&service, &self.destinations, &self.sysctls, scheduler)?;
        let persistent = service.is_persistent();
        let index = self.services.insert(service)?;
        if let Some(service) = self.services.get_mut(index) {
            service.half_open = self.connections.half_open.open();
        }
        if persistent {
            self.connections.expect_control();
        }
        self.services.start_upkeep(index, now);
        self.interests.hold(Interest::of_service(&id, helper.uses_all_ports(&id)));
        Ok(Reply::Done)
    }

    pub(super) fn edit_service(
        &mut self,
        now: Instant,
        id: ServiceId,
        config: ServiceConfig,
    ) -> Result<Reply, Error> {
        let index = self.services.find_id(&id).ok_or(Error::NoSuchService)?;
        let scheduler = scheduler::by_name(&config.scheduler, self.next_seed(), self.config.maglev_size)?;
        let persistence_engine = check(&id, &config)?;
        let helper = Choice::for_service(&id, config.helper.as_deref())?;
        let service = self.services.get_mut(index).ok_or(Error::NoSuchService)?;
        let flags = flags(service.flags, &config);
        let by_full_nat =
            |index: &_| self.destinations.get(*index).is_some_and(|it| it.config.local_pool.is_some());
        if service.destinations.iter().any(by_full_nat) {
            can_have_full_nat(flags).map_err(|_| Error::FullNatDestinations)?;
        }
        // The scheduler keeps its state when it stays the same.
        let name = |scheduler: &Option<Box<dyn Scheduler>>| scheduler.as_ref().map(|it| it.name());
        let changes = name(&scheduler) != name(&service.scheduler);
        if changes {
            service.scheduler = bound(service, &self.destinations, &self.sysctls, scheduler)?;
        }
        service.flags = flags;
        service.timeout = timeout(config.timeout);
        service.netmask = config.netmask;
        if service.is_persistent() {
            self.connections.expect_control();
        }
        self.services.set_engine(index, persistence_engine);
        self.set_helper(index, helper);
        self.services.note_unsaved(index);
        if changes {
            self.services.start_upkeep(index, now);
        }
        Ok(Reply::Done)
    }

    pub(super) fn delete_service(&mut self, now: Instant, id: ServiceId) -> Result<Reply, Error> {
        let index = self.services.find_id(&id).ok_or(Error::NoSuchService)?;
        self.unlink_service(now, index);
        Ok(Reply::Done)
    }

    pub(super) fn flush(&mut self, now: Instant) -> Result<Reply, Error> {
        let all: Vec<ServiceIndex> = self.services.ordered().collect();
        for index in all {
            self.unlink_service(now, index);
        }
        Ok(Reply::Done)
    }

    pub(super) fn zero(&mut self, id: Option<ServiceId>) -> Result<Reply, Error> {
        match id {
            Some(id) => {
                let index = self.services.find_id(&id).ok_or(Error::NoSuchService)?;
                self.zero_service(index);
            }
            None => {
                let all: Vec<ServiceIndex> = self.services.ordered().collect();
                for index in all {
                    self.zero_service(index);
                }
                self.total.zero();
                self.total.changed = true;
            }
        }
        Ok(Reply::Done)
    }

    /// Zeroes a service and its destinations; not those in the trash.
    fn zero_service(&mut self, index: ServiceIndex) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.stats.zero();
        for &index in &service.destinations {
            if let Some(destination) = self.destinations.get_mut(index) {
                destination.stats.zero();
            }
            self.destinations.note_counted(index);
        }
        self.services.note_counted(index);
    }

    /// Deletes a service; its destinations go to the trash.
    fn unlink_service(&mut self, now: Instant, index: ServiceIndex) {
        let Some(service) = self.services.remove(index) else { return };
        for destination in &service.destinations {
            self.discard(now, *destination);
        }
        self.connections.half_open.close(service.half_open);
        self.seek_orphans();
        self.interests.release(Interest::of_service(&service.id, service.uses_all_ports()));
    }

    /// Gives a service another helper; connections that there are keep theirs.
    fn set_helper(&mut self, index: ServiceIndex, helper: Choice) {
        let Some(service) = self.services.get_mut(index) else { return };
        let before = service.uses_all_ports();
        service.helper = helper;
        let after = service.uses_all_ports();
        if before == after {
            return;
        }
        let (id, destinations) = (service.id, service.destinations.clone());
        let (new, old) = (Interest::of_service(&id, after), Interest::of_service(&id, before));
        self.interests.hold(new);
        self.interests.release(old);
        for index in destinations {
            self.destinations.set_all_ports(index, after);
            self.renew_interests(index);
        }
    }

    /// A seed for one scheduler, different each time.
    pub(crate) fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.seed
    }
}

/// The checks of add and edit after the scheduler's name. Returns the persistence engine: an empty name is none (seen).
fn check(id: &ServiceId, config: &ServiceConfig) -> Result<Option<Engine>, Error> {
    let name = config.persistence_engine.as_ref().filter(|name| !name.is_empty());
    let engine = name.map(|name| persistence_engine::by_name(name)).transpose()?;
    if id.is_ipv6() && !(1..=128).contains(&config.netmask) {
        return Err(Error::InvalidPrefixLength);
    }
    Ok(engine)
}

/// Readies a scheduler for a service with the destinations that it has.
pub(crate) fn bound(
    service: &Service,
    destinations: &Destinations,
    sysctls: &Sysctls,
    scheduler: Option<Box<dyn Scheduler>>,
) -> Result<Option<Box<dyn Scheduler>>, Error> {
    let Some(mut scheduler) = scheduler else { return Ok(None) };
    scheduler.bind(View { list: &service.destinations, destinations, flags: service.flags, sysctls })?;
    Ok(Some(scheduler))
}

/// Flags as given, over the old ones where not masked; HASHED is the kernel's own and always shown.
fn flags(old: ServiceFlags, config: &ServiceConfig) -> ServiceFlags {
    ServiceFlags(old.0 & !config.flags_mask | config.flags & config.flags_mask | ServiceFlags::HASHED)
}

/// The timeout as the kernel keeps it.
fn timeout(seconds: u32) -> u32 {
    seconds.wrapping_mul(KERNEL_HZ) / KERNEL_HZ
}
