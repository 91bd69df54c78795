//! `ipvsd explain`: what would become of a packet, and why.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ipvs_abi::errno::Errno;
use ipvs_abi::mark::{parse_mark, parse_protocol};
use ipvs_client::{ClientError, ControlClient, DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvs_core::{Command, Fact, Question, Reply, Step};
use serde_json::{Map, Value};

use crate::show::print;

/// Say what would become of a packet, and why, without sending one.
///
/// The daemon tries a packet of these addresses and ports by the very code that judges every packet, tells what it decided on
/// the way, and takes everything back: no connection is made, no counter, timer or scheduler moves, nothing is sent.
/// The packet comes from the network by an interface that ipvsd is attached to, whole, without payload, with a hop limit of
/// 64, and may not be fragmented. The answer holds for this moment: the next real packet may change it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  Would a new client be served, and by which server?
    ipvsd explain --src 198.51.100.7:40000 --dst 192.0.2.10:80 --proto tcp
  Why is a running connection cut? Its next packet, then an answer of its server:
    ipvsd explain --src 198.51.100.7:40000 --dst 192.0.2.10:80 --proto tcp --flags ack
    ipvsd explain --src 10.0.0.1:8080 --dst 198.51.100.7:40000 --proto tcp --flags ack
  Is a full-sized packet too big for the way?
    ipvsd explain --src [2001:db8::7]:40000 --dst [2001:db8::10]:53 --proto udp --size 1500
  What would a service by mark do, before there is a rule?
    ipvsd explain --src 198.51.100.7:40000 --dst 192.0.2.10:443 --proto tcp --mark 5

THE ANSWER
  One line for each thing that was looked at or decided, with its reason:
    connection     the connection that the packet belongs to, with state and time left
    service        the virtual service, and by what it was found
    template       where persistence keeps the client
    scheduler      which destination it chooses; then each destination as a candidate
    evicted        a half-open connection that would have to go
    fast-path      whether the XDP program would forward the packet itself
    rewrite        what of the packet is changed
    next-hop       where it leaves
    verdict        forwarded, delivered on this host, passed to the host's stack, or dropped: for
                   which reason (the names of `ipvsadm -L --drops`), and by which setting
  --json gives an object: \"verdict\" with its facts, and \"steps\", each with \"step\", \"text\" and its facts.

EXIT CODES
  0  explained, whatever the verdict
  1  the daemon refused (\"Operation not permitted\": root or CAP_NET_ADMIN is needed)
  2  wrong usage, or no daemon")]
pub(crate) struct Arguments {
    /// Where the packet comes from: 198.51.100.7:40000 or [2001:db8::7]:40000
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = end)]
    src: SocketAddr,

    /// Where it goes to; for a packet of a client, the virtual address and port
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = end)]
    dst: SocketAddr,

    /// Protocol: tcp, udp or sctp
    #[arg(long, value_name = "PROTOCOL", value_parser = parse_protocol)]
    proto: u16,

    /// TCP: fin, syn, rst, psh, ack, urg or none, several as syn,ack; SCTP: the packet's chunk, as init, data or abort
    ///
    /// Default: syn, init. Of SCTP: data, init, init-ack, sack, heartbeat, heartbeat-ack, abort, shutdown, shutdown-ack, error,
    /// cookie-echo, cookie-ack, shutdown-complete.
    #[arg(long, value_name = "FLAGS")]
    flags: Option<String>,

    /// Firewall mark to be taken for the packet's, instead of the one that the rules of `ipvsd mark` give
    #[arg(long, value_name = "MARK", value_parser = parse_mark)]
    mark: Option<u32>,

    /// Length from the IP header on, bytes; default: as short as can be
    #[arg(long, value_name = "BYTES")]
    size: Option<u16>,

    /// As a JSON object
    #[arg(long)]
    json: bool,

    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

const TCP: u16 = 6;
const SCTP: u16 = 132;

