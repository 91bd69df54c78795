//! The control socket under clients of every kind. The engine and its event loop are the daemon's own; only the
//! datapath is a stand-in.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;
#[path = "control_socket/explain.rs"]
mod explain;
#[path = "control_socket/options.rs"]
mod options;

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command as Process;
use std::time::Duration;

use common::{Daemon, Raw, fill, service};
use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::{Exchange, Progress, encode_get_family};
use ipvs_client::{ClientError, ControlClient};
use ipvs_core::{Command, DestinationConfig, DestinationId, ForwardingMethod, Reply, ServiceConfig};
use ipvsd::run::{Control, Failure, Limits};

#[test]
fn drops_of_the_director_and_of_the_datapath() {
    let daemon = Daemon::start("drops", Limits::default());
    let Reply::Drops(drops) = daemon.client().request(Command::ListDrops).unwrap() else { panic!("no list") };
    let (others, datapath) = drops.split_at(drops.len() - 2);
    let datapath: Vec<_> =
        datapath.iter().map(|drop| (&*drop.by, &*drop.reason, drop.packets, drop.active)).collect();
    assert_eq!(datapath, [("datapath", "no-route", 7, false), ("datapath", "syn-filter", 0, true)]);
    let reasons: Vec<_> = others.iter().map(|drop| drop.reason.as_str()).collect();
    assert_eq!(reasons, ipvs_core::Reason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>());
    assert!(others.iter().all(|drop| drop.by == "director" && drop.packets == 0 && !drop.active));
}

/// No turn of the datapath finds that the fast path lacks the choices of a service that a command has just changed: what it does by those would
/// come and go with each command.
#[test]
fn choices_are_published_after_a_command() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let daemon = Daemon::start("choices", Limits::default());
    let mut client = daemon.client();
    let (id, config) = service(80);
    client.request(Command::AddService(id, config)).unwrap();
    let destination = DestinationId { address: [10, 0, 0, 2].into(), port: 80 };
    let weight = |weight| DestinationConfig::new(ForwardingMethod::MASQUERADE, weight);
    client.request(Command::AddDestination(id, destination, weight(1))).unwrap();
    let start = std::time::Instant::now();
    while daemon.services_chosen_for() == 0 {
        assert!(start.elapsed() < PATIENCE, "they are not");
        std::thread::yield_now();
    }
    let before = daemon.turns_without_choices();
    for number in 1..20 {
        client.request(Command::EditDestination(id, destination, weight(number))).unwrap();
    }
    assert_eq!(daemon.turns_without_choices(), before);
}

#[test]
fn commands_and_refusals() {
    let daemon = Daemon::start("commands", Limits::default());
    let mut client = daemon.client();
    let (id, config) = service(80);
    assert_eq!(client.request(Command::AddService(id, config.clone())).unwrap(), Reply::Done);
    let errno = |outcome: Result<Reply, ClientError>| outcome.unwrap_err().errno();
    assert_eq!(errno(client.request(Command::AddService(id, config.clone()))), Some(Errno::EEXIST));
    assert_eq!(errno(client.request(Command::DeleteService(service(81).0))), Some(Errno::ESRCH));
    let unknown = ServiceConfig { scheduler: "nosuch".into(), ..config };
    assert_eq!(errno(client.request(Command::EditService(id, unknown))), Some(Errno::ENOENT));
    let destination = DestinationId { address: [10, 0, 0, 9].into(), port: 8080 };
    let settings = DestinationConfig::new(ForwardingMethod::MASQUERADE, 1);
    client.request(Command::AddDestination(id, destination, settings)).unwrap();
    let negative = DestinationConfig { weight: -1, ..settings };
    assert_eq!(
        errno(client.request(Command::EditDestination(id, destination, negative))),
        Some(Errno::ERANGE)
    );
    let listing = Command::ListDestinations { service: id, cursor: 0, limit: 0 };
    let Reply::Destinations { items, next: None } = client.request(listing).unwrap() else {
        panic!("no list")
    };
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].id, items[0].config), (destination, settings));
    // The datapath heard of the service and of the server before the client got its answer.
    assert_eq!(daemon.interests_added(), 2);
}

