//! The program as a classifier, with the ends' cables as they are.

use super::fast_path::fast_path;
use super::{command, good, report};

/// As a classifier, with the ends' cables as they are.
#[test]
fn requests() {
    fast_path(&["--attach", "tc", "--mode", "nat"]);
    fast_path(&["--attach", "tc", "--mode", "nat", "--ipv6"]);
    fast_path(&["--attach", "tc", "--mode", "nat", "--udp"]);
    fast_path(&["--attach", "tc", "--mode", "dr", "--ipv6"]);
    fast_path(&["--attach", "tc", "--mode", "dr", "--udp"]);
    for kind in ["ipip", "gue", "gre"] {
        let tunnel = ["--attach", "tc", "--mode", "tun", "--tun-checksum", "none", "--tun-type", kind];
        if kind != "gre" {
            fast_path(&tunnel);
        }
        fast_path(&[&tunnel[..], &["--ipv6", "--udp"]].concat());
    }
}

/// One side by tc, the other by XDP: each program forwards to the other's interface.
#[test]
fn one_of_both() {
    fast_path(&["--attach", "tc,eth0=xdp", "--mode", "nat"]);
    fast_path(&["--attach", "eth0=tc,eth1=xdp", "--mode", "nat", "--ipv6", "--udp"]);
}

/// Packets that are yet to be cut go through tunnels as they are, by the program. Those of GRE are the daemon's, and those with a checksum of
/// the whole.
#[test]
fn bulk_through_tunnels() {
    for (mode, is_programs) in [
        (&["--tun-type", "ipip"][..], true),
        (&["--tun-type", "ipip", "--ipv6"], true),
        (&["--tun-type", "gue", "--tun-checksum", "none"], true),
        (&["--tun-type", "gue", "--tun-checksum", "none", "--ipv6"], true),
        (&["--tun-type", "gre", "--tun-checksum", "none"], false),
        (&["--tun-type", "gue"], false),
    ] {
        let load = [
            "--attach",
            "tc",
            "--mode",
            "tun",
            "--fast-path",
            "on",
            "--bulk",
            "2000000",
            "--connections",
            "8",
        ];
        let arguments = [&load[..], mode].concat();
        let report = good(&arguments);
        assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
        let forwarded = report["forwarded_by_program"].as_u64().unwrap();
        assert!(if is_programs { forwarded > 60 } else { forwarded == 0 }, "{arguments:?}: {report}");
    }
}

/// Packets that are yet to be cut, by the program and by the daemon; into tunnels by the daemon they go cut.
#[test]
fn bulk() {
    for mode in [
        &["--mode", "nat", "--fast-path", "on"][..],
        &["--mode", "nat", "--ipv6", "--fast-path", "on"],
        &["--mode", "dr", "--fast-path", "on"],
        &["--mode", "nat"],
        &["--mode", "nat", "--ipv6"],
        &["--mode", "dr", "--ipv6"],
        &["--mode", "tun", "--tun-type", "ipip"],
        &["--mode", "tun", "--tun-type", "gre"],
        &["--mode", "tun", "--tun-type", "gue", "--ipv6"],
    ] {
        let load = ["--attach", "tc", "--bulk", "2000000", "--connections", "8"];
        let arguments = [&load[..], mode].concat();
        let report = good(&arguments);
        assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
    }
}

#[test]
fn fragments_and_own_requests() {
    for load in [
        &["--udp", "--datagram", "8000", "--requests", "60", "--concurrency", "4"][..],
        &["--client-on-director", "--requests", "60"],
        &["--mode", "dr", "--client-on-director", "--ipv6", "--requests", "60"],
    ] {
        let arguments = [&["--attach", "tc"], load].concat();
        let report = good(&arguments);
        assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
    }
}

/// As a filter of clsact, as before Linux 6.6: by the program and by the daemon.
#[test]
fn filters() {
    for mode in [&["--fast-path", "on"][..], &["--ipv6"]] {
        let load = ["--attach", "tc", "--mode", "nat", "--bulk", "2000000", "--connections", "8"];
        let arguments = [&load[..], mode].concat();
        let output = command(&arguments).env("IPVSD_NO_TCX", "true").output().unwrap();
        let report = report(&output, &arguments);
        assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
        let forwarded = report["forwarded_by_program"].as_u64();
        assert_eq!(forwarded.is_some_and(|packets| packets > 60), mode.contains(&"on"), "{report}");
    }
}
