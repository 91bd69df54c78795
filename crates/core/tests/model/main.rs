//! Two and a half million random operations (commands, packets of clients and servers, time) on the director and on a simple, slow
//! model of IPVS, without a difference: in what becomes of each packet, what each command answers, and what listings
//! show.
//!
//! The model shares with the engine nothing but the types of commands. It is written from the field's facts and from
//! what the reference kernel does. It leaves out: firewall marks, fragments, ICMP, SCTP, tunnels, schedulers that draw
//! or cache (twos, mh, lblc, lblcr), rates, and drop_entry.
//!
//! A failing run prints a short sequence that fails too. `MODEL_SEED` and `MODEL_OPERATIONS` give another run of
//! each test.
#![allow(missing_docs, unreachable_pub, reason = "a test binary")]

mod clock;
mod control;
mod half_open;
mod operation;
mod packets;
mod random;
#[path = "../rig/mod.rs"]
mod rig;
mod run;
mod schedulers;
mod shrink;
mod state;
mod tcp;

use operation::{Flavour, Generator, Operation};
use rig::Family;
use run::Run;

/// Operations of one run; there are ten.
const OPERATIONS: usize = 250_000;

const PLAIN: Flavour = Flavour { family: Family::V4, capacity: 1000, quota: 0, persistent: 20, commands: 40 };
const PERSISTENT: Flavour = Flavour { persistent: 70, ..PLAIN };

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// A run; `events` are those that must have happened, so that it says something.
fn agree(seed: u64, flavour: Flavour, events: &[&str]) {
    let seed = from_environment("MODEL_SEED").unwrap_or(seed);
    let count = from_environment("MODEL_OPERATIONS").map_or(OPERATIONS, |count| count as usize);
    println!("seed {seed}, {flavour:?}");
    let mut generator = Generator::new(seed, flavour);
    let mut run = Run::new(flavour);
    let mut done: Vec<Operation> = Vec::new();
    for _ in 0..count {
        let operation = generator.next();
        let outcome = run.step(&operation);
        done.push(operation);
        if outcome.is_err() {
            report(seed, flavour, done);
        }
    }
    let happened = &run.model.events;
    println!("{happened:?}");
    for event in events {
        assert!(happened.get(event).is_some_and(|count| *count > 3), "too little of {event}: {happened:?}");
    }
}

fn report(seed: u64, flavour: Flavour, done: Vec<Operation>) -> ! {
    let after = done.len();
    let (operations, difference) = shrink::shrink(flavour, done);
    let steps: Vec<_> = operations.iter().map(|operation| format!("{operation:?}")).collect();
    panic!(
        "a difference after {after} operations of seed {seed}; {} do as well:\n{}\n{difference}",
        steps.len(),
        steps.join("\n")
    );
}

const ALWAYS: [&str; 16] = [
    "forwarded",
    "delivered",
    "passed",
    "no-destination",
    "destination-unavailable",
    "defence",
    "expired",
    "reused",
    "orphan",
    "overload",
    "revived",
    "freed",
    "one packet",
    "template expired",
    "template postponed",
    "template invalid",
];

#[test]
fn plain_services() {
    agree(1, PLAIN, &ALWAYS);
}

#[test]
fn plain_services_again() {
    agree(2, PLAIN, &ALWAYS);
}

#[test]
fn persistent_services() {
    agree(3, PERSISTENT, &ALWAYS);
}

#[test]
fn persistent_services_again() {
    agree(4, PERSISTENT, &ALWAYS);
}

#[test]
fn ipv6() {
    agree(5, Flavour { family: Family::V6, persistent: 30, ..PLAIN }, &ALWAYS);
}

#[test]
fn many_changes() {
    agree(6, Flavour { persistent: 30, commands: 300, ..PLAIN }, &ALWAYS);
}

#[test]
fn few_changes() {
    agree(7, Flavour { persistent: 30, commands: 8, ..PLAIN }, &ALWAYS[..7]);
}

/// The table is always full.
#[test]
fn a_small_table() {
    let events =
        ["table-full", "forwarded", "expired", "reused", "evicted for room", "evicted with its template"];
    agree(8, Flavour { capacity: 20, persistent: 30, ..PLAIN }, &events);
}

#[test]
fn a_half_open_quota() {
    let events = ["evicted by quota", "evicted with its template", "forwarded", "overload"];
    agree(9, Flavour { quota: 2, persistent: 30, ..PLAIN }, &events);
}

#[test]
fn a_half_open_quota_in_a_small_table() {
    let events = ["evicted by quota", "evicted for room", "forwarded", "overload"];
    agree(10, Flavour { quota: 3, capacity: 25, persistent: 30, ..PLAIN }, &events);
}
