//! What the model knows: plain lists, searched from the front; what can be counted is counted anew each time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipvs_core::{DestinationId, Sysctl};

use crate::schedulers::{Candidate, Memory};
use crate::tcp;

pub type End = (IpAddr, u16);
/// Connections, packets in, packets out, bytes in, bytes out.
pub type Counts = [u64; 5];

/// Protocol, virtual address, virtual port.
pub type ServiceKey = (u16, IpAddr, u16);

/// Protocol, client, virtual end.
pub type ConnectionKey = (u16, End, End);

pub struct Service {
    /// Never given twice.
    pub uid: u64,
    pub key: ServiceKey,
    pub scheduler: String,
    pub memory: Memory,
    pub flags: u32,
    pub timeout: u32,
    pub netmask: u32,
    /// The newest first.
    pub destinations: Vec<u64>,
    pub counts: Counts,
}

pub struct Destination {
    pub id: DestinationId,
    pub method: u8,
    pub weight: i32,
    pub upper: u32,
    pub lower: u32,
    pub overloaded: bool,
    /// The service in whose list it is.
    pub service: Option<u64>,
    /// The service in whose list it was last.
    pub last_service: u64,
    pub last_key: ServiceKey,
    pub counts: Counts,
}

/// A removed destination.
pub struct Trashed {
    pub destination: u64,
    pub idle_since: Option<u64>,
}

/// A connection or a template.
#[derive(Clone, Debug)]
pub struct Entry {
    pub uid: u64,
    pub protocol: u16,
    pub client: End,
    pub virtual_end: End,
    pub destination: u64,
    pub port: u16,
    pub method: u8,
    /// "NONE" or "ASSURED" of a template, "UDP" of a datagram's, else TCP's code.
    pub state: &'static str,
    pub template: bool,
    /// Found by packets: a template that is not valid any longer is not.
    pub found: bool,
    /// The template that controls it.
    pub control: Option<u64>,
    /// While it is half-open: its place in the order in which connections became so, and its service then (0: none).
    pub half_open: Option<(u64, u64)>,
    /// Both in ticks of 2^22 ns.
    pub timeout: u64,
    pub seen: u64,
}

impl Entry {
    pub fn deadline(&self) -> u64 {
        self.seen + self.timeout
    }

    pub fn key(&self) -> ConnectionKey {
        (self.protocol, self.client, self.virtual_end)
    }

    pub fn is_active(&self) -> bool {
        !self.template && self.protocol == 6 && tcp::is_active(self.state)
    }
}

/// Seconds in ticks, to the nearest.
pub fn ticks(seconds: u32) -> u64 {
    (u64::from(seconds) * 1_000_000_000 + (1 << 21)) / (1 << 22)
}

pub struct Model {
    pub capacity: usize,
    /// Most half-open connections of a service; 0: no limit.
    pub quota: usize,
    /// Connections that the director still had after the packet that is being judged, where some may have had to go.
    pub still_there: Vec<ConnectionKey>,
    /// By quota, for a full table.
    pub evictions: [u64; 2],
    /// Nanoseconds.
    pub now: u64,
    pub services: Vec<Service>,
    /// By number, those in the trash too.
    pub destinations: BTreeMap<u64, Destination>,
    pub trash: Vec<Trashed>,
    pub trash_timer: Option<u64>,
    pub entries: Vec<Entry>,
    pub settings: BTreeMap<Sysctl, i64>,
    /// Seconds: TCP established, FIN_WAIT, UDP.
    pub timeouts: [i32; 3],
    /// drop_packet: one of so many, and how many are left.
    pub drop_rate: (i64, i64),
    /// Since the last zeroing, and since ever.
    pub total: [Counts; 2],
    /// What has happened, so that a run can say that it did.
    pub events: BTreeMap<&'static str, u64>,
    last_uid: u64,
}

impl Model {
    pub fn new(capacity: usize, quota: usize, now: u64) -> Self {
        Self {
            capacity,
            quota,
            still_there: Vec::new(),
            evictions: [0; 2],
            now,
            services: Vec::new(),
            destinations: BTreeMap::new(),
            trash: Vec::new(),
            trash_timer: None,
            entries: Vec::new(),
            settings: BTreeMap::from([(Sysctl::ConnReuseMode, 1)]),
            timeouts: [900, 120, 300],
            drop_rate: (0, 0),
            total: [[0; 5]; 2],
            events: BTreeMap::new(),
            last_uid: 0,
        }
    }

