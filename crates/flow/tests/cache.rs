//! The flow cache says of a connection what its entry says, or nothing.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use std::collections::HashMap;

use ipvs_flow::{
    Address, EntryIndex, Ipv4End, Key, Known, Layout, Line, NewConnection, Recalled, Table, Tick,
    flag::{INACTIVE, NO_OUTPUT, TRANSLATED},
    other_bucket,
};
use proptest::prelude::*;

type Lines = Box<[Line]>;

const TCP: u8 = 6;
const UDP: u8 = 17;
const TIMEOUT: u32 = 1000;

fn table(capacity: u32) -> Table<Lines> {
    let lines = Layout::for_capacity(capacity).unwrap().lines_with_cache();
    let memory: Lines = (0..lines).map(|_| Line::zeroed()).collect();
    Table::over(memory, capacity, [1, 2]).unwrap()
}

fn key(number: u16) -> Key {
    Key {
        ipv6: false,
        template: false,
        protocol: if number.is_multiple_of(3) { UDP } else { TCP },
        client: Address::from([10, 0, 0, (number >> 8) as u8]),
        client_port: number & 0xff,
        virtual_address: Address::from([198, 51, 100, (number % 2) as u8]),
        virtual_port: 80,
    }
}

fn new(key: Key) -> NewConnection {
    NewConnection { key, destination: 3, destination_port: 8080, flags: 0, state: 1, timeout: TIMEOUT }
}

fn end(address: Address, port: u16) -> Ipv4End {
    (address.words()[3], port)
}

fn recall(table: &Table<Lines>, key: Key) -> Option<Recalled<'_>> {
    let client = end(key.client, key.client_port);
    let to = end(key.virtual_address, key.virtual_port);
    let buckets = table.buckets_of_client(key.protocol, client).unwrap();
    buckets.into_iter().find_map(|bucket| bucket.recall_in(key.protocol, client, to, |it| it))
}

fn recall_out(table: &Table<Lines>, key: Key, port: u16) -> Option<Recalled<'_>> {
    let client = end(key.client, key.client_port);
    let buckets = table.buckets_of_client(key.protocol, client).unwrap();
    buckets.into_iter().find_map(|bucket| bucket.recall_out(key.protocol, client, port, |it| it))
}

const KNOWN: Known = Known { timeout: TIMEOUT, timeouts: 7, back: false };

fn remember(table: &Table<Lines>, index: EntryIndex, known: Known) -> bool {
    table.remember(index, &table.entry(index).unwrap(), &known)
}

#[test]
fn a_record_says_what_the_entry_says() {
    let table = table(100);
    let key = key(1);
    let index = table.insert(&NewConnection { flags: 2 | NO_OUTPUT, ..new(key) }, Tick(5)).unwrap();
    assert!(recall(&table, key).is_none());
    assert!(remember(&table, index, KNOWN));
    let it = recall(&table, key).unwrap();
    assert_eq!((it.destination(), it.destination_port()), (3, 8080));
    assert_eq!((it.status().flags(), it.status().state()), (2 | NO_OUTPUT, 1));
    assert_eq!(it.virtual_end(), (key.virtual_address, 80));
    assert!(it.has_timeout_of(7) && !it.has_timeout_of(8) && it.is_current());
    for other in [
        Key { virtual_port: 81, ..key },
        Key { client_port: 9, ..key },
        Key { protocol: UDP, ..key },
        Key { virtual_address: key.client, ..key },
    ] {
        assert!(recall(&table, other).is_none(), "{other:?}");
    }
}

#[test]
fn the_way_back_is_known_once_a_packet_took_it() {
    let table = table(100);
    let key = key(1);
    let index = table.insert(&new(key), Tick(5)).unwrap();
    assert!(remember(&table, index, KNOWN));
    assert!(recall_out(&table, key, 8080).is_none());
    assert!(remember(&table, index, Known { back: true, ..KNOWN }));
    assert!(recall_out(&table, key, 8080).is_some() && recall_out(&table, key, 8081).is_none());
    // Not forgotten when a packet of the client's is the next that goes the long way.
    assert!(remember(&table, index, Known { timeouts: 8, ..KNOWN }));
    assert!(recall_out(&table, key, 8080).unwrap().has_timeout_of(8));
}

