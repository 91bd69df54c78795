//! Orders of choice. Those without another source were seen on the reference kernel: services added with these
//! weights, one real packet per connection (UDP for inactive connections, TCP SYN for active ones), and the server
//! whose connection count rose. They depend on how the services came about: servers are added one by one.

use crate::command::Command;
use crate::destination::Bound::{Active, Inactive};
use crate::scheduler::testing::{Bench, limits, settings, weight};

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
