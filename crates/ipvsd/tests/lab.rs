//! Real connections through the real daemon in network namespaces: every forwarding method, scheduler, address family
//! and protocol, bulk transfers, and that nothing stays behind.
//!
//! These tests need root; without it they fail and say so. Each makes its own lab, so they run side by side.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const IPVSD: &str = env!("CARGO_BIN_EXE_ipvsd");
const IPVSADM: &str = env!("CARGO_BIN_EXE_ipvsadm");

fn lab(arguments: &[&str]) -> Output {
    Command::new(IPVSD)
        .args(["lab", "--json", "--ipvsadm", IPVSADM])
        .args(arguments)
        .output()
        .expect("ipvsd can be started")
}

/// Runs a lab that must end well, and returns its report.
fn good(arguments: &[&str]) -> Value {
    let output = lab(arguments);
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

/// All requests of a run are answered, and the shares are what the scheduler gives.
fn balanced(scheduler: &str, arguments: &[&str]) {
    let fixed = ["--scheduler", scheduler, "--weights", "3,2,1", "--requests", "120"];
    let report = good(&[&fixed, arguments].concat());
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

/// With connections forwarded in the XDP program, and without: every request is answered, and the counters of the
/// service are exact.
fn fast_path(arguments: &[&str]) {
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
fn fast_path_nat_tcp() {
    fast_path(&["--mode", "nat"]);
    fast_path(&["--mode", "nat", "--ipv6"]);
}

#[test]
fn fast_path_nat_udp() {
    fast_path(&["--mode", "nat", "--udp"]);
    fast_path(&["--mode", "nat", "--udp", "--ipv6"]);
}

#[test]
fn fast_path_direct_routing() {
    fast_path(&["--mode", "dr"]);
    fast_path(&["--mode", "dr", "--ipv6"]);
    fast_path(&["--mode", "dr", "--udp"]);
    fast_path(&["--mode", "dr", "--udp", "--ipv6"]);
}

#[test]
fn fast_path_tunneling() {
    for kind in ["ipip", "gue", "gre"] {
        fast_path(&["--mode", "tun", "--tun-type", kind]);
        fast_path(&["--mode", "tun", "--tun-type", kind, "--ipv6"]);
        fast_path(&["--mode", "tun", "--tun-type", kind, "--udp"]);
    }
}

#[test]
fn fast_path_in_generic_mode() {
    fast_path(&["--mode", "nat", "--xdp", "generic"]);
    fast_path(&["--mode", "dr", "--xdp", "generic", "--ipv6"]);
    fast_path(&["--mode", "tun", "--tun-type", "gue", "--xdp", "generic"]);
}

#[test]
fn fast_path_bulk() {
    for when in ["on", "off"] {
        let report = good(&["--mode", "nat", "--fast-path", when, "--bulk", "300000", "--connections", "16"]);
        assert_eq!(report["failed"], 0, "{when}");
    }
}

/// As a classifier, with the ends' cables as they are.
#[test]
fn tc_requests() {
    fast_path(&["--attach", "tc", "--mode", "nat"]);
    fast_path(&["--attach", "tc", "--mode", "nat", "--ipv6"]);
    fast_path(&["--attach", "tc", "--mode", "nat", "--udp"]);
    fast_path(&["--attach", "tc", "--mode", "dr", "--ipv6"]);
    fast_path(&["--attach", "tc", "--mode", "dr", "--udp"]);
}

/// Packets that are yet to be cut, by the program and by the daemon; into tunnels they go cut.
#[test]
fn tc_bulk() {
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
fn tc_fragments_and_own_requests() {
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

/// What is too large for the tunnel is the daemon's, whose errors teach the client.
#[test]
fn fast_path_bulk_through_tunnels() {
    for kind in ["ipip", "gue", "gre"] {
        let mode = ["--mode", "tun", "--tun-type", kind, "--fast-path", "on"];
        let report = good(&[&mode[..], &["--bulk", "300000", "--connections", "8"]].concat());
        assert_eq!(report["failed"], 0, "{report}");
        assert!(report["forwarded_by_program"].as_u64().is_some_and(|packets| packets > 100), "{report}");
    }
}

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
    let modes: [&[&str]; 5] =
        [&["nat"], &["dr"], &["nat", "--ipv6"], &["dr", "--ipv6"], &["tun", "--tun-type", "gre"]];
    for mode in modes {
        for (size, concurrency) in [("8000", "4"), ("60000", "1")] {
            let load =
                &["--udp", "--datagram", size, "--requests", "60", "--concurrency", concurrency, "--mode"];
            let arguments = [load, mode].concat();
            let report = good(&arguments);
            assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
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

/// The director's own requests: HTTP and datagrams, one in fragments, with the virtual address nobody's.
#[test]
fn clients_on_the_director() {
    for mode in ["nat", "dr"] {
        for family in [&[][..], &["--ipv6"]] {
            for load in [
                &["--fast-path", "on"][..],
                &["--udp"],
                &["--udp", "--datagram", "8000", "--concurrency", "1"],
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
    ] {
        // Answers that are larger than the MTU as IPv6 packets are refused, as by routers.
        if load.contains(&"--datagram") && family.contains(&"--servers-ipv4") {
            continue;
        }
        let arguments = [&["--mode", "fullnat"], family, load].concat();
        let report = good(&arguments);
        assert_eq!(report["failed"], 0, "{arguments:?}: {report}");
        assert_eq!(report["clients_seen"], serde_json::json!([pool]), "{arguments:?}: {report}");
        let third = report["requests"].as_u64().expect("a number") / 3;
        assert_eq!(served(&report), [third; 3], "{arguments:?}: {report}");
        // Headers have other lengths in the other family.
        if load == ["--requests", "120"] && !family.contains(&"--servers-ipv4") {
            let [_, packets_in, packets_out, bytes_in, bytes_out] = counters(&report);
            counted_exactly(packets_in, bytes_in, &report["sent"]["client"]);
            counted_exactly(packets_out, bytes_out, &report["sent"]["servers"]);
        }
    }
}

#[test]
fn full_nat_ipv4() {
    full_nat(&[]);
}

#[test]
fn full_nat_ipv6() {
    full_nat(&["--ipv6"]);
}

#[test]
fn full_nat_ipv6_clients_of_ipv4_servers() {
    full_nat(&["--ipv6", "--servers-ipv4"]);
}

/// Ten thousand connections through one address to one server: none fails, each has a port of its own.
#[test]
fn full_nat_through_one_address_to_one_server() {
    let load = ["--mode", "fullnat", "--servers", "1", "--requests", "10000", "--concurrency", "16"];
    let report = good(&load);
    assert_eq!((&report["failed"], served(&report)), (&0.into(), vec![10_000]), "{report}");
    assert_eq!(report["clients_seen"], serde_json::json!(["10.77.0.3"]), "{report}");
}

#[test]
fn full_nat_takes_the_addresses_of_its_pool_in_turn() {
    let report = good(&["--mode", "fullnat", "--pool", "4", "--requests", "60"]);
    assert_eq!(report["clients_seen"].as_array().map(Vec::len), Some(4), "{report}");
    assert_eq!(report["failed"], 0, "{report}");
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
fn flood_and_a_half_open_quota() {
    let arguments = ["--syn-flood", "3000", "--half-open-quota", "1000", "--requests", "200"];
    let report = flooded(&arguments, 1000 + 50 + 200);
    assert_eq!((report["requests"].as_u64(), report["failed"].as_u64()), (Some(200), Some(0)), "{report}");
    assert!(report["flood"]["syns"].as_u64() > Some(3000), "{report}");
}

#[test]
fn flood_and_a_full_table() {
    let arguments = ["--syn-flood", "3000", "--capacity", "2000", "--requests", "200"];
    let report = flooded(&arguments, 2000);
    assert_eq!((report["requests"].as_u64(), report["failed"].as_u64()), (Some(200), Some(0)), "{report}");
    assert!(report["flood"]["connections"].as_u64() > Some(1500), "the table was not full: {report}");
}

/// With the filter of first SYNs nothing of the flood reaches the director; all requests end well, a second later.
#[test]
fn flood_and_the_syn_filter() {
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
fn flood_at_the_full_rate() {
    let arguments = ["--syn-flood", "--half-open-quota", "200000", "--fast-path", "on", "--requests", "24"];
    flooded(&arguments, 200_000 + 50 + 24);
}

/// What process `pid`'s lab has in the file system.
fn traces(pid: u32) -> Vec<PathBuf> {
    let name = format!("ipvsd-lab-{pid}");
    let entries = |directory: &str| std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries("/run").chain(entries("/run/netns")).map(|entry| entry.path());
    paths.filter(|path| is_of(path, &name)).collect()
}

fn is_of(path: &Path, name: &str) -> bool {
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// A lab that stays up, with the daemon's process number.
fn kept(arguments: &[&str]) -> std::process::Child {
    use std::io::BufRead;
    let mut child = Command::new(IPVSD)
        .args(["lab", "--keep", "--requests", "3", "--ipvsadm", IPVSADM])
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("ipvsd can be started");
    let stderr = child.stderr.take().expect("standard error is a pipe");
    let mut seen = String::new();
    for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
        seen += &format!("{line}\n");
        if line.starts_with("To stop it") {
            return child;
        }
    }
    panic!("the lab did not come up: {:?}\n{seen}", child.wait());
}

fn signal(child: &std::process::Child, name: &str) {
    let status =
        Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill can be run");
    assert!(status.success());
}

fn processes_with(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).split('\0').any(|word| word == argument)).count()
}

#[test]
fn a_stopped_lab_leaves_nothing() {
    for name in ["INT", "TERM"] {
        let mut child = kept(&[]);
        let pid = child.id();
        let director = format!("ipvsd-lab-{pid}-director");
        assert!(!traces(pid).is_empty());
        assert_eq!(processes_with(&director), 1);
        signal(&child, name);
        assert!(child.wait().expect("the lab ends").success(), "SIG{name}");
        assert_eq!(traces(pid), Vec::<PathBuf>::new());
        assert_eq!(processes_with(&director), 0);
    }
}

#[test]
fn a_killed_lab_leaves_names_that_clean_removes() {
    let mut child = kept(&[]);
    let pid = child.id();
    let director = format!("ipvsd-lab-{pid}-director");
    let mut living = kept(&["--mode", "dr"]);
    signal(&child, "KILL");
    child.wait().expect("the lab ends");
    // The kernel tells the daemon; it needs a moment to detach.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while processes_with(&director) > 0 {
        assert!(std::time::Instant::now() < end, "the daemon outlived its lab");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let status = Command::new(IPVSD).args(["lab", "--clean"]).status().expect("ipvsd can be started");
    assert!(status.success());
    assert_eq!(traces(pid), Vec::<PathBuf>::new());
    assert!(!traces(living.id()).is_empty(), "a living lab was cleaned away");
    signal(&living, "INT");
    assert!(living.wait().expect("the lab ends").success());
}

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

/// Connections in use outlive daemons that are killed at random moments: the XDP program forwards meanwhile, or drops what
/// then comes again.
#[test]
fn connections_outlive_the_daemon() {
    for (mode, fast_path) in [("nat", "on"), ("dr", "on"), ("nat", "off"), ("fullnat", "off")] {
        let arguments =
            ["--mode", mode, "--fast-path", fast_path, "--kill-daemon", "3", "--connections", "60"];
        let report = good(&[&arguments[..], &["--capacity", "4096"]].concat());
        let killed = &report["killed"];
        assert_eq!((&killed["rounds"], &killed["lost"]), (&3.into(), &0.into()), "{killed}");
        if fast_path == "on" {
            assert!(killed["without_daemon"].as_u64() > Some(0), "{killed}");
        }
    }
}
