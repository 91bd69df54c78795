//! SCTP associations through a virtual address to two servers. Both ends are usrsctp's, over raw IP sockets, in programs of
//! this test's own (`sctp_peer.c`): the kernels of test machines often have no SCTP.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::namespace::Namespace;
use crate::network::{Family, Method, Network, POOL, Path};
use crate::program::Program;
use crate::wait_for;

const PORT: u16 = 5000;
const ASSOCIATIONS: usize = 6;

/// The last word for an end: no packet of its is longer. Where nothing is said its interface tells.
type LongestPacket<'a> = &'a [&'a str];

/// Another one where ports are translated, so that checksums have to be, too.
fn server_port(method: Method) -> u16 {
    if method == Method::DirectRouting { PORT } else { PORT + 1 }
}

/// Compiles both ends' program.
fn compiled(network: &Network) -> PathBuf {
    let (source, program) = (
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/sctp_peer.c"),
        network.director.file("sctp_peer"),
    );
    let mut command = Command::new("cc");
    command
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .args(["-lusrsctp", "-lpthread"]);
    let output = command.output().expect("a C compiler is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}(`make test-prerequisites` installs libusrsctp-dev)");
    program
}

fn inside(host: &Namespace, program: &PathBuf, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.name()]).arg(program).args(words);
    command
}

/// A server's end, at the address that packets for it have when they arrive.
fn serve(network: &Network, program: &PathBuf, number: u8, place: (Method, Family)) -> Program {
    let host = &network.servers[usize::from(number)];
    let address = match place {
        (Method::Masquerading | Method::FullNat, _) => network.server_address(number),
        // usrsctp leaves loopback's addresses alone, so the virtual one is on a cable that leads nowhere, too; for IPv6 it
        // leaves the choice of the source address to the kernel.
        (Method::DirectRouting, family) => {
            let address = network.address();
            host.ip("link add hold type veth peer name held");
            host.ip("link set hold up");
            host.ip("link set held up");
            host.ip(&format!("addr del {address} dev lo"));
            host.ip(&format!("addr add {address} dev hold"));
            if family == Family::V6 {
                host.ip(&format!("route add {}/128 dev front src {address}", network.client_address()));
            }
            address
        }
    };
    serve_at(network, program, number, (&address, server_port(place.0)), &[])
}

/// A server's end at this address and port.
fn serve_at(
    network: &Network,
    program: &PathBuf,
    number: u8,
    (address, port): (&str, u16),
    longest: LongestPacket<'_>,
) -> Program {
    let host = &network.servers[usize::from(number)];
    let (log, name) = (network.director.file(&format!("sctp{number}.log")), format!("server-{}", number + 1));
    let port = port.to_string();
    let words = [&["serve", address, &port, &name], longest].concat();
    let mut command = inside(host, program, &words);
    command.stdin(Stdio::null());
    let server = Program::start(command, log.clone());
    wait_for("the server's end", || std::fs::read_to_string(&log).is_ok_and(|said| said.contains("ready")));
    server
}

