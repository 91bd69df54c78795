//! DNS over UDP and TCP through a virtual address: Debian's dnsmasq on two servers, each with records that name it, and
//! Debian's dig.

use std::collections::HashMap;
use std::ops::Range;
use std::process::{Command, Stdio};

use crate::namespace::Namespace;
use crate::network::{Family, Method, Network, Path};
use crate::program::Program;
use crate::wait_for;

/// Strings of the large answer, and the length of each: more than two frames hold.
const STRINGS: usize = 15;
const LENGTH: usize = 240;

const EVERYWHERE: [(Method, Family, &str); 6] = [
    (Method::FullNat, Family::V4, "fn4"),
    (Method::FullNat, Family::V6, "fn6"),
    (Method::Masquerading, Family::V4, "nat4"),
    (Method::Masquerading, Family::V6, "nat6"),
    (Method::DirectRouting, Family::V4, "dr4"),
    (Method::DirectRouting, Family::V6, "dr6"),
];

/// A network whose servers answer DNS by UDP and TCP. All goes when it is dropped.
struct Lab {
    // Before the network: what runs in a namespace ends first.
    _servers: [Program; 2],
    network: Network,
}

/// What one dig said.
struct Answers(String);

impl Lab {
    fn new(test: &str, (method, family): (Method, Family), udp: &str, path: Path) -> Self {
        let network = Network::new(test, method, family, path);
        network.serve("-u", 53, 53, udp);
        network.serve("-t", 53, 53, "-s rr");
        let servers = [0, 1].map(|number| start(&network, number));
        for number in [0, 1] {
            // From its own side, so that no question passes the director.
            let asks = [format!("@{} who.example. TXT", network.server_address(number))];
            let (host, options) = (&network.servers[usize::from(number)], "+short +tries=1 +timeout=1");
            wait_for("the answer of dnsmasq", || dig(&network, host, &asks, options).0.contains("\"server-"));
        }
        Self { _servers: servers, network }
    }

    /// Asks for a record, once from each of the ports.
    fn ask(&self, ports: Range<u16>, record: &str, options: &str) -> Answers {
        let (client, service) = (self.network.client_address(), self.network.address());
        let ask = |port| format!("@{service} -b {client}#{port} {record}.example. TXT");
        let options = format!("+tries=1 +timeout=20 {options}");
        dig(&self.network, &self.network.client, &ports.map(ask).collect::<Vec<_>>(), &options)
    }

    /// The columns of the only service of a protocol ("UDP") in `--stats`: connections, packets in and out, bytes in and out.
    fn counters(&self, protocol: &str) -> Vec<u64> {
        let listing = self.network.director.ipvsadm(&["-Ln", "--stats", "--exact"]).unwrap();
        let row = listing.lines().find(|row| row.starts_with(protocol)).unwrap();
        row.split_whitespace().skip(2).map(|column| column.parse().unwrap()).collect()
    }

    /// Waits until a service's counters are as expected: users see them with a delay of up to two seconds.
    fn counts(&self, protocol: &str, expected: impl Fn(&[u64]) -> bool) {
        let mut counters = Vec::new();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the service's counters", || {
                counters = self.counters(protocol);
                expected(&counters)
            });
        }));
        assert!(outcome.is_ok(), "{protocol}: {counters:?}");
    }
}

/// dnsmasq with nothing but its records.
fn start(network: &Network, number: usize) -> Program {
    let name = format!("server-{}", number + 1);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", network.servers[number].name()]).args([
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--user=root",
        "--log-facility=-",
        "--edns-packet-max=8192",
    ]);
    command.arg(format!("--txt-record=who.example,{name}"));
    for text in large(&name) {
        command.arg(format!("--txt-record=large.example,{text}"));
    }
    command.stdin(Stdio::null()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Program::start(command, network.director.file("dnsmasq.log"))
}

/// The strings of a server's large answer.
fn large(server: &str) -> Vec<String> {
    (0..STRINGS).map(|number| format!("{server}.{number:02}.").repeat(LENGTH)[..LENGTH].to_owned()).collect()
}

