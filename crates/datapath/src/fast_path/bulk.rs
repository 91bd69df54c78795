//! Which services' packets the program looks up in bulk, on their way out (`crates/xdp/src/bulk.rs`): with many connections, since
//! then a packet's time is the wait for memory; with few it only costs.
//!
//! What the program has of that changes once in a while, by looking at all services anew: no change of a service costs more for it. A
//! packet that it puts off in vain meanwhile comes to the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipvs_core::Instant;
use ipvs_flow::flag::{METHOD, TRANSLATED};
use ipvs_flow::pick::{Pick, Slot};
use ipvs_flow::{Line, Table, Tick};

use super::ways::Ways;
use crate::program::{BulkService, Program};
use crate::shared_memory::SharedMemory;

/// When packets are looked up in bulk, on their way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BulkLookup {
    /// When there are so many connections that it is worth it.
    #[default]
    Auto,
    /// Always, where it can be.
    On,
    /// Never.
    Off,
}

/// From so many connections in use on it is worth it (docs/performance.md), and as long as there are more than half of them.
const MANY: u32 = 3 << 14;
/// In use are those that have had a packet within so many ticks: 126 ms.
const LATELY: u32 = 30;
/// Buckets of the flow cache by which they are estimated.
const SAMPLES: u32 = 1024;

/// How often the services are looked at. Much longer than a processor takes for the frames that it has collected: what was told one time
/// holds for all frames the next time.
const INTERVAL: Duration = Duration::from_millis(100);

/// So often in a row a service may not be seen before it is taken for gone.
const PATIENCE: u8 = 10;

/// Forwarding methods whose packets leave as long as they came.
const MASQUERADE: u16 = 0;
const DIRECT: u16 = 3;

/// The daemon's side.
pub(crate) struct Bulk {
    rule: BulkLookup,
    connections: Table<&'static [Line]>,
    picks: Arc<SharedMemory<Line>>,
    slots: Arc<SharedMemory<Line>>,
    /// The seed of the last sample.
    sampled: u32,
    /// The program puts packets off.
    on: bool,
    /// Interfaces whose frames meet the program on their way out.
    met_at: BTreeSet<u32>,
    /// The services that the program has, by place, and how often in a row they were not seen.
    told: BTreeMap<u8, (BulkService, u8)>,
    due: Option<Instant>,
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, on, met_at, told, .. } = self;
        let bulk = &mut formatter.debug_struct("Bulk");
        bulk.field("rule", rule)
            .field("on", on)
            .field("met_at", met_at)
            .field("told", told)
            .finish_non_exhaustive()
    }
}

impl Bulk {
    pub(super) fn new(
        rule: BulkLookup,
        connections: Table<&'static [Line]>,
        picks: Arc<SharedMemory<Line>>,
        slots: Arc<SharedMemory<Line>>,
    ) -> Self {
        let (met_at, told) = (BTreeSet::new(), BTreeMap::new());
        Self { rule, connections, picks, slots, sampled: 0, on: false, met_at, told, due: None }
    }

    /// Whether frames may be put off where they come.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Whether packets are to be looked up in bulk always.
    pub(super) fn is_for_always(&self) -> bool {
        self.rule == BulkLookup::On
    }

    /// Whether it may be worth it: a quick look.
    fn may_be_wanted(&self) -> bool {
        match self.rule {
            BulkLookup::Auto => self.connections.len() >= MANY / 2,
            BulkLookup::On => true,
            BulkLookup::Off => false,
        }
    }

    /// Whether it is worth it.
    fn is_wanted(&mut self, now: Instant) -> bool {
        if self.rule != BulkLookup::Auto || !self.may_be_wanted() {
            return self.may_be_wanted();
        }
        self.sampled = self.sampled.wrapping_add(SAMPLES);
        let in_use =
            self.connections.flows_in_use(Tick::from_nanos(now.as_nanos()), LATELY, SAMPLES, self.sampled);
        in_use >= if self.on { MANY / 2 } else { MANY }
    }

    /// Tells the program what has changed since the last time, if it is time again; `possible`: it can put packets off. Returns when
    /// to come again.
    pub(super) fn follow(
        &mut self,
        now: Instant,
        possible: bool,
        ways: &Ways,
        program: &mut Program,
    ) -> Option<Instant> {
        let may_be = self.on || possible && self.may_be_wanted();
        if !may_be && self.met_at.is_empty() {
            self.due = None;
            return None;
        }
        let due = *self.due.get_or_insert(now + INTERVAL);
        if now < due {
            return Some(due);
        }
        let wanted = possible && self.is_wanted(now);
        if self.on != wanted {
            self.on = wanted;
            tracing::debug!(
                connections = self.connections.len(),
                "packets are {}looked up in bulk",
                if wanted { "" } else { "no longer " }
            );
        }
        let services = if wanted { self.services(ways) } else { BTreeMap::new() };
        self.tell(services, wanted, program);
        self.due = Some(now + INTERVAL);
        self.due
    }