    pub fn note(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    pub fn uid(&mut self) -> u64 {
        self.last_uid += 1;
        self.last_uid
    }

    pub fn tick(&self) -> u64 {
        self.now >> 22
    }

    pub fn setting(&self, sysctl: Sysctl) -> i64 {
        self.settings.get(&sysctl).copied().unwrap_or(0)
    }

    pub fn service(&mut self, uid: u64) -> &mut Service {
        self.services.iter_mut().find(|it| it.uid == uid).expect("a service")
    }

    pub fn service_at(&self, key: ServiceKey) -> Option<usize> {
        self.services.iter().position(|it| it.key == key)
    }

    pub fn destination(&mut self, uid: u64) -> &mut Destination {
        self.destinations.get_mut(&uid).expect("a destination")
    }

    pub fn is_available(&self, destination: u64) -> bool {
        self.destinations[&destination].service.is_some()
    }

    pub fn entry(&mut self, uid: u64) -> &mut Entry {
        self.entries.iter_mut().find(|it| it.uid == uid).expect("an entry")
    }

    /// Active and inactive connections and templates of a destination.
    pub fn load(&self, destination: u64) -> (u64, u64, u64) {
        let of = || self.entries.iter().filter(|it| it.destination == destination);
        let active = of().filter(|it| it.is_active()).count() as u64;
        let templates = of().filter(|it| it.template).count() as u64;
        (active, of().count() as u64 - active - templates, templates)
    }

    /// How many connections a template controls.
    pub fn controlled(&self, template: u64) -> usize {
        self.entries.iter().filter(|it| it.control == Some(template)).count()
    }

    pub fn candidates(&self, service: usize) -> Vec<Candidate> {
        let candidate = |uid: &u64| {
            let (active, inactive, _) = self.load(*uid);
            let it = &self.destinations[uid];
            Candidate { id: *uid, weight: it.weight.into(), overloaded: it.overloaded, active, inactive }
        };
        self.services[service].destinations.iter().map(candidate).collect()
    }

    pub fn count(&mut self, destination: u64, counts: Counts) {
        let add = |to: &mut Counts| to.iter_mut().zip(counts).for_each(|(to, more)| *to += more);
        add(&mut self.destination(destination).counts);
        if let Some(service) = self.destination(destination).service {
            add(&mut self.service(service).counts);
        }
        self.total.iter_mut().for_each(add);
    }

    /// Connections below this end an overload.
    fn lower_limit(it: &Destination) -> u64 {
        u64::from(if it.lower == 0 { it.upper - it.upper / 4 } else { it.lower })
    }

    /// After the thresholds were given.
    pub fn judge_overload(&mut self, destination: u64) {
        let (active, inactive, _) = self.load(destination);
        let it = self.destination(destination);
        if it.upper == 0 || active + inactive < Self::lower_limit(it) {
            it.overloaded = false;
        } else if active + inactive >= u64::from(it.upper) {
            it.overloaded = true;
        }
    }

    /// A connection (no template) was just counted at its destination.
    pub fn after_binding(&mut self, destination: u64, total: u64) {
        let it = self.destination(destination);
        if it.upper != 0 && total == u64::from(it.upper) {
            it.overloaded = true;
            self.note("overload");
        }
    }

    /// A connection (no template) is no longer counted, of which there were `before`.
    pub fn after_unbinding(&mut self, destination: u64, before: u64) {
        let it = self.destination(destination);
        if before == Self::lower_limit(it) {
            it.overloaded = false;
        }
    }

    pub fn total_of(&self, destination: u64) -> u64 {
        let (active, inactive, _) = self.load(destination);
        active + inactive
    }

    pub fn insert(&mut self, entry: Entry) -> bool {
        if self.entries.len() == self.capacity {
            self.note("table full");
            return false;
        }
        let (destination, template) = (entry.destination, entry.template);
        self.entries.push(entry);
        if !template {
            self.after_binding(destination, self.total_of(destination));
        }
        true
    }

    pub fn remove(&mut self, uid: u64) {
        let position = self.entries.iter().position(|it| it.uid == uid).expect("an entry");
        let before = self.total_of(self.entries[position].destination);
        let entry = self.entries.remove(position);
        if !entry.template {
            self.after_unbinding(entry.destination, before);
        }
    }
}
