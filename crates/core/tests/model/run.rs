//! Operations given to the director and to the model, and what either says compared.

use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{Command, Config, Director, Instant, Packet, Reply, Stats, Sysctl, TotalStats, Verdict};

use crate::control::key;
use crate::operation::{Flavour, Operation};
use crate::packets::{Fate, HOPS, Segment};
use crate::rig::{self, Family, TableHost};
use crate::state::{Counts, End, Model};

/// Everything is compared after so many operations; packets' fates after each.
const LISTED: usize = 40;
/// Of so many packets that leave, one has its checksums looked at.
const CHECKED: u64 = 16;
/// Of so many packets, one is explained before it comes: that must come true, and nothing change by it.
const EXPLAINED: u64 = 8;
/// Room before a packet.
const FRONT: usize = 64;

pub struct Run {
    director: Director,
    host: TableHost,
    now: Instant,
    pub model: Model,
    steps: usize,
    packets: u64,
}

/// A difference, told.
pub type Difference = String;

impl Run {
    pub fn new(flavour: Flavour) -> Self {
        let now = Instant::from_nanos(1_000_000_000_007);
        let config = Config {
            capacity: flavour.capacity,
            half_open_quota: flavour.quota,
            seed: 7,
            refuses_for_virtual: false,
            ..Config::default()
        };
        Self {
            director: Director::new(config, now).expect("a director"),
            host: TableHost::default(),
            now,
            model: Model::new(flavour.capacity as usize, flavour.quota as usize, now.as_nanos()),
            steps: 0,
            packets: 0,
        }
    }

    /// Does one operation on both.
    pub fn step(&mut self, operation: &Operation) -> Result<(), Difference> {
        match operation {
            Operation::Command(command) => self.command(command)?,
            Operation::DropPackets(rate) => {
                let set = |sysctl, value| Command::SetSysctl(sysctl, vec![value]);
                self.command(&set(Sysctl::DropPacket, 0))?;
                self.command(&set(Sysctl::AmDroprate, *rate))?;
                self.command(&set(Sysctl::DropPacket, if *rate == 0 { 0 } else { 3 }))?;
            }
            Operation::Packet { from, to, flags, payload } => self.packet(*from, *to, *flags, *payload)?,
            Operation::Next { number, by_server, flags, payload } => {
                let connections: Vec<_> = self.model.entries.iter().filter(|it| !it.template).collect();
                if let Some(it) = connections.get(number % connections.len().max(1)) {
                    let it = (*it).clone();
                    let server = (self.model.destinations[&it.destination].id.address, it.port);
                    let flags = (it.protocol == 6).then_some(*flags);
                    match by_server {
                        true => self.packet(server, it.client, flags, *payload)?,
                        false => self.packet(it.client, it.virtual_end, flags, *payload)?,
                    }
                }
            }
            Operation::Pass(milliseconds) => self.pass(*milliseconds),
        }
        self.steps += 1;
        if self.steps.is_multiple_of(LISTED) { self.compare() } else { Ok(()) }
    }

    fn command(&mut self, command: &Command) -> Result<(), Difference> {
        let ours = self.director.execute(self.now, &self.host, command.clone());
        let ours = ours.map(drop).map_err(|error| format!("{error:?}"));
        self.poll();
        let expected = self.model.execute(command).map_err(str::to_owned);
        differs("the command's outcome", ours, expected)
    }

