//! Full NAT: what servers see, and one segment without any route.

use super::{counted_exactly, counters, good, served};

/// Full NAT with one address in the pool: all requests are answered, in turn, and servers see that address alone; what both ends sent
/// is what was counted.
fn full_nat(family: &[&str]) {
    let pool = if family == ["--ipv6"] { "fd77::3" } else { "10.77.0.3" };
    for load in [
        &["--requests", "120"][..],
        &["--requests", "120", "--udp"],
        &["--requests", "30", "--udp", "--datagram", "8000", "--concurrency", "1"],
        &["--requests", "120", "--fast-path", "on"],
        &["--bulk", "300000", "--connections", "12"],
        &["--at-once", "1200", "--concurrency", "50"],
        &["--at-once", "600", "--concurrency", "50", "--fast-path", "on"],
    ] {
        let arguments = [&["--mode", "fullnat"], family, load].concat();
        let report = good(&arguments);
        assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
        assert_eq!(report["clients_seen"], serde_json::json!([pool]), "{arguments:?}: {report}");
        let third = report["requests"].as_u64().expect("a number") / 3;
        assert_eq!(served(&report), [third; 3], "{arguments:?}: {report}");
        // Those between the families are the daemon's.
        if load.contains(&"--at-once") && load.contains(&"--fast-path") && !family.contains(&"--servers-ipv4")
        {
            assert!(
                report["forwarded_by_program"].as_u64().is_some_and(|packets| packets > 1200),
                "{report}"
            );
        }
        // Headers have other lengths in the other family.
        if load == ["--requests", "120"] && !family.contains(&"--servers-ipv4") {
            let [_, packets_in, packets_out, bytes_in, bytes_out] = counters(&report);
            counted_exactly(packets_in, bytes_in, &report["sent"]["client"]);
            counted_exactly(packets_out, bytes_out, &report["sent"]["servers"]);
        }
    }
}

#[test]
fn ipv4() {
    full_nat(&[]);
}

#[test]
fn ipv6() {
    full_nat(&["--ipv6"]);
}

#[test]
fn ipv6_clients_of_ipv4_servers() {
    full_nat(&["--ipv6", "--servers-ipv4"]);
}

/// What the classifier gives unsegmented is cut anew to the other family's segments.
#[test]
fn ipv6_clients_of_ipv4_servers_in_bulk_by_tc() {
    let load = ["--mode", "fullnat", "--ipv6", "--servers-ipv4", "--attach", "tc"];
    let report = good(&[&load[..], &["--bulk", "3000000", "--connections", "6"]].concat());
    assert_eq!(report["failed"], 0, "{report}");
}

/// Ten thousand connections through one address to one server: none fails, each has a port of its own.
#[test]
fn through_one_address_to_one_server() {
    let load = ["--mode", "fullnat", "--servers", "1", "--requests", "10000", "--concurrency", "16"];
    let report = good(&load);
    assert_eq!((&report["failed"], served(&report)), (&0.into(), vec![10_000]), "{report}");
    assert_eq!(report["clients_seen"], serde_json::json!(["10.77.0.3"]), "{report}");
}

#[test]
fn takes_the_addresses_of_its_pool_in_turn() {
    let report = good(&["--mode", "fullnat", "--pool", "4", "--requests", "60"]);
    assert_eq!(report["clients_seen"].as_array().map(Vec::len), Some(4), "{report}");
    assert_eq!(report["failed"], 0, "{report}");
}