#[test]
fn what_a_record_noted_is_the_connections() {
    let table = table(100);
    let key = key(1);
    let index = table.insert(&new(key), Tick(5)).unwrap();
    let entry = table.entry(index).unwrap();
    entry.note_packet_in();
    assert!(remember(&table, index, KNOWN));
    let it = recall(&table, key).unwrap();
    it.touch(Tick(90));
    it.note_packet_in();
    it.note_packet_in();
    // A clock behind takes nothing back.
    it.touch(Tick(80));
    assert_eq!((entry.last_seen(), entry.packets_in()), (Tick(5), 1));
    assert_eq!((table.deadline(index, &entry), table.packets_in(index, &entry)), (Tick(90 + TIMEOUT), 3));
    let snapshot = table.snapshot(index).unwrap();
    assert_eq!((snapshot.last_seen, snapshot.packets_in), (Tick(90), 3));
    it.touch(Tick(95));
    // The record goes with the next change; what it noted stays.
    drop(table.change(index).unwrap());
    assert!(recall(&table, key).is_none() && !it.is_current());
    assert_eq!((entry.last_seen(), entry.packets_in()), (Tick(95), 3));
}

#[test]
fn a_record_that_can_count_no_more_is_written_anew() {
    let table = table(100);
    let key = key(1);
    let index = table.insert(&new(key), Tick(5)).unwrap();
    assert!(remember(&table, index, KNOWN));
    let it = recall(&table, key).unwrap();
    let counted = (0..).take_while(|_| it.counts_on()).map(|_| it.note_packet_in()).count() as u32;
    assert!(it.has_timeout_of(7) && remember(&table, index, KNOWN));
    assert_eq!(table.entry(index).unwrap().packets_in(), counted);
    assert!(recall(&table, key).unwrap().counts_on());
}

#[test]
fn what_is_no_plain_connection_of_ipv4_is_not_remembered() {
    let table = table(100);
    let key = key(1);
    let long = Address::from([7; 16]);
    let cases = [
        NewConnection { flags: TRANSLATED, ..new(key) },
        NewConnection { destination: 0x1_0000, ..new(key) },
        NewConnection { timeout: TIMEOUT + 1, ..new(key) },
        new(Key { template: true, ..key }),
        new(Key { protocol: 132, ..key }),
        new(Key { ipv6: true, client: long, virtual_address: long, ..key }),
    ];
    for case in cases {
        let index = table.insert(&case, Tick(5)).unwrap();
        assert!(!remember(&table, index, KNOWN), "{case:?}");
        assert!(table.remove(index));
    }
    let index = table.insert(&new(key), Tick(5)).unwrap();
    table.change(index).unwrap().set_unsettled(1);
    assert!(!remember(&table, index, KNOWN));
    table.change(index).unwrap().set_unsettled(0);
    assert!(remember(&table, index, KNOWN));
}

/// As many connections of one client's end as their line has records for, and one more.
#[test]
fn what_a_bucket_has_no_place_for_is_in_the_other_one() {
    let table = table(100);
    let client = end(key(1).client, key(1).client_port);
    let number = table.bucket_of_client(TCP, client).unwrap();
    // Whether the bucket of that number has a record to a port.
    let has = |number, port| {
        let to = end(key(1).virtual_address, port);
        table.bucket_at(number).unwrap().recall_in(TCP, client, to, |it| it).is_some()
    };
    let is_full = || table.bucket_at(number).unwrap().is_full();
    let entries: Vec<_> = (0..9)
        .map(|port| table.insert(&new(Key { virtual_port: port, ..key(1) }), Tick(5)).unwrap())
        .collect();
    for port in 0..9 {
        assert_eq!(is_full(), port >= 4);
        assert_eq!(remember(&table, entries[usize::from(port)], KNOWN), port < 8);
        let has = [number, other_bucket(number)].map(|number| has(number, port));
        assert_eq!(has, [port < 4, (4..8).contains(&port)], "{port}");
    }
    // There, too, it notes packets, and goes with a change.
    let it = recall(&table, Key { virtual_port: 5, ..key(1) }).unwrap();
    it.touch(Tick(90));
    it.note_packet_in();
    let entry = table.entry(entries[5]).unwrap();
    assert_eq!((table.last_seen(entries[5], &entry), table.packets_in(entries[5], &entry)), (Tick(90), 1));
    drop(table.change(entries[5]).unwrap());
    assert!(!has(other_bucket(number), 5) && !it.is_current());
    assert_eq!((entry.last_seen(), entry.packets_in()), (Tick(90), 1));
    // Written anew, it is where there is a place, and nowhere else.
    assert!(table.remove(entries[0]) && !is_full());
    assert!(remember(&table, entries[4], KNOWN) && is_full());
    assert!(has(number, 4) && !has(other_bucket(number), 4));
}

