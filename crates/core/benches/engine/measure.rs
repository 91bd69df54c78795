//! Time, allocations and memory of a scenario.

use std::fmt;
use std::time::Duration;

use crate::ALLOCATOR;
use crate::scenario::{BATCH, Bench, Kind, Scenario};

/// What was measured.
pub(crate) struct Measurement {
    pub(crate) scenario: Scenario,
    /// Nanoseconds per packet of each round, sorted.
    nanoseconds: Vec<f64>,
    /// Allocations per packet.
    allocations: f64,
    /// Bytes of memory per connection of the table's capacity, everything of the director counted.
    bytes: f64,
    /// Instructions per packet, if they could be counted.
    pub(crate) instructions: Option<f64>,
}

/// Batches in a round: enough packets to visit many connections, few enough that new ones fit.
fn batches(scenario: Scenario) -> u32 {
    match scenario.kind {
        Kind::New => (scenario.connections / 16).max(1024) / BATCH as u32,
        _ => (1 << 19) / BATCH as u32,
    }
}

/// Runs a scenario.
pub(crate) fn measure(scenario: Scenario, rounds: usize) -> Measurement {
    let batches = batches(scenario);
    let spare = if scenario.kind == Kind::New { batches * BATCH as u32 } else { 0 };
    let before = ALLOCATOR.held();
    let mut bench = Bench::new(scenario, spare);
    // The packets and the list of servers are the benchmark's own.
    let own = bench.own_bytes();
    let bytes = (ALLOCATOR.held() - before - own) as f64 / f64::from(scenario.connections + spare);
    let mut nanoseconds = Vec::new();
    let mut allocations = 0;
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        let mut time = Duration::ZERO;
        for _ in 0..batches {
            bench.prepare();
            let calls = ALLOCATOR.calls();
            let start = std::time::Instant::now();
            let forwarded = bench.measured_section();
            time += start.elapsed();
            if round > 0 {
                allocations += ALLOCATOR.calls() - calls;
            }
            assert_eq!(forwarded, BATCH, "{}: packets were not forwarded", scenario.name());
        }
        if round > 0 {
            nanoseconds.push(time.as_nanos() as f64 / f64::from(batches) / BATCH as f64);
        }
        bench.forget_new();
    }
    nanoseconds.sort_by(f64::total_cmp);
    let packets = rounds as f64 * f64::from(batches) * BATCH as f64;
    Measurement {
        scenario,
        nanoseconds,
        allocations: allocations as f64 / packets,
        bytes,
        instructions: None,
    }
}

impl Measurement {
    pub(crate) const TITLE: &str =
        "scenario                    ns/packet (min-max)      instructions  allocations  bytes/connection";

    fn median(&self) -> f64 {
        self.nanoseconds[self.nanoseconds.len() / 2]
    }

    /// Whether it breaks what the project promises: no allocation per packet, at most 96 bytes per connection (told
    /// where the table is large enough that the director's fixed part does not count).
    pub(crate) fn breaks_a_promise(&self) -> bool {
        self.allocations > 0.0 || (self.scenario.connections >= 1 << 20 && self.bytes > 96.0)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "scenario": self.scenario.name(),
            "connections": self.scenario.connections,
            "ns_per_packet": self.median(),
            "ns_min": self.nanoseconds[0],
            "ns_max": self.nanoseconds[self.nanoseconds.len() - 1],
            "instructions_per_packet": self.instructions,
            "allocations_per_packet": self.allocations,
            "bytes_per_connection": self.bytes,
        })
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread =
            format!("({:.0}-{:.0})", self.nanoseconds[0], self.nanoseconds[self.nanoseconds.len() - 1]);
        let instructions = self.instructions.map_or("-".to_owned(), |count| format!("{count:.0}"));
        write!(
            f,
            "{:<26} {:>10.1} {:<14} {:>13} {:>12.3} {:>17.1}",
            self.scenario.name(),
            self.median(),
            spread,
            instructions,
            self.allocations,
            self.bytes
        )
    }
}