/// Requests that travel many in a datagram get each its own outcome, wherever in the datagram a refusal stands.
#[test]
fn each_of_many_commands_has_its_outcome() {
    let daemon = Daemon::start("each", Limits::default());
    let mut client = daemon.client();
    // Every third a second time: refused. Several datagrams long; the very last is refused, too.
    let ports: Vec<u16> =
        (1..=2999).flat_map(|port| if port % 3 == 2 { vec![port; 2] } else { vec![port] }).collect();
    let commands = ports.iter().map(|port| {
        let (id, config) = service(*port);
        Command::AddService(id, config)
    });
    let outcomes = client.request_each(commands.collect());
    assert_eq!(outcomes.len(), ports.len());
    for (position, outcome) in outcomes.iter().enumerate() {
        let again = position > 0 && ports[position] == ports[position - 1];
        let expected = again.then_some(Errno::EEXIST);
        assert_eq!(outcome.as_ref().err().and_then(ClientError::errno), expected, "{position}: {outcome:?}");
        assert_eq!(outcome.is_err(), again);
    }
    assert!(outcomes.last().is_some_and(Result::is_err));
    // The connection is in step afterwards.
    assert!(matches!(client.request(Command::GetInfo), Ok(Reply::Info(_))));
    assert!(client.request_each(Vec::new()).is_empty());
}

/// Questions that travel many in a datagram are answered each, in order, refused ones among them.
#[test]
fn each_of_many_questions_has_its_answer() {
    let daemon = Daemon::start("questions", Limits::default());
    let mut client = daemon.client();
    let ports = 1..=1200u16;
    let services = ports.clone().map(|port| {
        let (id, config) = service(port);
        Command::AddService(id, config)
    });
    assert!(client.request_each(services.collect()).iter().all(Result::is_ok));
    let questions = ports.clone().flat_map(|port| {
        let asked = service(if port % 5 == 0 { port + 20_000 } else { port }).0;
        [Command::GetService(asked), Command::ListDestinations { service: asked, cursor: 0, limit: 1 }]
    });
    let answers = client.ask_each(questions.collect());
    assert_eq!(answers.len(), 2 * ports.len());
    for (port, answer) in ports.zip(answers.chunks(2)) {
        match &answer[0] {
            Ok(Reply::Service(found)) => assert_eq!(found.id, service(port).0),
            refused => {
                assert_eq!(refused.as_ref().err().and_then(ClientError::errno), Some(Errno::ESRCH));
                assert_eq!(port % 5, 0);
            }
        }
        assert!(matches!(&answer[1], Ok(Reply::Destinations { items, .. }) if items.is_empty()));
    }
    assert!(matches!(client.request(Command::GetInfo), Ok(Reply::Info(_))));
}

#[test]
fn a_listing_of_many_pages_is_whole() {
    let daemon = Daemon::start("pages", Limits::default());
    let mut client = daemon.client();
    fill(&mut client, 1000);
    let Reply::Services { items, next: None } =
        client.request(Command::ListServices { cursor: 0, limit: 0 }).unwrap()
    else {
        panic!("no list")
    };
    let mut ports: Vec<u16> = items.iter().map(|info| common::port_of(&info.id)).collect();
    ports.sort_unstable();
    assert_eq!(ports, (1..=1000).collect::<Vec<u16>>());
}

#[test]
fn malformed_and_truncated_requests_harm_nobody() {
    let daemon = Daemon::start("malformed", Limits::default());
    let mut bystander = daemon.client();
    let good = Exchange::new(Command::GetInfo, 7).request();
    let raw = Raw::connect(&daemon);
    for cut in 1..good.len() {
        raw.send(&good[..cut]);
    }
    // Every byte in turn set to every eighth value, and endless lengths.
    for at in 0..good.len() {
        for value in (0..=255u8).step_by(8) {
            let mut bytes = good.clone();
            bytes[at] = value;
            raw.send_and_drain(&bytes);
        }
    }
    raw.send_and_drain(&[0xff; 4096]);
    raw.send_and_drain(&good.repeat(50));
    // The same connection still works.
    raw.drain();
    let mut exchange = Exchange::new(Command::GetTimeouts, 99);
    raw.send(&exchange.request());
    let outcome = loop {
        if let Progress::Done(outcome) = exchange.receive(&raw.receive()).unwrap() {
            break outcome;
        }
    };
    assert!(matches!(outcome, Ok(Reply::Timeouts(_))));
    assert!(bystander.request(Command::GetInfo).is_ok());
}

#[test]
fn a_request_that_is_too_long_ends_its_connection_only() {
    let daemon = Daemon::start("long", Limits::default());
    let mut bystander = daemon.client();
    let raw = Raw::connect(&daemon);
    raw.send(&vec![0; 70_000]);
    assert_eq!(raw.receive(), b"", "the connection has ended");
    assert!(bystander.request(Command::GetInfo).is_ok());
}

#[test]
fn silent_clients_do_not_matter() {
    let daemon = Daemon::start("silent", Limits::default());
    let silent: Vec<Raw> = (0..50).map(|_| Raw::connect(&daemon)).collect();
    let mut client = daemon.client();
    fill(&mut client, 10);
    drop(silent);
    assert!(client.request(Command::GetInfo).is_ok());
}

