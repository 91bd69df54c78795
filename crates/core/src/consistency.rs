//! Random packets, changes, settings and time: whatever happens, what is counted at destinations and templates is what
//! the connection table holds.

mod check;
mod restart;
mod steps;

use ipvs_flow::Line;
use proptest::prelude::*;

use check::check;
use restart::{restart, saved};
use steps::{Step, answering, bench, local_pool, run, send, services, step};

use crate::command::Command;
use crate::director::Director;
use crate::memory::TableMemory;
use crate::scheduler::testing::{Bench, ip, server};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_what_the_table_holds(steps in prop::collection::vec(step(), 1..150)) {
        let mut bench = bench(true);
        for step in steps {
            run(&mut bench, step);
            check(&bench);
        }
        for _ in 0..10 {
            bench.pass(1000);
        }
        check(&bench);
        prop_assert!(bench.director.connections.table.is_empty());
        prop_assert_eq!(bench.director.connections.template_data.templates().count(), 0);
        prop_assert_eq!(bench.director.connections.sessions.all().count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is in the table that a director left, the next one is whole: its counts are what its table holds.
    #[test]
    fn a_damaged_table_does_no_harm(
        steps in prop::collection::vec(step(), 20..80),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..16_usize, any::<u32>(), any::<bool>()), 0..60),
    ) {
        let mut bench = bench(false);
        for step in steps {
            run(&mut bench, step);
        }
        let config = bench.director.config;
        let saves = saved(&bench.director);
        let old = std::mem::replace(&mut bench.director, Director::new(config, bench.now).unwrap());
        let TableMemory::Heap(lines) = old.connections.table.into_memory().into_real() else { panic!() };
        let mut words: Vec<_> = lines.iter().map(Line::to_words).collect();
        for (line, word, value, small) in damage {
            let line = line.get_mut(&mut words);
            line[word] = if small { value % 80 } else { value };
        }
        let memory = TableMemory::Heap(words.into_iter().map(Line::from_words).collect());
        bench.director.restore(bench.now, saves);
        let _ = bench.director.adopt(bench.now, memory);
        check(&bench);
        bench.pass(400);
        check(&bench);
    }
}

/// A server that was to come before a restart comes after it, by masquerading and full NAT, from whichever port.
#[test]
fn what_is_expected_outlives_the_director() {
    for i in [2, 3] {
        let mut bench = Bench::new();
        bench.run(Command::AddPool(local_pool(), vec![ip("10.8.0.200")])).unwrap();
        run(&mut bench, Step::Edit(21, 0, 0, false));
        run(&mut bench, Step::Add(21, i));
        run(&mut bench, Step::Inbound(1, 0, 21, Some(0x02)));
        run(&mut bench, Step::Say(1, 0, 1));
        restart(&mut bench);
        check(&bench);
        let (client, virtual_end) = (([10, 1, 0, 1], 4000), ([10, 9, 0, 1], 20));
        let (_, to) = answering(&bench, client, virtual_end).expect("an expected connection");
        let other_port = 45_000;
        send(&mut bench, ([10, 8, 0, i], other_port), to, Some(0x02), b"");
        check(&bench);
        let virtual_end = (virtual_end.0, other_port);
        assert_eq!(
            answering(&bench, client, virtual_end),
            Some((([10, 8, 0, i], other_port), to)),
            "server {i}"
        );
        assert_eq!(bench.director.connections.sessions.waiting, 0);
    }
}

/// The packets of the test above are good ones.
#[test]
fn packets_are_valid() {
    let mut bench = Bench::new();
    run(&mut bench, Step::Edit(80, 0, 0, false));
    run(&mut bench, Step::Add(80, 1));
    for flags in [Some(0x02), None] {
        run(&mut bench, Step::Inbound(1, 1, 80, flags));
    }
    assert_eq!(bench.director.connections.table.len(), 2);
    run(&mut bench, Step::Inbound(1, 1, 80, Some(0x10)));
    let listed = bench.listed(services(80)[0]);
    assert_eq!((listed[0].id, listed[0].active), (server(1), 1));
}
