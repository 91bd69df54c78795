//! FTP and TFTP by masquerading and full NAT: Debian's pyftpdlib and dnsmasq as servers, curl as the client. pyftpdlib refuses data
//! connections from or to another address than its client's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::namespace::Namespace;
use crate::network::{POOL, Path as PacketPath};
use crate::program::{Director, Program};
use crate::wait_for;

mod filter;

/// The virtual addresses.
const V4: &str = "10.83.0.100";
const V6: &str = "fd83::100";

/// How packets come to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// The director is the servers' gateway.
    Masquerading,
    /// They have no way to the client, and see addresses of a pool.
    FullNat,
    /// The same, and the servers of a service are of the other family than its clients.
    AcrossFamilies,
}

impl Method {
    /// The options of a destination.
    fn options(self) -> String {
        match self {
            Self::Masquerading => "-m".to_owned(),
            Self::FullNat | Self::AcrossFamilies => format!("--full-nat --local-pool {POOL}"),
        }
    }
}

/// Client 10.83.0.2 – 10.83.0.1 director 10.84.0.1 – servers 10.84.0.11 and .12, and the same in fd83:: and fd84::.
struct Network {
    client: Namespace,
    director: Director,
    servers: [Namespace; 2],
    method: Method,
    path: PacketPath,
    _switch: Namespace,
}

impl Network {
    /// With a daemon.
    fn new(test: &str, method: Method, path: PacketPath) -> Self {
        Self::with(test, method, path, &[])
    }

    /// With a daemon that has these options besides.
    fn with(test: &str, method: Method, path: PacketPath, more: &[&str]) -> Self {
        let client = Namespace::new(test, "client");
        let switch = Namespace::new(test, "switch");
        let mut director = Director::new(test, "director");
        let servers = [Namespace::new(test, "one"), Namespace::new(test, "two")];
        switch.bridge("front");
        switch.bridge("back");
        for namespace in [&client, &director.namespace, &servers[0], &servers[1]] {
            namespace.sysctl("ipv6/conf/all/accept_dad", "0");
            namespace.sysctl("ipv6/conf/default/accept_dad", "0");
        }
        client.plug("eth0", "10.83.0.2/24", &switch, "front", "client");
        client.ip("addr add fd83::2/64 dev eth0 nodad");
        director.namespace.plug("front", "10.83.0.1/24", &switch, "front", "director");
        director.namespace.plug("back", "10.84.0.1/24", &switch, "back", "behind");
        director.namespace.ip("addr add fd83::1/64 dev front nodad");
        director.namespace.ip("addr add fd84::1/64 dev back nodad");
        director.namespace.sysctl("ipv4/ip_forward", "1");
        director.namespace.sysctl("ipv6/conf/all/forwarding", "1");
        for (server, host) in servers.iter().zip([11, 12]) {
            server.plug("eth0", &format!("10.84.0.{host}/24"), &switch, "back", &format!("server{host}"));
            server.ip(&format!("addr add fd84::{host}/64 dev eth0 nodad"));
            if method == Method::Masquerading {
                server.ip("route add default via 10.84.0.1");
                server.ip("-6 route add default via fd84::1");
            }
        }
        path.start_daemon_with(&mut director, &switch, &["director", "behind"], more);
        if method != Method::Masquerading {
            let addresses = ["10.84.0.8", "10.84.0.9", "fd84::8", "fd84::9"];
            let added = director.ipvsd(&[&["pool", "add", POOL], &addresses[..]].concat());
            assert!(added.is_some(), "no pool: {}", director.logs());
        }
        Self { client, director, servers, method, path, _switch: switch }
    }

    /// The daemon ends; packets went by the path that was asked for.
    fn end(mut self) {
        self.path.end_daemon(&mut self.director);
    }

    /// A folder of the test's, removed with the director's.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.director.file(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn rules(&self, rules: &[String]) {
        for rule in rules {
            let words: Vec<&str> = rule.split_whitespace().collect();
            assert!(self.director.ipvsadm(&words).is_some(), "ipvsadm {rule}");
        }
    }

    /// curl at the client, with these words.
    fn curl(&self, words: &[&str]) -> Curl {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.client.name(), "curl", "-sS", "--max-time", "300"]);
        command.args(words).stdin(Stdio::null()).stderr(Stdio::piped());
        Curl(command.spawn().unwrap(), words.join(" "))
    }
}

