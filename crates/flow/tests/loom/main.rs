//! Every interleaving and every memory order of a few operations, by the loom model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p ipvs-flow --release --test loom`.
//!
//! Lines have two slots here, so three connections make a chain of two lines. A table begins with one line, and so one chain.
#![cfg(loom)]

mod cache;
mod directory;

use std::sync::atomic::{AtomicUsize, Ordering};

use ipvs_flow::{
    Address, EntryIndex, HeapTable, InsertError, Key, Line, Load, NewConnection, RING_LINES, Ring, Tick,
    flag,
    pick::{self, Pick, Rule, Slot},
};
use loom::{model::Builder, sync::Arc, thread};

fn key(number: u16) -> Key {
    Key {
        ipv6: false,
        template: false,
        protocol: 6,
        client: Address::from([192, 0, 2, 1]),
        client_port: 4000,
        virtual_address: Address::from([198, 51, 100, 1]),
        virtual_port: number,
    }
}

/// A connection that tells its number in two words besides the key's, so that a mixture of two shows. (In few words,
/// since loom tries every value that each of them ever had.)
fn new(number: u16) -> NewConnection {
    let destination = u32::from(number);
    NewConnection {
        key: key(number),
        destination,
        destination_port: 8,
        flags: 2,
        state: 1,
        timeout: destination,
    }
}

fn insert(table: &HeapTable, number: u16) -> Result<EntryIndex, InsertError> {
    table.insert(&new(number), Tick(7))
}

/// What a reader does with a packet of connection `number`; whether it found the connection.
fn read(table: &HeapTable, number: u16) -> bool {
    let Some((_, entry)) = table.lookup_in(&key(number)) else { return false };
    let words = (entry.destination(), entry.timeout());
    let current = entry.is_current();
    assert!(!current || words == (u32::from(number), u32::from(number)), "a mixture: {words:?}");
    current
}

fn model(capacity: u32, preemptions: usize, run: impl Fn(Arc<HeapTable>) + Sync + Send + 'static) {
    model_with(move || HeapTable::allocate(capacity, [1, 2]).unwrap(), preemptions, run);
}

fn model_with(
    table: impl Fn() -> HeapTable + Sync + Send + 'static,
    preemptions: usize,
    run: impl Fn(Arc<HeapTable>) + Sync + Send + 'static,
) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    let interleavings = std::sync::Arc::new(AtomicUsize::new(0));
    let count = interleavings.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        run(Arc::new(table()));
    });
    let interleavings = interleavings.load(Ordering::Relaxed);
    println!("{interleavings} interleavings");
    // A model whose threads do not meet checks nothing.
    assert!(interleavings > 10);
}

#[test]
fn a_reader_sees_a_connection_whole_or_not_at_all() {
    model(2, 3, |table| {
        let writer = {
            let table = table.clone();
            thread::spawn(move || {
                insert(&table, 1).unwrap();
            })
        };
        let _ = read(&table, 1);
        writer.join().unwrap();
        assert!(read(&table, 1));
    });
}

/// What a reader of connection 1 does while that is removed, and connection 2 gets its entry; then `after`.
fn while_the_entry_gets_another(
    reads: impl Fn(&HeapTable, EntryIndex) + Sync + Send + 'static,
    after: impl Fn(&HeapTable) + Sync + Send + 'static,
) {
    model(1, 3, move |table| {
        let first = insert(&table, 1).unwrap();
        let writer = {
            let table = table.clone();
            thread::spawn(move || {
                assert!(table.remove(first));
                assert_eq!(insert(&table, 2), Ok(first));
            })
        };
        reads(&table, first);
        writer.join().unwrap();
        after(&table);
    });
}

#[test]
fn a_reader_of_the_inbound_side_never_takes_the_next_connection_for_its_own() {
    while_the_entry_gets_another(|table, _| _ = read(table, 1), |_| {});
}

#[test]
fn a_reader_never_takes_the_next_connection_of_an_entry_for_its_own() {
    let reads = |table: &HeapTable, first| {
        let mut words = (0, 0);
        let found = table.find_out(false, 6, key(1).client, 4000, |entry| {
            words = (entry.destination(), entry.timeout());
            true
        });
        // What was accepted was one connection, not a mixture.
        assert!(found.is_none_or(|index| index == first && words.0 == words.1));
    };
    while_the_entry_gets_another(reads, |table| assert!(!read(table, 1) && read(table, 2)));
}

#[test]
fn a_connection_that_stays_is_always_found_while_slots_move() {
    model(3, 3, |table| {
        let [first, _, last] = [1, 2, 3].map(|number| insert(&table, number).unwrap());
        let writer = {
            let table = table.clone();
            // Connection 3 moves from the overflow line into the place of 1.
            thread::spawn(move || assert!(table.remove(first)))
        };
        assert_eq!(table.find_in(&key(3)), Some(last));
        writer.join().unwrap();
        assert_eq!(table.find_in(&key(3)), Some(last));
    });
}