#[test]
fn a_thousand_clients_at_once() {
    let daemon = Daemon::start("thousand", Limits::default());
    common::raise_file_limit();
    let clients: Vec<Raw> = (0..1000).map(|_| Raw::connect(&daemon)).collect();
    for (number, client) in (0u16..).zip(&clients) {
        let (id, config) = service(number + 1);
        client.send(&Exchange::new(Command::AddService(id, config), 1).request());
    }
    for (number, client) in (0u16..).zip(&clients) {
        let (id, config) = service(number + 1);
        let mut exchange = Exchange::new(Command::AddService(id, config), 1);
        assert_eq!(exchange.receive(&client.receive()).unwrap(), Progress::Done(Ok(Reply::Done)));
    }
    let mut client = daemon.client();
    let reply = client.request(Command::ListServices { cursor: 0, limit: 0 }).unwrap();
    assert!(matches!(reply, Reply::Services { items, .. } if items.len() == 1000));
}

#[test]
fn a_client_that_does_not_read_is_paused_and_then_dropped() {
    let limits = Limits { patience: Duration::from_millis(300), ..Limits::default() };
    let daemon = Daemon::start("paused", limits);
    let mut client = daemon.client();
    fill(&mut client, 5000);
    let hung = Raw::connect(&daemon);
    hung.send(&Exchange::new(Command::ListServices { cursor: 0, limit: 0 }, 1).request());
    // Others are served meanwhile, with the same listing.
    let reply = client.request(Command::ListServices { cursor: 0, limit: 0 }).unwrap();
    assert!(matches!(reply, Reply::Services { items, .. } if items.len() == 5000));
    assert!(hung.wait_for_hang_up(Duration::from_secs(20)), "it is never dropped");
    assert!(client.request(Command::GetInfo).is_ok());
}

#[test]
fn a_slow_reader_gets_everything() {
    let daemon = Daemon::start("slow", Limits::default());
    let mut client = daemon.client();
    fill(&mut client, 5000);
    let slow = Raw::connect(&daemon);
    let mut exchange = Exchange::new(Command::ListServices { cursor: 0, limit: 0 }, 1);
    slow.send(&exchange.request());
    // By now the daemon has sent what fits and waits.
    assert!(client.request(Command::GetInfo).is_ok());
    let reply = loop {
        if let Progress::Done(outcome) = exchange.receive(&slow.receive()).unwrap() {
            break outcome.unwrap();
        }
    };
    assert!(matches!(reply, Reply::Services { items, .. } if items.len() == 5000));
}

#[test]
fn a_client_that_only_asks_is_paused() {
    let daemon = Daemon::start("asks", Limits::default());
    let greedy = Raw::connect(&daemon);
    let request = Exchange::new(Command::GetInfo, 1).request();
    // Until neither the daemon takes more nor the kernel holds more.
    let mut sent = 0u32;
    let mut client = daemon.client();
    loop {
        while greedy.try_send(&request) {
            sent += 1;
            assert!(sent < 1_000_000, "the daemon stores without end");
        }
        client.request(Command::GetInfo).unwrap();
        if !greedy.try_send(&request) {
            break;
        }
        sent += 1;
    }
    assert!(client.request(Command::GetInfo).is_ok());
}

