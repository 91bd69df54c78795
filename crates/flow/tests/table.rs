//! The table against a hash map, with chains of every length.
#![cfg(not(loom))]

use std::collections::HashMap;

use ipvs_flow::{
    Address, Connection, EntryIndex, HeapTable, InsertError, Key, NewConnection, RehashError, Table, Tick,
};
use proptest::prelude::*;

/// States have seven bits.
const GREATEST_STATE: u8 = 0x7f;
/// The bits that flags may have.
const FLAGS: u16 = !0x40;

#[derive(Clone, Debug)]
enum Step {
    Insert(Key),
    Remove(Key),
    SetClientPort(Key, u16),
    Touch(Key, u32),
}

/// Keys of few values, so that they meet: the same client with many virtual ports, templates beside connections.
fn key() -> impl Strategy<Value = Key> {
    (any::<bool>(), prop::bool::weighted(0.1), prop_oneof![Just(6u8), Just(17)], 0..3u8, 0..3u16, 0..60u16)
        .prop_map(|(ipv6, template, protocol, host, client_port, virtual_port)| Key {
            ipv6,
            template,
            protocol,
            client: if ipv6 { Address::from([host; 16]) } else { Address::from([10, 0, 0, host]) },
            client_port,
            virtual_address: if ipv6 { Address::from([9; 16]) } else { Address::from([198, 51, 100, 1]) },
            virtual_port,
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => key().prop_map(Step::Insert),
        3 => key().prop_map(Step::Remove),
        2 => (key(), 0..3u16).prop_map(|(key, port)| Step::SetClientPort(key, port)),
        1 => (key(), any::<u32>()).prop_map(|(key, time)| Step::Touch(key, time)),
    ]
}

fn connection(key: Key, number: u32) -> NewConnection {
    NewConnection {
        key,
        destination: number,
        destination_port: number as u16,
        flags: (number >> 3) as u16 & FLAGS,
        state: number as u8 & GREATEST_STATE,
        timeout: number ^ 0x5555,
    }
}

fn expected(new: NewConnection, last_seen: u32, packets_in: u32) -> Connection {
    let NewConnection { key, destination, destination_port, flags, state, timeout } = new;
    let last_seen = Tick(last_seen);
    Connection { key, destination, destination_port, flags, state, timeout, last_seen, packets_in }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_table_does_what_a_map_does(hash_key: [u64; 2], capacity in 1..200u32,
                                      steps in prop::collection::vec(step(), 1..500)) {
        let table = HeapTable::allocate(capacity, hash_key).unwrap();
        let mut map = HashMap::<Key, (EntryIndex, Connection)>::new();
        for (number, step) in (0u32..).zip(steps) {
            match step {
                Step::Insert(key) => {
                    let new = connection(key, number);
                    match table.insert(&new, Tick(number)) {
                        Ok(index) => {
                            prop_assert!(map.insert(key, (index, expected(new, number, 0))).is_none());
                        }
                        Err(InsertError::Exists) => prop_assert!(map.contains_key(&key)),
                        Err(InsertError::TableFull) => prop_assert_eq!(map.len(), capacity as usize),
                        Err(InsertError::ChainFull) => prop_assert!(false, "no chain is so long"),
                    }
                }
                Step::Remove(key) => {
                    prop_assert_eq!(table.find_in(&key), map.get(&key).map(|(index, _)| *index));
                    if let Some((index, _)) = map.remove(&key) {
                        prop_assert!(table.remove(index));
                        prop_assert!(!table.remove(index));
                        prop_assert!(table.entry(index).is_none());
                    }
                }
                Step::SetClientPort(key, port) => {
                    let Some((index, mut connection)) = map.get(&key).copied() else { continue };
                    let new = Key { client_port: port, ..key };
                    let result = table.set_client_port(index, port);
                    if new == key || !map.contains_key(&new) {
                        prop_assert_eq!(result, Ok(()));
                        map.remove(&key);
                        connection.key = new;
                        map.insert(new, (index, connection));
                    } else {
                        prop_assert_eq!(result, Err(RehashError::Exists));
                    }
                }
                Step::Touch(key, time) => {
                    let Some((index, connection)) = map.get_mut(&key) else { continue };
                    let entry = table.change(*index).unwrap();
                    entry.touch(Tick(time));
                    entry.set_state(time as u8 & GREATEST_STATE);
                    entry.set_flags((time >> 8) as u16 & FLAGS);
                    entry.set_timeout(time ^ 1);
                    entry.set_destination(time ^ 2);
                    connection.packets_in += 1;
                    prop_assert_eq!(entry.count_packet_in(), connection.packets_in);
                    connection.last_seen = Tick(time);
                    connection.state = time as u8 & GREATEST_STATE;
                    connection.flags = (time >> 8) as u16 & FLAGS;
                    connection.timeout = time ^ 1;
                    connection.destination = time ^ 2;
                }
            }
            prop_assert_eq!(table.len() as usize, map.len());
        }
        for (key, (index, connection)) in &map {
            prop_assert_eq!(table.find_in(key), Some(*index));
            prop_assert_eq!(table.entry(*index).unwrap().snapshot(), Some(*connection));
            let reply = table.find_out(key.ipv6, key.protocol, key.client, key.client_port, |entry| {
                assert!(!entry.key().template);
                entry.key().virtual_port == key.virtual_port
            });
            // A template's client side may be that of a connection, too.
            let connection = map.get(&Key { template: false, ..*key }).map(|(index, _)| *index);
            prop_assert_eq!(reply, connection);
        }
        let mut listed: Vec<_> = table.entries_from(0).collect();
        let mut stored: Vec<_> = map.values().map(|(index, _)| *index).collect();
        stored.sort();
        prop_assert_eq!(&listed, &stored);
        // In pages, too.
        let mut paged = Vec::new();
        let mut position = 0;
        while position < capacity {
            paged.extend(table.entries_between(position, position + 7));
            position += 7;
        }
        prop_assert_eq!(&paged, &listed);
        for index in listed.drain(..) {
            prop_assert!(table.remove(index));
        }
        prop_assert!(table.is_empty());
        for (key, _) in map {
            prop_assert_eq!(table.find_in(&key), None);
        }
    }
}

fn client(number: u32) -> Key {
    Key {
        ipv6: false,
        template: false,
        protocol: 6,
        client: Address::from((number >> 8).to_be_bytes()),
        client_port: 1024 + (number & 0xff) as u16,
        virtual_address: Address::from([198, 51, 100, 1]),
        virtual_port: 80,
    }
}

fn same_client(number: u32) -> Key {
    Key { virtual_port: number as u16, ..client(0) }
}

#[test]
fn a_full_table_says_so_and_takes_up_again() {
    for capacity in [1, 2, 15, 16, 100, 5000] {
        let table = HeapTable::allocate(capacity, [3, 4]).unwrap();
        let indices: Vec<_> =
            (0..capacity).map(|n| table.insert(&connection(client(n), n), Tick(0)).unwrap()).collect();
        let one_more = connection(client(capacity), 0);
        assert_eq!(table.insert(&one_more, Tick(0)), Err(InsertError::TableFull));
        assert_eq!((table.len(), table.find_in(&one_more.key)), (capacity, None));
        let freed = indices[capacity as usize / 2];
        assert!(table.remove(freed));
        assert_eq!(table.insert(&one_more, Tick(0)), Ok(freed));
        assert_eq!(table.find_in(&one_more.key), Some(freed));
    }
}

#[test]
fn a_chain_of_one_client_port_is_bounded() {
    let table = HeapTable::allocate(4096, [5, 6]).unwrap();
    // Sixty-four lines of fifteen; other clients may share the line, here there are none.
    for number in 0..960 {
        table.insert(&connection(same_client(number), number), Tick(0)).unwrap();
    }
    assert_eq!(table.insert(&connection(same_client(960), 0), Tick(0)), Err(InsertError::ChainFull));
    assert_eq!(table.len(), 960);
    // Another client is not concerned: one whose chain is another.
    assert!((1..5).any(|n| table.insert(&connection(client(n << 8), n), Tick(0)).is_ok()));
    for number in (0..960).step_by(2) {
        assert!(table.remove(table.find_in(&same_client(number)).unwrap()));
    }
    for number in 0..960 {
        assert_eq!(table.find_in(&same_client(number)).is_some(), number % 2 == 1);
        let reply = table.find_out(false, 6, client(0).client, 1024, |entry| entry.destination() == number);
        assert_eq!(reply.is_some(), number % 2 == 1);
    }
    assert!(table.insert(&connection(same_client(960), 0), Tick(0)).is_ok());
}

#[test]
fn overflow_lines_suffice_for_any_distribution() {
    // Sixteen connections per client port: every one of their chains overflows.
    for per_port in [16, 31, 46, 900] {
        let capacity = 9000;
        let table = HeapTable::allocate(capacity, [7, 8]).unwrap();
        // Twice, with everything removed in between: lines come back.
        for round in 0..2 {
            for number in 0..capacity {
                let key = Key {
                    virtual_port: (number % per_port) as u16,
                    ..client((round << 20) | (number / per_port))
                };
                let result = table.insert(&connection(key, number), Tick(0));
                assert!(
                    result.is_ok() || per_port == 900 && result == Err(InsertError::ChainFull),
                    "{result:?}"
                );
            }
            for index in table.entries_from(0).collect::<Vec<_>>() {
                assert!(table.remove(index));
            }
        }
    }
}

#[test]
fn a_changed_client_port_changes_the_place_in_the_hash() {
    let table = HeapTable::allocate(64, [9, 10]).unwrap();
    let unknown = Key { client_port: 0, ..client(0) };
    let index = table.insert(&connection(unknown, 1), Tick(7)).unwrap();
    assert_eq!(table.set_client_port(index, 4711), Ok(()));
    let known = Key { client_port: 4711, ..unknown };
    assert_eq!((table.find_in(&unknown), table.find_in(&known)), (None, Some(index)));
    assert_eq!(table.find_out(false, 6, known.client, 4711, |_| true), Some(index));
    assert_eq!(table.set_client_port(index, 4711), Ok(()));
    assert!(table.remove(index));
    assert_eq!(table.set_client_port(index, 1), Err(RehashError::NotFound));
    assert_eq!(table.set_client_port(EntryIndex(u32::MAX), 1), Err(RehashError::NotFound));
}

#[test]
fn another_program_attaches_to_the_memory() {
    use ipvs_flow::{Layout, Line, MemoryError};
    let lines: Vec<Line> = (0..Layout::for_capacity(100).unwrap().lines()).map(|_| Line::zeroed()).collect();
    assert_eq!(Table::attach(&lines[..]).err(), Some(MemoryError::NoTable));
    assert_eq!(Table::over(&lines[..10], 100, [1, 2]).err(), Some(MemoryError::TooShort(lines.len() as u32)));
    let daemon = Table::over(&lines[..], 100, [1, 2 << 40]).unwrap();
    let index = daemon.insert(&connection(client(1), 1), Tick(0)).unwrap();
    let reader = Table::attach(&lines[..]).unwrap();
    assert_eq!((reader.find_in(&client(1)), reader.len(), reader.capacity()), (Some(index), 1, 100));
    assert_eq!(Table::attach(&lines[..10]).err(), Some(MemoryError::TooShort(lines.len() as u32)));
}

#[test]
fn indices_past_the_capacity_hold_nothing() {
    let table = HeapTable::allocate(4, [0, 0]).unwrap();
    for index in [4, 5, 1 << 30, u32::MAX] {
        assert!(table.entry(EntryIndex(index)).is_none() && !table.remove(EntryIndex(index)));
    }
}

/// What is out of the hash is listed and removed, but not found, and its key is free.
#[test]
fn an_unhooked_connection_stays_in_its_entry_alone() {
    let table = HeapTable::allocate(8, [1, 2]).unwrap();
    let key = Key {
        ipv6: false,
        template: true,
        protocol: 6,
        client: Address::from([10, 0, 0, 0]),
        client_port: 0,
        virtual_address: Address::from([198, 51, 100, 1]),
        virtual_port: 80,
    };
    let first = table.insert(&connection(key, 1), Tick(5)).unwrap();
    assert!(table.unhook(first));
    assert_eq!(table.find_in(&key), None);
    let shown = table.entry(first).and_then(|entry| entry.snapshot()).unwrap();
    assert_eq!((shown.key.client_port, shown.key.virtual_port, shown.destination_port), (0, 65535, 65535));
    assert_eq!((shown.key.template, shown.key.client, shown.destination), (true, key.client, 1));
    let second = table.insert(&connection(key, 2), Tick(6)).unwrap();
    assert_eq!(table.find_in(&key), Some(second));
    assert!(table.unhook(second), "two of the same key");
    assert_eq!(table.entries_from(0).collect::<Vec<_>>(), [first, second]);
    assert!(table.remove(first) && table.remove(second));
    assert!(!table.unhook(first) && table.is_empty());
}