#[test]
fn two_writers_insert_a_connection_once() {
    model(2, 3, |table| {
        let writer = {
            let table = table.clone();
            thread::spawn(move || insert(&table, 1))
        };
        let ours = insert(&table, 1);
        let theirs = writer.join().unwrap();
        assert!(matches!(
            (ours, theirs),
            (Ok(_), Err(InsertError::Exists)) | (Err(InsertError::Exists), Ok(_))
        ));
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn two_writers_remove_a_connection_once_and_its_entry_is_reused_whole() {
    model(2, 3, |table| {
        let first = insert(&table, 1).unwrap();
        let writer = {
            let table = table.clone();
            thread::spawn(move || {
                let removed = table.remove(first);
                let _ = insert(&table, 2);
                removed
            })
        };
        // By the time we come to it the entry may hold connection 2; then we remove that one, knowingly.
        let ours = table.remove(first);
        let theirs = writer.join().unwrap();
        assert!(ours || theirs);
        let left = u32::from(read(&table, 2));
        assert_eq!((table.len(), read(&table, 1)), (left, false));
    });
}

#[test]
fn two_writers_and_a_reader() {
    model(2, 3, |table| {
        let first = insert(&table, 1).unwrap();
        let remover = {
            let table = table.clone();
            thread::spawn(move || assert!(table.remove(first)))
        };
        let inserter = {
            let table = table.clone();
            thread::spawn(move || {
                insert(&table, 2).unwrap();
            })
        };
        let _ = read(&table, 2);
        remover.join().unwrap();
        inserter.join().unwrap();
        assert!(!read(&table, 1) && read(&table, 2));
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn a_changed_client_port_is_seen_whole() {
    model(2, 3, |table| {
        let index = insert(&table, 1).unwrap();
        let moved = Key { client_port: 4001, ..key(1) };
        let writer = {
            let table = table.clone();
            thread::spawn(move || table.set_client_port(index, 4001).unwrap())
        };
        for key in [key(1), moved] {
            assert!(table.find_in(&key).is_none_or(|found| found == index));
        }
        writer.join().unwrap();
        assert_eq!((table.find_in(&key(1)), table.find_in(&moved)), (None, Some(index)));
    });
}

#[test]
fn connections_that_change_places_do_not_lock_each_other_out() {
    // Four hash lines: these ports lie in several.
    for port in 4001..4004 {
        model(8, 3, move |table| {
            table.make_room_for(16);
            let other = NewConnection { key: Key { client_port: port, ..key(2) }, ..new(2) };
            let (first, second) = (insert(&table, 1).unwrap(), table.insert(&other, Tick(7)).unwrap());
            let writer = {
                let table = table.clone();
                thread::spawn(move || table.set_client_port(second, 4000).unwrap())
            };
            table.set_client_port(first, port).unwrap();
            writer.join().unwrap();
            assert_eq!(table.find_in(&Key { client_port: port, ..key(1) }), Some(first));
            assert!(read(&table, 2) && !read(&table, 1));
        });
    }
}

/// Daemon and XDP program with a packet each of one connection: no change is lost, the timeout is that of the last state, and
/// the destination's connections are counted as the connection says.
#[test]
fn two_programs_move_one_connection() {
    model(1, 3, |table| {
        let index = table.insert(&NewConnection { flags: flag::INACTIVE, ..new(1) }, Tick(7)).unwrap();
        let loads = Arc::new(Line::zeroed());
        Load::of(&loads).enter(false);
        let packet = move |table: &HeapTable, loads: &Line| {
            let entry = table.change(index).unwrap();
            // Of three states the second is active.
            let moved = entry.advance(|state| (state + 1, state + 1 == 2));
            match moved.activity {
                Some(true) => Load::of(loads).activate(),
                Some(false) => Load::of(loads).deactivate(),
                None => {}
            }
            entry.follow_state(moved.to, |state| 100 * u32::from(state));
        };
        let other = {
            let (table, loads) = (table.clone(), loads.clone());
            thread::spawn(move || packet(&table, &loads))
        };
        packet(&table, &loads);
        other.join().unwrap();
        let entry = table.entry(index).unwrap();
        assert_eq!((entry.state(), entry.timeout()), (3, 300));
        assert_eq!(Load::of(&loads).active(), 0);
        assert_eq!(entry.flags(), flag::INACTIVE);
    });
}

/// A connection that is removed while the other program moves it leaves nothing behind at its destination.
#[test]
fn a_connection_is_removed_while_it_is_moved() {
    model(1, 3, |table| {
        let index = table.insert(&NewConnection { flags: flag::INACTIVE, ..new(1) }, Tick(7)).unwrap();
        let loads = Arc::new(Line::zeroed());
        Load::of(&loads).enter(false);
        let found = table.entry(index).unwrap().version();
        let program = {
            let (table, loads) = (table.clone(), loads.clone());
            thread::spawn(move || {
                let entry = table.visit(index, found).unwrap();
                let seen = entry.status();
                if seen.unsettled() == 0 && entry.is_current() && entry.try_advance(seen, 5, true).is_some() {
                    Load::of(&loads).activate();
                }
            })
        };
        let active = table.change(index).unwrap().close() & flag::INACTIVE == 0;
        assert!(table.remove(index));
        Load::of(&loads).leave(active);
        // Another takes the entry.
        table.insert(&NewConnection { flags: flag::INACTIVE, ..new(2) }, Tick(7)).unwrap();
        program.join().unwrap();
        assert_eq!((Load::of(&loads).total(), Load::of(&loads).active()), (0, 0));
        assert_eq!(table.entry(index).unwrap().state(), 1);
    });
}

#[test]
fn a_ring_gives_what_was_put_in_in_order() {
    model(1, 3, |_| {
        let lines: Arc<Vec<Line>> = Arc::new((0..RING_LINES).map(|_| Line::zeroed()).collect());
        let other = {
            let lines = lines.clone();
            thread::spawn(move || (10..13).filter(|number| Ring::at(&*lines, 0).push(*number)).collect())
        };
        let taken: Vec<u32> = (0..3).filter_map(|_| Ring::at(&*lines, 0).pop()).collect();
        let put: Vec<u32> = other.join().unwrap();
        let rest = std::iter::from_fn(|| Ring::at(&*lines, 0).pop());
        assert_eq!(taken.into_iter().chain(rest).collect::<Vec<_>>(), put);
    });
}

/// A connection's first packets meet, one in the daemon and one in the XDP program: it begins once.
#[test]
fn one_of_two_programs_begins_a_connection() {
    model(3, 3, |table| {
        let aside = table.set_aside().unwrap();
        let program = {
            let table = table.clone();
            thread::spawn(move || table.insert_at_once::<2>(aside, &new(1), Tick(7)))
        };
        let daemon = insert(&table, 1).is_ok();
        let _ = read(&table, 1);
        assert!(program.join().unwrap() != daemon);
        assert!(read(&table, 1));
    });
}

/// The program begins a connection beside another of its chain, which the daemon removes.
#[test]
fn a_connection_begins_while_another_of_its_chain_ends() {
    model(3, 3, |table| {
        let aside = table.set_aside().unwrap();
        let first = insert(&table, 1).unwrap();
        let program = {
            let table = table.clone();
            thread::spawn(move || table.insert_at_once::<2>(aside, &new(2), Tick(7)))
        };
        assert!(table.remove(first));
        let begun = program.join().unwrap();
        assert_eq!((read(&table, 1), read(&table, 2)), (false, begun));
        // What it does not manage is done by the daemon.
        assert!(begun || insert(&table, 2).is_ok());
        assert!(read(&table, 2));
    });
}

/// A choice is made of the sequence that stands there, or not at all; who withdraws it knows how many were made.
#[test]
fn a_sequence_is_withdrawn_while_a_choice_is_made() {
    model(1, 3, |_| {
        let lines: Arc<Vec<Line>> = Arc::new((0..2).map(|_| Line::zeroed()).collect());
        let (line, slots) = (&lines[0], &lines[1..]);
        let slot = |destination| Slot { destination, port: 0, flags: 0 };
        (0..2).for_each(|number| pick::write_slot(&slots, number, slot(number)));
        pick::write(line, [6; 5], Rule::Sequence, 0, 2, 0);
        let program = {
            let lines = lines.clone();
            thread::spawn(move || {
                let pick = Pick::read(&lines[0])?;
                let next = pick.next();
                let slot = pick.slot(&&lines[1..], Pick::sequence_place(next))?;
                pick.make(next).then_some(slot.destination)
            })
        };
        let made = pick::withdraw(line);
        (0..2).for_each(|number| pick::write_slot(&slots, number, slot(10 + number)));
        pick::write(line, [6; 5], Rule::Sequence, 0, 2, 0);
        let after = |line| Pick::sequence_place(Pick::read(line).unwrap().next());
        match program.join().unwrap() {
            Some(0) => assert_eq!((made, after(line)), (1, 0)),
            Some(10) => assert_eq!((made, after(line)), (0, 1)),
            None => assert_eq!((made, after(line)), (0, 0)),
            other => panic!("{other:?}"),
        }
    });
}

/// A line that comes to be another service's makes no choice for a third, whose name is of both: it shows while the words are written.
#[test]
fn a_line_changes_hands_while_a_choice_is_made() {
    model(1, 3, |_| {
        let lines: Arc<Vec<Line>> = Arc::new((0..2).map(|_| Line::zeroed()).collect());
        let (line, slots) = (&lines[0], &lines[1..]);
        let (first, second, third) = ([6, 1, 1, 1, 1], [7, 2, 2, 2, 2], [7, 1, 1, 1, 1]);
        (0..2).for_each(|number| {
            pick::write_slot(&slots, number, Slot { destination: number, port: 0, flags: 0 })
        });
        pick::write(line, first, Rule::Sequence, 0, 2, 0);
        let program = {
            let lines = lines.clone();
            thread::spawn(move || {
                let pick = Pick::read_of(&lines[0], third)?;
                pick.make(pick.next()).then_some(())
            })
        };
        pick::write(line, second, Rule::Sequence, 0, 2, 0);
        assert_eq!(program.join().unwrap(), None);
    });
}
