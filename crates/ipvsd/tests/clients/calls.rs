//! SIP over UDP through a virtual address to two servers, by Call-ID: Debian's sipp on both sides, and messages whose client
//! port differs from one to the next.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::namespace::Namespace;
use crate::network::{Family, Method, Network, Path};
use crate::program::Program;
use crate::wait_for;

const VIRTUAL: &str = "10.88.0.10:5060";
const CALLS: u32 = 400;

/// The network of these tests, with this service.
fn network(test: &str, service: &str, path: Path) -> Network {
    let network = Network::new(test, Method::Masquerading, Family::V4, path);
    network.serve("-u", 5060, 5060, service);
    network
}

/// sipp's server of its own scenario, and the file of its counters.
fn answer(network: &Network, number: usize) -> (Program, PathBuf) {
    let (counters, log) =
        (network.director.file(&format!("uas{number}.csv")), network.director.file("sipp.log"));
    let mut command = sipp(
        &network.servers[number],
        &format!("-sn uas -i 10.88.1.1{} -p 5060 -trace_stat -fd 1", number + 1),
    );
    command.arg("-stf").arg(&counters).current_dir(log.parent().unwrap());
    (Program::start(command, log), counters)
}

/// sipp's client of its own scenario: its exit code, 0 if no call failed, and what it said.
fn call(network: &Network, transport: &str, calls: u32) -> (Option<i32>, String) {
    let words = format!(
        "-sn uac {VIRTUAL} -i 10.88.0.2 -t {transport} -m {calls} -r 200 -max_socket 1000 -timeout 50 -timeout_error \
         -max_retrans 3"
    );
    let mut command = sipp(&network.client, &words);
    let output = command.current_dir(network.director.file("sipp.log").parent().unwrap()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code(), said.concat())
}

fn sipp(namespace: &Namespace, words: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace.name(), "sipp", "-nostdin"]).args(words.split(' '));
    command.stdin(Stdio::null()).env("TERM", "dumb");
    command
}

/// Calls that ended well, and others, by the last line of sipp's counters.
fn counted(file: &PathBuf) -> Option<(u32, u32)> {
    let text = std::fs::read_to_string(file).ok()?;
    let titles: Vec<&str> = text.lines().next()?.split(';').collect();
    let last: Vec<&str> = text.lines().last()?.split(';').collect();
    let value = |title| last.get(titles.iter().position(|it| *it == title)?)?.parse().ok();
    Some((value("SuccessfulCall(C)")?, value("FailedCall(C)")?))
}

/// Every call ends well; how many each server had.
fn all_end_well(test: &str, service: &str, transport: &str, path: Path) -> (Network, [u32; 2]) {
    let network = network(test, service, path);
    let servers = [0, 1].map(|number| answer(&network, number));
    let (code, said) = call(&network, transport, CALLS);
    assert_eq!(code, Some(0), "{said}{}", network.director.ipvsadm(&["-Ln", "--stats"]).unwrap());
    let mut shares = [(0, 0); 2];
    wait_for("the servers' counters", || {
        shares = [0, 1].map(|number: usize| counted(&servers[number].1).unwrap_or_default());
        shares.iter().map(|(well, _)| well).sum::<u32>() >= CALLS
    });
    assert_eq!(shares.map(|(_, failed)| failed), [0, 0]);
    (network, shares.map(|(well, _)| well))
}

/// Each call from a port of its own, now and then one that an earlier call had: that call finds the connection, all others have
/// a template.
#[test]
fn a_port_for_each_call() {
    port_for_each_call("sip-ports", Path::Daemon);
}

#[test]
fn a_port_for_each_call_on_the_fast_path() {
    port_for_each_call("sip-ports-f", Path::Fast);
}

fn port_for_each_call(test: &str, path: Path) {
    let (network, shares) = all_end_well(test, "-s rr -p 300 --pe sip", "un", path);
    assert!(shares.iter().all(|calls| *calls > CALLS / 3), "{shares:?}");
    let listing = network.director.ipvsadm(&["-Lnc", "--persistent-conn"]).unwrap();
    let templates: Vec<_> = listing.lines().filter(|row| row.contains(" sip ")).collect();
    assert!(templates.iter().all(|row| row.contains("ASSURED")), "{listing}");
    let fewest = CALLS as usize * 9 / 10;
    assert!((fewest..=CALLS as usize).contains(&templates.len()), "{listing}");
    network.end();
}

/// All calls from one port, each message scheduled for itself: nothing but the Call-ID says where it belongs, and answers
/// find their way because servers may begin calls.
#[test]
fn one_port_for_all_calls() {
    for (test, path) in [("sip-one", Path::Daemon), ("sip-one-f", Path::Fast)] {
        let (_, shares) = all_end_well(test, "-s rr -o -p 300 --pe sip", "u1", path);
        assert_eq!(shares, [CALLS / 2; 2]);
    }
}

/// The test above can fail: without the engine a server gets messages of calls that it does not know.
#[test]
fn without_the_engine_calls_are_torn() {
    let network = network("sip-none", "-s rr -o", Path::Daemon);
    let servers = [0, 1].map(|number| answer(&network, number));
    call(&network, "u1", 20);
    wait_for("failed calls", || {
        servers.iter().any(|(_, file)| counted(file).is_some_and(|(_, failed)| failed > 0))
    });
}

/// Every message from another port of the client.
#[test]
fn a_port_for_each_message() {
    for (test, service) in [("sip-each", "-s rr -p 300 --pe sip"), ("sip-each-o", "-s rr -o -p 300 --pe sip")]
    {
        let network = network(test, service, Path::Daemon);
        let servers = [0, 1].map(|number: usize| {
            network.servers[number].run(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5060)).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                socket
            })
        });
        let mut places = HashMap::new();
        for round in 0..3 {
            for call in 0..50 {
                let id = format!("{call}@client.example");
                let port = 20_000 + round * 50 + call;
                let client = network.client.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let message = format!("OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\ni: {id}\r\n\r\n");
                client.send_to(message.as_bytes(), VIRTUAL).unwrap();
                let mut buffer = [0; 2000];
                let (mut place, mut from) = (0, None);
                wait_for("a message", || {
                    place = (place + 1) % 2;
                    from = servers[place].recv_from(&mut buffer).ok();
                    from.is_some()
                });
                let (length, from) = from.unwrap();
                assert_eq!(&buffer[..length], message.as_bytes());
                let answer = format!("SIP/2.0 200 OK\r\nVia: x\r\ni: {id}\r\n\r\n");
                servers[place].send_to(answer.as_bytes(), from).unwrap();
                let (length, from) = client.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], from), (answer.as_bytes(), VIRTUAL.parse().unwrap()));
                let before = *places.entry(call).or_insert(place);
                assert_eq!(before, place, "call {call}, round {round}");
            }
        }
        let first = places.values().filter(|place| **place == 0).count();
        assert_eq!(first, 25, "calls of the first server");
    }
}
