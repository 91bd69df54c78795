//! Orders of choice. Those without another source were seen on the reference kernel: services added with these
//! weights, one real packet per connection (UDP for inactive connections, TCP SYN for active ones), and the server
//! whose connection count rose. They depend on how the services came about: servers are added one by one.

use std::net::{IpAddr, Ipv4Addr};

use crate::command::{Command, ServiceConfig, ServiceFlags};
use crate::destination::Bound::{Active, Inactive};
use crate::scheduler::Flow;
use crate::scheduler::testing::{Bench, limits, server, settings, weight};

#[track_caller]
fn check(scheduler: &str, weights: &[i32], bound: crate::destination::Bound, expected: &str) {
    let (mut bench, id) = Bench::with(scheduler, weights);
    let n = expected.split(' ').count();
    assert_eq!(bench.sequence(id, n, bound), expected, "{scheduler} {weights:?}");
}

#[test]
fn rr() {
    let (mut bench, id) = Bench::with("rr", &[1, 1, 1]);
    assert_eq!(bench.sequence(id, 7, Inactive), "3 2 1 3 2 1 3");
    bench.add(id, 4, weight(1)).unwrap();
    assert_eq!(bench.sequence(id, 7, Inactive), "2 1 4 3 2 1 4");
    // Deleting the one chosen last, then one behind the pointer.
    bench.delete(id, 4).unwrap();
    assert_eq!(bench.sequence(id, 5, Inactive), "3 2 1 3 2");
    bench.delete(id, 1).unwrap();
    assert_eq!(bench.sequence(id, 4, Inactive), "3 2 3 2");
    bench.edit(id, 3, weight(0)).unwrap();
    assert_eq!(bench.sequence(id, 4, Inactive), "2 2 2 2");
    bench.edit(id, 2, weight(0)).unwrap();
    assert_eq!(bench.sequence(id, 1, Inactive), "-");
}

/// A fruitless round leaves the pointer where it was.
#[test]
fn rr_after_exhaustion() {
    let (mut bench, id) = Bench::with("rr", &[]);
    for (i, limit) in [(1, 1), (2, 2), (3, 1)] {
        bench.add(id, i, limits(limit, 0)).unwrap();
    }
    assert_eq!(bench.sequence(id, 5, Inactive), "3 2 1 2 -");
    for i in 1..=3 {
        bench.edit(id, i, weight(1)).unwrap();
    }
    assert_eq!(bench.sequence(id, 3, Inactive), "1 3 2");
}

#[test]
fn wrr() {
    for (weights, expected) in [
        (&[3, 2, 1][..], "3 2 1 1 2 1 3 2 1 1 2 1"),
        (&[1, 2, 3], "3 2 1 3 3 2 3 2 1 3 3 2"),
        (&[4, 3, 2], "3 2 1 1 2 1 3 2 1"),
        (&[6, 4, 2], "3 2 1 1 2 1 3 2 1 1 2 1"),
        (&[1, 1, 1], "3 2 1 3 2 1"),
        (&[5, 0, 1], "3 1 1 1 1 1 3 1 1 1 1 1"),
        (&[2, 2, 3], "3 2 1 3 3 2 1 3 2 1 3 3 2 1"),
        (&[10, 3], "2 1 1 1 1 1 1 1 1 2 1 2 1"),
        (&[7, 5, 3], "3 2 1 1 1 2 1 2 1 3 2 1 3 2 1"),
        (&[0, 0], "- -"),
        (&[], "-"),
    ] {
        check("wrr", weights, Inactive, expected);
    }
}

#[test]
fn wrr_through_edits() {
    let (mut bench, id) = Bench::with("wrr", &[6, 4, 2]);
    assert_eq!(bench.sequence(id, 3, Inactive), "3 2 1");
    bench.edit(id, 1, weight(5)).unwrap();
    assert_eq!(bench.sequence(id, 12, Inactive), "3 2 1 1 2 1 2 1 3 2 1 3");
    bench.add(id, 4, weight(9)).unwrap();
    assert_eq!(bench.sequence(id, 22, Inactive), "4 3 2 1 4 4 4 4 4 1 4 2 1 4 2 1 4 3 2 1 4 3");
    bench.delete(id, 4).unwrap();
    assert_eq!(bench.sequence(id, 8, Inactive), "3 2 1 1 2 1 2 1");
    bench.edit(id, 1, weight(6)).unwrap();
    assert_eq!(bench.sequence(id, 3, Inactive), "2 1 3");
    bench.edit(id, 1, weight(8)).unwrap();
    assert_eq!(bench.sequence(id, 8, Inactive), "3 2 1 1 1 2 1 3");
}

