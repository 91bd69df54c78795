//! Clients' addresses told by the PROXY protocol: Debian's nginx logs them, and a server that speaks first knows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::namespace::Namespace;
use crate::network::{Family, Method, Network, POOL, Path};
use crate::program::Program;
use crate::wait_for;

/// Where the servers listen.
const SERVER_PORT: u16 = 8080;

/// Bytes that repeat nowhere near.
fn content(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A program in a namespace.
fn inside(namespace: &Namespace, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace.name()]).args(words).stdin(Stdio::null());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A network whose servers are told clients' addresses.
fn network(test: &str, method: Method, family: Family, path: Path) -> Network {
    let network = Network::new(test, method, family, path);
    let servers = [0, 1].map(|number| network.server(number, SERVER_PORT));
    tell(&network, method, &servers);
    network
}

/// Makes the service with these servers, which are told clients' addresses.
fn tell(network: &Network, method: Method, servers: &[String; 2]) {
    let service = network.virtual_service(80);
    let ipvsadm = |words: &[&str]| {
        assert!(network.director.ipvsadm(words).is_some(), "ipvsadm {} failed", words.join(" "));
    };
    ipvsadm(&["-A", "-t", &service, "-s", "rr"]);
    let method: &[&str] = match method {
        Method::FullNat => &["--full-nat", "--local-pool", POOL, "--proxy-protocol"],
        _ => &["-m", "--proxy-protocol"],
    };
    for server in servers {
        ipvsadm(&[&["-a", "-t", &service, "-r", server][..], method].concat());
    }
}

/// An nginx with files of its own.
struct Nginx {
    _program: Program,
    folder: PathBuf,
}

impl Nginx {
    fn start(network: &Network, number: u8) -> Self {
        Self::start_at(network, number, &network.server(number, SERVER_PORT))
    }

    /// One that listens at an address and port.
    fn start_at(network: &Network, number: u8, listen: &str) -> Self {
        let folder = network.director.file(&format!("nginx{number}"));
        let files = folder.join("files");
        std::fs::create_dir_all(&files).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
            .concat();
        let log = "'$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $remote_addr $uri'";
        let at = folder.display();
        let configuration = format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\n\
             http {{\n{temporary}log_format told {log};\naccess_log {at}/access.log told;\nclient_max_body_size 0;\n\
             server {{\nlisten {listen} proxy_protocol;\nroot {};\ndav_methods PUT;\n}}\n}}\n",
            files.display()
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let (file, error) = (file.display().to_string(), folder.join("error.log").display().to_string());
        let command = inside(&network.servers[usize::from(number)], &["nginx", "-c", &file, "-e", &error]);
        let mut program = Program::start(command, folder.join("output"));
        wait_for("nginx", || {
            let said = || ["output", "error.log"].map(|name| std::fs::read_to_string(folder.join(name)));
            assert!(program.runs(), "{:?}", said());
            folder.join("pid").exists()
        });
        Self { _program: program, folder }
    }