#[test]
fn a_table_without_room_for_a_cache_has_none() {
    let layout = Layout::for_capacity(100).unwrap();
    let memory: Lines = (0..layout.lines_with_words_beside()).map(|_| Line::zeroed()).collect();
    let table = Table::over(memory, 100, [1, 2]).unwrap();
    let index = table.insert(&new(key(1)), Tick(5)).unwrap();
    assert!(!remember(&table, index, KNOWN));
    assert!(table.bucket_at(0).is_none() && table.remove(index));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Remove(u16),
    Remember(u16, bool),
    Packet(u16, u32),
    State(u16, u8),
    Flags(u16, bool),
    Timeout(u16, u32),
    Destination(u16, u32),
    ClientPort(u16, u16),
    Unhook(u16),
    /// So many others come: lines are split.
    Flood(u16),
    /// They go: lines are joined.
    Ebb,
}

/// Of one client's port: more than its buckets have places for.
fn crowded(number: u16) -> Key {
    Key { client_port: 0, virtual_port: 1000 + number, ..key(number) }
}

/// With so many connections.
fn steps(connections: u16) -> impl Strategy<Value = Vec<Step>> {
    let number = move || 0..connections;
    let step = prop_oneof![
        4 => number().prop_map(Step::Insert),
        1 => number().prop_map(Step::Remove),
        8 => (number(), any::<bool>()).prop_map(|(n, back)| Step::Remember(n, back)),
        8 => (number(), 0..1000u32).prop_map(|(n, time)| Step::Packet(n, time)),
        1 => (number(), 0..9u8).prop_map(|(n, state)| Step::State(n, state)),
        1 => (number(), any::<bool>()).prop_map(|(n, set)| Step::Flags(n, set)),
        1 => (number(), 0..2u32).prop_map(|(n, more)| Step::Timeout(n, TIMEOUT + more)),
        1 => (number(), 0..9u32).prop_map(|(n, to)| Step::Destination(n, to)),
        1 => (number(), 0..40u16).prop_map(|(n, port)| Step::ClientPort(n, port)),
        1 => number().prop_map(Step::Unhook),
        1 => (400..3000u16).prop_map(Step::Flood),
        1 => Just(Step::Ebb),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_are_never_stale(steps in steps(40)) {
        do_all(steps, key)?;
    }

    #[test]
    fn records_in_full_buckets_are_never_stale(steps in steps(16)) {
        // All of them come first.
        let begin = (0..16).flat_map(|n| [Step::Insert(n), Step::Remember(n, true)]);
        do_all(begin.chain(steps).collect(), crowded)?;
    }
}

/// Takes the steps with connections of these keys, by number, and looks after each of them what the records say.
fn do_all(steps: Vec<Step>, key_of: fn(u16) -> Key) -> Result<(), TestCaseError> {
    let table = table(4000);
    // By number: entry, key, what should be known of it.
    let mut all: HashMap<u16, (EntryIndex, Key, Tick, u32)> = HashMap::new();
    let mut others = Vec::new();
    for step in steps {
        match step {
            Step::Insert(n) => {
                if let Ok(index) = table.insert(&new(key_of(n)), Tick(0)) {
                    all.insert(n, (index, key_of(n), Tick(0), 0));
                }
            }
            Step::Remove(n) => {
                if let Some((index, ..)) = all.remove(&n) {
                    prop_assert!(table.remove(index));
                }
            }
            Step::Remember(n, back) => {
                if let Some((index, ..)) = all.get(&n) {
                    remember(&table, *index, Known { back, ..KNOWN });
                }
            }
            Step::Packet(n, time) => {
                let Some((index, key, seen, packets)) = all.get_mut(&n) else { continue };
                match recall(&table, *key) {
                    Some(it) => {
                        it.touch(Tick(time));
                        it.note_packet_in();
                    }
                    None => {
                        let entry = table.entry(*index).unwrap();
                        entry.touch_late(Tick(time));
                        entry.note_packet_in();
                    }
                }
                (*seen, *packets) = (Tick(seen.0.max(time)), *packets + 1);
            }
            Step::State(n, state) => {
                if let Some((index, ..)) = all.get(&n) {
                    table.change(*index).unwrap().advance(|_| (state, true));
                }
            }
            Step::Flags(n, set) => {
                if let Some((index, ..)) = all.get(&n) {
                    table.change(*index).unwrap().set_flags(if set { NO_OUTPUT | INACTIVE } else { 3 });
                }
            }
            Step::Timeout(n, timeout) => {
                if let Some((index, ..)) = all.get(&n) {
                    table.change(*index).unwrap().set_timeout(timeout);
                }
            }
            Step::Destination(n, to) => {
                if let Some((index, ..)) = all.get(&n) {
                    table.change(*index).unwrap().set_destination(to);
                }
            }
            Step::ClientPort(n, port) => {
                if let Some((index, key, ..)) = all.get_mut(&n)
                    && table.set_client_port(*index, 0x8000 | port).is_ok()
                {
                    key.client_port = 0x8000 | port;
                }
            }
            Step::Unhook(n) => {
                if let Some((index, key, ..)) = all.remove(&n) {
                    table.unhook(index);
                    prop_assert!(recall(&table, key).is_none());
                    prop_assert!(table.remove(index));
                }
            }
            Step::Flood(many) => {
                let other = |n| new(Key { virtual_port: 1, ..key(n) });
                others.extend((0..many).filter_map(|n| table.insert(&other(n), Tick(0)).ok()));
            }
            Step::Ebb => others.drain(..).for_each(|index| assert!(table.remove(index))),
        }
        for n in 0..40 {
            let Some((index, key, seen, packets)) = all.get(&n) else {
                prop_assert!(
                    recall(&table, key_of(n)).is_none_or(|_| all.values().any(|it| it.1 == key_of(n)))
                );
                continue;
            };
            let entry = table.entry(*index).unwrap();
            for (it, out) in
                [(recall(&table, *key), false), (recall_out(&table, *key, entry.destination_port()), true)]
            {
                let Some(it) = it else { continue };
                // Of several that a client has at one port the other may be meant.
                if out && it.virtual_end() != entry.virtual_end() {
                    continue;
                }
                prop_assert_eq!(it.destination(), entry.destination());
                prop_assert_eq!(it.destination_port(), entry.destination_port());
                prop_assert_eq!(it.status().flags(), entry.flags() & !INACTIVE);
                prop_assert_eq!(it.status().state(), entry.state());
                prop_assert_eq!(entry.timeout(), TIMEOUT);
            }
            let it = table.snapshot(*index).unwrap();
            prop_assert_eq!((it.last_seen, it.packets_in), (*seen, *packets));
        }
    }
    Ok(())
}

#[test]
fn flows_in_use_are_those_that_had_a_packet_lately() {
    const CONNECTIONS: u32 = 60_000;
    let table = table(CONNECTIONS);
    let start = Tick(u32::MAX - 50);
    let key = |number| Key { client_port: number, ..key(number) };
    let connections: Vec<_> =
        (0..CONNECTIONS as u16).map(|number| table.insert(&new(key(number)), start).unwrap()).collect();
    // Afterwards: records go when their line is split.
    for index in connections {
        table.remember(index, &table.entry(index).unwrap(), &KNOWN);
    }
    let estimate = |now: Tick, seed| table.flows_in_use(now, 30, 2048, seed);
    let near = |estimate: u32, true_number: u32| {
        let difference = estimate.abs_diff(true_number);
        assert!(difference < CONNECTIONS / 10, "{estimate} for {true_number}");
    };
    // All began just now; then they have been idle.
    (0..4).for_each(|seed| near(estimate(start.after(30), seed * 9999), CONNECTIONS));
    let later = start.after(100);
    (0..4).for_each(|seed| assert_eq!(estimate(later, seed * 9999), 0));
    for number in (0..CONNECTIONS as u16).step_by(4) {
        recall(&table, key(number)).iter().for_each(|it| it.touch(later));
    }
    (0..4).for_each(|seed| near(estimate(later, seed * 9999), CONNECTIONS / 4));
}