/// A run of curl.
struct Curl(Child, String);

impl Curl {
    fn succeeds(mut self) {
        let mut errors = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "curl {}: {status} {errors}", self.1);
    }
}

/// Starts pyftpdlib in the servers' namespaces, for both families, all with one folder: whichever is chosen has a file.
fn ftp_servers(network: &Network, folder: &Path) -> Vec<Program> {
    let start = |server: &Namespace, address: String| {
        let log = network.director.file(&format!("{address}.log"));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", server.name(), "/usr/bin/python3"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/ftp_server.py"));
        command.arg(folder).arg(address).stdin(Stdio::null());
        let program = Program::start(command, log.clone());
        wait_for("the FTP server (of python3-pyftpdlib)", || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(!log.contains("Error"), "{log}");
            log.contains("ready")
        });
        program
    };
    let [one, two] = &network.servers;
    let addresses = |host: u8| [format!("10.84.0.{host}"), format!("fd84::{host}")];
    let programs = [(one, 11), (two, 12)].map(|(server, host)| addresses(host).map(|it| start(server, it)));
    programs.into_iter().flatten().collect()
}

/// Bytes that repeat nowhere near.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes()[..6]);
    }
    bytes.truncate(length);
    bytes
}

/// How curl is told to agree on data connections: options, and the host in the URL.
fn ways() -> Vec<(&'static str, Vec<&'static str>, String)> {
    let v6 = format!("[{V6}]");
    vec![
        ("PASV", vec!["--disable-epsv", "--no-ftp-skip-pasv-ip"], V4.to_owned()),
        ("EPSV", vec![], V4.to_owned()),
        ("PORT", vec!["-P", "-", "--disable-eprt"], V4.to_owned()),
        ("EPRT", vec!["-P", "-"], V4.to_owned()),
        ("EPSV over IPv6", vec![], v6.clone()),
        ("EPRT over IPv6", vec!["-P", "-"], v6),
    ]
}

/// The servers of the services at both virtual addresses, without ports.
fn servers(method: Method) -> [(String, [String; 2]); 2] {
    let v4 = ["10.84.0.11".to_owned(), "10.84.0.12".to_owned()];
    let v6 = ["[fd84::11]".to_owned(), "[fd84::12]".to_owned()];
    let (vip4, vip6) = (V4.to_owned(), format!("[{V6}]"));
    match method {
        Method::AcrossFamilies => [(vip4, v6), (vip6, v4)],
        Method::Masquerading | Method::FullNat => [(vip4, v4), (vip6, v6)],
    }
}

fn services(method: Method, scheduler: &str) -> Vec<String> {
    let (mut rules, options) = (Vec::new(), method.options());
    for (vip, servers) in servers(method) {
        rules.push(format!("-A -t {vip}:21 -s {scheduler}"));
        rules.extend(servers.iter().map(|server| format!("-a -t {vip}:21 -r {server}:21 {options}")));
    }
    rules
}

/// Every way to agree on a connection, with a file each way, the first ones of `first` bytes: the other ways differ in their
/// beginning alone.
fn files_go_both_ways(network: &Network, first: usize) {
    let (served, own) = (network.folder("served"), network.folder("own"));
    let _servers = ftp_servers(network, &served);
    network.rules(&services(network.method, "rr"));
    for (number, (way, options, host)) in ways().into_iter().enumerate() {
        let length = if number == 0 { first } else { 3_000_001 };
        let bytes = content(length, number as u64 + 1);
        let (up, down) = (own.join(format!("up{number}")), own.join(format!("down{number}")));
        std::fs::write(&up, &bytes).unwrap();
        let url = format!("ftp://user:pass@{host}/file{number}");
        let (up, down) = (up.display().to_string(), down.display().to_string());
        network.curl(&[&options[..], &["-T", &up, &url]].concat()).succeeds();
        assert!(std::fs::read(served.join(format!("file{number}"))).unwrap() == bytes, "{way}: changed");
        network.curl(&[&options[..], &["-o", &down, &url]].concat()).succeeds();
        assert!(std::fs::read(&down).unwrap() == bytes, "{way}: changed on its way back");
    }
    // Control connections are scheduled, data connections are not: they go where their control connection goes.
    for (vip, servers) in servers(network.method) {
        let counted =
            |server: &String| network.director.connections(&format!("{vip}:21"), &format!("{server}:21"));
        let total: u64 = servers.iter().filter_map(counted).sum();
        assert_eq!(total, if vip.starts_with('[') { 4 } else { 8 });
    }
}

