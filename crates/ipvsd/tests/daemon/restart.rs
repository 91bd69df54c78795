//! What outlives the daemon, however it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipvs_client::ControlClient;
use ipvs_core::{
    Command as Order, DestinationConfig, DestinationId, ForwardingMethod, MarkTarget, Reply, ServiceConfig,
    ServiceId,
};
use rustix::process::Signal;

use crate::process::{Namespace, Running, ip, outcome};

fn service(port: u16) -> ServiceId {
    ServiceId::Address { protocol: 6, address: [10, 66, 0, 9].into(), port }
}

fn settings(timeout: u32) -> ServiceConfig {
    ServiceConfig {
        scheduler: "wrr".into(),
        persistence_engine: None,
        helper: None,
        flags: 0,
        flags_mask: u32::MAX,
        timeout,
        netmask: u32::MAX,
        target: MarkTarget::default(),
    }
}

fn server(number: u8) -> DestinationId {
    DestinationId { address: [10, 66, 1, number].into(), port: 8080 }
}

fn weight(weight: i32) -> DestinationConfig {
    DestinationConfig::new(ForwardingMethod::MASQUERADE, weight)
}

/// A BPF filesystem of this test's own; unmounted when dropped.
pub(crate) struct BpfFilesystem(PathBuf);