/// Flags of TCP by their bits.
const FLAGS: [(&str, u8); 7] =
    [("none", 0), ("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32)];

/// Chunks of SCTP by their types.
const CHUNKS: [(&str, u8); 13] = [
    ("data", 0),
    ("init", 1),
    ("init-ack", 2),
    ("sack", 3),
    ("heartbeat", 4),
    ("heartbeat-ack", 5),
    ("abort", 6),
    ("shutdown", 7),
    ("shutdown-ack", 8),
    ("error", 9),
    ("cookie-echo", 10),
    ("cookie-ack", 11),
    ("shutdown-complete", 14),
];

fn end(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let example = "write ADDRESS:PORT, as 192.0.2.10:80 or [2001:db8::10]:80";
        match text.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => format!("the port is missing: {text}:80, for example"),
            Ok(std::net::IpAddr::V6(_)) => format!("the port is missing: [{text}]:80, for example"),
            Err(_) => example.to_owned(),
        }
    })
}

fn look_up(names: &[(&str, u8)], name: &str, what: &str) -> Result<u8, String> {
    let found = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        format!("no {what} {name:?}: there are {}", known.join(", "))
    })
}

impl Arguments {
    fn question(&self) -> Result<Question, String> {
        let Self { src, dst, .. } = self;
        if src.is_ipv6() != dst.is_ipv6() {
            let family = |end: &SocketAddr| if end.is_ipv6() { "IPv6" } else { "IPv4" };
            return Err(format!(
                "--src {src} is {} and --dst {dst} is {}: a packet has both of one family",
                family(src),
                family(dst)
            ));
        }
        let flags = match (self.proto, self.flags.as_deref()) {
            (TCP, text) => text.unwrap_or("syn").split([',', '|', '+']).try_fold(0, |flags, name| {
                look_up(&FLAGS, name.trim(), "TCP flag").map(|flag| flags | flag)
            })?,
            (SCTP, text) => look_up(&CHUNKS, text.unwrap_or("init"), "SCTP chunk")?,
            (_, None) => 0,
            (_, Some(_)) => return Err("--flags is for tcp and sctp: datagrams have none".into()),
        };
        let transport = match self.proto {
            TCP => 20,
            SCTP => 32,
            _ => 8,
        };
        let least = transport + if src.is_ipv6() { 40 } else { 20 };
        match self.size {
            Some(size) if size < least => {
                return Err(format!("--size {size} is too short: the headers alone have {least} bytes"));
            }
            _ => {}
        }
        Ok(Question {
            protocol: self.proto as u8,
            source: *src,
            destination: *dst,
            flags,
            size: self.size.unwrap_or(0),
            mark: self.mark,
        })
    }
}

/// Does it.
pub(crate) fn explain(arguments: &Arguments) -> ExitCode {
    let question = match arguments.question() {
        Ok(question) => question,
        Err(error) => {
            eprintln!("ipvsd: {error}");
            return ExitCode::from(2);
        }
    };
    match ask(arguments, question) {
        Ok(steps) => print(if arguments.json { as_json(&steps) } else { as_text(&steps) }.as_bytes()),
        Err(error) => {
            match error.errno() {
                Some(Errno::EOPNOTSUPP) => {
                    eprintln!("ipvsd: the daemon is of a version that cannot explain; restart it")
                }
                _ => eprintln!("ipvsd: {error}"),
            }
            ExitCode::from(if error.errno().is_some() { 1 } else { 2 })
        }
    }
}

fn ask(arguments: &Arguments, question: Question) -> Result<Vec<Step>, ClientError> {
    match ControlClient::connect(&arguments.socket)?.request(Command::Explain(question))? {
        Reply::Explanation(steps) => Ok(steps),
        _ => Ok(Vec::new()),
    }
}

/// A line for each step; candidates stand under their scheduler.
fn as_text(steps: &[Step]) -> String {
    let width = steps.iter().map(|step| step.name.len()).max().unwrap_or_default();
    let line = |step: &Step| match step.name.as_str() {
        "candidate" => format!("{:width$}    {}\n", "", step.text),
        name => format!("{name:width$}  {}\n", step.text),
    };
    steps.iter().map(line).collect()
}

