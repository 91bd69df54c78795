//! Overload by thresholds. The first test repeats a run on the reference kernel.

use crate::destination::Bound::{Active, Inactive, Template};
use crate::scheduler::testing::{Bench, limits, server};

#[test]
fn edits_judge_again() {
    let (mut bench, id) = Bench::with("rr", &[]);
    bench.add(id, 1, limits(4, 0)).unwrap();
    assert_eq!(bench.sequence(id, 6, Inactive), "1 1 1 1 - -");
    // 4 connections.
    for (upper, lower, expected) in [
        (5, 0, "- - -"),  // lower limit 4: not below
        (6, 2, "- - -"),  // between the limits: stays overloaded
        (7, 7, "1 1 1"),  // 4 < 7
        (8, 8, "1 - -"),  // 7 < 8, then full
        (0, 0, "1 1"),    // no limit
        (5, 0, "- -"),    // 10 >= 5
        (12, 0, "- - -"), // lower limit 9
        (20, 0, "1 1"),   // lower limit 15
    ] {
        bench.edit(id, 1, limits(upper, lower)).unwrap();
        assert_eq!(bench.sequence(id, expected.split(' ').count(), Inactive), expected, "{upper} {lower}");
    }
    // The trash keeps mark and connections (12 now); adding again judges as an edit does.
    bench.delete(id, 1).unwrap();
    bench.add(id, 1, limits(13, 0)).unwrap();
    assert_eq!(bench.sequence(id, 2, Inactive), "1 -");
    bench.edit(id, 1, limits(12, 0)).unwrap();
    assert_eq!(bench.sequence(id, 2, Inactive), "- -");
    bench.delete(id, 1).unwrap();
    bench.add(id, 1, limits(15, 0)).unwrap();
    assert_eq!(bench.sequence(id, 2, Inactive), "- -");
}

/// Connections that end free an overloaded destination only at the lower limit.
#[test]
fn ends_of_connections() {
    for (upper, lower, first_free) in [(8, 0, 5), (8, 3, 2), (8, 8, 7), (1, 0, 0), (1, 1, 0), (3, 0, 2)] {
        let (mut bench, id) = Bench::with("rr", &[]);
        bench.add(id, 1, limits(upper, lower)).unwrap();
        let service = bench.find(id);
        let index = bench.director.destinations.find(service, server(1)).unwrap();
        let destinations = &mut bench.director.destinations;
        for i in 0..upper {
            assert!(!destinations.get(index).unwrap().overloaded);
            destinations.bind(index, if i % 2 == 0 { Active } else { Inactive });
        }
        for left in (0..upper).rev() {
            assert!(destinations.get(index).unwrap().overloaded, "{upper} {lower}: {left}");
            destinations.unbind(index, if left % 2 == 0 { Active } else { Inactive });
            if left == first_free {
                break;
            }
        }
        let destination = destinations.get(index).unwrap();
        assert!(!destination.overloaded, "{upper} {lower}");
        assert_eq!(destination.total(), first_free);
    }
}

/// Templates count neither up nor down; going active or inactive changes nothing.
#[test]
fn what_does_not_count() {
    let (mut bench, id) = Bench::with("rr", &[]);
    bench.add(id, 1, limits(2, 2)).unwrap();
    let service = bench.find(id);
    let index = bench.director.destinations.find(service, server(1)).unwrap();
    let destinations = &mut bench.director.destinations;
    for bound in [Inactive, Template, Template, Template] {
        destinations.bind(index, bound);
    }
    assert!(!destinations.get(index).unwrap().overloaded);
    destinations.bind(index, Inactive);
    destinations.set_active(index, true);
    destinations.unbind(index, Template);
    assert!(destinations.get(index).unwrap().overloaded);
    let destination = destinations.get(index).unwrap();
    assert_eq!(
        (destination.active(), destination.inactive(), destination.persistent, destination.references()),
        (1, 1, 2, 4)
    );
    destinations.set_active(index, false);
    destinations.unbind(index, Inactive);
    assert!(!destinations.get(index).unwrap().overloaded);
}