impl BpfFilesystem {
    pub(crate) fn mount(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ipvsd-bpf-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&path).status().unwrap();
        assert!(mounted.success());
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn pins(&self) -> Vec<String> {
        let Ok(folders) = std::fs::read_dir(self.0.join("ipvsd")) else { return Vec::new() };
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for BpfFilesystem {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn stop(namespace: &Namespace, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipvsd"));
    command.args(["stop", "--netns", namespace.name(), "--socket"]).arg(namespace.socket()).args(more);
    outcome(&command.output().unwrap())
}

fn left(socket: &Path) -> Vec<&'static str> {
    let there = |ending: &&str| Path::new(&format!("{}{ending}", socket.display())).exists();
    ["", ".state", ".counters", ".connections", ".settings"].into_iter().filter(there).collect()
}

#[test]
fn the_program_stays_until_it_is_detached() {
    let namespace = Namespace::new("pinned");
    let bpf = BpfFilesystem::mount("pinned");
    let arguments = ["--fast-path", "on", "--pin", bpf.path()];
    ip(&format!("-n {} addr add 10.66.0.1/24 dev one", namespace.name()));
    let rules = || ip(&format!("-n {} rule", namespace.name()));
    let running = Running::start(&namespace, &arguments);
    let mut client = ControlClient::connect(&namespace.socket()).unwrap();
    client.request(Order::AddService(service(80), settings(0))).unwrap();
    // A real server on the director takes a routing rule.
    let local = DestinationId { address: [10, 66, 0, 1].into(), port: 8080 };
    client.request(Order::AddDestination(service(80), local, weight(1))).unwrap();
    assert!(rules().contains("sport 8080"));
    let pins = bpf.pins();
    assert!(pins.contains(&"connections".into()) && pins.contains(&"traffic".into()), "{pins:?}");
    assert_eq!(pins.iter().filter(|pin| pin.contains("native") || pin.contains("generic")).count(), 2);
    let (code, said) = running.end(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stop --detach"), "{said}");
    assert!(namespace.has_xdp() && !rules().contains("sport 8080"));
    for signal in [Signal::KILL, Signal::KILL] {
        let running = Running::start(&namespace, &arguments);
        assert_eq!(running.said.matches("took the place").count(), 2, "{}", running.said);
        assert_eq!(bpf.pins(), pins);
        let mut client = ControlClient::connect(&namespace.socket()).unwrap();
        assert!(client.request(Order::GetService(service(80))).is_ok());
        running.end(signal);
        assert!(namespace.has_xdp());
    }
    assert!(rules().contains("sport 8080"), "left by one that was killed");
    // It need not forward to be pinned.
    let running = Running::start(&namespace, &["--pin", bpf.path()]);
    assert_eq!(running.said.matches("took the place").count(), 2, "{}", running.said);
    assert_eq!(bpf.pins(), pins);
    running.end(Signal::KILL);
    assert!(namespace.has_xdp());
    // Without pins: the program of the last run is replaced all the same, and ends with this one.
    let running = Running::start(&namespace, &["--fast-path", "on", "--pin", "off"]);
    assert_eq!(running.said.matches("took the place").count(), 2, "{}", running.said);
    assert!(bpf.pins().is_empty(), "{:?}", bpf.pins());
    running.end(Signal::KILL);
    assert!(!namespace.has_xdp());
    // The end, with and without a daemon.
    for kill in [true, false] {
        let running = Running::start(&namespace, &arguments);
        assert!(ControlClient::connect(&namespace.socket()).unwrap().request(Order::GetInfo).is_ok());
        if kill {
            running.end(Signal::KILL);
            assert_eq!(stop(&namespace, &[]).0, Some(2), "no daemon");
            assert!(namespace.has_xdp());
            assert_eq!(stop(&namespace, &["--detach"]), (Some(0), String::new()));
        } else {
            let socket = namespace.socket();
            let mut command = Command::new(env!("CARGO_BIN_EXE_ipvsd"));
            // From outside, without --netns: the daemon's own is found.
            let mut stopping = command.args(["stop", "--detach", "--socket"]).arg(socket).spawn().unwrap();
            let mut running = running;
            assert!(running.child.wait().unwrap().success());
            assert!(stopping.wait().unwrap().success());
        }
        assert!(!namespace.has_xdp(), "kill: {kill}");
        assert!(bpf.pins().is_empty(), "{:?}", bpf.pins());
        assert!(!rules().contains("sport 8080"), "kill: {kill}: {}", rules());
        assert_eq!(left(&namespace.socket()), [""; 0]);
    }
}

/// A classifier is kept and replaced in the same way, and gives way when XDP is asked for.
#[test]
fn a_classifier_stays_until_it_is_detached() {
    let namespace = Namespace::new("tcpinned");
    let bpf = BpfFilesystem::mount("tcpinned");
    let tc = ["--fast-path", "on", "--attach", "tc", "--pin", bpf.path()];
    let kept = |kind: &str| bpf.pins().iter().filter(|pin| pin.starts_with(kind)).count();
    Running::start(&namespace, &tc).end(Signal::KILL);
    assert!(kept("tc-") == 2 && !namespace.has_xdp(), "{:?}", bpf.pins());
    let running = Running::start(&namespace, &tc);
    assert_eq!(running.said.matches("took the place").count(), 2, "{}", running.said);
    running.end(Signal::KILL);
    // One of them by XDP.
    let mixed = ["--fast-path", "on", "--attach", "tc,one=xdp", "--pin", bpf.path()];
    let running = Running::start(&namespace, &mixed);
    assert_eq!(running.said.matches("took the place").count(), 1, "{}", running.said);
    assert!(kept("tc-") == 1 && kept("native-") + kept("generic-") == 1, "{:?}", bpf.pins());
    running.end(Signal::TERM);
    let running = Running::start(&namespace, &["--fast-path", "on", "--pin", bpf.path()]);
    assert_eq!(running.said.matches("took the place").count(), 1, "{}", running.said);
    assert!(kept("tc-") == 0 && namespace.has_xdp(), "{:?}", bpf.pins());
    running.end(Signal::TERM);
    assert_eq!(stop(&namespace, &["--detach"]), (Some(0), String::new()));
    assert!(!namespace.has_xdp() && bpf.pins().is_empty());
}

#[test]
fn services_outlive_the_daemon() {
    let namespace = Namespace::new("outlive");
    let running = Running::start(&namespace, &[]);
    let mut client = ControlClient::connect(&namespace.socket()).unwrap();
    client.request(Order::AddService(service(80), settings(0))).unwrap();
    client.request(Order::AddDestination(service(80), server(1), weight(3))).unwrap();
    running.end(Signal::TERM);
    let names_service = |namespace: &Namespace| {
        let mut client = ControlClient::connect(&namespace.socket()).unwrap();
        client.request(Order::GetService(service(80))).is_ok()
    };
    let running = Running::start(&namespace, &[]);
    assert!(names_service(&namespace) && running.said.contains("going on"), "{}", running.said);
    running.end(Signal::KILL);
    // Of another version: it says so and begins anew.
    let journal = format!("{}.state", namespace.socket().display());
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("ipvsd-state 1", "ipvsd-state 9", 1)).unwrap();
    let running = Running::start(&namespace, &[]);
    assert!(running.said.contains("not everything can be used") && !names_service(&namespace));
    let mut client = ControlClient::connect(&namespace.socket()).unwrap();
    client.request(Order::AddService(service(80), settings(0))).unwrap();
    running.end(Signal::KILL);
    // Another network namespace is another director, as in the kernel.
    let elsewhere = Namespace::new("outlive2");
    let running = Running::start(&elsewhere, &["--socket", namespace.socket().to_str().unwrap()]);
    assert!(!names_service(&namespace) && running.said.contains("another network namespace"));
    running.end(Signal::TERM);
    let running = Running::start(&namespace, &["--fresh"]);
    assert!(!names_service(&namespace));
    running.end(Signal::TERM);
}

/// What one client has made: of services by port their timeout and servers with weights.
type Made = BTreeMap<u16, (u32, BTreeMap<u8, i32>)>;

/// One more command by chance, and what it makes of `made`.
fn step(random: &mut u64, first: u16, made: &Made) -> (Order, Made) {
    let mut draw = |below: u64| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random % below
    };
    let mut after = made.clone();
    let port = first + draw(8) as u16;
    let value = draw(1000) as u32;
    let id = service(port);
    let Some((timeout, servers)) = after.get_mut(&port) else {
        after.insert(port, (value, BTreeMap::new()));
        return (Order::AddService(id, settings(value)), after);
    };
    let number = 1 + draw(20) as u8;
    let order = match (draw(20), servers.contains_key(&number)) {
        (0, _) => {
            after.remove(&port);
            Order::DeleteService(id)
        }
        (1..4, _) => {
            *timeout = value;
            Order::EditService(id, settings(value))
        }
        (4..8, true) => {
            servers.remove(&number);
            Order::DeleteDestination(id, server(number))
        }
        (_, true) => {
            servers.insert(number, value as i32);
            Order::EditDestination(id, server(number), weight(value as i32))
        }
        (_, false) => {
            servers.insert(number, value as i32);
            Order::AddDestination(id, server(number), weight(value as i32))
        }
    };
    (order, after)
}

/// What the daemon has of a client's services.
fn there(client: &mut ControlClient, first: u16) -> Made {
    let mut made = Made::new();
    for port in first..first + 8 {
        let Ok(Reply::Service(info)) = client.request(Order::GetService(service(port))) else { continue };
        let list = Order::ListDestinations { service: service(port), cursor: 0, limit: usize::MAX };
        let Ok(Reply::Destinations { items, .. }) = client.request(list) else { panic!() };
        let servers = items.into_iter().map(|it| match it.id.address {
            std::net::IpAddr::V4(address) => (address.octets()[3], it.config.weight),
            other => panic!("{other}"),
        });
        made.insert(port, (info.timeout, servers.collect()));
    }
    made
}

/// Killed in the midst of commands: each that a client was told to be done is there, and of each client at most the one more
/// that was under way.
#[test]
fn what_was_acknowledged_is_there() {
    const CLIENTS: u16 = 4;
    let namespace = Namespace::new("storm");
    let mut made = vec![Made::new(); CLIENTS.into()];
    let mut commands = 0;
    for round in 0..6u64 {
        let running = Running::start(&namespace, &[]);
        let (over, begun) = (AtomicBool::new(false), Barrier::new(usize::from(CLIENTS) + 1));
        let results: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = made
                .iter()
                .enumerate()
                .map(|(number, made)| {
                    let (socket, over, begun) = (namespace.socket(), &over, &begun);
                    scope.spawn(move || {
                        let mut client = ControlClient::connect(&socket).unwrap();
                        let first = number as u16 * 100 + 1;
                        assert_eq!(there(&mut client, first), *made, "the last round's");
                        begun.wait();
                        let mut random = (round + 1) * 1_000_003 + number as u64 * 7919 + 1;
                        let (mut made, mut count) = (made.clone(), 0);
                        loop {
                            let (order, after) = step(&mut random, first, &made);
                            match client.request(order) {
                                Ok(_) => (made, count) = (after, count + 1),
                                // The daemon was killed.
                                Err(_) if over.load(Ordering::SeqCst) => return (made, after, count),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            begun.wait();
            std::thread::sleep(Duration::from_millis(40 + round * 35));
            over.store(true, Ordering::SeqCst);
            running.end(Signal::KILL);
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let running = Running::start(&namespace, &[]);
        let mut client = ControlClient::connect(&namespace.socket()).unwrap();
        for (number, (acknowledged, one_more, count)) in results.into_iter().enumerate() {
            let there = there(&mut client, number as u16 * 100 + 1);
            assert!(there == acknowledged || there == one_more, "{there:?}\n{acknowledged:?}\n{one_more:?}");
            made[number] = there;
            commands += count;
        }
        running.end(if round.is_multiple_of(2) { Signal::TERM } else { Signal::KILL });
    }
    assert!(commands > 100, "{commands} commands in all are no storm");
}
