//! With connections forwarded in the XDP program, and without.

use super::{counted_exactly, counters, good, served};

/// With connections forwarded in the XDP program, and without: every request is answered, and the counters of the
/// service are exact.
pub(super) fn fast_path(arguments: &[&str]) {
    let run = |when: &str| {
        let report = good(&[&["--requests", "120", "--fast-path", when], arguments].concat());
        assert_eq!(
            (report["requests"].as_u64(), report["failed"].as_u64()),
            (Some(120), Some(0)),
            "{report}"
        );
        assert_eq!(served(&report), [40, 40, 40]);
        // How many of them depends on how soon the daemon settles what it has sent itself.
        let forwarded = report["forwarded_by_program"].as_u64();
        assert_eq!(forwarded.is_some_and(|packets| packets > 60), when == "on", "{report}");
        let counters = counters(&report);
        if !arguments.contains(&"--udp") {
            let [_, packets_in, packets_out, bytes_in, bytes_out] = counters;
            counted_exactly(packets_in, bytes_in, &report["sent"]["client"]);
            match arguments.contains(&"nat") {
                true => counted_exactly(packets_out, bytes_out, &report["sent"]["servers"]),
                false => assert_eq!((packets_out, bytes_out), (0, 0)),
            }
        }
        counters
    };
    let (on, off) = (run("on"), run("off"));
    assert_eq!(on[0], off[0]);
    if arguments.contains(&"--udp") {
        assert_eq!(on, off);
    }
}

#[test]
fn nat_tcp() {
    fast_path(&["--mode", "nat"]);
    fast_path(&["--mode", "nat", "--ipv6"]);
}

#[test]
fn nat_udp() {
    fast_path(&["--mode", "nat", "--udp"]);
    fast_path(&["--mode", "nat", "--udp", "--ipv6"]);
}

#[test]
fn direct_routing() {
    fast_path(&["--mode", "dr"]);
    fast_path(&["--mode", "dr", "--ipv6"]);
    fast_path(&["--mode", "dr", "--udp"]);
    fast_path(&["--mode", "dr", "--udp", "--ipv6"]);
}

#[test]
fn tunneling() {
    for kind in ["ipip", "gue", "gre"] {
        fast_path(&["--mode", "tun", "--tun-type", kind]);
        fast_path(&["--mode", "tun", "--tun-type", kind, "--ipv6"]);
        fast_path(&["--mode", "tun", "--tun-type", kind, "--udp"]);
    }
}

#[test]
fn in_generic_mode() {
    fast_path(&["--mode", "nat", "--xdp", "generic"]);
    fast_path(&["--mode", "dr", "--xdp", "generic", "--ipv6"]);
    fast_path(&["--mode", "tun", "--tun-type", "gue", "--xdp", "generic"]);
}

#[test]
fn bulk() {
    for when in ["on", "off"] {
        let report = good(&["--mode", "nat", "--fast-path", when, "--bulk", "300000", "--connections", "16"]);
        assert_eq!(report["failed"], 0, "{when}");
    }
}

/// What is too large for the tunnel is the daemon's, whose errors teach the client.
#[test]
fn bulk_through_tunnels() {
    for kind in ["ipip", "gue", "gre"] {
        let mode = ["--mode", "tun", "--tun-type", kind, "--fast-path", "on"];
        let report = good(&[&mode[..], &["--bulk", "300000", "--connections", "8"]].concat());
        assert_eq!(report["failed"], 0, "{report}");
        assert!(report["forwarded_by_program"].as_u64().is_some_and(|packets| packets > 100), "{report}");
    }
}
