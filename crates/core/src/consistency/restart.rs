//! A director that takes the place of another, and shows the same.

use std::collections::HashMap;

use crate::command::{Command, DestinationInfo, Reply, ServiceInfo};
use crate::connections::flag;
use crate::director::{Config, Director};
use crate::saved::Saved;
use crate::scheduler::testing::Bench;
use crate::sysctl::Sysctl;

/// Replaces the director by one that begins where it ended, and compares what they show.
pub(super) fn restart(bench: &mut Bench) {
    let before = shown(bench);
    let settings: Vec<_> =
        Sysctl::ALL.iter().map(|it| (*it, bench.director.sysctls.get(*it).to_vec())).collect();
    let config = Config { seed: 77, capacity: bench.director.capacity(), ..bench.director.config };
    let mut old = std::mem::replace(&mut bench.director, Director::new(config, bench.now).unwrap());
    let (entries, engines) = (old.connections.table.len(), old.connections.template_data.templates().count());
    for (sysctl, values) in settings {
        bench.run(Command::SetSysctl(sysctl, values)).unwrap();
    }
    let (saves, held, locals) = (saved(&old), controlled(&old), locals(&old));
    let _ = old.take_counted();
    old.restore_counters(|_| None);
    let counters: HashMap<_, _> = old.take_counted().into_iter().collect();
    let restored = bench.director.restore(bench.now, saves);
    assert_eq!(restored.refused, 0);
    let adopted = bench.director.adopt(bench.now, old.connections.table.into_memory().into_real()).unwrap();
    assert_eq!((adopted.no_room, adopted.unknown as usize), (0, engines));
    assert_eq!(bench.director.connections.table.len() as usize, entries as usize - engines);
    assert_eq!(controlled(&bench.director), held);
    assert_eq!(self::locals(&bench.director), locals);
    bench.director.restore_counters(|of| counters.get(&of).copied());
    let after = shown(bench);
    assert_eq!(before.0, after.0);
    for (mut before, mut after) in before.1.into_iter().zip(after.1) {
        // Those of persistence engines do not come back; rates begin anew.
        (before.persistent, before.stats.rates) = (0, after.stats.rates);
        after.persistent = 0;
        assert_eq!(before, after);
    }
}

/// How many connections each template controls, less those of persistence engines, which do not come back.
fn controlled(director: &Director) -> Vec<(String, u32)> {
    let table = &director.connections.table;
    let templates = table.entries_from(0).filter_map(|index| {
        let entry = table.entry(index)?;
        let shown = entry.is_template() && entry.flags() & flag::OF_ENGINE == 0;
        shown.then(|| (format!("{:?}", entry.key()), director.connections.controlled(index)))
    });
    let mut templates: Vec<_> = templates.collect();
    templates.sort();
    templates
}

/// From where connections by full NAT go to their servers.
fn locals(director: &Director) -> Vec<String> {
    let table = &director.connections.table;
    let all = table.entries_from(0).filter_map(|index| {
        let local = director.connections.local_of(index)?;
        Some(format!("{:?} {local:?}", table.entry(index)?.key()))
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// The records of everything.
pub(super) fn saved(director: &Director) -> Vec<Saved> {
    let (mut saves, mut cursor) = (Vec::new(), Some(0));
    while let Some(place) = cursor {
        let (piece, next) = director.saved_from(place);
        saves.extend(piece);
        cursor = next;
    }
    saves
}

/// All services and destinations.
fn shown(bench: &mut Bench) -> (Vec<ServiceInfo>, Vec<DestinationInfo>) {
    let Ok(Reply::Services { items: mut services, .. }) =
        bench.run(Command::ListServices { cursor: 0, limit: 100 })
    else {
        panic!()
    };
    let mut destinations = Vec::new();
    for service in &mut services {
        service.stats.rates = crate::Rates::default();
        destinations.extend(bench.listed(service.id));
    }
    (services, destinations)
}
