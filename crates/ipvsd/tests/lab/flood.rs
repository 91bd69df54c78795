//! SYN floods beside honest requests.

use serde_json::Value;

use super::lab;

/// A SYN flood. No connection from before is lost, the table holds no more than `most`, and the daemon's memory does not
/// grow by more than a few megabytes: what the capacity takes is there from the start, but for the quota's 12 bytes.
fn flooded(arguments: &[&str], most: u64) -> Value {
    let output = lab(arguments);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let flood = |name: &str| report["flood"][name].as_u64().expect("a number");
    assert_eq!((flood("established"), flood("lost")), (50, 0), "{report}");
    let held = flood("connections");
    assert!(held <= most, "{held} connections: {report}");
    let grown = flood("daemon_memory").saturating_sub(flood("daemon_memory_before"));
    assert!(grown < 24 << 20, "{grown} bytes more: {report}");
    report
}

/// At a rate that the daemon keeps up with, honest clients notice nothing, by either way of making room.
#[test]
fn and_a_half_open_quota() {
    let arguments = ["--syn-flood", "3000", "--half-open-quota", "1000", "--requests", "200"];
    let report = flooded(&arguments, 1000 + 50 + 200);
    assert_eq!((report["requests"].as_u64(), report["failed"].as_u64()), (Some(200), Some(0)), "{report}");
    assert!(report["flood"]["syns"].as_u64() > Some(3000), "{report}");
}

#[test]
fn and_a_full_table() {
    let arguments = ["--syn-flood", "3000", "--capacity", "2000", "--requests", "200"];
    let report = flooded(&arguments, 2000);
    assert_eq!((report["requests"].as_u64(), report["failed"].as_u64()), (Some(200), Some(0)), "{report}");
    assert!(report["flood"]["connections"].as_u64() > Some(1500), "the table was not full: {report}");
}

/// With the filter of first SYNs nothing of the flood reaches the director; all requests end well, a second later.
#[test]
fn and_the_syn_filter() {
    for fast_path in ["off", "on"] {
        let arguments = [
            ["--syn-flood", "3000"],
            ["--syn-filter", "on"],
            ["--fast-path", fast_path],
            // Connections that the program can begin need no filter.
            ["--scheduler", "lblc"],
            ["--requests", "48"],
            ["--concurrency", "48"],
        ];
        // One in a quarter of a million passes for a repetition.
        let report = flooded(arguments.as_flattened(), 50 + 48 + 5);
        assert_eq!((report["requests"].as_u64(), report["failed"].as_u64()), (Some(48), Some(0)), "{report}");
        assert!(report["latency_us"]["min"].as_u64() > Some(500_000), "not repeated: {report}");
        assert!(report["flood"]["syns"].as_u64() > Some(3000), "{report}");
    }
}

/// At the full rate packets are lost before the daemon sees them, honest SYNs too, which come again after a second and more:
/// not all requests end in time, how many depends on the machine. What is established is forwarded in the XDP program and
/// loses nothing.
#[test]
fn at_the_full_rate() {
    let arguments = ["--syn-flood", "--half-open-quota", "200000", "--fast-path", "on", "--requests", "24"];
    flooded(&arguments, 200_000 + 50 + 24);
}
