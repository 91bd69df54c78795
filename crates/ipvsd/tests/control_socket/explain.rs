//! `ipvsd explain` as a program, and what the daemon is afterwards.

use std::path::Path;
use std::process::{Command as Process, Output};

use ipvs_core::{Command, DestinationConfig, DestinationId, ForwardingMethod, Reply, ServiceConfig};
use ipvsd::run::Limits;

use crate::common::{Daemon, service, socket_path};

fn explain(socket: &Path, words: &str) -> Output {
    Process::new(env!("CARGO_BIN_EXE_ipvsd"))
        .arg("explain")
        .args(words.split_whitespace())
        .arg("--socket")
        .arg(socket)
        .output()
        .unwrap()
}

/// Standard output of one that explained.
fn explained(daemon: &Daemon, words: &str) -> String {
    let output = explain(daemon.path(), words);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A daemon with a service at 10.0.0.1:80, wlc, and the servers 10.0.1.1 (weight 0) and .2, port 8080.
fn daemon(name: &str) -> Daemon {
    let daemon = Daemon::start(name, Limits::default());
    let mut client = daemon.client();
    let (id, config) = service(80);
    client.request(Command::AddService(id, ServiceConfig { scheduler: "wlc".into(), ..config })).unwrap();
    for (number, weight) in [(1, 0), (2, 3)] {
        let config = DestinationConfig::new(ForwardingMethod::MASQUERADE, weight);
        let server = DestinationId { address: [10, 0, 1, number].into(), port: 8080 };
        client.request(Command::AddDestination(id, server, config)).unwrap();
    }
    daemon
}

const FIRST: &str = "--src 198.51.100.7:40000 --dst 10.0.0.1:80 --proto tcp";

#[test]
fn a_first_packet_as_text_and_json() {
    let daemon = daemon("explain");
    let mut client = daemon.client();
    let everything = |client: &mut ipvs_client::ControlClient| {
        let (service, _) = service(80);
        [
            Command::GetStats,
            Command::ListDrops,
            Command::GetService(service),
            Command::ListDestinations { service, cursor: 0, limit: 0 },
            Command::ListConnections { cursor: 0, limit: 0 },
        ]
        .map(|command| client.request(command).unwrap())
    };
    let before = everything(&mut client);
    let text = explained(&daemon, FIRST);
    for line in [
        "scheduler         wlc chooses 10.0.1.2:8080",
        "                    10.0.1.1:8080 not eligible for its weight: weight 0, 0 active, 0 inactive",
        "rewrite           destination 10.0.0.1:80 becomes 10.0.1.2:8080, hop limit 64 becomes 63",
        "verdict           forwarded to 10.0.1.2",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\nis not in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&explained(&daemon, &format!("{FIRST} --json"))).unwrap();
    assert_eq!(json["verdict"], serde_json::json!({"verdict": "forward", "next": "10.0.1.2"}));
    let candidates: Vec<_> =
        json["steps"].as_array().unwrap().iter().filter(|it| it["step"] == "candidate").collect();
    assert_eq!((&candidates[0]["chosen"], &candidates[0]["weight"]), (&true.into(), &3.into()));
    assert_eq!((&candidates[1]["eligible"], &candidates[1]["why"]), (&false.into(), &"weight-0".into()));
    assert_eq!(everything(&mut client), before);
}

#[test]
fn a_refused_packet_and_ipv6() {
    let daemon = daemon("explain-refused");
    let (id, _) = service(80);
    let Reply::Destinations { items, .. } =
        daemon.client().request(Command::ListDestinations { service: id, cursor: 0, limit: 0 }).unwrap()
    else {
        panic!("no list")
    };
    for it in items {
        daemon.client().request(Command::DeleteDestination(id, it.id)).unwrap();
    }
    let json: serde_json::Value =
        serde_json::from_str(&explained(&daemon, &format!("{FIRST} --json"))).unwrap();
    assert_eq!(
        (&json["verdict"]["verdict"], &json["verdict"]["reason"]),
        (&"reply".into(), &"no-destination".into())
    );
    let text =
        explained(&daemon, "--src [2001:db8::7]:1 --dst [2001:db8::1]:53 --proto udp --size 1500 --mark 5");
    assert!(text.contains("none for UDP [2001:db8::1]:53, nor for firewall mark 5"), "{text}");
    assert!(text.contains("not IPVS's concern"), "{text}");
}

#[test]
fn errors_name_what_is_wrong() {
    let nowhere = socket_path("explain-nowhere");
    for (words, code, said) in [
        (FIRST, 2, "no ipvsd at"),
        ("--src 198.51.100.7:40000 --dst [::1]:80 --proto tcp", 2, "a packet has both of one family"),
        ("--src 198.51.100.7 --dst 10.0.0.1:80 --proto tcp", 2, "the port is missing: 198.51.100.7:80"),
        ("--src 198.51.100.7:40000 --dst 10.0.0.1:80", 2, "--proto <PROTOCOL>"),
    ] {
        let output = explain(&nowhere, words);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words}: {error}");
        assert!(error.contains(said), "{words}: {error}");
    }
    let help = explain(&nowhere, "--help");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in ["EXAMPLES", "THE ANSWER", "EXIT CODES", "--flags", "--mark", "--size"] {
        assert!(help.contains(word), "{help}");
    }
}
