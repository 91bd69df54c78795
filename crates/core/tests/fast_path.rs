//! A forwarder beside the director: its counters, the destinations that it may use, and when a connection is its own.

#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ipvs_core::{
    Command, Config, Counters, DestinationChange, DestinationId, Director, FastPath, FastPathEvent,
    ForwardingMethod, Reply, ServiceFlags, ServiceId, TableMemory,
};
use ipvs_flow::{Address, Known, Layout, Line, Table, Tick};
use rig::{Family, Rig};

#[derive(Debug, Default)]
struct Seen {
    waiting: HashMap<u32, Counters>,
    revoked: Vec<u32>,
    shortened: Vec<u32>,
}

/// What the forwarder would be, by a test's hand.
#[derive(Clone, Debug, Default)]
struct Beside(Arc<Mutex<Seen>>);

impl FastPath for Beside {
    fn take(&mut self, destination: u32) -> Counters {
        self.0.lock().unwrap().waiting.remove(&destination).unwrap_or_default()
    }

    fn revoke(&mut self, destination: u32) {
        self.0.lock().unwrap().revoked.push(destination);
    }

    fn next_event(&mut self) -> Option<FastPathEvent> {
        self.0.lock().unwrap().shortened.pop().map(FastPathEvent::Shortened)
    }
}

impl Beside {
    fn forward(&self, destination: u32, packets: u64) {
        let mut seen = self.0.lock().unwrap();
        let counters = seen.waiting.entry(destination).or_default();
        counters.packets_in += packets;
        counters.bytes_in += packets * 100;
    }
}

fn packets_in(rig: &mut Rig, service: ipvs_core::ServiceId) -> (u64, u64) {
    let Reply::Service(info) = rig.execute(Command::GetService(service)) else { panic!() };
    let destinations = rig.destinations(service);
    let sum = destinations.iter().map(|it| it.stats.counters.packets_in).sum();
    (info.stats.counters.packets_in, sum)
}

