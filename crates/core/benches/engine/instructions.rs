//! Instructions per packet, counted by callgrind: exact and the same in every run, unlike time.

use std::process::Command;

use crate::scenario::{BATCH, Bench, Kind, Scenario};

/// The argument that makes this program run a scenario's packets once, to be counted.
pub(crate) const CHILD: &str = "--under-callgrind";

/// Counted batches.
fn batches(scenario: Scenario) -> u32 {
    if scenario.kind == Kind::New { 4 } else { 64 }
}

/// The counted run.
pub(crate) fn child(scenario: Scenario) {
    let batches = batches(scenario);
    let mut bench = Bench::new(scenario, batches * BATCH as u32);
    for _ in 0..batches {
        bench.prepare();
        assert_eq!(bench.measured_section(), BATCH);
    }
}

/// Runs this program under callgrind; `None` if there is no valgrind.
pub(crate) fn count(scenario: Scenario) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured_section*"])
        .arg(std::env::current_exe().ok()?)
        .args([CHILD, "--only", &scenario.name()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    // "==PID== Collected : 1234567"
    let total: f64 = text.lines().find_map(|line| line.split_once("Collected :"))?.1.trim().parse().ok()?;
    Some(total / f64::from(batches(scenario)) / BATCH as f64)
}
