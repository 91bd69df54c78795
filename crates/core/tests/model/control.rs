//! Commands on the model.

use ipvs_core::{Command, DestinationConfig, DestinationId, ServiceConfig, ServiceId, Sysctl, Timeouts};

use crate::schedulers;
use crate::state::{Destination, Model, Service, ServiceKey, Trashed};

const SECOND: u64 = 1_000_000_000;

pub fn key(id: ServiceId) -> ServiceKey {
    match id {
        ServiceId::Address { protocol, address, port } => (protocol, address, port),
        ServiceId::Mark { .. } => unreachable!("no marks here"),
    }
}

impl Model {
    /// What the command is refused with.
    pub fn execute(&mut self, command: &Command) -> Result<(), &'static str> {
        match command {
            Command::AddService(id, config) => self.add_service(key(*id), config),
            Command::EditService(id, config) => self.edit_service(key(*id), config),
            Command::DeleteService(id) => {
                let position = self.service_at(key(*id)).ok_or("NoSuchService")?;
                self.delete_service(position);
                Ok(())
            }
            Command::Flush => {
                while !self.services.is_empty() {
                    self.delete_service(0);
                }
                Ok(())
            }
            Command::Zero(None) => {
                (0..self.services.len()).for_each(|position| self.zero_service(position));
                self.total[0] = [0; 5];
                Ok(())
            }
            Command::Zero(Some(id)) => {
                let position = self.service_at(key(*id)).ok_or("NoSuchService")?;
                self.zero_service(position);
                Ok(())
            }
            Command::AddDestination(service, id, config) => self.add_destination(key(*service), *id, config),
            Command::EditDestination(service, id, config) => {
                let position = self.check(key(*service), config)?;
                let uid = self.find(position, *id).ok_or("NoSuchDestination")?;
                self.configure(uid, config);
                self.tell(position);
                Ok(())
            }
            Command::DeleteDestination(service, id) => {
                let position = self.service_at(key(*service)).ok_or("NoSuchService")?;
                let uid = self.find(position, *id).ok_or("NoSuchDestination")?;
                let before = self.candidates(position);
                let service = &mut self.services[position];
                schedulers::removed(&service.scheduler, &mut service.memory, &before, uid);
                service.destinations.retain(|other| *other != uid);
                self.discard(uid);
                self.end_orphans();
                Ok(())
            }
            Command::SetSysctl(sysctl, values) => {
                self.set(*sysctl, values[0]);
                Ok(())
            }
            Command::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                for (timeout, given) in self.timeouts.iter_mut().zip([*tcp, *tcp_fin, *udp]) {
                    *timeout = if given > 0 { given } else { *timeout };
                }
                Ok(())
            }
            other => unreachable!("{other:?} is not generated"),
        }
    }

    fn add_service(&mut self, key: ServiceKey, config: &ServiceConfig) -> Result<(), &'static str> {
        if self.service_at(key).is_some() {
            return Err("ServiceExists");
        }
        if !schedulers::NAMES.contains(&config.scheduler.as_str()) {
            return Err("NoSuchScheduler");
        }
        let uid = self.uid();
        self.services.push(Service {
            uid,
            key,
            scheduler: config.scheduler.clone(),
            memory: schedulers::begin(&[]),
            flags: config.flags,
            timeout: config.timeout,
            netmask: config.netmask,
            destinations: Vec::new(),
            counts: [0; 5],
        });
        Ok(())
    }

    fn edit_service(&mut self, key: ServiceKey, config: &ServiceConfig) -> Result<(), &'static str> {
        let position = self.service_at(key).ok_or("NoSuchService")?;
        if !schedulers::NAMES.contains(&config.scheduler.as_str()) {
            return Err("NoSuchScheduler");
        }
        let list = self.candidates(position);
        let service = &mut self.services[position];
        if service.scheduler != config.scheduler {
            service.scheduler.clone_from(&config.scheduler);
            service.memory = schedulers::begin(&list);
        }
        service.flags = config.flags;
        service.timeout = config.timeout;
        service.netmask = config.netmask;
        Ok(())
    }

    fn delete_service(&mut self, position: usize) {
        let service = self.services.remove(position);
        for uid in service.destinations {
            self.discard(uid);
        }
        self.end_orphans();
    }

    fn zero_service(&mut self, position: usize) {
        self.services[position].counts = [0; 5];
        for uid in self.services[position].destinations.clone() {
            self.destination(uid).counts = [0; 5];
        }
    }

    fn find(&self, service: usize, id: DestinationId) -> Option<u64> {
        let list = &self.services[service].destinations;
        list.iter().copied().find(|uid| self.destinations[uid].id == id)
    }

    fn check(&self, service: ServiceKey, config: &DestinationConfig) -> Result<usize, &'static str> {
        let position = self.service_at(service).ok_or("NoSuchService")?;
        if config.weight < 0 {
            return Err("NegativeWeight");
        }
        if config.lower_threshold > config.upper_threshold {
            return Err("ThresholdsReversed");
        }
        Ok(position)
    }

    fn add_destination(
        &mut self,
        service: ServiceKey,
        id: DestinationId,
        config: &DestinationConfig,
    ) -> Result<(), &'static str> {
        let position = self.check(service, config)?;
        if self.find(position, id).is_some() {
            return Err("DestinationExists");
        }
        // The newest in the trash that served this protocol, address and port.
        let is_the_same = |it: &Trashed| {
            let destination = &self.destinations[&it.destination];
            destination.id == id && destination.last_key == service
        };
        let revived = self.trash.iter().rposition(is_the_same);
        let uid = match revived {
            Some(place) => self.trash.remove(place).destination,
            None => self.uid(),
        };
        let service_uid = self.services[position].uid;
        let destination = self.destinations.entry(uid).or_insert(Destination {
            id,
            method: 0,
            weight: 0,
            upper: 0,
            lower: 0,
            overloaded: false,
            service: None,
            last_service: service_uid,
            last_key: service,
            counts: [0; 5],
        });
        if destination.last_service != service_uid {
            destination.counts = [0; 5];
        }
        destination.service = Some(service_uid);
        destination.last_service = service_uid;
        if revived.is_some() {
            self.note("revived");
        }
        self.configure(uid, config);
        self.services[position].destinations.insert(0, uid);
        self.tell(position);
        Ok(())
    }

    fn configure(&mut self, uid: u64, config: &DestinationConfig) {
        let it = self.destination(uid);
        it.method = config.forwarding.0;
        it.weight = config.weight;
        it.upper = config.upper_threshold;
        it.lower = config.lower_threshold;
        self.judge_overload(uid);
    }

    /// Tells the scheduler that a destination was added or edited.
    fn tell(&mut self, position: usize) {
        let list = self.candidates(position);
        let service = &mut self.services[position];
        schedulers::changed(&service.scheduler, &mut service.memory, &list);
    }

    /// Into the trash.
    fn discard(&mut self, uid: u64) {
        self.destination(uid).service = None;
        if self.trash.is_empty() {
            self.trash_timer = Some(self.now + 60 * SECOND);
        }
        self.trash.push(Trashed { destination: uid, idle_since: None });
    }

    /// With expire_nodest_conn, all that belongs to removed destinations ends.
    fn end_orphans(&mut self) {
        if self.setting(Sysctl::ExpireNodestConn) == 0 {
            return;
        }
        let orphans: Vec<u64> =
            self.entries.iter().filter(|it| !self.is_available(it.destination)).map(|it| it.uid).collect();
        for uid in orphans {
            self.remove(uid);
            self.note("orphan");
        }
    }

    fn set(&mut self, sysctl: Sysctl, value: i64) {
        let before = self.setting(sysctl);
        // With memory enough, 2 ("on, for memory is short") falls back to 1 at once if it is news.
        let kept = match sysctl {
            Sysctl::SecureTcp | Sysctl::DropPacket if value == 2 => 1,
            _ => value,
        };
        self.settings.insert(sysctl, kept);
        if sysctl == Sysctl::DropPacket && value != before {
            self.drop_rate.0 = if value == 3 { self.setting(Sysctl::AmDroprate) } else { 0 };
        }
    }
}