    /// Has frames meet the program where services need it, and then, the next time, those services put off.
    fn tell(&mut self, seen: BTreeMap<u8, Option<BulkService>>, wanted: bool, program: &mut Program) {
        let mut services: BTreeMap<u8, (BulkService, u8)> = seen
            .iter()
            .filter_map(|(place, service)| Some((*place, (service.as_ref().copied()?, 0))))
            .collect();
        // While its choices are being changed a service is not to be seen. That it is put off in vain does no harm.
        for (place, (service, missed)) in &self.told {
            if wanted && *missed < PATIENCE && !seen.contains_key(place) {
                services.insert(*place, (*service, missed + 1));
            }
        }
        let needed: BTreeSet<u32> = services.values().map(|(service, _)| service.interface).collect();
        // Frames that have it and are not put off may meet it or not; those that are must. So it comes first and goes last.
        services.retain(|_, (service, _)| self.met_at.contains(&service.interface));
        let used: BTreeSet<u32> = self.told.values().map(|(service, _)| service.interface).collect();
        let gone: Vec<u32> =
            self.met_at.difference(&needed).copied().filter(|gone| !used.contains(gone)).collect();
        for interface in gone {
            self.met_at.remove(&interface);
            if let Err(error) = program.set_leaving(interface, false) {
                tracing::debug!(interface, %error, "the exit is gone");
            }
        }
        for interface in needed {
            if !self.met_at.contains(&interface) {
                match program.set_leaving(interface, true) {
                    Ok(()) => {
                        self.met_at.insert(interface);
                    }
                    Err(error) => tracing::warn!(interface, %error, "frames by it are not looked up in bulk"),
                }
            }
        }
        let gone = self.told.keys().filter(|place| !services.contains_key(place)).map(|place| (*place, None));
        let is_new = |place: &u8, service| self.told.get(place).is_none_or(|(told, _)| told != service);
        let new = services.iter().filter(|(place, (service, _))| is_new(place, service));
        for (place, service) in gone.chain(new.map(|(place, (service, _))| (*place, Some(service)))) {
            if let Err(error) = program.set_bulk_service(place, service) {
                tracing::warn!(?service, %error, "could not change the XDP program's map");
            }
        }
        self.told = services;
    }

    /// The services of IPv4 that the program chooses for, by place: with what is to be told of them if all of their destinations leave by one
    /// interface. Where two have one place it is the first of these, if there is one.
    fn services(&self, ways: &Ways) -> BTreeMap<u8, Option<BulkService>> {
        let (lines, slots) = ((*self.picks).as_ref(), (*self.slots).as_ref());
        let mut services = BTreeMap::new();
        for pick in lines.iter().filter_map(Pick::read) {
            let [end, address @ ..] = pick.service();
            let Some(address) = ipv4(address) else { continue };
            let exits = pick.choices(&slots).map(|slot| exit_of(&slot, ways));
            let one = exits.reduce(|one, other| {
                let ((interface, mtu), (other, other_mtu)) = (one?, other?);
                (interface == other).then_some((interface, mtu.min(other_mtu)))
            });
            let (protocol, port) = (end as u8, u16::from_be((end >> 16) as u16));
            let (interface, mtu) = one.flatten().unwrap_or_default();
            let service = BulkService { protocol, address, port, interface, mtu };
            let place = services.entry(service.place()).or_insert(None);
            if place.is_none() && one.flatten().is_some() {
                *place = Some(service);
            }
        }
        services
    }
}

/// The interface by which packets of a choice leave, and the way's MTU, if the program can forward them on their way out.
fn exit_of(slot: &Slot, ways: &Ways) -> Option<(u32, u32)> {
    let method = slot.flags & METHOD;
    let can = slot.flags & TRANSLATED == 0 && (method == MASQUERADE || method == DIRECT);
    if can { ways.untagged_exit(slot.destination) } else { None }
}

/// The IPv4 address that an address has in its mapped form.
fn ipv4([a, b, c, d]: [u32; 4]) -> Option<Ipv4Addr> {
    ([a, b, c] == [0, 0, 0xffffu32.to_be()]).then(|| Ipv4Addr::from(d.to_ne_bytes()))
}
