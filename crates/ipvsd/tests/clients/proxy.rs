//! Clients' addresses told by the PROXY protocol: Debian's nginx logs them, and a server that speaks first knows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::namespace::Namespace;
use crate::network::{Family, Method, Network, Path};
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
fn network(test: &str, family: Family) -> Network {
    let network = Network::new(test, Method::Masquerading, family, Path::Daemon);
    let service = network.virtual_service(80);
    let ipvsadm = |words: &[&str]| {
        assert!(network.director.ipvsadm(words).is_some(), "ipvsadm {} failed", words.join(" "));
    };
    ipvsadm(&["-A", "-t", &service, "-s", "rr"]);
    for number in [0, 1] {
        ipvsadm(&[
            "-a",
            "-t",
            &service,
            "-r",
            &network.server(number, SERVER_PORT),
            "-m",
            "--proxy-protocol",
        ]);
    }
    network
}

/// An nginx with files of its own.
struct Nginx {
    _program: Program,
    folder: PathBuf,
}

impl Nginx {
    fn start(network: &Network, number: u8) -> Self {
        let folder = network.director.file(&format!("nginx{number}"));
        let files = folder.join("files");
        std::fs::create_dir_all(&files).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
            .concat();
        let log = "'$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $uri'";
        let at = folder.display();
        let listen = network.server(number, SERVER_PORT);
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

fn nginx_logs_true_clients(test: &str, family: Family) {
    let network = network(test, family);
    let servers = [0, 1].map(|number| Nginx::start(&network, number));
    let clients = [2, 3, 4].map(|host| network.client_of(host));
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
        expected.push(format!("{client} {port} {} /greeting", network.address()));
    }
    // 10 MB each way, to and from both servers.
    let (bytes, own) = (content(10_000_000), network.director.file("own"));
    std::fs::write(&own, &bytes).unwrap();
    let (path, client) = (own.display().to_string(), &clients[1]);
    for (number, port) in ["21001", "21002"].iter().enumerate() {
        let uri = format!("/up{number}");
        let url = format!("http://{service}{uri}");
        curl(&network, &["--interface", client, "--local-port", port, "-T", &path, &url]);
        expected.push(format!("{client} {port} {} {uri}", network.address()));
        let up = servers.iter().map(|it| it.folder.join(format!("files{uri}"))).find(|it| it.exists());
        assert!(std::fs::read(up.unwrap()).unwrap() == bytes, "changed on its way to the server");
    }
    for server in &servers {
        std::fs::write(server.folder.join("files/down"), &bytes).unwrap();
    }
    for port in ["22001", "22002"] {
        let url = format!("http://{service}/down");
        curl(&network, &["--interface", client, "--local-port", port, "-o", &path, &url]);
        expected.push(format!("{client} {port} {} /down", network.address()));
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
    network.end();
}

#[test]
fn nginx_logs_true_clients_v4() {
    nginx_logs_true_clients("proxy4", Family::V4);
}

#[test]
fn nginx_logs_true_clients_v6() {
    nginx_logs_true_clients("proxy6", Family::V6);
}

/// The server speaks before its client does; what is said then goes there and back unchanged.
#[test]
fn a_server_that_speaks_first_knows_its_client() {
    for (test, family) in [("proxy-first4", Family::V4), ("proxy-first6", Family::V6)] {
        let network = network(test, family);
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
    let network = network("proxy-edit", Family::V4);
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
