//! Connections in use outlive daemons that are killed at random moments: the XDP program forwards meanwhile, or drops what then
//! comes again.

use super::good;

fn outlived(mode: &str, fast_path: &str) {
    let arguments = ["--mode", mode, "--fast-path", fast_path, "--kill-daemon", "3", "--connections", "60"];
    let report = good(&[&arguments[..], &["--capacity", "4096"]].concat());
    let killed = &report["killed"];
    assert_eq!((&killed["rounds"], &killed["lost"]), (&3.into(), &0.into()), "{killed}");
    if fast_path == "on" {
        assert!(killed["without_daemon"].as_u64() > Some(0), "{killed}");
        // By full NAT the daemon alone begins connections.
        let begun = if mode == "fullnat" { 0 } else { 30 };
        assert_eq!(killed["begun_without_daemon"].as_u64(), Some(begun), "{killed}");
    }
}

#[test]
fn masquerading() {
    outlived("nat", "off");
}

#[test]
fn masquerading_in_the_program() {
    outlived("nat", "on");
}

#[test]
fn direct_routing_in_the_program() {
    outlived("dr", "on");
}

#[test]
fn full_nat() {
    outlived("fullnat", "off");
}

#[test]
fn full_nat_in_the_program() {
    outlived("fullnat", "on");
}
