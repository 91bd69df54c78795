//! A director that begins where another one ended is told apart by nothing that commands show.

use std::sync::Arc;

use ipvs_flow::tcp::State;
use ipvs_flow::{Address, Key, Known, Line, NewConnection, Tick, flag};
use proptest::prelude::*;

use crate::command::{Command, DestinationInfo, Reply, ServiceConfig, ServiceId, ServiceInfo};
use crate::destination::DestinationIndex;
use crate::saved::{Counted, Saved};
use crate::scheduler::testing::{Bench, limits, server, service, settings, weight};
use crate::stats::Counters;
use crate::{Config, Director, MarkTarget, MemoryError, ServiceFlags, TableMemory};

/// Services in their order with their destinations in theirs.
fn shown(bench: &mut Bench) -> Vec<(ServiceInfo, Vec<DestinationInfo>)> {
    match bench.run(Command::ListServices { cursor: 0, limit: 100 }) {
        Ok(Reply::Services { items, next: None }) => {
            items.into_iter().map(|it| (it.clone(), bench.listed(it.id))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn everything(bench: &Bench) -> Vec<Saved> {
    let (mut saves, mut cursor) = (Vec::new(), Some(0));
    while let Some(place) = cursor {
        let (piece, next) = bench.director.saved_from(place);
        saves.extend(piece);
        cursor = next;
    }
    saves
}

fn restored(saves: Vec<Saved>) -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.director.restore(bench.now, saves).refused, 0);
    bench
}

#[derive(Clone, Debug)]
enum Step {
    AddService(u8, u8),
    EditService(u8, u8),
    DeleteService(u8),
    Flush,
    Add(u8, u8, i32),
    Edit(u8, u8, i32),
    Delete(u8, u8),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8, 0..16u8).prop_map(|(s, k)| Step::AddService(s, k)),
        1 => (0..4u8, 0..16u8).prop_map(|(s, k)| Step::EditService(s, k)),
        1 => (0..4u8).prop_map(Step::DeleteService),
        1 => Just(Step::Flush),
        8 => (0..4u8, 1..6u8, 0..4i32).prop_map(|(s, i, w)| Step::Add(s, i, w)),
        2 => (0..4u8, 1..6u8, 0..4i32).prop_map(|(s, i, w)| Step::Edit(s, i, w)),
        3 => (0..4u8, 1..6u8).prop_map(|(s, i)| Step::Delete(s, i)),
        1 => prop::sample::select(vec![1, 61, 200, 400]).prop_map(Step::Pass),
    ]
}

fn id(number: u8) -> ServiceId {
    match number {
        3 => ServiceId::Mark { ipv6: false, mark: 9 },
        number => service(&format!("10.9.0.{number}")),
    }
}

fn config(kind: u8) -> ServiceConfig {
    let names = [
        "rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "lblc", "lblcr", "twos", "none",
    ];
    ServiceConfig {
        flags: if kind.is_multiple_of(3) { ServiceFlags::PERSISTENT } else { 0 }
            | u32::from(kind) << 3 & 0x18,
        timeout: u32::from(kind) * 100,
        persistence_engine: kind.is_multiple_of(6).then(|| "sip".to_owned()),
        target: MarkTarget { port: kind.into(), ..MarkTarget::default() },
        ..settings(names[usize::from(kind) % names.len()])
    }
}

