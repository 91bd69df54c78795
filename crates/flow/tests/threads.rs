//! Readers beside writers on real processors, with lines of full length: what loom checks in miniature.
#![cfg(not(loom))]

use std::{
    sync::atomic::{AtomicBool, Ordering},
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