#[test]
fn files_go_both_ways_by_every_way_to_agree_on_a_connection() {
    files_go_both_ways(&Network::new("ftp", Method::Masquerading, PacketPath::Daemon), 100_000_000);
}

/// Control connections are the daemon's, data connections the program's.
#[test]
fn files_go_both_ways_on_the_fast_path() {
    let network = Network::new("ftp-f", Method::Masquerading, PacketPath::Fast);
    files_go_both_ways(&network, 20_000_000);
    network.end();
}

#[test]
fn files_go_both_ways_by_full_nat() {
    let network = Network::new("ftp-fn", Method::FullNat, PacketPath::Fast);
    files_go_both_ways(&network, 100_000_000);
    network.end();
}

#[test]
fn files_go_both_ways_between_the_families() {
    files_go_both_ways(&Network::new("ftp-across", Method::AcrossFamilies, PacketPath::Daemon), 3_000_001);
}

#[test]
fn fifty_sessions_at_once() {
    fifty_sessions("ftp-many", Method::Masquerading, PacketPath::Daemon);
}

#[test]
fn fifty_sessions_at_once_on_the_fast_path() {
    fifty_sessions("ftp-many-f", Method::Masquerading, PacketPath::Fast);
}

#[test]
fn fifty_sessions_at_once_by_full_nat() {
    fifty_sessions("ftp-many-fn", Method::FullNat, PacketPath::Daemon);
}

fn fifty_sessions(test: &str, method: Method, path: PacketPath) {
    let network = Network::new(test, method, path);
    let (served, own) = (network.folder("served"), network.folder("own"));
    let _servers = ftp_servers(&network, &served);
    network.rules(&services(method, "rr"));
    let bytes = content(300_000, 7);
    std::fs::write(served.join("file"), &bytes).unwrap();
    let ways = ways();
    let path = |number: usize| own.join(number.to_string());
    let runs: Vec<Curl> = (0..50)
        .map(|number| {
            let (_, options, host) = &ways[number % ways.len()];
            let (url, path) = (format!("ftp://user:pass@{host}/file"), path(number).display().to_string());
            network.curl(&[&options[..], &["-o", &path, &url, "-o", &path, &url]].concat())
        })
        .collect();
    runs.into_iter().for_each(Curl::succeeds);
    for number in 0..50 {
        assert!(std::fs::read(path(number)).unwrap() == bytes, "session {number}");
    }
    network.end();
}

/// A control connection whose two ends say everything byte by byte, each byte in a segment of its own.
fn byte_by_byte(test: &str, method: Method) {
    let network = Network::new(test, method, PacketPath::Daemon);
    network.rules(&[
        format!("-A -t {V4}:2121 -s rr --helper ftp"),
        format!("-a -t {V4}:2121 -r 10.84.0.11:2121 {}", method.options()),
    ]);
    let bytes = content(100_000, 3);
    let control = network.servers[0].run(|| TcpListener::bind("10.84.0.11:2121").unwrap());
    let data = network.servers[0].run(|| TcpListener::bind("10.84.0.11:0").unwrap());
    let port = data.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        let (bytes, server_namespace) = (&bytes, &network.servers[0]);
        let server = scope.spawn(move || {
            let (control, _) = control.accept().unwrap();
            limit(&control);
            let mut lines = BufReader::new(control.try_clone().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "PASV");
            slowly(&control, &format!("227 Here (10,84,0,11,{},{}).\r\n", port >> 8, port & 255));
            let (mut passive, _) = data.accept().unwrap();
            passive.write_all(bytes).unwrap();
            drop(passive);
            let line = lines.next().unwrap().unwrap();
            let numbers: Vec<u16> =
                line.strip_prefix("PORT ").unwrap().split(',').map(|it| it.parse().unwrap()).collect();
            let [a, b, c, d, high, low] = numbers[..] else { panic!("{line}") };
            let client: SocketAddr = format!("{a}.{b}.{c}.{d}:{}", high << 8 | low).parse().unwrap();
            assert_eq!(client.ip(), control.peer_addr().unwrap().ip());
            // From a port that nobody has told.
            let mut active = server_namespace.run(|| TcpStream::connect(client).unwrap());
            active.write_all(bytes).unwrap();
            drop(active);
            slowly(&control, "226 done\r\n");
        });
        let client = network.client.run(|| TcpStream::connect(format!("{V4}:2121")).unwrap());
        limit(&client);
        let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
        slowly(&client, "PASV\r\n");
        let answer = lines.next().unwrap().unwrap();
        assert_eq!(answer, format!("227 Here (10,83,0,100,{},{}).", port >> 8, port & 255));
        let mut passive = network.client.run(|| TcpStream::connect(format!("{V4}:{port}")).unwrap());
        assert!(all(&mut passive) == *bytes);
        let own = network.client.run(|| TcpListener::bind("10.83.0.2:0").unwrap());
        let own_port = own.local_addr().unwrap().port();
        slowly(&client, &format!("PORT 10,83,0,2,{},{}\r\n", own_port >> 8, own_port & 255));
        let (mut active, from) = own.accept().unwrap();
        assert_eq!(from.ip().to_string(), V4);
        assert!(all(&mut active) == *bytes);
        assert_eq!(lines.next().unwrap().unwrap(), "226 done");
        server.join().unwrap();
    });
    let saved = network.director.rules();
    assert!(saved.contains(&format!("-A -t {V4}:2121 -s rr --helper ftp\n")), "{saved}");
}

