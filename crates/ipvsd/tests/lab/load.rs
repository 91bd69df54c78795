//! Other loads than small requests, and other ways than the schedulers' matrix has.

use super::{good, served};

/// Requests, and bulk transfers in which the client has to learn what the tunnel leaves of the MTU.
fn tunneled(kind: &str) {
    for family in [&[][..], &["--ipv6"]] {
        for load in [
            &["--requests", "120"][..],
            &["--requests", "120", "--udp"],
            &["--bulk", "300000", "--connections", "8"],
        ] {
            let arguments = [&["--mode", "tun", "--tun-type", kind], family, load].concat();
            let report = good(&arguments);
            assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
        }
    }
}

/// Datagrams of 8 kB and of 60 kB, both ways in fragments. The large ones go one after the other: no queue holds the fragments
/// of several until a neighbour is resolved.
#[test]
fn fragmented_datagrams() {
    let modes: [&[&str]; 6] = [
        &["nat"],
        &["dr"],
        &["nat", "--ipv6"],
        &["dr", "--ipv6"],
        &["tun", "--tun-type", "gre"],
        // The client has to learn what the tunnel leaves of the MTU.
        &["tun", "--ipv6"],
    ];
    for mode in modes {
        for (size, concurrency) in [("8000", "4"), ("60000", "1")] {
            let load =
                &["--udp", "--datagram", size, "--requests", "60", "--concurrency", concurrency, "--mode"];
            let arguments = [load, mode].concat();
            for fast_path in ["off", "on"] {
                let report = good(&[&arguments, &["--fast-path", fast_path][..]].concat());
                assert_eq!(report["failed"], 0, "{arguments:?} {fast_path}: {report}");
            }
        }
    }
}

#[test]
fn tunneling_ipip() {
    tunneled("ipip");
}

#[test]
fn tunneling_gue() {
    tunneled("gue");
}

#[test]
fn tunneling_gre() {
    tunneled("gre");
}

/// Checksums of tunnels, and none: the far ends take out what is right alone.
#[test]
fn tunneling_by_checksum() {
    for (kind, checksum) in [("gue", "none"), ("gue", "remcsum"), ("gre", "none")] {
        for fast_path in ["off", "on"] {
            let mode =
                ["--mode", "tun", "--tun-type", kind, "--tun-checksum", checksum, "--fast-path", fast_path];
            for load in [&["--ipv6", "--requests", "60"][..], &["--bulk", "300000", "--connections", "4"]] {
                let report = good(&[&mode[..], load].concat());
                assert_eq!(report["failed"], 0, "{kind} {checksum} {fast_path}: {report}");
            }
        }
    }
}

/// The director's own requests: HTTP and datagrams, one in fragments, with the virtual address nobody's.
#[test]
fn clients_on_the_director() {
    for mode in ["nat", "dr"] {
        for family in [&[][..], &["--ipv6"]] {
            for load in [
                &[][..],
                &["--fast-path", "on"],
                &["--udp"],
                &["--udp", "--fast-path", "on"],
                &["--udp", "--datagram", "8000", "--concurrency", "1"],
                &["--udp", "--datagram", "8000", "--concurrency", "1", "--fast-path", "on"],
            ] {
                let arguments =
                    [&["--client-on-director", "--requests", "60", "--mode", mode], family, load].concat();
                let report = good(&arguments);
                assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
                assert_eq!(served(&report), [20, 20, 20], "{arguments:?}: {report}");
            }
        }
    }
}

/// 64 connections at once move 300 kB each way and both ends agree on every byte.
fn intact(arguments: &[&str]) {
    let report = good(&[&["--bulk", "300000", "--connections", "64"], arguments].concat());
    assert_eq!((report["requests"].as_u64(), report["failed"].as_u64()), (Some(64), Some(0)));
}

#[test]
fn bulk_nat_ipv4() {
    intact(&["--mode", "nat"]);
}

#[test]
fn bulk_nat_ipv6() {
    intact(&["--mode", "nat", "--ipv6"]);
}

#[test]
fn bulk_dr_ipv4() {
    intact(&["--mode", "dr"]);
}

#[test]
fn bulk_dr_ipv6() {
    intact(&["--mode", "dr", "--ipv6"]);
}

/// Thousands of connections open together: all are answered twice, each by one server, and the director knows how many there
/// are, then and when they have ended.
fn at_once(arguments: &[&str]) {
    for when in ["on", "off"] {
        let load = ["--at-once", "2000", "--concurrency", "50", "--fast-path", when];
        let report = good(&[&load, arguments].concat());
        let seen = |name: &str| report["at_once"][name].as_u64();
        assert_eq!(
            (report["requests"].as_u64(), report["failed"].as_u64()),
            (Some(2000), Some(0)),
            "{report}"
        );
        assert_eq!(served(&report).iter().sum::<u64>(), 2000);
        let counts = ["open", "active", "active_afterwards"].map(seen);
        assert_eq!(counts, [Some(2000), Some(2000), Some(0)], "{report}");
    }
}

#[test]
fn at_once_nat() {
    at_once(&["--mode", "nat"]);
    at_once(&["--mode", "nat", "--ipv6", "--scheduler", "wlc"]);
}

#[test]
fn at_once_direct_routing() {
    at_once(&["--mode", "dr"]);
    at_once(&["--mode", "dr", "--ipv6", "--scheduler", "wlc"]);
}
