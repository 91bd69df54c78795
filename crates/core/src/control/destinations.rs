//! Adding, changing and deleting destinations, and emptying the trash.

use crate::command::{
    ConnectionFlags, DestinationConfig, DestinationId, ForwardingMethod, Reply, ServiceFlags, ServiceId,
    TunnelType,
};
use crate::destination::{Destination, DestinationIndex};
use crate::director::Director;
use crate::error::Error;
use crate::host::{AddressKind, Host};
use crate::interest::Interest;
use crate::protocol::TCP;
use crate::scheduler::Change;
use crate::service::ServiceIndex;
use crate::time::Instant;

impl Director {
    pub(super) fn add_destination(
        &mut self,
        host: &dyn Host,
        service: ServiceId,
        id: DestinationId,
        config: DestinationConfig,
    ) -> Result<Reply, Error> {
        let (service_index, config) = self.check(&service, id, config)?;
        if self.destinations.find(service_index, id).is_some() {
            return Err(Error::DestinationExists);
        }
        let owner = self.services.get(service_index).ok_or(Error::NoSuchService)?;
        let (serial, all_ports) = (owner.serial, owner.uses_all_ports());
        let index = match self.trash.revive(&service, id) {
            Some(index) => index,
            None => {
                // Only now, and not for one from the trash.
                match host.address_kind(id.address) {
                    AddressKind::Local | AddressKind::Unicast => {}
                    AddressKind::LinkLocal | AddressKind::Other => return Err(Error::AddressNotUnicast),
                }
                self.destinations.insert(id, config, service)?
            }
        };
        if let Some(destination) = self.destinations.get_mut(index) {
            if destination.service_serial != serial {
                destination.stats.zero();
            }
            destination.last_weight = config.weight;
            destination.all_ports = all_ports;
        }
        self.connections.pools.refer(config.local_pool, true);
        self.destinations.note_counted(index);
        self.destinations.attach(index, service_index, serial, service);
        self.destinations.configure(index, config);
        self.renew_interests(index);
        if let Some(service) = self.services.get_mut(service_index) {
            service.destinations.push_front(index);
            service.changed(&self.destinations, &self.sysctls, Change::Added);
        }
        Ok(Reply::Done)
    }

    pub(super) fn edit_destination(
        &mut self,
        service: ServiceId,
        id: DestinationId,
        config: DestinationConfig,
    ) -> Result<Reply, Error> {
        let (service, config) = self.check(&service, id, config)?;
        let index = self.destinations.find(service, id).ok_or(Error::NoSuchDestination)?;
        let before = self.destinations.get(index).and_then(|destination| destination.config.local_pool);
        self.connections.pools.refer(before, false);
        self.connections.pools.refer(config.local_pool, true);
        self.destinations.configure(index, config);
        self.renew_interests(index);
        if let Some(service) = self.services.get_mut(service) {
            service.changed(&self.destinations, &self.sysctls, Change::Edited);
        }
        Ok(Reply::Done)
    }

    /// [`Command::EditKernelDestination`](crate::Command::EditKernelDestination).
    pub(super) fn edit_kernel_destination(
        &mut self,
        service: ServiceId,
        id: DestinationId,
        config: DestinationConfig,
    ) -> Result<Reply, Error> {
        let index = self.services.find_id(&service).and_then(|index| self.destinations.find(index, id));
        let config = match index.and_then(|index| self.destinations.get(index)).map(|it| it.config) {
            Some(kept) if config.forwarding == kept.kernel_method() => {
                DestinationConfig { forwarding: kept.forwarding, local_pool: kept.local_pool, ..config }
            }
            _ => config,
        };
        self.edit_destination(service, id, config)
    }

    pub(super) fn delete_destination(
        &mut self,
        now: Instant,
        service: ServiceId,
        id: DestinationId,
    ) -> Result<Reply, Error> {
        let service = self.services.find_id(&service).ok_or(Error::NoSuchService)?;
        let index = self.destinations.find(service, id).ok_or(Error::NoSuchDestination)?;
        self.discard(now, index);
        if let Some(service) = self.services.get_mut(service)
            && let Some(position) = service.position(&self.destinations, index)
        {
            service.destinations.remove(position);
            service.changed(&self.destinations, &self.sysctls, Change::Removed { position });
        }
        self.seek_orphans();
        Ok(Reply::Done)
    }

    /// The checks that add and edit share, in the kernel's order; on the reference all of them come before whether
    /// the destination exists. Returns the settings as they are kept.
    fn check(
        &self,
        service: &ServiceId,
        id: DestinationId,
        config: DestinationConfig,
    ) -> Result<(ServiceIndex, DestinationConfig), Error> {
        let index = self.services.find_id(service).ok_or(Error::NoSuchService)?;
        let forwarding = ForwardingMethod(config.forwarding.0 & 7);
        let flags = ConnectionFlags(config.flags.0 & ConnectionFlags::GIVEN);
        let config = DestinationConfig { forwarding, flags, ..config };
        // Synchronisation messages have one family for client and server.
        let full_nat = config.forwarding == ForwardingMethod::FULL_NAT && config.local_pool.is_some();
        let mixable = (config.forwarding == ForwardingMethod::TUNNEL || full_nat) && !self.sync_daemons.any();
        if id.address.is_ipv6() != service.is_ipv6() && !mixable {
            return Err(Error::MixedFamily);
        }
        if config.weight < 0 {
            return Err(Error::NegativeWeight);
        }
        if config.lower_threshold > config.upper_threshold {
            return Err(Error::ThresholdsReversed);
        }
        if i32::try_from(config.upper_threshold).is_err() {
            return Err(Error::ThresholdTooLarge);
        }
        if config.tunnel.kind == TunnelType::GUE && config.tunnel.port == 0 {
            return Err(Error::TunnelPortMissing);
        }
        self.check_full_nat(index, id, &config)?;
        let proxy = self.check_proxy(index, id, &config)?.then_some(true);
        Ok((index, DestinationConfig { proxy, ..config }))
    }

