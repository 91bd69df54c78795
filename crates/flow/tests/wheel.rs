//! The expiry wheel against a sorted map, under a virtual clock.
#![cfg(not(loom))]

use std::collections::BTreeMap;

use ipvs_flow::{EntryIndex, Tick, Wheel, ticks};
use proptest::prelude::*;

const ENTRIES: u32 = 40;

#[derive(Clone, Debug)]
enum Step {
    /// Sets the deadline of an entry, `ahead` ticks from now, and schedules it.
    Schedule {
        entry: u32,
        ahead: u32,
    },
    Cancel {
        entry: u32,
    },
    /// Sets the deadline later without telling the wheel, as a packet does.
    Postpone {
        entry: u32,
        by: u32,
    },
    Advance {
        by: u32,
        budget: u32,
    },
}

/// Durations of every magnitude, up to 31 days.
fn duration() -> impl Strategy<Value = u32> {
    (0..30u32, any::<u32>()).prop_map(|(bits, random)| (random & ((1 << bits) - 1)).min(ticks(31 * 86400)))
}

fn step() -> impl Strategy<Value = Step> {
    let entry = 0..ENTRIES;
    prop_oneof![
        4 => (entry.clone(), duration()).prop_map(|(entry, ahead)| Step::Schedule { entry, ahead }),
        1 => entry.clone().prop_map(|entry| Step::Cancel { entry }),
        1 => (entry, duration()).prop_map(|(entry, by)| Step::Postpone { entry, by }),
        3 => (duration(), prop_oneof![Just(u32::MAX), 0..8u32]).prop_map(|(by, budget)| Step::Advance { by, budget }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The map's values are deadlines in ticks of 64 bits, which do not wrap; the wheel sees their low 32 bits.
    #[test]
    fn connections_expire_when_the_model_says(start: u32, steps in prop::collection::vec(step(), 1..60)) {
        let tick = |time: u64| Tick(time as u32);
        let mut now = u64::from(start);
        let mut wheel = Wheel::new(ENTRIES, tick(now));
        let mut deadlines = BTreeMap::<u32, u64>::new();
        for step in steps {
            match step {
                Step::Schedule { entry, ahead } => {
                    deadlines.insert(entry, now + u64::from(ahead));
                    wheel.schedule(EntryIndex(entry), tick(now + u64::from(ahead)));
                }
                Step::Cancel { entry } => {
                    prop_assert_eq!(wheel.cancel(EntryIndex(entry)), deadlines.remove(&entry).is_some());
                }
                Step::Postpone { entry, by } => {
                    if let Some(deadline) = deadlines.get_mut(&entry) {
                        *deadline = (*deadline).max(now + u64::from(by));
                    }
                }
                Step::Advance { by, budget } => {
                    now += u64::from(by);
                    let visited = wheel.advance(tick(now), budget, |EntryIndex(entry)| {
                        let deadline = deadlines[&entry];
                        if deadline > now {
                            return Some(tick(deadline));
                        }
                        deadlines.remove(&entry);
                        None
                    });
                    prop_assert!(visited <= budget);
                    if visited < budget {
                        prop_assert!(deadlines.values().all(|deadline| *deadline > now), "left: {:?}", deadlines);
                    }
                }
            }
            prop_assert_eq!(wheel.len() as usize, deadlines.len());
            let due = wheel.next_due(tick(now));
            prop_assert_eq!(due.is_some(), !deadlines.is_empty());
            if let (Some(due), Some(first)) = (due, deadlines.values().min()) {
                prop_assert!(u64::from(due.since(tick(now))) <= first.saturating_sub(now));
            }
            for entry in 0..ENTRIES {
                prop_assert_eq!(wheel.is_scheduled(EntryIndex(entry)), deadlines.contains_key(&entry));
            }
        }
    }
}

#[test]
fn an_idle_connection_is_visited_a_few_times_only() {
    for secs in [1, 60, 300, 900, 86400, 31 * 86400] {
        for start in [0, 12345, u32::MAX - 5] {
            let mut wheel = Wheel::new(1, Tick(start));
            let deadline = Tick(start).after(ticks(secs));
            wheel.schedule(EntryIndex(0), deadline);
            let (mut now, mut visits) = (Tick(start), 0);
            while let Some(due) = wheel.next_due(now) {
                now = due;
                visits += wheel.advance(now, 1, |_| (!now.reached(deadline)).then_some(deadline));
            }
            assert_eq!(now, deadline);
            assert!(visits <= 6, "{secs} s: {visits} visits");
        }
    }
}

#[test]
fn what_the_budget_leaves_is_visited_next() {
    let mut wheel = Wheel::new(100, Tick(0));
    for entry in 0..100 {
        wheel.schedule(EntryIndex(entry), Tick(5000));
    }
    let mut seen = Vec::new();
    // All lie in one coarse bucket: the budget bounds the work, and nobody is visited twice.
    while wheel.advance(Tick(6000), 30, |entry| {
        seen.push(entry);
        None
    }) == 30
    {}
    seen.sort();
    assert_eq!(seen, (0..100).map(EntryIndex).collect::<Vec<_>>());
    assert!(wheel.is_empty());
}

#[test]
fn visiting_again_at_once_does_not_loop() {
    let mut wheel = Wheel::new(1, Tick(0));
    wheel.schedule(EntryIndex(0), Tick(10));
    assert_eq!(wheel.advance(Tick(20), 1000, |_| Some(Tick(3))), 1);
    assert_eq!(wheel.next_due(Tick(20)), Some(Tick(21)));
}

#[test]
fn indices_past_the_capacity_are_ignored() {
    let mut wheel = Wheel::new(4, Tick(0));
    for index in [4, 1 << 26, u32::MAX] {
        wheel.schedule(EntryIndex(index), Tick(1));
        assert!(!wheel.is_scheduled(EntryIndex(index)) && !wheel.cancel(EntryIndex(index)));
    }
    assert_eq!(wheel.next_due(Tick(0)), None);
}