    fn logged(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn curl(network: &Network, words: &[&str]) -> String {
    let command = [&["curl", "-gsSf", "--max-time", "300"], words].concat();
    let output = inside(&network.client, &command).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {}: {error}\n{}", words.join(" "), network.director.logs());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn nginx_logs_true_clients(test: &str, method: Method, family: Family) {
    nginx_logs_true_clients_by(test, method, family, Path::Daemon).end();
}

fn nginx_logs_true_clients_by(test: &str, method: Method, family: Family, path: Path) -> Network {
    let network = network(test, method, family, path);
    let servers = [0, 1].map(|number| Nginx::start(&network, number));
    let clients = [2, 3, 4].map(|host| network.client_of(host));
    // What the server logs: the client, and the address that its packets come from.
    let logs = |client: &str, port: &str, uri: &str| {
        let local = network.local_address();
        let seen = if method == Method::FullNat { &local } else { client };
        format!("{client} {port} {} {seen} {uri}", network.address())
    };
    let service = network.virtual_service(80);
    let mut expected = Vec::new();
    for server in &servers {
        std::fs::write(server.folder.join("files/greeting"), "hello").unwrap();
    }
    for (port, client) in (20_001..).zip(clients.iter().cycle()).take(8) {
        let port = port.to_string();
        let url = format!("http://{service}/greeting");
        let said = curl(&network, &["--interface", client, "--local-port", &port, &url]);
        assert_eq!(said, "hello");
        expected.push(logs(client, &port, "/greeting"));
    }
    // 10 MB each way, to and from both servers.
    let (bytes, own) = (content(10_000_000), network.director.file("own"));
    std::fs::write(&own, &bytes).unwrap();
    let (path, client) = (own.display().to_string(), &clients[1]);
    for (number, port) in ["21001", "21002"].iter().enumerate() {
        let uri = format!("/up{number}");
        let url = format!("http://{service}{uri}");
        curl(&network, &["--interface", client, "--local-port", port, "-T", &path, &url]);
        expected.push(logs(client, port, &uri));
        let up = servers.iter().map(|it| it.folder.join(format!("files{uri}"))).find(|it| it.exists());
        assert!(std::fs::read(up.unwrap()).unwrap() == bytes, "changed on its way to the server");
    }
    for server in &servers {
        std::fs::write(server.folder.join("files/down"), &bytes).unwrap();
    }
    for port in ["22001", "22002"] {
        let url = format!("http://{service}/down");
        curl(&network, &["--interface", client, "--local-port", port, "-o", &path, &url]);
        expected.push(logs(client, port, "/down"));
        assert!(std::fs::read(&own).unwrap() == bytes, "changed on its way to the client");
    }
    expected.sort();
    wait_for("what the servers log", || {
        servers.iter().map(|it| it.logged().len()).sum::<usize>() >= expected.len()
    });
    assert!(servers.iter().all(|it| !it.logged().is_empty()), "one server alone was asked");
    let mut logged: Vec<String> = servers.iter().flat_map(Nginx::logged).collect();
    logged.sort();
    assert_eq!(logged, expected);
    network
}

/// Connections with a header are the daemon's, whose program must leave them alone.
#[test]
fn nginx_logs_true_clients_on_the_fast_path() {
    nginx_logs_true_clients_by("proxy4f", Method::Masquerading, Family::V4, Path::Fast);
}

#[test]
fn nginx_logs_true_clients_v4() {
    nginx_logs_true_clients("proxy4", Method::Masquerading, Family::V4);
}

#[test]
fn nginx_logs_true_clients_v6() {
    nginx_logs_true_clients("proxy6", Method::Masquerading, Family::V6);
}

/// The packets come from the pool's address.
#[test]
fn nginx_behind_full_nat_logs_true_clients_v4() {
    nginx_logs_true_clients("proxy-fn4", Method::FullNat, Family::V4);
}

#[test]
fn nginx_behind_full_nat_logs_true_clients_v6() {
    nginx_logs_true_clients("proxy-fn6", Method::FullNat, Family::V6);
}

/// The header is of the client's family, all else that the server sees of its own.
#[test]
fn nginx_in_one_family_logs_true_clients_in_the_other() {
    for (test, family, of_servers) in
        [("proxy-fn64", Family::V6, Family::V4), ("proxy-fn46", Family::V4, Family::V6)]
    {
        let network = Network::new(test, Method::FullNat, family, Path::Daemon);
        let addresses = network.serve_in(of_servers);
        let listen = addresses.map(|address| of_servers.with_port(&address, SERVER_PORT));
        tell(&network, Method::FullNat, &listen);
        let servers = [0, 1].map(|number| Nginx::start_at(&network, number, &listen[usize::from(number)]));
        let (bytes, own) = (content(3_000_000), network.director.file("own"));
        for server in &servers {
            std::fs::write(server.folder.join("files/down"), &bytes).unwrap();
        }
        let mut expected = Vec::new();
        let path = own.display().to_string();
        // In turn: one server is asked, and the other is told.
        let clients = [2, 3, 4].map(|host| network.client_of(host));
        for (port, client) in (20_001..).zip(clients.iter().cycle()).take(6) {
            for (uri, way, port) in [("/down", "-o", port), ("/up", "-T", port + 1000)] {
                let url = format!("http://{}{uri}", network.virtual_service(80));
                let port = port.to_string();
                curl(&network, &["--interface", client, "--local-port", &port, way, &path, &url]);
                expected.push(format!("{client} {port} {} {} {uri}", network.address(), of_servers.front(5)));
                assert!(std::fs::read(&own).unwrap() == bytes, "changed on its way to the client");
            }
        }
        wait_for("what the servers log", || {
            servers.iter().map(|it| it.logged().len()).sum::<usize>() >= expected.len()
        });
        let up: Vec<_> =
            servers.iter().filter_map(|it| std::fs::read(it.folder.join("files/up")).ok()).collect();
        assert!(!up.is_empty() && up.iter().all(|it| *it == bytes), "changed on its way to the server");
        let mut logged: Vec<String> = servers.iter().flat_map(Nginx::logged).collect();
        logged.sort();
        expected.sort();
        assert_eq!(logged, expected);
        network.end();
    }
}

/// The server speaks before its client does; what is said then goes there and back unchanged.
#[test]
fn a_server_that_speaks_first_knows_its_client() {
    for (test, family) in [("proxy-first4", Family::V4), ("proxy-first6", Family::V6)] {
        let network = network(test, Method::Masquerading, family, Path::Daemon);
        let _servers = [0_u8, 1].map(|number| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/greeting_server.py");
            let (address, port) = (network.server_address(number), SERVER_PORT.to_string());
            let server = &network.servers[usize::from(number)];
            let log = network.director.file(&format!("greeting{number}.log"));
            let program =
                Program::start(inside(server, &["/usr/bin/python3", script, &address, &port]), log.clone());
            wait_for("the server", || std::fs::read_to_string(&log).unwrap_or_default().contains("ready"));
            program
        });
        let bytes = content(1_000_000);
        for _ in 0..6 {
            let service = network.virtual_service(80);
            let mut stream = network.client.run(|| TcpStream::connect(service.as_str()).unwrap());
            stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
            let own = stream.local_addr().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut greeting = String::new();
            reader.read_line(&mut greeting).unwrap();
            assert_eq!(greeting, format!("{} {} {} 80\n", own.ip(), own.port(), network.address()));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    stream.write_all(&bytes).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                reader.read_to_end(&mut back).unwrap();
                assert!(back == bytes, "changed");
            });
        }
        network.end();
    }
}

