//! New connections that a fast path begins: which services' choices it knows, the entries that are set aside for it, and taking
//! over what it began.
//!
//! A service's choices are published while they depend on nothing but the packet's addresses and ports, the choices before, and
//! the numbers of connections of its destinations, which both sides count in the same memory.
//! Commands that may change them withdraw them first; they are published anew at the end of the turn. A sequence that is
//! published is gone on with by both sides, from one cursor in shared memory; when it is withdrawn, the scheduler is brought to
//! where it came to.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipvs_flow::EntryIndex;
use ipvs_flow::pick::{Rule, Slot};
use ipvs_wire::Ports;
use ipvs_wire::tcp::Flags;

use crate::command::{Command, ServiceFlags, ServiceId};
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::fast_path::{self, FastPathEvent};
use crate::protocol::{TCP, UDP};
use crate::schedule::FTP_DATA;
use crate::scheduler::{View, replay};
use crate::service::ServiceIndex;

/// At most so many events are taken over from the fast path in one call, so that packets never wait long.
const EVENTS_BUDGET: u32 = 8192;

/// What a service chooses by, for a fast path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Protocol, virtual address and port of its packets.
    pub endpoint: (u8, IpAddr, u16),
    /// By what the slot is found.
    pub rule: Rule,
    /// The choices, or what is chosen from.
    pub slots: Vec<Slot>,
    /// For choices by load: the weights of the slots' destinations, as many as slots.
    pub weights: Vec<u32>,
    /// Where a sequence goes on after its last slot.
    pub restart: u32,
}

/// The director's side of what a fast path begins.
#[derive(Debug, Default)]
pub(crate) struct Births {
    /// Services whose choices are to be published, if they can be.
    unpublished: BTreeSet<ServiceIndex>,
    /// The sequences of those that are; empty for others.
    published: HashMap<ServiceIndex, Vec<Option<DestinationIndex>>>,
}

impl Births {
    /// The choices of a service are to be published.
    pub(crate) fn expect(&mut self, service: ServiceIndex) {
        self.unpublished.insert(service);
    }
}

impl Director {
    /// Before a command: the choices that it may change are no longer the fast path's. Returns the service concerned.
    pub(crate) fn withdraw_for(&mut self, command: &Command) -> Option<ServiceId> {
        self.fast_path.as_ref()?;
        match command {
            Command::AddService(id, _)
            | Command::EditService(id, _)
            | Command::DeleteService(id)
            | Command::AddDestination(id, ..)
            | Command::EditDestination(id, ..)
            | Command::EditKernelDestination(id, ..)
            | Command::DeleteDestination(id, _) => {
                if let Some(index) = self.services.find_id(id) {
                    self.withdraw(index);
                }
                Some(*id)
            }
            Command::Flush => {
                let all: Vec<ServiceIndex> = self.births.published.keys().copied().collect();
                all.into_iter().for_each(|service| self.withdraw(service));
                None
            }
            _ => None,
        }
    }

    /// After a command: what it changed is to be published.
    pub(crate) fn publish_later(&mut self, id: &ServiceId) {
        if let Some(index) = self.services.find_id(id) {
            self.births.expect(index);
        }
    }

    /// Takes back what the fast path chooses by. From here on the scheduler chooses, where the sequence has come to.
    fn withdraw(&mut self, index: ServiceIndex) {
        self.births.unpublished.remove(&index);
        if self.births.published.remove(&index).is_none() {
            return;
        }
        let Some(fast_path) = &mut self.fast_path else { return };
        let made = fast_path.withdraw(index.0) as usize;
        let Some(service) = self.services.get_mut(index) else { return };
        let view = View {
            list: &service.destinations,
            destinations: &self.destinations,
            flags: service.flags,
            sysctls: &self.sysctls,
        };
        if let Some(scheduler) = &mut service.scheduler {
            replay(scheduler.as_mut(), view, made);
        }
    }

    /// Publishes the choices that have changed, as far as a fast path can make them. [`Director::settle`] does so, too; but after commands it may be long
    /// until then.
    pub fn publish_choices(&mut self) {
        if self.fast_path.is_none() {
            return;
        }
        for index in std::mem::take(&mut self.births.unpublished) {
            let Some((choices, sequence)) = self.choices(index) else { continue };
            if let Some(fast_path) = &mut self.fast_path
                && fast_path.publish(index.0, &choices)
            {
                self.births.published.insert(index, sequence);
            }
        }
    }