fn as_json(steps: &[Step]) -> String {
    let facts = |step: &Step| -> Map<String, Value> {
        step.facts.iter().map(|(name, fact)| (name.clone(), value(fact))).collect()
    };
    let verdict = steps.last().map(facts).unwrap_or_default();
    let step = |step: &Step| {
        let mut object = facts(step);
        object.insert("step".into(), step.name.clone().into());
        object.insert("text".into(), step.text.clone().into());
        Value::Object(object)
    };
    let steps: Vec<_> = steps.iter().map(step).collect();
    let whole = serde_json::json!({"verdict": verdict, "steps": steps});
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Text(text) => text.clone().into(),
        Fact::Number(number) => (*number).into(),
        Fact::Flag(flag) => (*flag).into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn question(line: &str) -> Result<Question, String> {
        let words = std::iter::once("explain").chain(line.split_whitespace());
        Line::try_parse_from(words).map_err(|error| error.to_string())?.arguments.question()
    }

    #[test]
    fn questions() {
        let flags = |line: &str| question(line).map(|it| (it.protocol, it.flags));
        let ends = "--src 10.0.0.1:1 --dst 10.0.0.2:2 --proto";
        for (rest, expected) in [
            ("tcp", (6, 2)),
            ("tcp --flags syn,ack", (6, 0x12)),
            ("TCP --flags FIN|ACK", (6, 0x11)),
            ("tcp --flags none", (6, 0)),
            ("udp", (17, 0)),
            ("sctp", (132, 1)),
            ("sctp --flags cookie-echo", (132, 10)),
        ] {
            assert_eq!(flags(&format!("{ends} {rest}")), Ok(expected), "{rest}");
        }
        let asked = question("--src [::1]:1 --dst [::2]:2 --proto udp --size 1500 --mark 0x10").unwrap();
        assert_eq!((asked.size, asked.mark, asked.destination.port()), (1500, Some(16), 2));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        for (line, said) in [
            ("--src 10.0.0.1 --dst 10.0.0.2:2 --proto tcp", "the port is missing: 10.0.0.1:80"),
            ("--src ::1 --dst [::2]:2 --proto tcp", "the port is missing: [::1]:80"),
            ("--src here --dst [::2]:2 --proto tcp", "write ADDRESS:PORT"),
            (
                "--src 10.0.0.1:1 --dst [::2]:2 --proto tcp",
                "--src 10.0.0.1:1 is IPv4 and --dst [::2]:2 is IPv6",
            ),
            ("--src 10.0.0.1:1 --dst 10.0.0.2:2 --proto icmp", "it is tcp, udp or sctp"),
            (
                "--src 10.0.0.1:1 --dst 10.0.0.2:2 --proto tcp --flags sin",
                "no TCP flag \"sin\": there are none, fin",
            ),
            ("--src 10.0.0.1:1 --dst 10.0.0.2:2 --proto sctp --flags syn", "no SCTP chunk \"syn\""),
            ("--src 10.0.0.1:1 --dst 10.0.0.2:2 --proto udp --flags ack", "--flags is for tcp and sctp"),
            ("--src 10.0.0.1:1 --dst 10.0.0.2:2 --proto tcp --size 39", "the headers alone have 40 bytes"),
        ] {
            let error = question(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn text_and_json() {
        let step = |name: &str, text: &str, facts: &[(&str, Fact)]| Step {
            name: name.into(),
            text: text.into(),
            facts: facts.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect(),
        };
        let steps = [
            step("scheduler", "rr chooses 10.0.0.1:80", &[("found", Fact::Flag(true))]),
            step("candidate", "10.0.0.1:80 chosen", &[("weight", Fact::Number(1))]),
            step("verdict", "forwarded to 10.0.0.1", &[("verdict", Fact::Text("forward".into()))]),
        ];
        let text = "\
scheduler  rr chooses 10.0.0.1:80
             10.0.0.1:80 chosen
verdict    forwarded to 10.0.0.1
";
        assert_eq!(as_text(&steps), text);
        let json: Value = serde_json::from_str(&as_json(&steps)).unwrap();
        assert_eq!(json["verdict"]["verdict"], "forward");
        assert_eq!(json["steps"][0]["found"], true);
        assert_eq!(
            (&json["steps"][1]["step"], &json["steps"][1]["weight"]),
            (&"candidate".into(), &1.into())
        );
    }
}