/// One dig that asks all questions one after the other, with these options: in the file it would ignore some of them.
fn dig(network: &Network, host: &Namespace, questions: &[String], options: &str) -> Answers {
    let file = network.director.file(&format!("questions-{}", host.name()));
    std::fs::write(&file, questions.join("\n") + "\n").unwrap();
    let mut command = Command::new("ip");
    // No file of the user's (-r), no name of the system's.
    command.args(["netns", "exec", host.name(), "dig", "-r"]).args(options.split(' '));
    command.arg("-f").arg(&file).env("LC_ALL", "C");
    let output = command.stdin(Stdio::null()).output().unwrap();
    Answers([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
}

impl Answers {
    /// How many each server gave; every line must be one of their names.
    fn by_server(&self) -> [usize; 2] {
        let mut counts = HashMap::new();
        self.0.lines().for_each(|line| *counts.entry(line).or_insert(0) += 1);
        let shares = ["\"server-1\"", "\"server-2\""].map(|name| counts.remove(name).unwrap_or(0));
        assert!(counts.is_empty(), "{}", self.0);
        shares
    }

    /// How many large answers each server gave, all of them whole.
    fn large_by_server(&self) -> [usize; 2] {
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for line in self.0.lines().filter(|line| line.starts_with("large.example.")) {
            *lines.entry(line.split('"').nth(1).unwrap_or_default()).or_insert(0) += 1;
        }
        let shares = ["server-1", "server-2"].map(|server| {
            let counts: Vec<_> =
                large(server).iter().map(|text| lines.remove(&**text).unwrap_or(0)).collect();
            assert!(
                counts.windows(2).all(|pair| pair[0] == pair[1]),
                "{counts:?} strings of {server}: {}",
                self.0
            );
            counts[0]
        });
        assert!(lines.is_empty(), "{lines:?}");
        shares
    }
}

/// A question a port, in turn, over UDP and then TCP: each server answers half, the counters know all, and by direct
/// routing the answers do not pass the director.
fn in_turn(test: &str, place: (Method, Family), path: Path) {
    let lab = Lab::new(test, place, "-s rr", path);
    let out = if place.0 == Method::DirectRouting { 0 } else { 60 };
    assert_eq!(lab.ask(20_000..20_060, "who", "+short").by_server(), [30, 30]);
    lab.counts("UDP", |counters| counters[..3] == [60, 60, out]);
    assert_eq!(lab.ask(30_000..30_060, "who", "+short +tcp").by_server(), [30, 30]);
    lab.counts("TCP", |counters| counters[0] == 60 && (counters[2] == 0) == (out == 0));
    lab.network.end();
}

#[test]
fn dns_in_turn() {
    for (method, family, name) in EVERYWHERE {
        in_turn(&format!("dns-{name}"), (method, family), Path::Daemon);
    }
}

#[test]
fn dns_in_turn_on_the_fast_path() {
    for (method, family, name) in EVERYWHERE {
        in_turn(&format!("dns-f-{name}"), (method, family), Path::Fast);
    }
}

/// A resolver asks from one port again and again: that is one connection, so one server, until each datagram is scheduled for
/// itself.
#[test]
fn dns_from_one_port() {
    for (family, path, name) in
        [(Family::V4, Path::Daemon, "4"), (Family::V6, Path::Daemon, "6"), (Family::V4, Path::Fast, "4f")]
    {
        let same_port = |lab: &Lab| {
            let [mut first, mut second] = [0, 0];
            for _ in 0..20 {
                let [one, two] = lab.ask(20_000..20_001, "who", "+short").by_server();
                (first, second) = (first + one, second + two);
            }
            [first, second]
        };
        let place = (Method::DirectRouting, family);
        let shares = same_port(&Lab::new(&format!("dns-one-{name}"), place, "-s rr", path));
        assert!(shares.contains(&20) && shares.contains(&0), "{shares:?}");
        let lab = Lab::new(&format!("dns-ops-{name}"), place, "-s rr --ops", path);
        assert_eq!(same_port(&lab), [10, 10]);
        lab.counts("UDP", |counters| counters[..3] == [20, 20, 0]);
        let listing = lab.network.director.ipvsadm(&["-Lnc"]).unwrap();
        assert!(!listing.contains("UDP"), "{listing}");
    }
}

/// Masqueraded questions that are scheduled one by one leave no connection, so their answers come as they are, from the
/// server's own address, and a resolver does not take them. The kernel does the same.
#[test]
fn dns_one_by_one_and_masqueraded() {
    let lab = Lab::new("dns-ops-nat", (Method::Masquerading, Family::V4), "-s rr --ops", Path::Daemon);
    let answers = lab.ask(20_000..20_002, "who", "+timeout=1").0;
    assert_eq!(answers.matches("timed out").count(), 2, "{answers}");
    lab.counts("UDP", |counters| counters[..3] == [2, 2, 0]);
}

/// Answers larger than two frames: over UDP in fragments, and to who takes no large datagrams by TCP after a truncated one.
#[test]
fn dns_large_answers() {
    large_answers("dns-large", Path::Daemon);
}

/// Questions are forwarded in the program, and the fragments of their answers by the daemon.
#[test]
fn dns_large_answers_on_the_fast_path() {
    large_answers("dns-large-f", Path::Fast);
}

fn large_answers(test: &str, path: Path) {
    for (method, family, name) in EVERYWHERE {
        let lab = Lab::new(&format!("{test}-{name}"), (method, family), "-s rr", path);
        let whole = lab.ask(20_000..20_020, "large", "+bufsize=8192 +ignore");
        assert_eq!(whole.large_by_server(), [10, 10]);
        assert!(!whole.0.contains(" tc"), "{}", whole.0);
        lab.counts("UDP", |counters| counters[0] == 20 && (counters[4] > 20 * 3600) == (counters[2] > 0));
        // The question is repeated on a connection of its own, which need not go to the same server.
        let retried = lab.ask(30_000..30_020, "large", "+bufsize=512");
        assert_eq!(retried.0.matches("Truncated, retrying in TCP mode").count(), 20, "{}", retried.0);
        assert_eq!(retried.large_by_server(), [10, 10]);
        lab.counts("UDP", |counters| counters[0] == 40);
        lab.counts("TCP", |counters| counters[0] == 20);
        lab.network.end();
    }
}
