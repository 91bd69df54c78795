//! Marks that netfilter gives, and clients on the director itself: real connections through the real daemon, with the rules that
//! users of kernel IPVS have. Needs root.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ipvs_lab::parts::Namespace;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A wait for what must not come.
const MOMENT: Duration = Duration::from_millis(300);

/// "Message too long".
const EMSGSIZE: i32 = 90;

/// Runs a line of commands, which must succeed.
fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A client, a director, two servers behind it: each a network namespace. The virtual address is nobody's; who asks for it is sent to
/// the director by a route.
struct Network {
    spaces: [Namespace; 4],
    ipv6: bool,
    daemon: Option<Child>,
}

const NAMES: [&str; 4] = ["client", "director", "server1", "server2"];

impl Network {
    fn new(test: &str, ipv6: bool) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: run it by sudo");
        let spaces = NAMES.map(|name| Namespace::numbered(&format!("ipvsd-nf-{test}-{name}")).unwrap());
        let network = Self { spaces, ipv6, daemon: None };
        for name in NAMES {
            let name = network.name(name);
            sh(&format!(
                "ip -n {name} link set lo up; ip netns exec {name} sh -ec 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; \
                 echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'"
            ));
        }
        for (number, name) in [(1, "client"), (2, "server1"), (3, "server2")] {
            let (director, other) = (network.name("director"), network.name(name));
            sh(&format!("ip -n {director} link add to-{name} type veth peer name eth0 netns {other}"));
            for (space, link, host) in [(&director, format!("to-{name}"), 1), (&other, "eth0".into(), 2)] {
                sh(&format!(
                    "ip -n {space} link set {link} up; ip -n {space} address add 10.77.{number}.{host}/24 dev {link}; \
                     ip -n {space} address add 2001:db8:77:{number}::{host}/64 dev {link} nodad"
                ));
            }
            sh(&format!(
                "ip -n {other} route add default via 10.77.{number}.1; ip -n {other} -6 route add default via 2001:db8:77:{number}::1"
            ));
        }
        for (name, own) in [("server1", network.server(1)), ("server2", network.server(2))] {
            network.inside(name, || {
                for port in [80, 443] {
                    let listener = TcpListener::bind(("::", port)).unwrap();
                    std::thread::spawn(move || {
                        for client in listener.incoming() {
                            let _ = client.and_then(|mut client| client.write_all(name.as_bytes()));
                        }
                    });
                }
                answer_datagrams(name, own);
            });
        }
        network
    }

    fn space(&self, role: &str) -> &Namespace {
        &self.spaces[NAMES.iter().position(|name| *name == role).unwrap()]
    }

    fn name(&self, role: &str) -> String {
        self.space(role).name().to_owned()
    }

    /// Runs `work` in a thread in a namespace; the sockets that it makes belong to that.
    fn inside<T: Send>(&self, role: &str, work: impl FnOnce() -> T + Send) -> T {
        self.space(role).run(work).unwrap()
    }

    /// Runs commands in the director's namespace, with its control socket.
    fn on_director(&self, line: &str) -> String {
        let path = PathBuf::from(env!("CARGO_BIN_EXE_ipvsadm"));
        let programs = path.parent().unwrap().display();
        let socket = self.socket();
        sh(&format!(
            "export IPVSD_SOCKET={} PATH={programs}:$PATH:/usr/sbin:/sbin; ip netns exec {} sh -ec '{line}'",
            socket.display(),
            self.name("director")
        ))
    }

    fn socket(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{}.sock", self.name("director")))
    }

    fn start(&mut self, more: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipvsd"));
        command.args(["run", "--capacity", "4096", "--netns", &self.name("director"), "--socket"]);
        command.arg(self.socket()).args(more).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("ready") {
            assert!(log.read_line(&mut seen).unwrap() > 0, "{seen}");
        }
        std::thread::spawn(move || io::copy(&mut log, &mut io::stderr()));
        self.daemon = Some(child);
    }

    /// Starts the daemon with the fast path on, if `fast`, and makes the other ends of its cables like wires.
    fn start_either(&mut self, fast: bool) {
        if !fast {
            return self.start(&[]);
        }
        for name in ["client", "server1", "server2"] {
            self.inside(name, || ipvs_lab::like_a_wire("eth0")).unwrap();
        }
        self.start(&["--fast-path", "on", "--pin", "off"]);
    }

    /// The `number`th address of the segment behind an interface of the director.
    fn address(&self, segment: u8, number: u8) -> IpAddr {
        let text = match self.ipv6 {
            true => format!("2001:db8:77:{segment}::{number}"),
            false => format!("10.77.{segment}.{number}"),
        };
        text.parse().unwrap()
    }

    fn virtual_address(&self) -> IpAddr {
        self.address(9, 9)
    }

    fn server(&self, number: u8) -> IpAddr {
        self.address(number + 1, 2)
    }

    /// Asks a port of the virtual address over TCP: the server's name.
    fn ask(&self, role: &str, port: u16) -> io::Result<String> {
        self.ask_for(role, port, PATIENCE)
    }

    fn ask_for(&self, role: &str, port: u16, limit: Duration) -> io::Result<String> {
        let to = SocketAddr::new(self.virtual_address(), port);
        self.inside(role, || {
            let mut stream = TcpStream::connect_timeout(&to, limit)?;
            stream.set_read_timeout(Some(limit))?;
            let mut name = String::new();
            stream.read_to_string(&mut name)?;
            Ok(name)
        })
    }

    /// Asks by a datagram of so many bytes.
    fn ask_by_datagram(&self, role: &str, bytes: usize, limit: Duration) -> io::Result<String> {
        let to = SocketAddr::new(self.virtual_address(), 53);
        self.inside(role, || {
            let socket = UdpSocket::bind((if to.is_ipv6() { "::" } else { "0.0.0.0" }, 0))?;
            socket.set_read_timeout(Some(limit))?;
            socket.connect(to)?;
            socket.send(&vec![0; bytes])?;
            let mut answer = [0; 100];
            let len = socket.recv(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
        })
    }

    /// What users of kernel IPVS have: such packets to the address get mark 1, and marked ones are for this host.
    fn mark(&self, which: &str) {
        let (tables, family, all) =
            if self.ipv6 { ("ip6tables", "-6", "::/0") } else { ("iptables", "-4", "0.0.0.0/0") };
        let to = self.virtual_address();
        self.on_director(&format!(
            "{tables} -t mangle -A PREROUTING -d {to} {which} -j MARK --set-mark 1; \
             ip {family} rule add fwmark 1 lookup 100; ip {family} route add local {all} dev lo table 100"
        ));
    }

    /// nf_tables tables of the director, as the daemon makes them; no program to list them is needed.
    fn tables(&self) -> usize {
        const LIST: &str = "\
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
found = 0
for family in 2, 10:
    s.send(struct.pack(\"=IHHIIBBH\", 20, 0xa01, 0x301, family, 0, family, 0, 0))
    end = False
    while not end:
        data = s.recv(65536)
        while data:
            length, kind = struct.unpack_from(\"=IH\", data)
            end = end or kind in (2, 3)
            found += b\"ipvsd\\0\" in data[:length]
            data = data[length:]
print(found)
";
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name("director"), "python3", "-c", LIST])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{error}"))
    }

    fn stop(&mut self, signal: &str) {
        let Some(mut daemon) = self.daemon.take() else { return };
        sh(&format!("kill -s {signal} {}", daemon.id()));
        daemon.wait().unwrap();
    }
}

/// Answers datagrams to port 53 of an address, from that address.
fn answer_datagrams(name: &'static str, address: IpAddr) {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 9000];
        while let Ok((_, client)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(name.as_bytes(), client);
        }
    });
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for name in NAMES {
            let _ = Command::new("ip").args(["netns", "del", &self.name(name)]).status();
        }
        for file in [self.socket(), self.socket().with_extension("sock.settings")] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// HTTP and HTTPS of one address, each client at one server for both: by mark and persistence.