/// The client's end.
struct Asking {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Asking {
    fn start(network: &Network, program: &PathBuf, longest: LongestPacket<'_>) -> Self {
        let (from, to) = (network.client_address(), network.address());
        let (port, count) = (PORT.to_string(), ASSOCIATIONS.to_string());
        let words = [&["ask", &from, &to, &port, &count], longest].concat();
        let mut command = inside(&network.client, program, &words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut asking = Self { child, said };
        assert_eq!(asking.line(), "ready");
        asking
    }

    fn line(&mut self) -> String {
        self.said.next().expect("it says more before it ends").unwrap()
    }

    fn next_step(&mut self) {
        self.child.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
    }

    /// What it says of a step: the servers of the associations, and packets with wrong checksums.
    fn step(&mut self) -> (Vec<String>, u32) {
        let line = self.line();
        let (servers, wrong) = line.split_once(" wrong-checksums ").unwrap_or_else(|| panic!("{line}"));
        (servers.split(' ').map(str::to_owned).collect(), wrong.parse().unwrap())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // It ends when its input does, at the latest here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The states of the connections of SCTP in the listing.
fn states(network: &Network) -> Vec<String> {
    let listing = network.director.ipvsadm(&["-Lnc"]).unwrap();
    let rows = listing.lines().filter(|row| row.starts_with("SCTP"));
    rows.map(|row| row.split_whitespace().nth(2).unwrap().to_owned()).collect()
}

/// Six associations, of which each server gets half, carry messages of one to several packets, are silent but for
/// heartbeats, carry more, and are shut down.
fn associations(test: &str, place: (Method, Family), path: Path) {
    let network = Network::new(test, place.0, place.1, path);
    network.serve("--sctp-service", PORT, server_port(place.0), "-s rr");
    let program = compiled(&network);
    let servers = [0, 1].map(|number| serve(&network, &program, number, place));
    carried(&network, &program, servers, &[]);
}

/// What [`associations`] says, between a client and these servers.
fn carried(network: &Network, program: &PathBuf, mut servers: [Program; 2], longest: LongestPacket<'_>) {
    let mut client = Asking::start(network, program, longest);
    let (first, wrong) = client.step();
    assert_eq!(wrong, 0);
    for name in ["server-1", "server-2"] {
        assert_eq!(first.iter().filter(|it| *it == name).count(), ASSOCIATIONS / 2, "{first:?}");
    }
    assert_eq!(states(network), ["ESTABLISHED"; ASSOCIATIONS]);
    client.next_step();
    assert_eq!(client.step(), (first, 0));
    client.next_step();
    assert_eq!(client.step().1, 0);
    wait_for("the ends of all associations", || states(network) == ["CLOSED"; ASSOCIATIONS]);
    assert!(client.child.wait().unwrap().success());
    assert!(servers.iter_mut().all(Program::runs), "{}", network.director.logs());
}

#[test]
fn sctp_masquerading() {
    associations("sctp-nat4", (Method::Masquerading, Family::V4), Path::Daemon);
    associations("sctp-nat6", (Method::Masquerading, Family::V6), Path::Daemon);
}

#[test]
fn sctp_direct_routing() {
    associations("sctp-dr4", (Method::DirectRouting, Family::V4), Path::Daemon);
    associations("sctp-dr6", (Method::DirectRouting, Family::V6), Path::Daemon);
}

#[test]
fn sctp_full_nat() {
    associations("sctp-fn4", (Method::FullNat, Family::V4), Path::Daemon);
    associations("sctp-fn6", (Method::FullNat, Family::V6), Path::Daemon);
}

/// Both ways between the families. usrsctp hears no ICMP errors over raw sockets, so its IPv4 packets of 1500 bytes would be lost for
/// ever: neither end sends any. Those of 1280 bytes, which may be fragmented, are, for an IPv6 client.
#[test]
fn sctp_between_the_families() {
    let longest = &["1280"];
    for (test, family, of_servers) in
        [("sctp-fn64", Family::V6, Family::V4), ("sctp-fn46", Family::V4, Family::V6)]
    {
        let network = Network::new(test, Method::FullNat, family, Path::Daemon);
        let addresses = network.serve_in(of_servers);
        let (service, port) = (network.virtual_service(PORT), server_port(Method::FullNat));
        let rule = |words: &[&str]| {
            assert!(network.director.ipvsadm(words).is_some(), "ipvsadm {}", words.join(" "));
        };
        rule(&["-A", "--sctp-service", &service, "-s", "rr"]);
        for address in &addresses {
            let server = of_servers.with_port(address, port);
            rule(&["-a", "--sctp-service", &service, "-r", &server, "--full-nat", "--local-pool", POOL]);
        }
        let program = compiled(&network);
        let servers = [0, 1].map(|number| {
            serve_at(&network, &program, number, (&addresses[usize::from(number)], port), longest)
        });
        carried(&network, &program, servers, longest);
    }
}

/// The XDP program leaves SCTP to the daemon.
#[test]
fn sctp_with_the_fast_path_on() {
    associations("sctp-f-nat", (Method::Masquerading, Family::V4), Path::Fast);
    associations("sctp-f-dr", (Method::DirectRouting, Family::V6), Path::Fast);
}
