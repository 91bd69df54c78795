//! Real connections through the real daemon in network namespaces: every forwarding method, scheduler, address family
//! and protocol, bulk transfers, and that nothing stays behind.
//!
//! These tests need root; without it they fail and say so. Each makes its own lab, so they run side by side.

mod fast_path;
mod flood;
mod full_nat;
mod kills;
mod load;
mod tc;
mod traces;

use std::process::{Command, Output};

use serde_json::Value;

const IPVSD: &str = env!("CARGO_BIN_EXE_ipvsd");
const IPVSADM: &str = env!("CARGO_BIN_EXE_ipvsadm");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(IPVSD);
    command.args(["lab", "--json", "--ipvsadm", IPVSADM]).args(arguments);
    command
}

fn lab(arguments: &[&str]) -> Output {
    command(arguments).output().expect("ipvsd can be started")
}

/// Runs a lab that must end well, and returns its report.
fn good(arguments: &[&str]) -> Value {
    report(&lab(arguments), arguments)
}

/// The report of a lab with these arguments, which must have ended well.
fn report(output: &Output, arguments: &[&str]) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "ipvsd lab {} ended with {}\n{}\n{}",
        arguments.join(" "),
        output.status,
        text(&output.stderr),
        text(&output.stdout)
    );
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

fn served(report: &Value) -> Vec<u64> {
    let servers = report["servers"].as_array().expect("a list of servers");
    servers.iter().map(|server| server["served"].as_u64().expect("a number")).collect()
}

/// All requests of a run are answered, and the shares are what the scheduler gives, whoever forwards.
fn balanced(scheduler: &str, arguments: &[&str]) {
    for fast_path in ["off", "on"] {
        balanced_with(scheduler, &[&["--fast-path", fast_path], arguments].concat());
    }
}

fn balanced_with(scheduler: &str, arguments: &[&str]) {
    let fixed = ["--scheduler", scheduler, "--weights", "3,2,1", "--requests", "120"];
    let report = good(&[&fixed, arguments].concat());
    if arguments.contains(&"on") {
        assert!(report["forwarded_by_program"].as_u64().is_some_and(|packets| packets > 60), "{report}");
    }
    assert_eq!(report["requests"], 120);
    assert_eq!(report["failed"], 0);
    let served = served(&report);
    assert_eq!(served.iter().sum::<u64>(), 120);
    match scheduler {
        "rr" => assert_eq!(served, [40, 40, 40]),
        "wrr" => assert_eq!(served, [60, 40, 20]),
        _ => {}
    }
}

/// The counters of the service: connections, packets in and out, bytes in and out.
fn counters(report: &Value) -> [u64; 5] {
    let statistics = report["statistics"].as_str().expect("a text");
    let service = statistics.lines().find(|line| line.starts_with("TCP") || line.starts_with("UDP"));
    let mut counters = service.expect("a service").split_whitespace().skip(2);
    [(); 5].map(|()| counters.next().expect("five").parse().expect("a number"))
}

/// What one side sent over TCP is what was counted. (How many acknowledgements TCP sends depends on the time.) Of all bytes that
/// it sent some were ICMP messages, of 56 to 128 bytes each here.
fn counted_exactly(packets: u64, bytes: u64, sent: &Value) {
    let number = |name: &str| sent[name].as_u64().expect("a number");
    assert_eq!(packets, number("segments"), "{sent}");
    let icmp = number("bytes").checked_sub(bytes).unwrap_or_else(|| panic!("{bytes} of {sent}"));
    assert!((number("icmp") * 56..=number("icmp") * 128).contains(&icmp), "{bytes} of {sent}");
}

macro_rules! matrix {
    ($($scheduler:ident)*) => {$(
        mod $scheduler {
            use super::balanced;
            const NAME: &str = stringify!($scheduler);

            #[test]
            fn nat_ipv4_tcp() { balanced(NAME, &["--mode", "nat"]); }
            #[test]
            fn nat_ipv4_udp() { balanced(NAME, &["--mode", "nat", "--udp"]); }
            #[test]
            fn nat_ipv6_tcp() { balanced(NAME, &["--mode", "nat", "--ipv6"]); }
            #[test]
            fn nat_ipv6_udp() { balanced(NAME, &["--mode", "nat", "--ipv6", "--udp"]); }
            #[test]
            fn dr_ipv4_tcp() { balanced(NAME, &["--mode", "dr"]); }
            #[test]
            fn dr_ipv4_udp() { balanced(NAME, &["--mode", "dr", "--udp"]); }
            #[test]
            fn dr_ipv6_tcp() { balanced(NAME, &["--mode", "dr", "--ipv6"]); }
            #[test]
            fn dr_ipv6_udp() { balanced(NAME, &["--mode", "dr", "--ipv6", "--udp"]); }
        }
    )*};
}

matrix! { rr wrr lc wlc sed nq }

#[test]
fn without_a_director_the_lab_itself_works() {
    for arguments in
        [&[][..], &["--mode", "dr"], &["--ipv6"], &["--udp"], &["--mode", "dr", "--udp", "--ipv6"]]
    {
        let report = good(&[&["--direct", "--requests", "30"], arguments].concat());
        assert_eq!(served(&report), [10, 10, 10]);
    }
}

#[test]
fn an_unknown_scheduler_is_an_error_with_the_command_that_failed() {
    let output = lab(&["--scheduler", "nonesuch"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("Scheduler or persistence engine not found"), "{message}");
}