fn persistence_across_ports(test: &str, ipv6: bool, fast: bool) {
    let mut network = Network::new(test, ipv6);
    network.mark("-p tcp -m multiport --dports 80,443");
    network.start_either(fast);
    let family = if ipv6 { "-6" } else { "" };
    let (first, second) = (network.server(1), network.server(2));
    assert_eq!(network.tables(), 0);
    network.on_director(&format!(
        "ipvsadm -A -f 1 {family} -s rr -p 300; ipvsadm -a -f 1 {family} -r {first} -m; ipvsadm -a -f 1 {family} -r {second} -m"
    ));
    assert_eq!(network.tables(), 1);
    let name = network.ask("client", 80).unwrap();
    for port in [443, 80, 443] {
        assert_eq!(network.ask("client", port).unwrap(), name);
    }
    // Another client, another server.
    let (other, bits) = (network.address(1, 3), if ipv6 { 128 } else { 32 });
    let client = network.name("client");
    sh(&format!("ip -n {client} address add {other}/{bits} dev eth0 {}", if ipv6 { "nodad" } else { "" }));
    let gateway = network.address(1, 1);
    let flag = if ipv6 { "-6" } else { "-4" };
    sh(&format!("ip -n {client} {flag} route replace default via {gateway} src {other}"));
    let another = network.ask("client", 443).unwrap();
    assert_ne!(another, name);
    assert_eq!(network.ask("client", 80).unwrap(), another);
    let listing = network.on_director("ipvsadm -Lcn");
    let templates = listing.lines().filter(|line| line.starts_with("IP ")).count();
    assert_eq!(templates, 2, "{listing}");
    let statistics = network.on_director("ipvsadm -Ln --stats --exact");
    let service = statistics.lines().find(|line| line.starts_with("FWM")).unwrap().to_owned();
    let numbers: Vec<u64> = service.split_whitespace().filter_map(|word| word.parse().ok()).skip(1).collect();
    assert!(numbers[0] == 6 && numbers[1..].iter().all(|number| *number > 12), "{statistics}");
    // With a service for FTP at the address, which then must be the host's for others to reach it, XDP hands over the packets to all
    // ports: they get their marks behind the host port.
    let to = network.virtual_address();
    let ftp = if ipv6 { format!("[{to}]:21") } else { format!("{to}:21") };
    network.on_director(&format!("ip address add {to}/{bits} dev lo; ipvsadm -A -t {ftp} -s rr -p 300"));
    for port in [443, 80] {
        assert_eq!(network.ask("client", port).unwrap(), another);
    }
    // A marked packet of no service is the host's.
    network.on_director(&format!("ipvsadm -D -f 1 {family}"));
    assert!(network.ask_for("client", 80, MOMENT).is_err());
    network.stop("TERM");
    assert_eq!(network.tables(), 0);
}

