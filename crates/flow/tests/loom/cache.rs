//! The flow cache beside whoever changes, ends and moves connections: it has nothing of a connection but what the entry says.

use ipvs_flow::{EntryIndex, HeapTable, Key, Known, Layout, Line, NewConnection, Recalled, Table, Tick};
use loom::{sync::Arc, thread};

use crate::{
    directory::{PORTS, of_port},
    key, model_with,
};

const TCP: u8 = 6;
const TIMEOUT: u32 = 100;
/// Client ports whose connections go to the second line when the first is split.
const MOVING: [u16; 2] = [PORTS[1], PORTS[3]];

/// A connection as it was entered.
#[derive(Clone, Copy)]
struct Entered {
    new: NewConnection,
    index: EntryIndex,
    version: u32,
}

/// What threads do with a table and two of its connections.
type Work = fn(&HeapTable, [Entered; 2]);

fn table(capacity: u32) -> HeapTable {
    let lines = Layout::for_capacity(capacity).unwrap().lines_with_cache();
    let memory: Box<[Line]> = (0..lines).map(|_| Line::zeroed()).collect();
    Table::over(memory, capacity, [1, 2]).unwrap()
}

/// A connection that differs from another one of this client in all that a record holds.
fn numbered(number: u16) -> NewConnection {
    NewConnection {
        key: key(number),
        destination: u32::from(number),
        destination_port: 8000 + number,
        flags: 2,
        state: number as u8,
        timeout: TIMEOUT,
    }
}

fn enter(table: &HeapTable, new: NewConnection) -> Entered {
    let index = table.insert(&new, Tick(7)).unwrap();
    Entered { new, index, version: table.entry(index).unwrap().version() }
}

/// Two connections of one client.
fn both(table: &HeapTable) -> [Entered; 2] {
    [1, 2].map(|number| enter(table, numbered(number)))
}

/// One connection, in both places.
fn one(table: &HeapTable) -> [Entered; 2] {
    [enter(table, numbered(1)); 2]
}

fn remember(table: &HeapTable, it: Entered) -> bool {
    let entry = table.visit(it.index, it.version).unwrap();
    table.remember(it.index, &entry, &Known { timeout: TIMEOUT, timeouts: 3, back: true })
}

fn recall(table: &HeapTable, key: Key) -> Option<Recalled<'_>> {
    let client = (key.client.words()[3], key.client_port);
    let to = (key.virtual_address.words()[3], key.virtual_port);
    let buckets = table.buckets_of_client(TCP, client)?;
    buckets.into_iter().find_map(|bucket| bucket.recall_in(TCP, client, to, |it| it))
}

/// What the flow cache has of a connection is what the entry says. Whether it has it.
fn is_right(table: &HeapTable, it: Entered) -> bool {
    let Some(recalled) = recall(table, it.new.key) else { return false };
    let entry = table.entry(it.index).unwrap();
    let has = (recalled.destination(), recalled.destination_port(), recalled.status().state());
    let (end, has_timeout) = (recalled.virtual_end(), recalled.has_timeout_of(3));
    if !recalled.is_current() {
        return false;
    }
    assert_eq!(has, (entry.destination(), entry.destination_port(), entry.state()), "stale");
    assert_eq!(end, entry.virtual_end(), "another's");
    assert!(has_timeout && entry.timeout() == TIMEOUT, "a stale timeout");
    true
}

/// Changes a connection's state, and back: the flow cache has nothing of it afterwards.
fn forget(table: &HeapTable, it: Entered) {
    let change = table.change(it.index).unwrap();
    change.advance(|state| (state + 1, true));
    change.advance(|state| (state - 1, true));
    drop(change);
    assert!(recall(table, it.new.key).is_none());
}

/// Each in a thread of its own, in each of them once the thread that the model checker lets go first.
fn beside<const N: usize>(
    capacity: u32,
    preemptions: usize,
    begin: impl Fn(&HeapTable) -> [Entered; 2] + Copy + Send + Sync + 'static,
    works: [Work; N],
    end: Work,
) {
    for first in 0..N {
        model_with(
            move || table(capacity),
            preemptions,
            move |table| {
                let them = begin(&table);
                let others = works.into_iter().enumerate().filter(|(number, _)| *number != first);
                let others: Vec<_> = others
                    .map(|(_, work)| {
                        let table: Arc<HeapTable> = table.clone();
                        thread::spawn(move || work(&table, them))
                    })
                    .collect();
                works[first](&table, them);
                others.into_iter().for_each(|other| other.join().unwrap());
                end(&table, them);
            },
        );
    }
}

fn remember_it(table: &HeapTable, [it, _]: [Entered; 2]) {
    remember(table, it);
}

fn advance(table: &HeapTable, [it, _]: [Entered; 2]) {
    table.change(it.index).unwrap().advance(|state| (state + 1, true));
}

fn check_it(table: &HeapTable, [it, _]: [Entered; 2]) {
    is_right(table, it);
    // No place was lost.
    forget(table, it);
    assert!(table.entry(it.index).unwrap().timeout() != TIMEOUT || remember(table, it));
}

const CHANGES: [Work; 3] = [
    |table, [it, _]| {
        advance(table, [it; 2]);
        is_right(table, it);
    },
    |table, [it, _]| {
        table.change(it.index).unwrap().set_timeout(TIMEOUT + 1);
        is_right(table, it);
    },
    |table, [it, _]| {
        table.change(it.index).unwrap().set_destination(9);
        is_right(table, it);
    },
];

#[test]
fn a_connection_is_remembered_while_it_changes() {
    for change in CHANGES {
        beside(1, 2, one, [remember_it, change], check_it);
    }
}

