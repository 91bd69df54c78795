//! Full NAT with servers that know nothing of the director: Python's HTTP server, whose log says whom it saw; clients that
//! know the kernel's methods alone; and a new daemon.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::network::{Family, Method, Network, POOL, Path};
use crate::program::Program;
use crate::wait_for;

/// Port of the servers.
const PORT: u16 = 8080;
/// Requests of a round.
const REQUESTS: usize = 100;

/// A network with an HTTP server on both servers. All goes when it is dropped.
struct Lab {
    // Before the network: what runs in a namespace ends first.
    _servers: [Program; 2],
    network: Network,
}

impl Lab {
    fn new(test: &str, family: Family) -> Self {
        let network = Network::new(test, Method::FullNat, family, Path::Daemon);
        network.serve("-t", 80, PORT, "-s rr");
        let servers = [0, 1].map(|number| start(&network, number));
        for number in [0, 1] {
            wait_for("the HTTP server", || {
                network.servers[number].run(|| ask(&network.server(number as u8, PORT))).is_ok()
            });
        }
        Self { _servers: servers, network }
    }

    /// Asks the virtual service again and again; each server answers half.
    fn ask_in_turn(&self) {
        let service = self.network.virtual_service(80);
        let answers = self.network.client.run(|| (0..REQUESTS).map(|_| ask(&service)).collect::<Vec<_>>());
        for name in ["server-1", "server-2"] {
            let count = answers
                .iter()
                .filter(|answer| answer.as_ref().is_ok_and(|text| text.ends_with(name)))
                .count();
            assert_eq!(count, REQUESTS / 2, "{name}: {answers:?}");
        }
    }

    /// The clients that a server saw, its own first question aside.
    fn seen(&self, number: u8) -> Vec<String> {
        let own = self.network.server_address(number);
        let log = std::fs::read_to_string(self.network.director.file(&log(number.into()))).unwrap();
        let requests = log.lines().filter(|line| line.contains("\"GET / "));
        let clients = requests.filter_map(|line| line.split_whitespace().next());
        clients.filter(|client| *client != own).map(str::to_owned).collect()
    }
}

fn log(number: usize) -> String {
    format!("access-{number}.log")
}

/// A server of files, the first of which has its name; it logs its clients' addresses.
fn start(network: &Network, number: usize) -> Program {
    let name = format!("server-{}", number + 1);
    let folder = network.director.file(&name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("index.html"), name).unwrap();
    let (address, port) = (network.server_address(number as u8), PORT.to_string());
    let mut command = Command::new("ip");
    command.args(["netns", "exec", network.servers[number].name(), "python3", "-u", "-m", "http.server"]);
    command.args(["--bind", &address, "--directory"]).arg(&folder).arg(port).stdin(Stdio::null());
    Program::start(command, network.director.file(&log(number)))
}

/// One request on a connection of its own, from the calling thread's namespace.
fn ask(to: &str) -> std::io::Result<String> {
    let address: SocketAddr = to.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(20))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What `ipvsd pool list` says of the pool: name, destinations, connections, packets without a free port, addresses.