#[test]
fn marks_of_netfilter_ipv4() {
    persistence_across_ports("marks4", false, false);
}

#[test]
fn marks_of_netfilter_ipv6() {
    persistence_across_ports("marks6", true, false);
}

/// Datagrams, one in fragments among them, by each method; and the host without the daemon, however that ended.
#[test]
fn marked_datagrams_by_every_method_and_a_killed_daemon() {
    let mut network = Network::new("methods", false);
    // By protocol alone: later fragments have no ports.
    network.mark("-p udp");
    let (space, to) = (network.name("server2"), network.virtual_address());
    sh(&format!("ip -n {space} address add {to}/32 dev lo"));
    network.inside("server2", || answer_datagrams("server2", to));
    network.start(&[]);
    let server = network.server(2);
    network.on_director("ipvsadm -A -f 1 -s rr");
    for method in ["-m", "-g"] {
        network.on_director(&format!("ipvsadm -a -f 1 -r {server} {method}"));
        for bytes in [10, 4000] {
            let answer = network.ask_by_datagram("client", bytes, PATIENCE);
            assert_eq!(answer.ok().as_deref(), Some("server2"), "{method} {bytes}");
        }
        network.on_director(&format!("ipvsadm -d -f 1 -r {server}"));
    }
    network.on_director(&format!("ipvsadm -a -f 1 -r {server} -m"));
    // The host's own address, so that it can say that nobody listens there.
    network.on_director(&format!("ip address add {to}/32 dev lo"));
    network.stop("KILL");
    // As a host without IPVS: nobody listens there.
    let refused = network.ask_by_datagram("client", 10, PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(network.tables(), 0);
    // The next daemon has the service still.
    network.start(&[]);
    assert_eq!(network.ask_by_datagram("client", 10, PATIENCE).unwrap(), "server2");
}

/// IPv6 datagrams in fragments, which the host reassembles only after netfilter gave them away.
#[test]
fn marked_datagrams_in_fragments_ipv6() {
    let mut network = Network::new("large", true);
    // By address alone: later fragments are of no protocol to ip6tables.
    network.mark("");
    network.start(&[]);
    let server = network.server(1);
    network.on_director(&format!("ipvsadm -A -f 1 -6 -s rr; ipvsadm -a -f 1 -6 -r {server} -m"));
    for bytes in [10, 4000] {
        let answer = network.ask_by_datagram("client", bytes, PATIENCE);
        assert_eq!(answer.ok().as_deref(), Some("server1"), "{bytes}");
    }
}

/// Clients on the director: the virtual address is its own or not, and the servers are others or itself.
fn local_clients(test: &str, ipv6: bool, fast: bool) {
    let mut network = Network::new(test, ipv6);
    // The strict filter of sources, which the host port must pass.
    network.on_director("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
    network.start_either(fast);
    let bare = |address: IpAddr| if ipv6 { format!("[{address}]") } else { address.to_string() };
    let (to, first, second) =
        (bare(network.virtual_address()), bare(network.server(1)), bare(network.server(2)));
    let (own, bits) = (network.virtual_address(), if ipv6 { 128 } else { 32 });
    // A way there, if only so that the host sends at all.
    network.on_director(&format!("ip route add {own} dev to-client"));
    network.on_director(&format!(
        "ipvsadm -A -t {to}:80 -s rr; ipvsadm -a -t {to}:80 -r {first}:443 -m; ipvsadm -a -t {to}:80 -r {second}:80 -m; \
         ipvsadm -A -u {to}:53 -s rr; ipvsadm -a -u {to}:53 -r {first}:53 -m"
    ));
    for whose in ["nobody's", "the host's"] {
        if whose == "the host's" {
            network.on_director(&format!("ip address add {own}/{bits} dev lo"));
        }
        let mut names = [network.ask("director", 80).unwrap(), network.ask("director", 80).unwrap()];
        names.sort();
        assert_eq!(names, ["server1", "server2"], "{whose}");
        for bytes in [10, 4000] {
            let mut answer = network.ask_by_datagram("director", bytes, PATIENCE);
            // The loopback interface takes 64 KiB: the client has to learn how much the way to the server takes.
            if answer.as_ref().is_err_and(|error| error.raw_os_error() == Some(EMSGSIZE)) {
                answer = network.ask_by_datagram("director", bytes, PATIENCE);
            }
            assert_eq!(answer.unwrap(), "server1", "{whose} {bytes}");
        }
        // The client of elsewhere meets the same services.
        assert!(network.ask("client", 80).unwrap().starts_with("server"), "{whose}");
    }
    // A server on the director itself.
    let here = network.address(2, 1);
    let answer = network.inside("director", || {
        let listener = TcpListener::bind((here, 8080)).unwrap();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"director").unwrap();
        });
        network.on_director(&format!(
            "ipvsadm -A -t {to}:443 -s rr; ipvsadm -a -t {to}:443 -r {}:8080 -m",
            bare(here)
        ));
        network.ask("director", 443)
    });
    assert_eq!(answer.unwrap(), "director");
    let statistics = network.on_director("ipvsadm -Ln --stats --exact");
    let counters: Vec<u64> = statistics
        .lines()
        .find(|line| line.starts_with("TCP") && line.contains(":443"))
        .unwrap()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(counters[0] == 1 && counters[1..].iter().all(|number| *number > 3), "{statistics}");
    network.stop("TERM");
    assert_eq!(network.tables(), 0);
}

#[test]
fn clients_on_the_director_ipv4() {
    local_clients("local4", false, false);
}

#[test]
fn clients_on_the_director_ipv6() {
    local_clients("local6", true, false);
}

#[test]
fn marks_and_clients_on_the_director_with_the_fast_path_on() {
    persistence_across_ports("marks4f", false, true);
    local_clients("local4f", false, true);
    local_clients("local6f", true, true);
}

#[test]
fn clients_on_the_director_can_be_left_out() {
    let mut network = Network::new("without", false);
    network.start(&["--local-clients", "off"]);
    let (to, server) = (network.virtual_address(), network.server(1));
    network.on_director(&format!(
        "ip route add {to} dev to-client; ipvsadm -A -u {to}:53 -s rr; ipvsadm -a -u {to}:53 -r {server}:53 -m"
    ));
    assert_eq!(network.tables(), 0);
    assert!(network.ask_by_datagram("director", 10, MOMENT).is_err());
    assert_eq!(network.ask_by_datagram("client", 10, PATIENCE).unwrap(), "server1");
}