    fn poll(&mut self) {
        while self.director.poll_timeout().is_some_and(|due| due <= self.now) {
            self.director.poll(self.now);
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        let target = self.now + Duration::from_millis(milliseconds);
        loop {
            let uncertain = self.model.advance(target.as_nanos());
            let until = Instant::from_nanos(self.model.now);
            while let Some(due) = self.director.poll_timeout().filter(|due| *due <= until) {
                self.now = due.max(self.now);
                self.director.poll(self.now);
            }
            self.now = until;
            // Timers are asked to be called in the tick in which they end, late in it perhaps.
            self.director.poll(self.now);
            self.poll();
            if uncertain.is_empty() {
                return;
            }
            self.resolve(&uncertain);
        }
    }

    /// Tells the model which of the templates have ended at the director's.
    fn resolve(&mut self, uncertain: &[u64]) {
        for uid in uncertain {
            let row =
                self.model.row_of(self.model.entries.iter().find(|it| it.uid == *uid).expect("it is there"));
            let count = |rows: &[Row]| rows.iter().filter(|other| **other == row).count();
            if count(&self.listed()) < count(&self.model.rows()) {
                self.model.ended(*uid);
            }
        }
    }

    fn packet(
        &mut self,
        source: End,
        destination: End,
        flags: Option<&'static str>,
        payload: usize,
    ) -> Result<(), Difference> {
        let payload = &[0x5a; 1000][..payload];
        let (protocol, bytes) = match flags {
            Some(flags) => (6, rig::tcp(source, destination, flags, payload, HOPS)),
            None => (17, rig::udp(source, destination, payload, HOPS)),
        };
        let flags = flags.unwrap_or_default();
        let segment = Segment { protocol, source, destination, flags, length: bytes.len() as u64 };
        if self.model.answered(&segment).len() > 1 {
            return Ok(());
        }
        let mut buffer = [0; FRONT + 1280];
        buffer[FRONT..FRONT + bytes.len()].copy_from_slice(&bytes);
        let said = self.packets.is_multiple_of(EXPLAINED).then(|| {
            let mut buffer = buffer;
            let mut packet = Packet::new(&mut buffer, FRONT, bytes.len());
            let (verdict, _) = self.director.try_packet(self.now, &self.host, &mut packet, None);
            fate(verdict, packet.as_slice())
        });
        let mut packet = Packet::new(&mut buffer, FRONT, bytes.len());
        let verdict = self.director.receive(self.now, &self.host, &mut packet);
        let ours = fate(verdict, packet.as_slice());
        self.packets += 1;
        if let Some(said) = said {
            differs("what is said of a packet and its fate", &said, &ours)?;
        }
        if matches!(ours, Fate::Forward(..)) && self.packets.is_multiple_of(CHECKED) {
            let seen = rig::seen(packet.as_slice());
            differs("checksums", (seen.checksums_ok, &*seen.payload), (true, payload))?;
        }
        if ours == Fate::Pass {
            differs("a passed packet", packet.as_slice(), &bytes)?;
        }
        if self.model.entries.len() + 2 > self.model.capacity {
            let rows = self.listed();
            self.model.still_there = rows.iter().map(|row| (u16::from(row.0), row.1, row.2)).collect();
        }
        let expected = self.model.receive(&segment);
        let event = match &expected {
            Fate::Forward(..) => "forwarded",
            Fate::Deliver(..) => "delivered",
            Fate::Pass => "passed",
            Fate::Drop(reason) | Fate::Reply(reason) => reason,
        };
        self.model.note(event);
        differs("a packet's fate", ours, expected)
    }

    /// Compares all that listings show.
    pub fn compare(&mut self) -> Result<(), Difference> {
        differs("connections", self.listed(), self.model.rows())?;
        let evictions: Vec<_> = self.director.evictions().map(|(_, count)| count).collect();
        differs("evictions", &evictions[..], self.model.evictions)?;
        let Ok(Reply::Services { items, next: None }) =
            self.director.execute(self.now, &self.host, Command::ListServices { cursor: 0, limit: 1000 })
        else {
            return Err("no list of services".into());
        };
        let mut ours: Vec<_> = items
            .iter()
            .map(|it| (key(it.id), it.scheduler.clone(), it.flags.0, it.destinations, counts(&it.stats)))
            .collect();
        let mut expected: Vec<_> = self
            .model
            .services
            .iter()
            .map(|it| (it.key, it.scheduler.clone(), it.flags | 2, it.destinations.len() as u32, it.counts))
            .collect();
        ours.sort();
        expected.sort();
        differs("services", ours, expected)?;
        for info in items {
            self.compare_destinations(info.id)?;
        }
        let Ok(Reply::Stats(stats)) = self.director.execute(self.now, &self.host, Command::GetStats) else {
            return Err("no counters".into());
        };
        let TotalStats { shown, running } = *stats;
        let running = counts(&Stats { counters: running, ..Stats::default() });
        differs("counters of everything", [counts(&shown), running], self.model.total)
    }

    fn compare_destinations(&mut self, service: ipvs_core::ServiceId) -> Result<(), Difference> {
        let command = Command::ListDestinations { service, cursor: 0, limit: 1000 };
        let Ok(Reply::Destinations { items, next: None }) =
            self.director.execute(self.now, &self.host, command)
        else {
            return Err("no list of destinations".into());
        };
        let ours: Vec<_> = items
            .iter()
            .map(|it| {
                let config = &it.config;
                let load = (it.active.into(), it.inactive.into(), it.persistent.into());
                (it.id, config.forwarding.0, config.weight, load, counts(&it.stats))
            })
            .collect();
        let position = self.model.service_at(key(service)).ok_or("a service too many")?;
        let shown = |uid: &u64| {
            let it = &self.model.destinations[uid];
            (it.id, it.method, it.weight, self.model.load(*uid), it.counts)
        };
        let expected: Vec<_> = self.model.services[position].destinations.iter().map(shown).collect();
        differs("destinations", ours, expected)
    }

    fn listed(&mut self) -> Vec<Row> {
        let command = Command::ListConnections { cursor: 0, limit: 100_000 };
        let Ok(Reply::Connections { items, .. }) = self.director.execute(self.now, &self.host, command)
        else {
            return Vec::new();
        };
        let row = |it: &ipvs_core::ConnectionInfo| {
            let server = (it.destination, it.destination_port);
            let client = (it.client, it.client_port);
            (it.protocol, client, (it.virtual_address, it.virtual_port), server, it.state, it.expires)
        };
        let mut rows: Vec<_> = items.iter().map(row).collect();
        rows.sort();
        rows
    }
}

/// A connection as a listing shows it.
type Row = (u8, End, End, End, &'static str, u32);

impl Model {
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<_> = self.entries.iter().map(|it| self.row_of(it)).collect();
        rows.sort();
        rows
    }

    fn row_of(&self, it: &crate::state::Entry) -> Row {
        let server = (self.destinations[&it.destination].id.address, it.port);
        let state = if it.template || it.protocol == 17 { it.state } else { crate::tcp::name(it.state) };
        let left = it.deadline().saturating_sub(self.tick());
        let seconds = ((left << 22) + (1 << 21)) / 1_000_000_000;
        (it.protocol as u8, it.client, it.virtual_end, server, state, seconds as u32)
    }
}

fn differs<T: std::fmt::Debug + PartialEq<U>, U: std::fmt::Debug>(
    what: &str,
    ours: T,
    expected: U,
) -> Result<(), Difference> {
    if ours == expected {
        return Ok(());
    }
    Err(format!("{what} differ(s)\ndirector: {ours:#?}\nmodel:    {expected:#?}"))
}

fn counts(stats: &Stats) -> Counts {
    let it = &stats.counters;
    [it.connections, it.packets_in, it.packets_out, it.bytes_in, it.bytes_out]
}

/// What a verdict and the packet's bytes say.
fn fate(verdict: Verdict, bytes: &[u8]) -> Fate {
    match verdict {
        Verdict::Forward { next } => {
            let (source, destination, hops) = ends(bytes);
            Fate::Forward(next, source, destination, hops)
        }
        Verdict::Deliver => {
            let (source, destination, _) = ends(bytes);
            Fate::Deliver(source, destination)
        }
        Verdict::Pass => Fate::Pass,
        Verdict::Drop(reason) => Fate::Drop(reason.name()),
        Verdict::Reply(reason) => Fate::Reply(reason.name()),
    }
}

fn ends(bytes: &[u8]) -> (End, End, u8) {
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let address = |at: usize, len: usize| -> IpAddr {
        match <[u8; 4]>::try_from(&bytes[at..at + len]) {
            Ok(octets) => octets.into(),
            Err(_) => <[u8; 16]>::try_from(&bytes[at..at + len]).expect("16 bytes").into(),
        }
    };
    match if bytes[0] >> 4 == 4 { Family::V4 } else { Family::V6 } {
        Family::V4 => ((address(12, 4), port(20)), (address(16, 4), port(22)), bytes[8]),
        Family::V6 => ((address(8, 16), port(40)), (address(24, 16), port(42)), bytes[7]),
    }
}