fn pool(network: &Network) -> Vec<String> {
    let list = network.director.ipvsd(&["pool", "list"]).unwrap();
    list.lines().nth(1).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn servers_see_the_pools_address_alone() {
    for (family, name) in [(Family::V4, "4"), (Family::V6, "6")] {
        let lab = Lab::new(&format!("fn-http-{name}"), family);
        lab.ask_in_turn();
        let local = lab.network.local_address();
        for number in [0, 1] {
            let seen = lab.seen(number);
            assert_eq!(seen.len(), REQUESTS / 2, "{seen:?}");
            assert!(seen.iter().all(|address| *address == local), "{seen:?}");
        }
        let connections = lab.network.director.ipvsadm(&["-Lnc", "--local"]).unwrap();
        assert!(connections.contains(&local), "{connections}");
        assert_eq!(pool(&lab.network), [POOL, "2", &REQUESTS.to_string(), "0", &local]);
    }
}

/// What was set goes on with a new daemon: pool, destinations, and that they work. (Its connections end: its socket is not in
/// memory.)
#[test]
fn a_new_daemon_has_pools_and_destinations() {
    let mut lab = Lab::new("fn-restart", Family::V4);
    lab.ask_in_turn();
    let rules = lab.network.director.rules();
    lab.network.director.stop_daemon();
    lab.network.director.start_daemon(&[]);
    assert_eq!(lab.network.director.rules(), rules);
    assert_eq!(pool(&lab.network), [POOL, "2", "0", "0", &lab.network.local_address()]);
    lab.ask_in_turn();
}

/// Debian's ipvsadm sees masquerading, and what it changes leaves method and pool alone, unless it names another method.
#[test]
fn unmodified_clients_see_masquerading() {
    let network = Network::new("fn-clients", Method::FullNat, Family::V4, Path::Daemon);
    // At the service's own port, for only there ipvsadm finds destinations of other methods.
    network.serve("-t", PORT, PORT, "-s rr");
    let (service, server) = (network.virtual_service(PORT), network.server(0, PORT));
    let director = &network.director;
    let foreign = |mode: &str, words: &[&str]| {
        let output = director.exec(mode, &[&["ipvsadm"], words].concat()).output().unwrap();
        assert!(output.status.success(), "{mode} {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let row = |listing: &str| {
        let row = listing.lines().find(|line| line.contains(&server)).unwrap_or_default();
        row.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ")
    };
    for (mode, weight) in [("netlink", "7"), ("sockopt", "9")] {
        foreign(mode, &["-e", "-t", &service, "-r", &server, "-m", "-w", weight]);
        assert_eq!(row(&foreign(mode, &["-Ln"])), format!("Masq {weight}"));
        let saved = format!("-a -t {service} -r {server} --full-nat -w {weight} --local-pool {POOL}\n");
        assert!(director.rules().contains(&saved), "{}", director.rules());
        // What it saves it can restore, as masquerading.
        let saved = foreign(mode, &["-Sn"]);
        assert!(saved.contains(&format!("-a -t {service} -r {server} -m -w {weight}\n")), "{saved}");
    }
    let file = director.exec("auto", &["cat", "/proc/net/ip_vs"]).output().unwrap();
    let file = String::from_utf8(file.stdout).unwrap();
    assert_eq!(file.matches(" Masq ").count(), 2, "{file}");
    foreign("netlink", &["-e", "-t", &service, "-r", &server, "-i"]);
    assert_eq!(row(&director.ipvsadm(&["-Ln"]).unwrap()), "Tunnel 1");
    // Ours says what it means.
    director.ipvsadm(&["-e", "-t", &service, "-r", &server, "--full-nat", "--local-pool", POOL]).unwrap();
    assert_eq!(row(&director.ipvsadm(&["-Ln"]).unwrap()), "FullNat 1");
    director.ipvsadm(&["-e", "-t", &service, "-r", &server, "-m"]).unwrap();
    assert_eq!(row(&director.ipvsadm(&["-Ln"]).unwrap()), "Masq 1");
    // A pool goes when nobody uses it.
    assert!(director.ipvsd(&["pool", "del", POOL]).is_none());
    director.ipvsadm(&["-D", "-t", &service]).unwrap();
    assert!(director.ipvsd(&["pool", "del", POOL]).is_some());
}

/// Pools, rules for marks, services and destinations as text make all of them again, and a second time nothing more.
#[test]
fn everything_is_saved_as_text_and_restored() {
    let network = Network::new("fn-save", Method::FullNat, Family::V4, Path::Daemon);
    let director = &network.director;
    network.serve("-t", PORT, PORT, "-s rr");
    let ipvsd = env!("CARGO_BIN_EXE_ipvsd");
    let done = |words: &[&str]| assert!(director.ipvsd(words).is_some(), "{words:?}");
    done(&["pool", "add", "other", "10.88.9.8/30", "fd88:9::1"]);
    done(&["mark", "add", "--proto", "tcp", "--dst", "10.88.8.1", "--dport", "80,443", "--mark", "5"]);
    done(&["mark", "add", "--proto", "udp", "--dst", "10.88.8.0/24", "--mark", "0"]);
    let saved = || {
        let [pools, marks] = ["pool", "mark"].map(|what| director.ipvsd(&[what, "save"]).unwrap());
        [pools, marks, director.rules()]
    };
    let before = saved();
    assert_eq!(
        before[0].lines().collect::<std::collections::BTreeSet<_>>(),
        [&*format!("{POOL} {}", network.local_address()), "other 10.88.9.8-10.88.9.11 fd88:9::1"].into()
    );
    assert_eq!(before[1], "tcp 10.88.8.1/32 80,443 5\nudp 10.88.8.0/24 * 0\n");
    let restore = |what: &str, text: &str| {
        let output = director.given(&[ipvsd, what, "restore"], text);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let nothing = (Some(0), String::new());
    director.ipvsadm(&["-C"]).unwrap();
    done(&["pool", "del", POOL]);
    done(&["pool", "del", "other", "10.88.9.9", "10.88.9.10"]);
    done(&["mark", "del", "--proto", "tcp", "--dst", "10.88.8.1", "--dport", "80,443", "--mark", "5"]);
    done(&["mark", "del", "--proto", "udp", "--dst", "10.88.8.0/24", "--mark", "0"]);
    let rules = || director.given(&[env!("CARGO_BIN_EXE_ipvsadm"), "-R"], &before[2]);
    let refused = String::from_utf8(rules().stderr).unwrap();
    assert!(refused.contains(POOL) && refused.contains("ipvsd pool add"), "{refused}");
    director.ipvsadm(&["-C"]).unwrap();
    // A line that says nothing, and a good one before one that is malformed.
    let (code, said) = restore("mark", "# marks\n\ntcp 10.88.8.1 80 6\ntcp 10.88.8.1 x 6\n");
    assert!(code == Some(2) && said.contains("line 4: no ports \"x\"") && said.contains("nothing"), "{said}");
    assert_eq!(saved()[1], "");
    for _ in 0..2 {
        assert_eq!(restore("pool", &before[0]), nothing);
        assert_eq!(restore("mark", &before[1]), nothing);
    }
    assert!(rules().status.success());
    let [pools, marks, rules] = saved();
    assert_eq!((&marks, &rules), (&before[1], &before[2]));
    // What was taken out comes behind what had stayed.
    assert!(pools.contains("other 10.88.9.8 10.88.9.11 fd88:9::1 10.88.9.9-10.88.9.10\n"), "{pools}");
    // The others are done where one is refused.
    let taken = format!("more 10.88.9.8\n{POOL} {}\nmore 10.88.9.20\n", network.address());
    let (code, said) = restore("pool", &taken);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("line 1: an address is in a pool already"), "{said}");
    assert!(said.contains("line 2: an address is that of a virtual service"), "{said}");
    assert!(saved()[0].contains("more 10.88.9.20\n"));
}