#[test]
fn commands_and_answers_byte_by_byte() {
    byte_by_byte("ftp-slow", Method::Masquerading);
}

#[test]
fn commands_and_answers_byte_by_byte_by_full_nat() {
    byte_by_byte("ftp-slow-fn", Method::FullNat);
}

/// Each byte in a segment of its own, some long after the one before, so that the other end's acknowledgment is waited for.
fn slowly(mut stream: &TcpStream, text: &str) {
    for (number, byte) in text.bytes().enumerate() {
        stream.set_nodelay(number % 5 != 0).unwrap();
        stream.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(if number % 7 == 0 { 60 } else { 2 }));
    }
}

fn all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    limit(stream);
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn limit(stream: &TcpStream) {
    stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
}

#[test]
fn tftp_servers_answer_from_ports_of_their_own() {
    tftp("tftp", Method::Masquerading, PacketPath::Daemon);
}

#[test]
fn tftp_on_the_fast_path() {
    tftp("tftp-f", Method::Masquerading, PacketPath::Fast);
}

#[test]
fn tftp_servers_answer_from_ports_of_their_own_by_full_nat() {
    tftp("tftp-fn", Method::FullNat, PacketPath::Daemon);
}

#[test]
fn tftp_servers_answer_clients_of_the_other_family() {
    tftp("tftp-across", Method::AcrossFamilies, PacketPath::Daemon);
}

fn tftp(test: &str, method: Method, path: PacketPath) {
    let network = Network::new(test, method, path);
    let (served, own) = (network.folder("served"), network.folder("own"));
    let bytes = content(200_000, 9);
    std::fs::write(served.join("file"), &bytes).unwrap();
    let mut command = Command::new("ip");
    command.args([
        "netns",
        "exec",
        network.servers[0].name(),
        "dnsmasq",
        "--conf-file=/dev/null",
        "--port=0",
    ]);
    command.args(["--no-daemon", "--user=root", "--enable-tftp", "--pid-file="]);
    command.arg(format!("--tftp-root={}", served.display())).stdin(Stdio::null());
    let log = network.director.file("dnsmasq.log");
    let _server = Program::start(command, log.clone());
    wait_for("dnsmasq (of dnsmasq-base)", || {
        std::fs::read_to_string(&log).unwrap_or_default().contains("TFTP root")
    });
    for (number, (host, servers)) in servers(method).iter().enumerate() {
        network.rules(&[
            format!("-A -u {host}:69 -s rr"),
            format!("-a -u {host}:69 -r {}:69 {}", servers[0], method.options()),
        ]);
        let path = own.join(number.to_string());
        network.curl(&["-o", &path.display().to_string(), &format!("tftp://{host}/file")]).succeeds();
        assert!(std::fs::read(path).unwrap() == bytes, "{host}");
    }
    network.end();
}
