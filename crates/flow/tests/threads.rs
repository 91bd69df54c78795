//! Readers beside writers on real processors, with lines of full length: what loom checks in miniature.
#![cfg(not(loom))]

use std::{
    sync::atomic::{AtomicBool, AtomicU16, Ordering},
    thread,
};

use ipvs_flow::{Address, HeapTable, Key, NewConnection, Tick};

/// Connections of one client port: a chain of several lines, into which everybody writes.
const CONNECTIONS: u16 = 64;
const ROUNDS: u16 = 2000;

fn new(number: u16) -> NewConnection {
    let key = Key {
        ipv6: true,
        template: false,
        protocol: 17,
        client: Address::from([7; 16]),
        client_port: 53,
        virtual_address: Address::from([number as u8; 16]),
        virtual_port: number,
    };
    let destination = u32::from(number);
    NewConnection {
        key,
        destination,
        destination_port: number,
        flags: number,
        state: number as u8,
        timeout: destination,
    }
}

#[test]
fn readers_see_whole_connections_and_find_those_that_stay() {
    let table = HeapTable::allocate(256, [11, 12]).unwrap();
    // Every third stays, among those that come and go.
    let stays = |number: u16| number.is_multiple_of(3);
    for number in 0..CONNECTIONS {
        table.insert(&new(number), Tick(0)).unwrap();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = || {
            let mut found = 0u64;
            while !done.load(Ordering::Relaxed) {
                for number in 0..CONNECTIONS {
                    let key = new(number).key;
                    let index = table.find_in(&key);
                    let connection = index.and_then(|index| table.entry(index)?.snapshot());
                    if let Some(connection) = connection {
                        let whole = new(connection.key.virtual_port);
                        assert_eq!((connection.key, connection.destination), (whole.key, whole.destination));
                        assert_eq!((connection.flags, connection.timeout), (whole.flags, whole.timeout));
                        found += 1;
                    }
                    if stays(number) {
                        // A walk that writers disturb sixteen times gives up: then ask again, but not for ever.
                        let key_of = |connection: ipvs_flow::Connection| connection.key;
                        let seen = (0..1000).find_map(|_| table.entry(table.find_in(&key)?)?.snapshot());
                        assert_eq!(seen.map(key_of), Some(key));
                    }
                }
            }
            found
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let writers = [1, 2].map(|remainder| {
            let table = &table;
            scope.spawn(move || {
                let mut numbers: Vec<_> = (0..CONNECTIONS).filter(|number| number % 3 == remainder).collect();
                for _ in 0..ROUNDS {
                    numbers.rotate_left(5);
                    numbers.reverse();
                    for &number in &numbers {
                        let index = table.find_in(&new(number).key);
                        match index {
                            Some(index) => assert!(table.remove(index)),
                            None => drop(table.insert(&new(number), Tick(0))),
                        }
                    }
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    let listed = table.entries_from(0).count();
    assert_eq!(listed, table.len() as usize);
    for index in table.entries_from(0) {
        let key = table.entry(index).unwrap().key();
        assert_eq!(table.find_in(&key), Some(index));
    }
}

/// Daemon and program begin connections, the daemon ends some, a reader looks for those that stay, while line after line is
/// split.
#[test]
fn connections_are_found_while_the_directory_grows() {
    const CONNECTIONS: u16 = 8000;
    let new = |number: u16| {
        let new = new(number);
        NewConnection { key: Key { client_port: number, ..new.key }, ..new }
    };
    for round in 0..20 {
        let table = HeapTable::allocate(3 * u32::from(CONNECTIONS), [round, 12]).unwrap();
        let [daemon, program] = [0, 0].map(AtomicU16::new);
        thread::scope(|scope| {
            // Many that come and go: lines are joined and split again.
            scope.spawn(|| {
                for turn in 0..4 {
                    let passing = |number| new(CONNECTIONS * 3 + number);
                    let all = (0..CONNECTIONS).map(|number| table.insert(&passing(number), Tick(0)).unwrap());
                    let all: Vec<_> = all.collect();
                    assert!(all.into_iter().all(|index| table.remove(index)), "turn {turn}");
                }
            });
            scope.spawn(|| {
                for number in 0..CONNECTIONS {
                    let lasting = new(2 * number);
                    table.insert(&lasting, Tick(0)).unwrap();
                    daemon.store(number + 1, Ordering::Release);
                    let passing = new(2 * CONNECTIONS + number);
                    assert!(table.remove(table.insert(&passing, Tick(0)).unwrap()));
                }
            });
            scope.spawn(|| {
                for number in 0..CONNECTIONS {
                    let aside = table.set_aside().unwrap();
                    let begins = new(2 * number + 1);
                    if !table.insert_at_once::<4>(aside, &begins, Tick(0)) {
                        table.give_back(aside);
                        table.insert(&begins, Tick(0)).unwrap();
                    }
                    program.store(number + 1, Ordering::Release);
                }
            });
            scope.spawn(|| {
                let mut step = 0u16;
                loop {
                    let begun = [&daemon, &program].map(|count| count.load(Ordering::Acquire));
                    for (number, odd) in begun.into_iter().zip([0, 1]).filter(|(begun, _)| *begun > 0) {
                        step = step.wrapping_mul(25_173).wrapping_add(13_849);
                        let key = new(2 * (step % number) + odd).key;
                        // As above.
                        let found = (0..1000).any(|_| table.find_in(&key).is_some());
                        assert!(found, "{} of {begun:?}", key.client_port);
                    }
                    if begun == [CONNECTIONS; 2] {
                        break;
                    }
                }
            });
        });
        assert_eq!(table.len(), 2 * u32::from(CONNECTIONS));
        for number in 0..2 * CONNECTIONS {
            assert!(table.find_in(&new(number).key).is_some_and(|index| table.remove(index)));
        }
        assert!(table.is_empty());
    }
}