fn run(bench: &mut Bench, step: Step) {
    // What is refused changes nothing.
    let _ = match step {
        Step::AddService(s, k) => bench.run(Command::AddService(id(s), config(k))),
        Step::EditService(s, k) => bench.run(Command::EditService(id(s), config(k))),
        Step::DeleteService(s) => bench.run(Command::DeleteService(id(s))),
        Step::Flush => bench.run(Command::Flush),
        Step::Add(s, i, w) => bench.add(id(s), i, weight(w)),
        Step::Edit(s, i, w) => bench.edit(id(s), i, weight(w)),
        Step::Delete(s, i) => bench.delete(id(s), i),
        Step::Pass(seconds) => {
            bench.pass(seconds);
            Ok(Reply::Done)
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// After each command, by the records of all changes so far and by those of everything.
    #[test]
    fn shows_the_same(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = Bench::new();
        let mut log = Vec::new();
        for step in steps {
            run(&mut bench, step);
            log.extend(bench.director.take_saves());
            let expected = shown(&mut bench);
            for saves in [log.clone(), everything(&bench)] {
                let mut other = restored(saves);
                prop_assert_eq!(&shown(&mut other), &expected);
                let indices = |bench: &Bench| bench.director.destinations.indices();
                prop_assert_eq!(indices(&other), indices(&bench));
                let sorted = |bench: &Bench| {
                    let mut interests = bench.director.interests();
                    interests.sort_unstable();
                    interests
                };
                prop_assert_eq!(sorted(&other), sorted(&bench));
                prop_assert_eq!(other.director.trash.len(), bench.director.trash.len());
            }
        }
    }
}

#[test]
fn counters_go_on_and_the_trash_gives_back() {
    let (mut bench, id) = Bench::with("rr", &[1, 1]);
    bench.edit(id, 1, limits(4, 2)).unwrap();
    let index = DestinationIndex(0);
    bench.director.count(index, |counters| counters.packets_in += 5);
    bench.run(Command::Zero(None)).unwrap();
    bench.director.count(index, |counters| counters.packets_in += 7);
    bench.delete(id, 2).unwrap();
    let counted = bench.director.take_counted();
    assert!(bench.director.take_counted().is_empty(), "told once");
    let mut other = restored(everything(&bench));
    other.director.restore_counters(|of| counted.iter().find(|it| it.0 == of).map(|it| it.1));
    assert_eq!(other.director.stats().counters.packets_in, 7);
    assert_eq!(other.listed(id)[0].stats.counters.packets_in, 7);
    assert_eq!(other.info(id).stats.counters.packets_in, 7);
    other.director.count_missed(0, Counters { packets_in: 3, ..Counters::default() });
    assert_eq!(other.director.stats().counters.packets_in, 10);
    let told: Vec<Counted> = other.director.take_counted().into_iter().map(|it| it.0).collect();
    assert!(told.contains(&Counted::Total) && told.contains(&Counted::Service(0, 1)), "{told:?}");
    // The one in the trash comes back at its place, and nobody else gets that.
    other.add(id, 9, weight(1)).unwrap();
    other.add(id, 2, weight(1)).unwrap();
    assert_eq!(other.director.destinations.find(other.find(id), server(2)), Some(DestinationIndex(1)));
}

#[test]
fn a_record_of_another_version_is_refused_alone() {
    let (bench, _) = Bench::with("rr", &[1]);
    let mut saves = everything(&bench);
    for saved in &mut saves {
        if let Saved::Service(service) = saved {
            service.config.scheduler = "no-such".into();
        }
    }
    let mut other = Bench::new();
    let restored = other.director.restore(other.now, saves);
    assert_eq!((restored.services, restored.refused, restored.in_trash), (0, 1, 1));
    assert!(shown(&mut other).is_empty());
}

/// Connections are taken from a table of this version with this label alone.
#[test]
fn another_table_is_refused() {
    let refusal = |memory| Bench::new().director.adopt(crate::Instant::default(), memory).err();
    let capacity = Bench::new().director.capacity();
    assert_eq!(refusal(TableMemory::heap(capacity).unwrap()), Some(MemoryError::NoTable));
    let config = Config { capacity, label: 7, ..Config::default() };
    let other = Director::new(config, crate::Instant::default()).unwrap();
    assert_eq!(refusal(other.connections.table.into_memory().into_real()), Some(MemoryError::Foreign));
}

/// A connection with a PROXY header is taken over if the header has arrived, or if its handshake will tell where it goes.
#[test]
fn a_header_on_its_way_is_not_taken_over() {
    let mut old = Bench::new();
    let (bench, _) = Bench::with("rr", &[1]);
    let states = [State::SynSent, State::SynRecv, State::Established, State::Established, State::TimeWait];
    let arrived = [false, false, false, true, false];
    for (client_port, (state, arrived)) in (1..).zip(states.into_iter().zip(arrived)) {
        let address = Address::from([192, 0, 2, 1]);
        let key = Key {
            ipv6: false,
            template: false,
            protocol: 6,
            client: address,
            client_port,
            virtual_address: address,
            virtual_port: 80,
        };
        let flags = flag::PROXY | if arrived { flag::PROXY_ARRIVED } else { 0 };
        let (state, timeout) = (state as u8, 1000);
        let new = NewConnection { key, destination: 0, destination_port: 80, flags, state, timeout };
        old.director.connections.insert(Tick(1), &new).unwrap();
    }
    let mut new = restored(everything(&bench));
    let memory = old.director.connections.table.into_memory().into_real();
    let adopted = new.director.adopt(new.now, memory).unwrap();
    assert_eq!((adopted.connections, adopted.unknown), (3, 2));
    let table = &new.director.connections.table;
    let flags = table.entries_from(0).filter_map(|index| table.entry(index)).map(|it| it.flags());
    assert_eq!(flags.filter(|flags| flags & flag::PROXY_ARRIVED != 0).count(), 1);
}

/// A table that two directors have in their memory.
struct Both(Arc<Vec<Line>>);

impl AsRef<[Line]> for Both {
    fn as_ref(&self) -> &[Line] {
        &self.0
    }
}

#[test]
fn what_began_meanwhile_is_taken_over_alone() {
    let mut bench = Bench::new();
    let service = service("10.9.0.1");
    bench.run(Command::AddService(service, settings("rr"))).unwrap();
    bench.run(Command::AddDestination(service, server(1), weight(1))).unwrap();
    let config = Config { capacity: 16, ..Config::default() };
    let lines = ipvs_flow::Layout::for_capacity(16).unwrap().lines_with_words_beside();
    let lines: Arc<Vec<Line>> = Arc::new((0..lines).map(|_| Line::zeroed()).collect());
    let memory = || TableMemory::Shared(Box::new(Both(lines.clone())));
    let old = Director::in_memory(config, bench.now, memory()).unwrap();
    let begin = |client_port: u16| {
        let address = Address::from([192, 0, 2, 1]);
        let key = Key {
            ipv6: false,
            template: false,
            protocol: 6,
            client: address,
            client_port,
            virtual_address: address,
            virtual_port: 80,
        };
        let new =
            NewConnection { key, destination: 0, destination_port: 80, flags: 0, state: 1, timeout: 1000 };
        old.connections.table.insert(&new, Tick(1)).unwrap();
    };
    // Set aside for the fast path, which has not used it.
    assert!(old.connections.table.set_aside().is_some());
    begin(1);
    let adopted = bench.director.adopt(bench.now, memory()).unwrap();
    assert_eq!((adopted.connections, bench.listed(service)[0].active), (1, 1));
    begin(2);
    let adopted = bench.director.adopt_latest(bench.now, memory()).unwrap();
    assert_eq!((adopted.connections, adopted.no_room), (1, 0));
    assert_eq!(bench.listed(service)[0].active, 2);
    assert_eq!(bench.director.connections.table.len(), 2);
}

/// A fast path's records of connections are not taken over, but what only they had noted is.
#[test]
fn what_the_flow_cache_noted_is_taken_over() {
    let mut bench = Bench::new();
    let service = service("10.9.0.1");
    bench.run(Command::AddService(service, settings("rr"))).unwrap();
    bench.run(Command::AddDestination(service, server(1), weight(1))).unwrap();
    let config = Config { capacity: 16, ..Config::default() };
    let lines = ipvs_flow::Layout::for_capacity(16).unwrap().lines_with_cache();
    let memory = TableMemory::Heap((0..lines).map(|_| Line::zeroed()).collect());
    let old = Director::in_memory(config, bench.now, memory).unwrap().connections.table;
    let address = Address::from([192, 0, 2, 1]);
    let key = Key {
        ipv6: false,
        template: false,
        protocol: 17,
        client: address,
        client_port: 4000,
        virtual_address: address,
        virtual_port: 80,
    };
    let timeout = 1000;
    let new = NewConnection { key, destination: 0, destination_port: 80, flags: 0, state: 0, timeout };
    let index = old.insert(&new, Tick(1)).unwrap();
    let entry = old.entry(index).unwrap();
    entry.note_packet_in();
    assert!(old.remember(index, &entry, &Known { timeout, timeouts: 0, back: false }));
    let client = (address.words()[3], 4000);
    let bucket = old.bucket_at(old.bucket_of_client(17, client).unwrap()).unwrap();
    let record = bucket.recall_in(17, client, (client.0, 80), |it| it).unwrap();
    record.touch(Tick(90));
    (0..4).for_each(|_| record.note_packet_in());
    assert_eq!((entry.last_seen(), entry.packets_in()), (Tick(1), 1), "the entry knows nothing of it");
    let adopted = bench.director.adopt(bench.now, old.into_memory().into_real()).unwrap();
    assert_eq!(adopted.connections, 1);
    let table = &bench.director.connections.table;
    let entry = table.find_in(&key).and_then(|index| table.entry(index)).unwrap();
    assert_eq!((entry.last_seen(), entry.packets_in()), (Tick(90), 5));
    assert!(!entry.status().is_cached());
}