/// A connection for which its own bucket has no place, in both places.
fn beyond_two(table: &HeapTable) -> [Entered; 2] {
    for it in both(table) {
        assert!(remember(table, it));
    }
    [enter(table, numbered(3)); 2]
}

#[test]
fn a_connection_is_remembered_in_the_other_bucket_while_it_changes() {
    for change in CHANGES {
        beside(3, 2, beyond_two, [remember_it, change], check_it);
    }
}

#[test]
fn a_connection_is_remembered_anew_while_it_changes() {
    let known = |table: &HeapTable| {
        let them = one(table);
        assert!(remember(table, them[0]));
        them
    };
    for change in CHANGES {
        beside(1, 2, known, [remember_it, change], check_it);
    }
}

#[test]
fn a_connection_is_remembered_by_two_while_it_changes() {
    beside(1, 1, one, [remember_it, remember_it, advance], check_it);
}

/// The second takes the entry of the first.
fn replace(table: &HeapTable, [first, _]: [Entered; 2]) -> Entered {
    assert!(table.remove(first.index));
    assert!(recall(table, first.new.key).is_none());
    let second = enter(table, numbered(2));
    assert_eq!(second.index, first.index);
    second
}

#[test]
fn a_connection_is_remembered_while_another_takes_its_entry() {
    let ends: [(usize, Work); 2] = [
        (2, |table, them| {
            replace(table, them);
        }),
        (1, |table, them| {
            let second = replace(table, them);
            remember(table, second);
            is_right(table, second);
        }),
    ];
    for (preemptions, replace) in ends {
        beside(1, preemptions, one, [remember_it, replace], |table, [first, _]| {
            assert!(recall(table, first.new.key).is_none());
            let index = table.find_in(&key(2)).unwrap();
            let version = table.entry(index).unwrap().version();
            is_right(table, Entered { new: numbered(2), index, version });
        });
    }
}

/// What a packet of the first connection goes by.
fn assert_first(recalled: Option<Recalled<'_>>) {
    let Some(it) = recalled else { return };
    let words = (it.destination(), it.destination_port(), it.virtual_end().1, it.status().state());
    assert!(!it.is_current() || words == (1, 8001, 1, 1), "a mixture, or another's: {words:?}");
}

#[test]
fn a_reader_never_takes_the_next_record_for_its_own() {
    let known = |table: &HeapTable| {
        let them = both(table);
        assert!(remember(table, them[0]));
        them
    };
    let readers: [Work; 2] = [
        |table, [it, _]| assert_first(recall(table, it.new.key)),
        |table, [it, _]| {
            let client = (it.new.key.client.words()[3], it.new.key.client_port);
            let bucket = table.bucket_at(table.bucket_of_client(TCP, client).unwrap()).unwrap();
            assert_first(bucket.recall_out(TCP, client, it.new.destination_port, |it| it));
        },
    ];
    for read in readers {
        let next: Work = |table, [first, second]| {
            forget(table, first);
            assert!(remember(table, second));
        };
        beside(2, 2, known, [read, next], |table, [_, second]| assert!(is_right(table, second)));
    }
}

fn split(table: &HeapTable, _: [Entered; 2]) {
    table.make_room_for(4);
}

/// The second ends: by that lines are joined.
fn join(table: &HeapTable, [_, second]: [Entered; 2]) {
    assert!(table.remove(second.index));
}

/// A connection of that port and one that can end.
fn of(table: &HeapTable, port: u16) -> [Entered; 2] {
    [port, 4010].map(|port| enter(table, NewConnection { key: of_port(port).key, ..numbered(1) }))
}

#[test]
fn a_connection_is_remembered_while_its_line_is_split() {
    for port in MOVING {
        beside(
            8,
            2,
            move |table| of(table, port),
            [remember_it, split],
            |table, them| {
                is_right(table, them[0]);
                forget(table, them[0]);
                join(table, them);
                assert!(!is_right(table, them[0]));
            },
        );
    }
}

#[test]
fn a_connection_is_remembered_while_its_line_is_joined_to_another() {
    for port in MOVING {
        let begin = move |table: &HeapTable| {
            table.make_room_for(4);
            of(table, port)
        };
        beside(8, 3, begin, [remember_it, join], |table, them| {
            is_right(table, them[0]);
            forget(table, them[0]);
            split(table, them);
            assert!(!is_right(table, them[0]));
        });
    }
}

#[test]
fn a_connection_is_remembered_while_its_line_is_split_and_joined() {
    for port in MOVING {
        let there_and_back: Work = |table, them| {
            split(table, them);
            advance(table, them);
            join(table, them);
            is_right(table, them[0]);
        };
        beside(8, 2, move |table| of(table, port), [remember_it, there_and_back], check_it);
    }
}

#[test]
fn what_a_record_noted_is_never_lost() {
    let noted = |table: &HeapTable| {
        let them = of(table, MOVING[0]);
        assert!(remember(table, them[0]));
        let recalled = recall(table, them[0].new.key).unwrap();
        recalled.touch(Tick(90));
        recalled.note_packet_in();
        them
    };
    let others: [Work; 4] = [
        advance,
        remember_it,
        split,
        // Nor is it away for a moment: the connection would seem to have expired.
        |table, [it, _]| {
            assert_eq!(table.last_seen(it.index, &table.entry(it.index).unwrap()), Tick(90));
        },
    ];
    for other in others {
        beside(8, 2, noted, [advance, other], |table, [it, _]| {
            forget(table, it);
            let entry = table.entry(it.index).unwrap();
            assert_eq!((entry.last_seen(), entry.packets_in()), (Tick(90), 1));
        });
    }
}