#[test]
fn wrr_with_overload() {
    let (mut bench, id) = Bench::with("wrr", &[]);
    bench.add(id, 1, crate::DestinationConfig { weight: 4, ..limits(2, 0) }).unwrap();
    bench.add(id, 2, weight(2)).unwrap();
    assert_eq!(bench.sequence(id, 8, Inactive), "2 1 1 2 2 2 2 2");
    bench.edit(id, 1, weight(4)).unwrap();
    assert_eq!(bench.sequence(id, 8, Inactive), "2 1 1 2 1 1 2 1");

    let (mut bench, id) = Bench::with("wrr", &[]);
    bench.add(id, 1, crate::DestinationConfig { weight: 4, ..limits(2, 0) }).unwrap();
    bench.add(id, 2, crate::DestinationConfig { weight: 2, ..limits(1, 0) }).unwrap();
    assert_eq!(bench.sequence(id, 6, Inactive), "2 1 1 - - -");
    bench.edit(id, 2, weight(2)).unwrap();
    assert_eq!(bench.sequence(id, 3, Inactive), "2 2 2");
}

/// After nothing could be chosen: connections end, and perhaps all servers are edited.
#[test]
fn wrr_after_exhaustion() {
    for (weights, limit, before, edit_first, edit_after, after) in [
        (&[4, 2][..], &[2, 1][..], "2 1 1 -", false, false, "1 2"),
        (&[3, 2, 1], &[2, 1, 1], "3 2 1 1 - - -", false, false, "1 2"),
        (&[5, 3], &[3, 2], "2 1 1 1 2 -", false, false, "1 1"),
        (&[7, 5, 3], &[2, 1, 2], "3 2 1 1 3 -", false, false, "1 1"),
        (&[1, 1, 1], &[1, 2, 1], "3 2 1 2 -", false, false, "1 3 2 2"),
        (&[1, 1, 1], &[1, 1, 2], "3 2 1 3 -", false, false, "2 1 3 3"),
        (&[3, 3, 1], &[1, 2, 1], "3 2 1 2 -", false, false, "2 1 2 3"),
        (&[3, 3, 1], &[2, 3, 1], "3 2 1 2 1 2 -", false, false, "2 1 2 1"),
        (&[2, 3, 3], &[1, 2, 1], "3 2 1 2 -", false, false, "3 2 2 1"),
        (&[2, 4, 4], &[1, 1, 2], "3 2 1 3 -", false, false, "3 2 3 1"),
        (&[2, 4, 4], &[1, 2, 3], "3 2 1 3 2 3 -", false, false, "2 1 3 2"),
        (&[3, 2, 1], &[2, 1, 1], "3 2 1 1 -", false, true, "1 2 1 3 2 1"),
        (&[2, 4, 4], &[1, 2, 3], "3 2 1 3 2 3 -", false, true, "3 2 1 3 2 3"),
        (&[2, 4], &[1, 1], "2 1 -", false, true, "2 1 2 2 1 2"),
        (&[2, 4], &[1, 1], "2 1", true, true, "2 2 1 2 2 1"),
        (&[3, 2, 1], &[1, 1, 1], "3 2 1", true, true, "1 2 1 3 2 1"),
    ] {
        let (mut bench, id) = Bench::with("wrr", &[]);
        let config = |i: usize, limit| crate::DestinationConfig { weight: weights[i], ..limits(limit, 0) };
        for (i, limit) in limit.iter().enumerate() {
            bench.add(id, i as u8 + 1, config(i, *limit)).unwrap();
        }
        let case = format!("{weights:?} {limit:?}");
        assert_eq!(bench.sequence(id, before.split(' ').count(), Inactive), before, "{case}");
        if edit_first {
            bench.edit(id, 1, config(0, limit[0])).unwrap();
            assert_eq!(bench.sequence(id, 2, Inactive), "- -", "{case}");
        }
        let service = bench.find(id);
        for i in 1..=weights.len() as u8 {
            let index = bench.director.destinations.find(service, server(i)).unwrap();
            while bench.director.destinations.get(index).unwrap().inactive() > 0 {
                bench.director.destinations.unbind(index, Inactive);
            }
        }
        if edit_after {
            for i in 0..weights.len() {
                bench.edit(id, i as u8 + 1, config(i, 0)).unwrap();
            }
        }
        assert_eq!(bench.sequence(id, after.split(' ').count(), Inactive), after, "{case}");
    }
}

/// A level that only an overloaded server reaches is not searched step by step.
#[test]
fn wrr_with_huge_weights() {
    let (mut bench, id) = Bench::with("wrr", &[i32::MAX, 7]);
    bench.edit(id, 1, crate::DestinationConfig { weight: i32::MAX, ..limits(1, 0) }).unwrap();
    assert_eq!(bench.sequence(id, 6, Inactive), "2 1 2 2 2 2");
}

