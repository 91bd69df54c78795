//! `ipvsd run` as a process, in network namespaces made for it. Needs root.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod attachments;
mod process;
mod restart;

use std::process::Command;

use ipvs_client::ControlClient;
use ipvs_core::{Command as Order, Reply};
use process::{Namespace, Running, outcome};

#[test]
fn settings_outlive_the_daemon() {
    use ipvs_core::Sysctl;
    use rustix::process::Signal;
    let namespace = Namespace::new("settings");
    for (before, signal) in [(0, Signal::TERM), (1, Signal::KILL), (2, Signal::TERM)] {
        let running = Running::start(&namespace, &[]);
        let mut client = ControlClient::connect(&namespace.socket()).unwrap();
        let reply = client.request(Order::GetSysctl(Sysctl::SyncRetries)).unwrap();
        assert_eq!(reply, Reply::Sysctls(vec![(Sysctl::SyncRetries, vec![before])]));
        client.request(Order::SetSysctl(Sysctl::SyncRetries, vec![before + 1])).unwrap();
        running.end(signal);
    }
    std::fs::remove_file(format!("{}.settings", namespace.socket().display())).unwrap();
}

#[test]
fn starts_serves_and_stops() {
    use rustix::process::Signal;
    let namespace = Namespace::new("stops");
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = Running::start(&namespace, &[]);
        assert!(namespace.has_xdp());
        let mut client = ControlClient::connect(&namespace.socket()).unwrap();
        assert!(matches!(client.request(Order::GetInfo), Ok(Reply::Info(info)) if info.table_size == 4096));
        let id = rustix::process::Pid::from_child(&daemon.child);
        rustix::process::kill_process(id, Signal::USR1).unwrap();
        let (code, said) = daemon.end(signal);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.matches("balanced").count(), 2, "on SIGUSR1 and at the end: {said}");
        assert!(!namespace.socket().exists(), "the socket is left behind");
        assert!(!namespace.has_xdp(), "the XDP program is left behind");
        assert!(client.request(Order::GetInfo).is_err());
    }
}

#[test]
fn one_daemon_per_namespace() {
    let namespace = Namespace::new("single");
    let daemon = Running::start(&namespace, &[]);
    let other = std::env::temp_dir().join(format!("{}.other", namespace.name()));
    let (code, said) = namespace.refused(&["--socket", other.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{said}");
    let line = said.lines().last().unwrap();
    assert!(line.contains(&format!("process {}", daemon.child.id())), "{line}");
    assert!(line.contains("network namespace"), "{line}");
    assert!(!other.exists());
    // The one that runs has taken no harm, and another namespace is free.
    assert!(ControlClient::connect(&namespace.socket()).unwrap().request(Order::GetInfo).is_ok());
    let elsewhere = Namespace::new("single2");
    drop(Running::start(&elsewhere, &[]));
    // But not with the socket of the first one.
    let (code, said) = elsewhere.refused(&["--socket", namespace.socket().to_str().unwrap()]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn starts_again_after_it_was_killed() {
    let namespace = Namespace::new("killed");
    let (code, _) = Running::start(&namespace, &[]).end(rustix::process::Signal::KILL);
    assert_eq!(code, None);
    assert!(namespace.socket().exists(), "a killed daemon leaves its socket");
    let daemon = Running::start(&namespace, &[]);
    assert!(ControlClient::connect(&namespace.socket()).unwrap().request(Order::GetInfo).is_ok());
    assert_eq!(daemon.end(rustix::process::Signal::TERM).0, Some(0));
}

#[test]
fn says_what_is_missing() {
    let namespace = Namespace::new("missing");
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--interface", "nosuch0"], 1, "nosuch0"),
        (&["--socket", "/nonexistent/ipvsd.sock"], 1, "--socket"),
        (&["--capacity", "0"], 2, "--capacity"),
        (&["--xdp", "sometimes"], 2, "native"),
    ];
    for (arguments, expected, named) in cases {
        let (code, said) = namespace.refused(arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let ipvsd = |arguments: &[&str]| {
        outcome(&Command::new(env!("CARGO_BIN_EXE_ipvsd")).args(arguments).output().unwrap())
    };
    let (code, said) = ipvsd(&["run", "--netns", "ipvsd-no-such-namespace"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ip netns"), "{said}");
    let (code, said) = ipvsd(&["run", "--netns", "/proc/self/ns/uts"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not a network namespace"), "{said}");
}

#[test]
fn without_privileges_it_says_so() {
    use std::os::unix::process::CommandExt;
    let namespace = Namespace::new("user");
    let copy = std::env::temp_dir().join(format!("ipvsd-{}", namespace.name()));
    std::fs::copy(env!("CARGO_BIN_EXE_ipvsd"), &copy).unwrap();
    let output = Command::new("ip")
        .args([
            "netns",
            "exec",
            namespace.name(),
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ])
        .arg(&copy)
        .args(["run", "--socket", "/tmp/ipvsd-never.sock"])
        .process_group(0)
        .output()
        .unwrap();
    std::fs::remove_file(&copy).unwrap();
    let (code, said) = outcome(&output);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("run as root or with CAP_NET_ADMIN"), "{said}");
}

#[test]
fn json_logs_are_json() {
    let namespace = Namespace::new("json");
    let (code, said) = Running::start(&namespace, &["--log", "json"]).end(rustix::process::Signal::TERM);
    assert_eq!(code, Some(0));
    for line in said.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value.get("message").is_some(), "{line}");
    }
    assert!(said.lines().count() >= 2);
}
