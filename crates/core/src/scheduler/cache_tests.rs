//! lblc and lblcr: what each address gets, as seen on the reference kernel
//! (`conformance/experiments/cache_schedulers.py`; all connections stay active).

use std::net::{IpAddr, Ipv4Addr};

use crate::command::{Command, DestinationConfig};
use crate::destination::Bound::Active;
use crate::scheduler::Flow;
use crate::scheduler::testing::{Bench, limits, weight};
use crate::sysctl::Sysctl;

/// `text` as in the experiment: addresses 10.6.0.N; `wN` waits, `sI=W` gives server I weight W, `dI` and `aI` delete
/// and add it, `eN` sets the expiration. `expected` has the chosen servers, "-" for none.
#[track_caller]
fn check(scheduler: &str, servers: &[DestinationConfig], text: &str, expected: &str) {
    let (mut bench, id) = Bench::with(scheduler, &[]);
    for (i, config) in (1..).zip(servers) {
        bench.add(id, i, *config).unwrap();
    }
    let mut chosen = Vec::new();
    for token in text.split(' ') {
        let (kind, rest) = token.split_at(1);
        let number = || rest.parse::<u8>().unwrap();
        match kind {
            "w" => bench.pass(u64::from(number())),
            "s" => {
                let (server, value) = rest.split_once('=').unwrap();
                bench.edit(id, server.parse().unwrap(), weight(value.parse().unwrap())).unwrap();
            }
            "d" => assert!(bench.delete(id, number()).is_ok()),
            "a" => assert!(bench.add(id, number(), weight(1)).is_ok()),
            "e" => {
                for sysctl in [Sysctl::LblcExpiration, Sysctl::LblcrExpiration] {
                    bench.run(Command::SetSysctl(sysctl, vec![number().into()])).unwrap();
                }
            }
            _ => {
                let flow = Flow {
                    now: bench.now,
                    source: IpAddr::from([10, 1, 0, 1]),
                    source_port: 2000,
                    destination: Ipv4Addr::new(10, 6, 0, token.parse().unwrap()).into(),
                    destination_port: 80,
                };
                let index = bench.connect(id, &flow, Active);
                chosen.push(index.map_or("-".to_owned(), |index| bench.number(index).to_string()));
            }
        }
    }
    assert_eq!(chosen.join(" "), expected, "{scheduler} {text}");
}

fn weights(weights: &[i32]) -> Vec<DestinationConfig> {
    weights.iter().map(|it| weight(*it)).collect()
}

#[test]
fn addresses_stay_until_their_server_is_crowded() {
    for (servers, text, lblc, lblcr) in [
        (
            &[1, 1, 1][..],
            "1 1 1 1 1 1 2 3 4 5 1 2 3 4 5 5 5",
            "3 3 2 2 1 1 3 2 1 3 1 3 2 1 3 3 3",
            "3 3 2 2 1 1 3 2 1 3 1 3 2 1 3 3 3",
        ),
        (
            &[2, 2, 4],
            "1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "3 3 3 3 3 2 2 2 1 1 1 1 1 1",
            "3 3 3 3 3 2 2 2 1 1 1 3 1 2",
        ),
        (
            &[4, 4, 4],
            "1 1 1 1 1 1 2 2 2 2 2 2 3 3 3 3 3 3 1 2 3 1 2 3",
            "3 3 3 3 3 2 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2 2 2 2",
            "3 3 3 3 3 2 1 1 1 1 1 2 2 2 2 2 2 2 3 1 2 3 1 2",
        ),
        (
            &[3, 0, 2],
            "1 2 3 4 1 2 3 4 s1=0 1 2 3 4 s1=3 s2=5 1 2 3 4 1 2 3 4",
            "3 1 1 3 3 1 1 3 3 3 3 3 2 2 2 3 2 2 2 3",
            "3 1 1 3 3 1 1 3 3 3 3 3 2 2 2 3 2 2 2 3",
        ),
        (&[1, 1], "1 2 d2 1 2 a2 1 2 1 2 3", "2 1 1 1 1 1 1 1 2", "2 1 1 1 2 1 2 1 2"),
        (
            &[9, 9],
            "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "2 2 2 2 2 2 2 2 2 2 1 1 1 1 1",
            "2 2 2 2 2 2 2 2 2 2 1 1 1 1 1",
        ),
    ] {
        check("lblc", &weights(servers), text, lblc);
        check("lblcr", &weights(servers), text, lblcr);
    }
}

/// lblc goes on with an overloaded server, lblcr does not.
#[test]
fn overload() {
    let servers = [limits(2, 0), limits(2, 0), limits(1, 0)];
    check("lblc", &servers, "1 1 1 1 2 2 2", "3 3 2 2 1 1 1");
    check("lblcr", &servers, "1 1 1 1 2 2 2", "3 2 2 1 1 - -");
}

/// With an expiration of 2 s the most loaded member leaves a set that was the same for longer. (In the second run the
/// edits alone took that long: hence a first wait more than the experiment's.)
#[test]
fn sets_shrink() {
    for (servers, text, expected) in [
        (
            &[8, 8, 8][..],
            "e2 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 w3 1 1 1 1 1 1 1 w3 1 1 1 1",
            "3 3 3 3 3 3 3 3 3 2 2 2 2 2 2 2 2 2 1 1 1 1 1 1 1 1 1 1 1",
        ),
        (
            &[2, 2, 2],
            "e2 1 1 1 1 1 1 s1=20 s2=20 s3=20 w3 1 1 1 w3 1 1 1 1 1 1 1 1 w3 1 1 1 w3 1 1 1 s3=0 1 1 1 s2=0 1 1 1 \
             s1=0 1 s3=9 1 1",
            "3 3 3 2 2 2 2 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 1 1 1 1 1 1 - 3 3",
        ),
        (&[1, 1], "e2 1 1 1 1 1 w3 1 s1=9 s2=9 1 w3 1 w3 1 1 1", "2 2 1 1 1 2 2 2 2 2 2"),
    ] {
        check("lblcr", &weights(servers), text, expected);
    }
}

/// Not seen, but what the rules say: an expired address is known until the check of each thirtieth minute.
#[test]
fn the_cache_expires_with_the_thirtieth_upkeep() {
    let waits = ["w200"; 9].join(" ");
    for scheduler in ["lblc", "lblcr"] {
        check(scheduler, &weights(&[9, 9]), &format!("e2 1 s1=99 w120 1 {waits} 1"), "2 2 1");
        check(scheduler, &weights(&[9, 9]), &format!("1 s1=99 w120 1 {waits} 1"), "2 2 2");
    }
}