/// Debian's ipvsadm does not know the setting: it shows nothing of it, and its edits leave it alone.
#[test]
fn unmodified_clients_leave_the_setting_alone() {
    let network = network("proxy-edit", Method::Masquerading, Family::V4, Path::Daemon);
    let service = network.virtual_service(80);
    let exec = |words: &[&str]| {
        let output = network.director.exec("auto", &[&["ipvsadm"], words].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let servers = [0, 1].map(|number| network.server(number, SERVER_PORT));
    exec(&["-e", "-t", &service, "-r", &servers[0], "-m", "-w", "5"]);
    let lines = |options: [&str; 2]| {
        let [one, two] = options;
        format!(
            "-A -t {service} -s rr\n-a -t {service} -r {} -m -w 5{one}\n-a -t {service} -r {} -m -w 1{two}\n",
            servers[0], servers[1]
        )
    };
    let told = " --proxy-protocol";
    assert_eq!(exec(&["-Sn"]), lines(["", ""]));
    assert_eq!(network.director.rules(), lines([told, told]));
    let ours = |words: &[&str]| network.director.ipvsadm(words);
    ours(&["-e", "-t", &service, "-r", &servers[0], "-m", "-w", "5", "--no-proxy-protocol"]).unwrap();
    assert_eq!(network.director.rules(), lines(["", told]));
    assert!(ours(&["-Ln", "--json"]).unwrap().matches("\"proxy_protocol\":").count() == 1);
    // By another method it cannot be.
    assert_eq!(ours(&["-e", "-t", &service, "-r", &servers[0], "-g", "--proxy-protocol"]), None);
    network.end();
}