#[test]
fn least_connection() {
    for (weights, wlc, lc) in [
        (&[3, 2, 1][..], "3 2 1 1 2 1 3 2 1 1 2 1 3 2", "3 2 1 3 2 1 3 2 1 3 2 1 3 2"),
        (&[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1 3 2", "3 2 1 3 2 1 3 2 1 3 2 1 3 2"),
        (&[4, 0, 2], "3 1 1 3 1 1 3 1 1 3 1 1 3 1", "3 1 3 1 3 1 3 1 3 1 3 1 3 1"),
        (&[5, 3, 3], "3 2 1 1 3 2 1 1 3 2 1 3 2 1", "3 2 1 3 2 1 3 2 1 3 2 1 3 2"),
    ] {
        // The reference chose alike with active and with inactive connections.
        for bound in [Active, Inactive] {
            check("wlc", weights, bound, wlc);
            check("lc", weights, bound, lc);
        }
    }
}

/// Active connections weigh 257, inactive ones 1.
#[test]
fn overhead() {
    for scheduler in ["lc", "wlc"] {
        let (mut bench, id) = Bench::with(scheduler, &[1, 1]);
        assert_eq!(bench.sequence(id, 1, Active), "2");
        // 257 inactive connections (one after another on server 1) until both are level: ties go to the first.
        assert_eq!(bench.sequence(id, 257, Inactive), ["1"; 257].join(" "));
        assert_eq!(bench.sequence(id, 2, Inactive), "2 1");
    }
}

#[test]
fn sed() {
    for (weights, expected) in [
        (&[3, 2, 1][..], "1 2 1 3 2 1 1 2 1 3 2 1 1 2"),
        (&[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1 3 2"),
        (&[4, 0, 2], "1 3 1 1 3 1 1 3 1 1 3 1 1 3"),
        (&[5, 3, 3], "1 3 2 1 1 3 2 1 3 2 1 1 3 2"),
    ] {
        check("sed", weights, Active, expected);
    }
    // Inactive connections do not count: the heaviest stays the first choice.
    check("sed", &[3, 2, 1], Inactive, "1 1 1");
}

#[test]
fn nq() {
    for (weights, expected) in [
        (&[3, 2, 1][..], "3 2 1 1 2 1 1 2 1 3 2 1 1 2"),
        (&[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1 3 2"),
        (&[4, 0, 2], "3 1 1 1 3 1 1 3 1 1 3 1 1 3"),
        (&[5, 3, 3], "3 2 1 1 1 3 2 1 3 2 1 1 3 2"),
    ] {
        check("nq", weights, Active, expected);
    }
}

#[test]
fn state_over_edits_of_the_service() {
    let (mut bench, id) = Bench::with("rr", &[1, 1, 1]);
    assert_eq!(bench.sequence(id, 2, Inactive), "3 2");
    bench.run(Command::EditService(id, settings("rr"))).unwrap();
    assert_eq!(bench.sequence(id, 2, Inactive), "1 3");
    for scheduler in ["wlc", "rr"] {
        bench.run(Command::EditService(id, settings(scheduler))).unwrap();
    }
    assert_eq!(bench.sequence(id, 3, Inactive), "3 2 1");
    bench.run(Command::EditService(id, settings("none"))).unwrap();
    assert_eq!(bench.sequence(id, 2, Inactive), "- -");
    bench.run(Command::EditService(id, settings("wrr"))).unwrap();
    assert_eq!(bench.sequence(id, 4, Inactive), "3 2 1 3");
    bench.run(Command::EditService(id, settings("wrr"))).unwrap();
    assert_eq!(bench.sequence(id, 4, Inactive), "2 1 3 2");
}

#[test]
fn fo_and_ovf() {
    let (mut bench, id) = Bench::with("fo", &[1, 3, 3]);
    assert_eq!(bench.sequence(id, 2, Active), "3 3");
    bench.edit(id, 3, weight(0)).unwrap();
    assert_eq!(bench.sequence(id, 2, Active), "2 2");

    let (mut bench, id) = Bench::with("ovf", &[1, 2]);
    // Taken while active <= weight: three on weight 2, two on weight 1, then none.
    assert_eq!(bench.sequence(id, 7, Active), "2 2 2 1 1 - -");
}

/// Both servers get connections by weight; a loaded one is avoided; nothing is chosen out of nothing.
#[test]
fn twos() {
    let (mut bench, id) = Bench::with("twos", &[1, 0, 1]);
    let sequence = bench.sequence(id, 400, Active);
    assert!(!sequence.contains('2') && !sequence.contains('-'));
    let ones = sequence.matches('1').count();
    assert!((190..=210).contains(&ones), "{ones}"); // the draw is corrected by load
    check("twos", &[0, 0], Active, "- -");
}

/// What 64 connections get: of the clients 10.1.0.1 to 10.1.0.64, of client 10.1.0.1's ports 5000 to 5063, or to the
/// addresses 10.6.0.1 to 10.6.0.64. The servers in `quiescent` were set to weight 0 after they were added.
#[track_caller]
fn hashed(scheduler: &str, flags: u32, weights: &[i32], quiescent: &[u8], expected: &str) {
    let (mut bench, id) = Bench::with(scheduler, &[]);
    bench.run(Command::EditService(id, ServiceConfig { flags, ..settings(scheduler) })).unwrap();
    for (i, it) in (1..).zip(weights) {
        bench.add(id, i, weight(*it)).unwrap();
    }
    for i in quiescent {
        bench.edit(id, *i, weight(0)).unwrap();
    }
    let ports = flags & ServiceFlags::SCHED2 != 0;
    let chosen: String = (1..=64)
        .map(|i| {
            let flow = Flow {
                now: bench.now,
                source: IpAddr::from(Ipv4Addr::new(10, 1, 0, if ports { 1 } else { i })),
                source_port: if ports { 4999 + u16::from(i) } else { 2000 },
                destination: IpAddr::from(Ipv4Addr::new(10, 6, 0, i)),
                destination_port: 80,
            };
            bench.connect(id, &flow, Inactive).map_or("-".to_owned(), |index| bench.number(index).to_string())
        })
        .collect();
    assert_eq!(chosen, expected, "{scheduler} {flags} {weights:?} {quiescent:?}");
}

const FALLBACK: u32 = ServiceFlags::SCHED1;
const PORT: u32 = ServiceFlags::SCHED2;

#[test]
fn sh() {
    hashed("sh", 0, &[1, 1, 1], &[], "3312131313232321212131313231121233131223132123213121313112323212");
    hashed("sh", 0, &[3, 2, 1], &[], "3112132323212122121111113132121213232121111213111121323212121121");
    hashed("sh", 0, &[0, 2], &[], "22-2-2-2-222222-2-2-2-2-222--2-222-2-222-22-222-2-2-2-2--22222-2");
    hashed("sh", 0, &[3, 2, 1], &[1], "2-2-223232-2-2-3232-2-2-3232-2-2-323232-2-323232-2-223232-2-2232");
    hashed(
        "sh",
        FALLBACK,
        &[3, 2, 1],
        &[2],
        "1311131313131311111111111111313111313111311111111111111113131313",
    );
    hashed("sh", FALLBACK, &[1, 1, 1], &[1, 2], &"3".repeat(64));
    hashed("sh", PORT, &[3, 2, 1], &[], "1311112132321212132121111113132121223232121111213112121323212122");
    hashed("sh", 0, &[], &[], &"-".repeat(64));
    hashed("sh", FALLBACK, &[0], &[], &"-".repeat(64));
}

#[test]
fn mh() {
    hashed("mh", 0, &[1, 1, 1], &[], "1111132233121223323111322212212231112221211321121132131313312113");
    hashed("mh", 0, &[3, 2, 1], &[], "1111111211121113321111322211212231112221211321121112131113112112");
    hashed("mh", 0, &[3, 2, 1], &[1], "-------2---2---332----3222--2-223---222-2--32--2---2-3---3--2--2");
    hashed("mh", 0, &[0, 2], &[], &"2".repeat(64));
    hashed(
        "mh",
        FALLBACK,
        &[3, 2, 1],
        &[2],
        "1111111111131113311111311111111131113131311331111111131113113111",
    );
    hashed("mh", FALLBACK, &[1, 1, 1], &[1, 2], &"3".repeat(64));
    hashed("mh", PORT, &[3, 2, 1], &[], "1221112121112321111113333222231121121131112232133112132311122122");
    hashed("mh", 0, &[500, 3, 70], &[], "1111111111111113111111111111111111111111111111111111131113111111");
    hashed("mh", 0, &[130_000, 1000], &[], &"1".repeat(64));
    hashed("mh", FALLBACK, &[0, 0], &[], &"-".repeat(64));
}

#[test]
fn dh() {
    let expected = "1213131323232121313122323112321312132311232331212231323232121233";
    hashed("dh", 0, &[1, 1, 1], &[], expected);
    hashed("dh", 0, &[3, 2, 1], &[], expected); // weights do not matter
    hashed("dh", 0, &[1, 1, 1], &[2], &expected.replace('2', "-"));
}
