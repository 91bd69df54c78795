//! `ipvsd bench` in its shortest form: what it says, not how fast anything is.
//!
//! These tests need root; without it they fail and say so.

use std::process::{Command, Output};

use serde_json::Value;

const IPVSD: &str = env!("CARGO_BIN_EXE_ipvsd");

fn bench(arguments: &[&str]) -> Output {
    Command::new(IPVSD).arg("bench").args(arguments).output().expect("ipvsd can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The report of a run that must end well.
fn report(arguments: &[&str]) -> Value {
    let output = bench(&[&["--json", "--rounds", "1", "--seconds", "0.05"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["rows"].as_array().expect("a list of rows");
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name} in {report}"))
}

/// Frames get through every path, rewritten as they should be, and those of known flows in the program.
#[test]
fn packets_arrive_rewritten() {
    let rows = ["packets-noop-1", "packets-xdp-1", "packets-slow-1", "packets-forwarding-1"];
    let report = report(&["--only", &rows.join(",")]);
    for name in rows {
        let row = row(&report, name);
        assert_eq!(row["outcome"], "measured", "{row}");
        assert!(row["spread"]["median"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
        assert!(row["delivered"].as_f64().is_some_and(|share| share > 0.0 && share <= 1.0), "{row}");
        let notes = row["notes"].to_string();
        assert!(!notes.contains("not rewritten"), "{row}");
    }
    // Most: until the daemon has sent a flow's first packet, it is the daemon's.
    assert!(
        row(&report, "packets-xdp-1")["in_program"].as_f64().is_some_and(|share| share > 0.9),
        "{report}"
    );
    let ratios = report["ratios"].as_object().expect("ratios");
    // Those that were not measured are null, but for those of methods.
    assert_eq!(ratios.len(), 21);
    assert!(ratios["xdp_nat_1_vs_noop"].as_f64().is_some_and(|ratio| ratio > 0.0), "{report}");
    assert!(ratios["xdp_nat_64k_vs_nft"].is_null());
}

/// With every other method they arrive as it says: encapsulated, from a local address, or with another hardware address alone.
#[test]
fn packets_arrive_by_other_methods() {
    let methods = ["dr", "ipip", "gue", "gre", "fullnat"];
    let rows: Vec<String> = methods.iter().map(|method| format!("packets-{method}-1")).collect();
    let report = report(&["--only", &format!("packets-noop-1,{}", rows.join(","))]);
    for (method, name) in methods.iter().zip(&rows) {
        let row = row(&report, name);
        assert_eq!(row["outcome"], "measured", "{row}");
        assert!(row["delivered"].as_f64().is_some_and(|share| share > 0.5), "{row}");
        assert!(row["in_program"].as_f64().is_some_and(|share| share > 0.5), "{row}");
        assert!(!row["notes"].to_string().contains("not rewritten"), "{row}");
        let ratio = &report["ratios"][format!("xdp_{method}_1_vs_noop")];
        assert!(ratio.as_f64().is_some_and(|ratio| ratio > 0.0), "{report}");
    }
    assert!(report["ratios"].get("xdp_gre_64k_vs_noop").is_none(), "{report}");
}

/// Real sockets get through, and new connections are begun, with the program and without.
#[test]
fn connections_and_latencies_are_measured() {
    let rows = [
        "syns-xdp",
        "syns-xdp-wlc100",
        "syns-slow",
        "syns-forwarding",
        "connections-xdp",
        "bulk-forwarding",
        "latency-forwarding",
        "memory-xdp",
    ];
    let report = report(&["--only", &rows.join(","), "--kernel-ipvs", "0.5,0.25,0.125,100"]);
    for name in rows {
        let row = row(&report, name);
        assert_eq!(row["outcome"], "measured", "{row}");
        assert!(row["spread"]["median"].as_f64().is_some_and(|value| value > 0.0), "{row}");
    }
    let percentiles = &row(&report, "latency-forwarding")["percentiles"];
    let order =
        ["p50", "p90", "p99", "p999", "greatest"].map(|name| percentiles[name].as_f64().expect("a number"));
    assert!(order.is_sorted(), "{percentiles}");
    assert!(!row(&report, "connections-xdp")["notes"].to_string().contains("failed"), "{report}");
    let ratio =
        |name: &str| report["ratios"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"));
    let median = |name: &str| row(&report, name)["spread"]["median"].as_f64().expect("a number");
    assert_eq!(ratio("new_conns_xdp_per_s"), median("syns-xdp"));
    // Against the kernel's IPVS by what it is said to do.
    for (name, value) in [
        ("xdp_new_rr_vs_kernel_ipvs", ratio("xdp_new_rr_vs_forwarding") / 0.25),
        ("xdp_new_wlc100_vs_kernel_ipvs", ratio("xdp_new_wlc100_vs_forwarding") / 0.125),
        ("bytes_per_connection_vs_kernel_ipvs", median("memory-xdp") / 100.0),
    ] {
        // But for what is lost between binary and decimal.
        assert!((ratio(name) / value - 1.0).abs() < 1e-9, "{name}: {} and {value}", ratio(name));
    }
    assert_eq!(report["kernel_ipvs"]["established"], 0.5);
    for name in ["syns-xdp", "syns-xdp-wlc100", "syns-forwarding"] {
        assert!(!row(&report, name)["notes"].to_string().contains("not rewritten"), "{report}");
    }
}

/// Changes go on beside a load.
#[test]
fn a_storm_is_measured() {
    let report = report(&["--only", "storm", "--storm", "0.1"]);
    assert!(row(&report, "storm-xdp")["notes"].to_string().contains("changes a second"), "{report}");
    assert!(row(&report, "storm-latency-xdp")["notes"].to_string().contains("are added"), "{report}");
}

/// What does not exist is named, with what does; nothing is built for it.
#[test]
fn unknown_rows_are_refused() {
    let output = bench(&["--only", "packets-nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("packets-nonsense") && said.contains("packets-xdp-64k"), "{said}");
    let output = bench(&["--kernel-ipvs", "74,48,37"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("74 is no share"), "{}", text(&output.stderr));
    let listed = text(&bench(&["--list"]).stdout);
    assert!(listed.lines().any(|line| line == "storm-latency-xdp"), "{listed}");
}
