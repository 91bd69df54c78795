//! What must hold of counts, whatever happened.

use std::collections::HashMap;

use ipvs_flow::EntryIndex;

use crate::connections::flag;
use crate::scheduler::testing::Bench;
use crate::translated::{is_reply, reply_of};

/// Counts the table's entries again.
pub(super) fn check(bench: &Bench) {
    let director = &bench.director;
    let connections = &director.connections;
    let mut counts: HashMap<u32, [u32; 3]> = HashMap::new();
    let mut controlled: HashMap<EntryIndex, u32> = HashMap::new();
    let (mut waiting, mut translated) = (0, 0);
    for index in connections.table.entries_from(0) {
        let entry = connections.table.entry(index).unwrap();
        if is_reply(&entry) {
            let connection = connections.answered(index).expect("a reply entry without connection");
            assert_eq!(reply_of(&connections.table, connection), Some(index));
            translated += 1;
            continue;
        }
        assert_eq!(connections.local_of(index).is_some(), entry.flags() & flag::TRANSLATED != 0);
        let kind = match entry.flags() & flag::INACTIVE {
            _ if entry.is_template() => 2,
            0 => 0,
            _ => 1,
        };
        counts.entry(entry.destination()).or_default()[kind] += 1;
        if let Some(template) = connections.template_of(index) {
            assert!(connections.table.entry(template).is_some_and(|template| template.is_template()));
            *controlled.entry(template).or_default() += 1;
        } else if let Some(control) = connections.controller_of(index) {
            let entry = connections.table.entry(control);
            assert!(
                entry.is_some_and(|entry| entry.flags() & flag::HELPED != 0),
                "under no control connection"
            );
            *controlled.entry(control).or_default() += 1;
        }
        waiting += u32::from(entry.flags() & flag::WAITS != 0);
        assert!(connections.reads_payload || entry.flags() & (flag::HELPED | flag::PROXY) == 0);
    }
    assert_eq!(connections.pools.in_use(), translated);
    assert_eq!(connections.sessions.waiting, waiting);
    for (control, data) in connections.sessions.all() {
        assert!(connections.table.entry(control).is_some_and(|entry| entry.flags() & flag::HELPED != 0));
        assert!(data.iter().all(|data| connections.controller_of(*data) == Some(control)));
    }
    for index in connections.beginnings.all() {
        assert!(connections.table.entry(index).is_some_and(|entry| entry.flags() & flag::PROXY != 0));
    }
    let with_engine = director
        .services
        .ordered()
        .filter(|index| director.services.get(*index).unwrap().persistence_engine.is_some());
    assert_eq!(director.services.any_with_engine(), with_engine.count() > 0);
    for index in connections.template_data.templates() {
        assert!(
            connections.table.entry(index).is_some_and(|entry| entry.is_template()),
            "data of no template"
        );
    }
    for (index, destination) in director.destinations.iter() {
        let counted = [destination.active(), destination.inactive(), destination.persistent];
        assert_eq!(counted, counts.remove(&index.0).unwrap_or_default(), "{:?}", destination.id);
        assert_eq!(destination.references(), counted.iter().sum::<u32>());
    }
    assert!(counts.is_empty(), "connections of no destination: {counts:?}");
    for index in connections.table.entries_from(0) {
        assert_eq!(connections.controlled(index), controlled.get(&index).copied().unwrap_or(0));
    }
}
