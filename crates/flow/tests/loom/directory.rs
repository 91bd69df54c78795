//! Lines that are split and joined beside readers, writers and the XDP program.

use ipvs_flow::{EntryIndex, HeapTable, Key, NewConnection, Tick};
use loom::{sync::Arc, thread};

use crate::{insert, key, model, new, read};

/// Client ports that the hash of these tables puts in lines 0 to 3 of four: of two lines, two ports in each. Four more is another line
/// for two of them.
pub(crate) const PORTS: [u16; 4] = [4003, 4007, 4009, 4004];

/// The connection of a client port.
pub(crate) fn of_port(port: u16) -> NewConnection {
    NewConnection { key: Key { client_port: port, ..key(1) }, ..new(1) }
}

/// A thread that splits the only line of a table.
fn splitter(table: &Arc<HeapTable>) -> thread::JoinHandle<()> {
    let table = table.clone();
    thread::spawn(move || table.make_room_for(4))
}

#[test]
fn a_connection_is_always_found_while_its_line_is_split() {
    for port in PORTS {
        model(8, 3, move |table| {
            // The second is in an overflow line.
            let others = [1, 2].map(|number| insert(&table, number).unwrap());
            let index = table.insert(&of_port(port + 4), Tick(7)).unwrap();
            let splitter = splitter(&table);
            assert_eq!(table.find_in(&of_port(port + 4).key), Some(index));
            splitter.join().unwrap();
            assert_eq!(table.find_in(&of_port(port + 4).key), Some(index));
            assert_eq!([1, 2].map(|number| table.find_in(&key(number))), others.map(Some));
        });
    }
}

#[test]
fn a_connection_is_always_found_while_its_line_is_split_in_one_pass() {
    for port in PORTS {
        model(8, 3, move |table| {
            // The line is the chain's only one. The first goes, and the second is moved up.
            let goes = table.insert(&of_port(port + 4), Tick(7)).unwrap();
            let stays = table.insert(&of_port(port), Tick(7)).unwrap();
            let splitter = splitter(&table);
            assert_eq!(table.find_in(&of_port(port).key), Some(stays));
            splitter.join().unwrap();
            let found = [port + 4, port].map(|port| table.find_in(&of_port(port).key));
            assert_eq!(found, [Some(goes), Some(stays)]);
        });
    }
}

#[test]
fn connections_begin_and_end_while_their_line_is_split() {
    for port in PORTS {
        model(8, 2, move |table| {
            let ends = table.insert(&of_port(port), Tick(7)).unwrap();
            let splitter = splitter(&table);
            let begun = table.insert(&of_port(port + 4), Tick(7)).unwrap();
            assert!(table.remove(ends));
            splitter.join().unwrap();
            let found = [port, port + 4].map(|port| table.find_in(&of_port(port).key));
            assert_eq!((found, table.len()), ([None, Some(begun)], 1));
            // Nothing was left behind in either line.
            assert!(table.remove(begun));
            assert_eq!(PORTS.map(|port| table.find_in(&of_port(port + 4).key)), [None; 4]);
        });
    }
}

#[test]
fn a_program_begins_a_connection_while_its_line_is_split() {
    for port in PORTS {
        model(8, 3, move |table| {
            let aside = table.set_aside().unwrap();
            insert(&table, 2).unwrap();
            let splitter = splitter(&table);
            let _ = read(&table, 2);
            let begun = table.insert_at_once::<2>(aside, &of_port(port), Tick(7));
            splitter.join().unwrap();
            assert_eq!(table.find_in(&of_port(port).key), begun.then_some(aside));
            assert!(begun || table.insert(&of_port(port), Tick(7)).is_ok());
            // No lock was left behind.
            assert!(PORTS.iter().all(|port| table.insert(&of_port(port + 20), Tick(7)).is_ok()));
        });
    }
}

/// One in the line that stays, one in the line that goes.
const JOINED: [u16; 2] = [PORTS[0], PORTS[1]];

/// A table of two lines and a connection of that port, and a thread that ends another one: by that the lines are joined. Then it
/// does something else.
fn joined(
    table: &Arc<HeapTable>,
    port: u16,
    then: impl FnOnce(&HeapTable) + Send + 'static,
) -> (EntryIndex, thread::JoinHandle<()>) {
    table.make_room_for(4);
    let ends = table.insert(&of_port(4010), Tick(7)).unwrap();
    let stays = table.insert(&of_port(port), Tick(7)).unwrap();
    let table = table.clone();
    let joiner = thread::spawn(move || {
        assert!(table.remove(ends));
        then(&table);
    });
    (stays, joiner)
}

/// A reader finds the connection that stays, whatever the other thread does then.
fn stays_found(preemptions: usize, then: fn(&HeapTable)) {
    for port in JOINED {
        model(8, preemptions, move |table| {
            let (stays, joiner) = joined(&table, port, then);
            assert_eq!(table.find_in(&of_port(port).key), Some(stays));
            joiner.join().unwrap();
            assert_eq!(table.find_in(&of_port(port).key), Some(stays));
        });
    }
}

#[test]
fn a_connection_is_always_found_while_its_line_is_joined_to_another() {
    stays_found(3, |_| {});
}

#[test]
fn a_connection_is_always_found_while_its_line_is_joined_and_split() {
    stays_found(2, |table| table.make_room_for(4));
}

#[test]
fn connections_begin_while_lines_are_joined() {
    for port in JOINED {
        model(8, 3, move |table| {
            let aside = table.set_aside().unwrap();
            let (stays, joiner) = joined(&table, port, |_| {});
            let _ = table.find_in(&of_port(port).key);
            let begun = table.insert_at_once::<2>(aside, &of_port(port + 4), Tick(7));
            joiner.join().unwrap();
            let found = [port, port + 4].map(|port| table.find_in(&of_port(port).key));
            assert_eq!(found, [Some(stays), begun.then_some(aside)]);
            // No lock was left behind.
            assert!(PORTS.iter().all(|port| table.insert(&of_port(port + 20), Tick(7)).is_ok()));
        });
    }
}