    /// What a service chooses by, and the destinations of a sequence; `None` if that depends on more than a fast path knows.
    fn choices(&self, index: ServiceIndex) -> Option<(Choices, Vec<Option<DestinationIndex>>)> {
        let service = self.services.get(index)?;
        let ServiceId::Address { protocol, address, port: port @ 1.. } = service.id else { return None };
        let protocol = u8::try_from(protocol).ok().filter(|protocol| matches!(*protocol, TCP | UDP))?;
        let special = service.is_persistent()
            || service.flags.contains(ServiceFlags::ONE_PACKET)
            || service.persistence_engine.is_some()
            || service.uses_all_ports()
            || protocol == TCP && self.config.half_open_quota > 0;
        let destinations = || service.destinations.iter().filter_map(|index| self.destinations.get(*index));
        // Thresholds are judged where connections are counted, by the director.
        if special || destinations().any(|it| it.config.upper_threshold != 0 || it.overloaded) {
            return None;
        }
        let view = View {
            list: &service.destinations,
            destinations: &self.destinations,
            flags: service.flags,
            sysctls: &self.sysctls,
        };
        let picks = service.scheduler.as_ref()?.picks(view)?;
        let slots = picks.slots.iter().map(|choice| choice.map_or(Slot::NONE, |choice| self.slot(choice)));
        let slots: Vec<Slot> = slots.collect();
        // A load is compared with all others.
        if matches!(picks.rule, Rule::Least(_)) && slots.contains(&Slot::NONE) {
            return None;
        }
        let choices = Choices {
            endpoint: (protocol, address, port),
            rule: picks.rule,
            slots,
            weights: picks.weights,
            restart: u32::try_from(picks.restart).ok()?,
        };
        Some((choices, if picks.rule == Rule::Sequence { picks.slots } else { Vec::new() }))
    }

    fn slot(&self, index: DestinationIndex) -> Slot {
        let Some(destination) = self.destinations.get(index) else { return Slot::NONE };
        if !fast_path::takes(destination.config.forwarding) || destination.is_told_clients() {
            return Slot::NONE;
        }
        Slot { destination: index.0, port: destination.id.port, flags: self.connection_flags(index) }
    }

    /// The next choice of a sequence that the fast path goes on with, too.
    pub(crate) fn shared_choice(&mut self, service: ServiceIndex) -> Option<DestinationIndex> {
        let sequence = self.births.published.get(&service).filter(|sequence| !sequence.is_empty())?;
        let fast_path = self.fast_path.as_mut()?;
        // A trial leaves the choice to the next packet.
        let place = match self.trial {
            None => fast_path.make_choice(service.0)?,
            Some(_) => fast_path.next_choice(service.0)?,
        };
        sequence.get(place as usize).copied().flatten()
    }

    /// Whether the fast path may begin connections at all.
    pub(crate) fn may_be_begun(&self) -> bool {
        // A packet may be the first one of a connection that a helper expects.
        !self.standby
            && !self.expects_any()
            && self.marks.rules().is_empty()
            && !self.defence.may_drop_packets()
    }

    /// Whether the fast path begins a connection by a packet of none: a segment with `segment`'s flags, or a datagram.
    pub(crate) fn begins_beside(&self, segment: Option<u8>, to: IpAddr, ports: Ports) -> bool {
        let protocol = if segment.is_some() { TCP } else { UDP };
        let id = ServiceId::Address { protocol: protocol.into(), address: to, port: ports.destination };
        let published = |service| self.births.published.contains_key(&service);
        self.services.find_id(&id).is_some_and(published)
            && self.may_be_begun()
            && ports.source != FTP_DATA
            && segment.map(Flags).is_none_or(|flags| flags.syn() && !flags.rst())
    }

    /// Takes over connections that the fast path began, and learns of others that may end earlier since packets that it
    /// forwarded. Their deadlines are in their entries: late is but later than they end.
    pub(crate) fn follow_fast_path(&mut self) {
        let Some(fast_path) = &mut self.fast_path else { return };
        for _ in 0..EVENTS_BUDGET {
            match fast_path.next_event() {
                Some(FastPathEvent::Shortened(entry)) => self.connections.reschedule(EntryIndex(entry)),
                Some(FastPathEvent::Born(entry)) => {
                    self.connections.reschedule(EntryIndex(entry));
                    if let Some(destination) = self.connections.destination_of(EntryIndex(entry)) {
                        self.destinations.judge(destination);
                    }
                }
                None => break,
            }
        }
        self.set_entries_aside();
    }

    /// Sets entries aside for the connections that the fast path will begin.
    fn set_entries_aside(&mut self) {
        let wanted = self.fast_path.as_mut().map_or(0, |fast_path| fast_path.wanted_entries());
        if self.births.published.is_empty() {
            return;
        }
        for _ in 0..wanted {
            self.make_room_for(1);
            let Some(entry) = self.connections.table.set_aside() else { break };
            if !self.fast_path.as_mut().is_some_and(|fast_path| fast_path.set_aside(entry.0)) {
                self.connections.table.give_back(entry);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ipvs_flow::pick::MOST_CANDIDATES;

    use crate::scheduler::testing::{Bench, weight};
    use crate::service::ServiceIndex;

    /// What the program looks at is limited in number; of weights, none is too great.
    #[test]
    fn choices_by_load_are_of_as_many_as_the_program_looks_at() {
        for scheduler in ["lc", "wlc", "sed", "nq"] {
            let mut weights = vec![1; MOST_CANDIDATES as usize];
            weights[7] = i32::MAX;
            let (mut bench, id) = Bench::with(scheduler, &weights);
            let candidates = |bench: &Bench| {
                bench.director.choices(ServiceIndex(0)).map(|(choices, _)| choices.slots.len())
            };
            assert_eq!(candidates(&bench), Some(weights.len()), "{scheduler}");
            bench.add(id, 200, weight(1)).unwrap();
            assert_eq!(candidates(&bench), None, "{scheduler}");
            bench.edit(id, 3, weight(0)).unwrap();
            assert_eq!(candidates(&bench), Some(weights.len()), "{scheduler}");
        }
    }
}