#[test]
fn what_it_counts_is_counted_once_wherever_it_is_asked_for() {
    let mut rig = Rig::new(64);
    let beside = Beside::default();
    rig.director.set_fast_path(Box::new(beside.clone()));
    let family = Family::V4;
    let service = rig.service(family, 6, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    rig.destination(service, family.server(2), ForwardingMethod::MASQUERADE, 1);
    let changes = rig.director.take_destination_changes();
    let addresses: Vec<_> = changes.iter().map(|change| change.way.map(|way| way.address)).collect();
    assert_eq!(addresses, [Some(family.server(1)), Some(family.server(2))]);
    let [first, second] = [changes[0].index, changes[1].index];

    beside.forward(first, 3);
    beside.forward(second, 4);
    assert_eq!(packets_in(&mut rig, service), (7, 7));
    assert_eq!(packets_in(&mut rig, service), (7, 7));
    let Reply::Stats(total) = rig.execute(Command::GetStats) else { panic!() };
    assert_eq!((total.running.packets_in, total.running.bytes_in), (7, 700));

    // What came before the zeroing does not show after it.
    beside.forward(first, 5);
    rig.execute(Command::Zero(Some(service)));
    assert_eq!(packets_in(&mut rig, service), (0, 0));

    // What came before the deletion is the service's still, and the destination's when it comes back.
    beside.forward(first, 2);
    let id = DestinationId { address: family.server(1), port: 8080 };
    rig.execute(Command::DeleteDestination(service, id));
    assert_eq!(beside.0.lock().unwrap().revoked, [first]);
    assert_eq!(rig.director.take_destination_changes(), [DestinationChange { index: first, way: None }]);
    assert_eq!(packets_in(&mut rig, service), (2, 0));
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    let changes = rig.director.take_destination_changes();
    assert_eq!(changes, [DestinationChange { index: first, way: changes[0].way }]);
    assert_eq!(changes[0].way.map(|way| way.address), Some(family.server(1)));
    assert_eq!(packets_in(&mut rig, service), (2, 2));

    // Rates: 2000 packets in two seconds, a quarter of 1000 a second.
    // The first estimate only begins; the second takes what came so far.
    rig.advance(std::time::Duration::from_secs(2));
    rig.advance(std::time::Duration::from_secs(2));
    rig.execute(Command::Zero(None));
    beside.forward(second, 2000);
    rig.advance(std::time::Duration::from_secs(2));
    let rates: u64 = rig.destinations(service).iter().map(|it| it.stats.rates.packets_in).sum();
    assert_eq!(rates, 250);

    rig.execute(Command::Flush);
    assert_eq!(beside.0.lock().unwrap().revoked.len(), 3);
}

#[derive(Clone)]
struct Lines(Arc<Vec<Line>>);

impl AsRef<[Line]> for Lines {
    fn as_ref(&self) -> &[Line] {
        &self.0
    }
}

/// A director in memory that the test sees, too, with a flow cache.
fn rig_in(capacity: u32) -> (Rig, Lines) {
    rig_with(Config { capacity, ..Config::default() })
}

fn rig_with(config: Config) -> (Rig, Lines) {
    let lines = Layout::for_capacity(config.capacity).unwrap().lines_with_cache();
    let lines = Lines(Arc::new((0..lines).map(|_| Line::zeroed()).collect()));
    let mut rig = Rig::new(config.capacity);
    rig.director =
        Director::in_memory(config, rig.now, TableMemory::Shared(Box::new(lines.clone()))).unwrap();
    rig.director.set_fast_path(Box::new(Beside::default()));
    (rig, lines)
}

#[test]
fn a_packet_just_forwarded_keeps_its_connection() {
    let (mut rig, lines) = rig_in(4);
    let family = Family::V4;
    let service = rig.service(family, 17, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    rig.receive(&rig::udp((family.client(), 4000), (family.vip(), 80), b"x", 64));
    let table = Table::attach(&lines.0[..]).unwrap();
    let index = table.entries_from(0).next().unwrap();
    // Forwarded beside the director in the very moment in which it looks for what ends, by a clock that is ahead.
    let end = rig.now + std::time::Duration::from_secs(301);
    table.entry(index).unwrap().touch(Tick::from_nanos(end.as_nanos()).after(1));
    rig.advance(std::time::Duration::from_secs(301));
    assert_eq!(rig.connections().len(), 1);
    rig.advance(std::time::Duration::from_secs(301));
    assert!(rig.connections().is_empty());
}

#[test]
fn a_connection_is_left_to_it_when_no_packet_can_be_overtaken() {
    const CAPACITY: u32 = 4;
    let (mut rig, lines) = rig_in(CAPACITY);
    let family = Family::V4;
    let service = rig.service(family, 17, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    let packet = rig::udp((family.client(), 4000), (family.vip(), 80), b"x", 64);
    // The first entry's mark.
    let first = (Layout::for_capacity(CAPACITY).unwrap().lines() - CAPACITY) as usize;
    let mark = || lines.as_ref()[first].to_words()[10] >> 24 & 0xf;
    let turn = |rig: &mut Rig, packets: u32| {
        for _ in 0..packets {
            rig.receive(&packet);
        }
        rig.director.settle();
    };
    turn(&mut rig, 1);
    assert!(mark() != 0 && rig.director.is_unsettled(), "its first packet is just being sent");
    turn(&mut rig, 1);
    assert!(mark() != 0, "another one followed");
    turn(&mut rig, 0);
    assert!(mark() == 0 && !rig.director.is_unsettled());
    turn(&mut rig, 1);
    assert_eq!(mark(), 0, "nothing changes any more");

    // One that it handed over may still wait in a queue, behind the director's back.
    let packet = rig::udp((family.client(), 4002), (family.vip(), 80), b"x", 64);
    rig.receive(&packet);
    rig.director.settle();
    let table = Table::attach(lines.as_ref()).unwrap();
    let index = table.entries_from(0).find(|index| table.entry(*index).unwrap().key().client_port == 4002);
    let entry = table.entry(index.unwrap()).unwrap();
    assert_eq!(entry.settled_status(), None);
    rig.director.settle();
    assert!(rig.director.is_unsettled());
    rig.director.settle();
    assert!(!rig.director.is_unsettled() && entry.settled_status().is_some());

    // One that never pauses does not wait for ever.
    let packet = rig::udp((family.client(), 4001), (family.vip(), 80), b"x", 64);
    let mut turns = 0;
    rig.receive(&packet);
    while rig.director.is_unsettled() {
        rig.receive(&packet);
        rig.director.settle();
        turns += 1;
        assert!(turns < 20);
    }
    assert!(turns > 4);
}

/// The first answer to a persistent client's datagram assures its template: the director must see it.
#[test]
fn a_persistent_datagram_connection_is_the_directors_until_its_server_has_answered() {
    const CAPACITY: u32 = 8;
    let (mut rig, lines) = rig_in(CAPACITY);
    let family = Family::V4;
    let service = ServiceId::Address { protocol: 17, address: family.vip(), port: 80 };
    rig.execute(Command::AddService(service, rig::round_robin(ServiceFlags::PERSISTENT)));
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    let of = |port: u16| {
        let table = Table::attach(&lines.0[..]).unwrap();
        let found = table.entries_from(0).find(|index| {
            let entry = table.entry(*index).unwrap();
            entry.key().client_port == port
        });
        found.unwrap()
    };
    let marked = |port: u16| {
        let table = Table::attach(&lines.0[..]).unwrap();
        table.entry(of(port)).unwrap().status().unsettled() != 0
    };
    let settle = |rig: &mut Rig| (0..20).for_each(|_| rig.director.settle());
    let question = |port| rig::udp((family.client(), port), (family.vip(), 80), b"x", 64);
    let answer = |port| rig::udp((family.server(1), 8080), (family.client(), port), b"y", 64);
    rig.receive(&question(4000));
    settle(&mut rig);
    assert!(marked(4000), "nothing has come back");
    rig.receive(&answer(4000));
    settle(&mut rig);
    assert!(!marked(4000));
    // The template is assured: the next connection has nothing to wait for.
    rig.receive(&question(4001));
    settle(&mut rig);
    assert!(!marked(4001));
}

/// A connection that the forwarder moved to a state with a shorter timeout ends when that says.
#[test]
fn an_end_that_came_nearer_beside_it_is_learnt() {
    let (mut rig, lines) = rig_in(4);
    let beside = Beside::default();
    rig.director.set_fast_path(Box::new(beside.clone()));
    let family = Family::V4;
    let service = rig.service(family, 17, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    rig.receive(&rig::udp((family.client(), 4000), (family.vip(), 80), b"x", 64));
    let table = Table::attach(&lines.0[..]).unwrap();
    let index = table.entries_from(0).next().unwrap();
    let entry = table.entry(index).unwrap();
    assert!(entry.follow_state(entry.state(), |_| ipvs_flow::ticks(10)));
    beside.0.lock().unwrap().shortened.push(index.0);
    rig.director.settle();
    assert!(rig.director.poll_timeout().unwrap() < rig.now + std::time::Duration::from_secs(11));
    rig.advance(std::time::Duration::from_secs(11));
    assert!(rig.connections().is_empty());
}

/// States that have more effects than counts are the director's: of connections with a template, and with a quota.
#[test]
fn changes_of_state_with_more_effects_are_kept_from_it() {
    let family = Family::V4;
    for (protocol, quota, persistent, guarded) in
        [(6, 0, false, false), (6, 0, true, true), (6, 9, false, true), (17, 9, false, false)]
    {
        let config = Config { capacity: 4, half_open_quota: quota, ..Config::default() };
        let (mut rig, lines) = rig_with(config);
        let flags = if persistent { ServiceFlags::PERSISTENT } else { 0 };
        let service = ServiceId::Address { protocol, address: family.vip(), port: 80 };
        rig.execute(Command::AddService(service, rig::round_robin(flags)));
        rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
        let (from, to) = ((family.client(), 4000), (family.vip(), 80));
        let packet =
            if protocol == 6 { rig::tcp(from, to, "S", b"", 64) } else { rig::udp(from, to, b"x", 64) };
        rig.receive(&packet);
        let table = Table::attach(&lines.0[..]).unwrap();
        let connection = table.entries_from(0).map(|index| table.entry(index).unwrap());
        let connection = connection.into_iter().find(|entry| !entry.is_template()).unwrap();
        assert_eq!(connection.status().is_guarded(), guarded, "{protocol} {quota} {persistent}");
    }
}

/// A datagram connection of client port 4000 in the table of `lines`, which the forwarder knows by a record.
fn remembered(rig: &mut Rig, lines: &Lines) {
    let family = Family::V4;
    let service = rig.service(family, 17, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    receive_datagram(rig);
    (0..3).for_each(|_| rig.director.settle());
    let table = Table::attach(lines.as_ref()).unwrap();
    let index = table.entries_from(0).next().unwrap();
    let entry = table.entry(index).unwrap();
    assert!(table.remember(index, &entry, &Known { timeout: entry.timeout(), timeouts: 0, back: false }));
}

fn receive_datagram(rig: &mut Rig) {
    let family = Family::V4;
    rig.receive(&rig::udp((family.client(), 4000), (family.vip(), 80), b"x", 64));
}

/// Forwards packets by the record of that connection, as a forwarder does; whether there is one.
fn forward_by_record(rig: &Rig, lines: &Lines, packets: u32) -> bool {
    let table = Table::attach(lines.as_ref()).unwrap();
    let word = |address| Address::from(address).words()[3];
    let client = (word(Family::V4.client()), 4000);
    let bucket = table.bucket_at(table.bucket_of_client(17, client).unwrap()).unwrap();
    let Some(record) = bucket.recall_in(17, client, (word(Family::V4.vip()), 80), |it| it) else {
        return false;
    };
    for _ in 0..packets {
        record.touch(Tick::from_nanos(rig.now.as_nanos()));
        record.note_packet_in();
    }
    true
}

/// The connection is as old as its latest packet, though its entry knows of none but the first.
#[test]
fn what_only_a_record_has_noted_counts() {
    let seconds = std::time::Duration::from_secs;
    let (mut rig, lines) = rig_in(4);
    remembered(&mut rig, &lines);
    rig.advance(seconds(200));
    assert_eq!(rig.connections()[0].expires, 100);
    assert!(forward_by_record(&rig, &lines, 1));
    assert_eq!(rig.connections()[0].expires, 300);
    rig.advance(seconds(200));
    assert!(forward_by_record(&rig, &lines, 1));
    // Nobody asks for it before it would end.
    rig.advance(seconds(299));
    assert!(forward_by_record(&rig, &lines, 0) && rig.connections()[0].expires == 1);
    rig.advance(seconds(2));
    assert!(rig.connections().is_empty() && !forward_by_record(&rig, &lines, 0));
}

/// What the director does to a connection takes its record out, and what that had noted stays.
#[test]
fn a_packet_at_the_director_takes_a_record_out() {
    let (mut rig, lines) = rig_in(4);
    remembered(&mut rig, &lines);
    assert!(forward_by_record(&rig, &lines, 5));
    receive_datagram(&mut rig);
    assert!(!forward_by_record(&rig, &lines, 0));
    let table = Table::attach(lines.as_ref()).unwrap();
    let entry = table.entry(table.entries_from(0).next().unwrap()).unwrap();
    assert_eq!(entry.packets_in(), 7);
}

/// The lottery of `drop_entry` spares connections that were in use, and those of many packets.
#[test]
fn a_flood_spares_what_a_record_knows_to_be_in_use() {
    // Of one packet and then idle, of eight, of more; of few, but one now and then.
    for (more, every, spared) in [(0, 1000, false), (7, 1000, false), (8, 1000, true), (0, 55, true)] {
        let (mut rig, lines) = rig_in(4);
        remembered(&mut rig, &lines);
        assert!(forward_by_record(&rig, &lines, more));
        rig.set(ipvs_core::Sysctl::DropEntry, 3);
        for second in 1..200 {
            rig.advance(std::time::Duration::from_secs(1));
            assert!(second % every != 0 || forward_by_record(&rig, &lines, 1), "{second}");
        }
        assert_eq!(rig.connections().len() == 1, spared, "{more} {every}");
    }
}