#[test]
fn one_client_too_many_replaces_the_quietest() {
    let daemon = Daemon::start("many", Limits { privileged: 4, ..Limits::default() });
    let quiet = Raw::connect(&daemon);
    quiet.send(&encode_get_family(1));
    assert!(!quiet.receive().is_empty());
    let mut others: Vec<ControlClient> = (0..3).map(|_| daemon.client()).collect();
    for client in &mut others {
        client.request(Command::GetInfo).unwrap();
    }
    let mut late = daemon.client();
    late.request(Command::GetInfo).unwrap();
    assert!(quiet.wait_for_hang_up(Duration::from_secs(20)), "the quietest stays");
    for client in &mut others {
        client.request(Command::GetInfo).unwrap();
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let path = common::socket_path("stale");
    // A socket file that nobody listens at: what a killed daemon leaves.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let daemon = Daemon::start("stale", Limits::default());
    assert!(daemon.client().request(Command::GetInfo).is_ok());
    let refused = Control::open(&path, Limits::default()).unwrap_err();
    assert!(matches!(&refused, Failure::AnotherDaemon(text) if text.contains("in use")), "{refused}");
    assert!(daemon.client().request(Command::GetInfo).is_ok(), "the try did harm");
    drop(daemon);
    assert!(!path.exists(), "the file is left behind");
    std::fs::write(&path, "precious").unwrap();
    let refused = Control::open(&path, Limits::default()).unwrap_err();
    assert!(refused.to_string().contains("not a socket"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
}

/// What a client of another user sees; run by the tests below in a process of its own.
#[test]
#[ignore = "a part of other tests, which run it as another user"]
fn as_another_user() {
    let path = std::env::var_os("IPVSD_TEST_SOCKET").unwrap();
    let mut client = ControlClient::connect(path.as_ref()).unwrap();
    let outcome = client.request(Command::GetInfo).map_err(|error| error.errno());
    let shown = match outcome {
        Ok(_) => "allowed",
        Err(Some(Errno::EPERM)) => "EPERM",
        Err(_) => "something else",
    };
    println!("outcome: {shown}");
    let flush = client.request(Command::Flush).map_err(|error| error.errno());
    assert_eq!(flush.is_ok(), shown == "allowed");
    // The family may be resolved by everybody, as in the kernel.
    let raw = Raw::connect_to(path.as_ref());
    raw.send(&encode_get_family(1));
    assert!(raw.receive().len() > 100);
}

/// Runs [`as_another_user`] by `wrapper`, as user and group nobody if `nobody`, and returns what it prints.
fn outcome_as(daemon: &Daemon, wrapper: &[&str], nobody: bool) -> String {
    common::require_root();
    // A copy that everybody may execute: the build directory may be closed to others.
    let copy = std::env::temp_dir().join(format!("ipvsd-test-{}-{}", std::process::id(), daemon.name()));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut line: Vec<&std::ffi::OsStr> = wrapper.iter().map(std::ffi::OsStr::new).collect();
    line.push(copy.as_os_str());
    let mut process = Process::new(line[0]);
    process.args(&line[1..]).args(["--ignored", "--exact", "as_another_user", "--nocapture"]);
    process.env("IPVSD_TEST_SOCKET", daemon.path()).current_dir("/");
    if nobody {
        process.uid(65534).gid(65534);
    }
    let output = process.output().unwrap();
    std::fs::remove_file(&copy).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let start = text.find("outcome: ").unwrap();
    text[start + 9..].lines().next().unwrap().to_owned()
}

#[test]
fn other_users_get_eperm() {
    let daemon = Daemon::start("nobody", Limits::default());
    let mut client = daemon.client();
    fill(&mut client, 3);
    assert_eq!(outcome_as(&daemon, &[], true), "EPERM");
    let reply = client.request(Command::ListServices { cursor: 0, limit: 0 }).unwrap();
    assert!(matches!(reply, Reply::Services { items, .. } if items.len() == 3), "it flushed");
    assert_eq!(outcome_as(&daemon, &["env"], false), "allowed", "root");
}

#[test]
fn capabilities_of_another_user_namespace_are_worth_nothing() {
    let daemon = Daemon::start("userns", Limits::default());
    assert_eq!(outcome_as(&daemon, &["unshare", "--user", "--map-root-user"], true), "EPERM");
}

/// Root of a container, seen from outside: a user like any other, but with power over the container's network.
#[test]
fn root_of_the_user_namespace_that_owns_the_network_suffices() {
    common::require_root();
    let mut container = Process::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sleep", "600"])
        .uid(65534)
        .gid(65534)
        .spawn()
        .unwrap();
    let file = |kind: &str| format!("/proc/{}/ns/{kind}", container.id());
    let inode =
        |path: &str| std::fs::metadata(path).map(|file| std::os::unix::fs::MetadataExt::ino(&file)).ok();
    while inode(&file("net")) == inode("/proc/self/ns/net") {
        std::thread::yield_now();
    }
    let network = std::fs::File::open(file("net")).unwrap();
    let id = container.id().to_string();
    std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(network.as_fd(), None).unwrap();
        let daemon = Daemon::start("container", Limits::default());
        assert_eq!(outcome_as(&daemon, &["nsenter", "--target", &id, "--user"], false), "allowed");
        // So does who made that namespace, from above it (user_namespaces(7)); other users do not, nor root of another
        // namespace of his.
        assert_eq!(outcome_as(&daemon, &[], true), "allowed");
        let another = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"];
        assert_eq!(outcome_as(&daemon, &another, false), "EPERM");
        assert_eq!(outcome_as(&daemon, &["unshare", "--user", "--map-root-user"], true), "EPERM");
    })
    .join()
    .unwrap();
    container.kill().unwrap();
    container.wait().unwrap();
}

#[test]
fn the_capability_alone_suffices() {
    let daemon = Daemon::start("capability", Limits::default());
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let with = [&user[..], &["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]].concat();
    assert_eq!(outcome_as(&daemon, &with, false), "allowed");
    assert_eq!(outcome_as(&daemon, &user, false), "EPERM");
}