    /// Whether the destination is to be told clients' addresses. Whoever does not know that setting does not change it, unless
    /// by a method that cannot do it.
    fn check_proxy(
        &self,
        service: ServiceIndex,
        id: DestinationId,
        config: &DestinationConfig,
    ) -> Result<bool, Error> {
        // Full NAT without pool, which other interfaces than ours can ask for, forwards nothing.
        let no_pool = config.forwarding == ForwardingMethod::FULL_NAT && config.local_pool.is_none();
        let can = config.forwarding.answers_pass() && !no_pool;
        if config.proxy != Some(true) {
            let before = self.destinations.find(service, id).and_then(|index| self.destinations.get(index));
            return Ok(can && config.proxy.is_none() && before.is_some_and(Destination::is_told_clients));
        }
        if !can {
            return Err(Error::ProxyMethod);
        }
        match self.services.get(service).map(|service| service.id) {
            Some(ServiceId::Address { protocol, .. }) if protocol != u16::from(TCP) => {
                Err(Error::ProxyProtocol)
            }
            _ => Ok(true),
        }
    }

    /// The checks of full NAT, behind those of the kernel.
    fn check_full_nat(
        &self,
        index: ServiceIndex,
        destination: DestinationId,
        config: &DestinationConfig,
    ) -> Result<(), Error> {
        let Some(name) = config.local_pool else { return Ok(()) };
        if config.forwarding != ForwardingMethod::FULL_NAT {
            return Err(Error::PoolWithoutFullNat);
        }
        let pool = self.connections.pools.get(name).ok_or(Error::NoSuchPool)?;
        if !pool.addresses.iter().any(|address| address.is_ipv6() == destination.address.is_ipv6()) {
            return Err(Error::PoolFamily);
        }
        let service = self.services.get(index).ok_or(Error::NoSuchService)?;
        can_have_full_nat(service.flags)
    }

    /// Puts a destination in the trash; the caller takes it out of its service's list.
    pub(super) fn discard(&mut self, now: Instant, index: DestinationIndex) {
        self.revoke(index);
        let pool = self.destinations.get(index).and_then(|destination| destination.config.local_pool);
        self.connections.pools.refer(pool, false);
        self.destinations.detach(index);
        if let Some(destination) = self.destinations.get(index) {
            self.trash.put(now, &destination.service_id, destination.id, index);
        }
    }

    /// Runs the trash's timer.
    pub(crate) fn empty_trash(&mut self, now: Instant) {
        for index in self.trash.expire(now, &self.destinations) {
            let Some(destination) = self.destinations.remove(index) else { continue };
            for interest in destination.interests {
                self.interests.release(interest);
            }
        }
    }

    /// Holds the interests that a destination's service and method need, and releases that of a former one; while connections refer to
    /// the destination this stays: they keep the method that they were made with.
    pub(super) fn renew_interests(&mut self, index: DestinationIndex) {
        let Some(destination) = self.destinations.get_mut(index) else { return };
        let wanted = interests(destination);
        for wanted in &wanted {
            if !destination.interests.contains(wanted) {
                destination.interests.push(*wanted);
                self.interests.hold(*wanted);
            }
        }
        if destination.interests.iter().all(|held| wanted.contains(held)) {
            return;
        }
        if destination.references() > 0 {
            self.lingering.push(index);
            return;
        }
        for former in destination.interests.extract_if(.., |held| !wanted.contains(held)) {
            self.interests.release(former);
        }
    }

    /// Looks again at the destinations that [`Director::renew_interests`] had to leave.
    pub(crate) fn settle_lingering(&mut self) {
        for index in std::mem::take(&mut self.lingering) {
            self.renew_interests(index);
        }
    }
}

/// What a destination needs to see: packets to its service, also when that is gone, and by its method answers, or errors from
/// within the tunnel.
pub(crate) fn interests(destination: &Destination) -> Vec<Interest> {
    let DestinationId { address, port } = destination.id;
    let (service, all_ports) = (&destination.service_id, destination.all_ports);
    let mut interests = match destination.config.forwarding {
        ForwardingMethod::MASQUERADE => Interest::of_server(service, all_ports, address, port),
        ForwardingMethod::FULL_NAT => {
            Interest::of_translated_server(service, all_ports, address).into_iter().collect()
        }
        ForwardingMethod::TUNNEL => {
            Interest::of_tunnel(address, &destination.config.tunnel).into_iter().collect()
        }
        _ => Vec::new(),
    };
    interests.push(Interest::of_service(service, all_ports));
    interests
}

/// Whether a service with these flags can have destinations by full NAT.
pub(super) fn can_have_full_nat(flags: ServiceFlags) -> Result<(), Error> {
    if flags.contains(ServiceFlags::ONE_PACKET) {
        return Err(Error::FullNatService);
    }
    Ok(())
}
