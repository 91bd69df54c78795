//! Replays what a kernel's IPVS family answered (`conformance/recordings/raw/netlink.txt`, made by
//! `conformance/raw/netlink.py`) against our codec in front of our director: every datagram must be the same, byte for byte.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod raw;

use ipvs_abi::genetlink::{Message, Messages, Session, number};
use ipvs_abi::sockopt::decode_set;
use ipvs_core::{Command, Config, Director, Error, Instant, Reply};
use raw::{RecordingHost, unhex};

struct Exchange {
    name: &'static str,
    /// Socket options set before it, number and bytes.
    options: Vec<(u32, Vec<u8>)>,
    request: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

fn recording() -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let mut options = Vec::new();
    for line in include_str!("../../../conformance/recordings/raw/netlink.txt").lines() {
        match line.split_at(2) {
            ("# ", name) => {
                let options = std::mem::take(&mut options);
                all.push(Exchange { name, options, request: Vec::new(), answers: Vec::new() });
            }
            ("~ ", option) => {
                let (number, hex) = option.split_once(' ').unwrap();
                options.push((number.parse().unwrap(), unhex(hex)));
            }
            ("> ", hex) => all.last_mut().unwrap().request = unhex(hex),
            ("< ", hex) => all.last_mut().unwrap().answers.push(unhex(hex)),
            _ => panic!("a line that is none: {line}"),
        }
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kernel's answers carry the port id of the socket; ours that of the request, which differs in two requests.
fn with_port(mut answer: Vec<u8>) -> Vec<u8> {
    answer[12..16].copy_from_slice(&4242u32.to_ne_bytes());
    answer
}

fn answers(
    session: &mut Session,
    privileged: bool,
    request: &[u8],
    execute: &mut dyn FnMut(Command) -> Result<Reply, Error>,
) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    session.receive(request);
    while !session.is_idle() {
        session.step(privileged, execute, &mut |datagram| out.push(with_port(datagram)));
    }
    out
}

/// Answers with their datagram boundaries, but for dumps: there only the messages count.
fn comparable(answers: &[Vec<u8>]) -> Vec<String> {
    let dump = answers.iter().any(|a| Messages::new(a).any(|m| m.header.flags & number::flag::MULTI != 0));
    if !dump {
        return answers.iter().map(|answer| hex(answer)).collect();
    }
    answers
        .iter()
        .flat_map(|answer| Messages::new(answer))
        .map(|m| hex(&m.header_bytes) + &hex(m.payload))
        .collect()
}

#[test]
fn answers_as_the_kernel_does() {
    let mut director = Director::new(Config::default(), Instant::default()).unwrap();
    let mut session = Session::new();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for exchange in recording() {
        let mut execute = |command| director.execute(Instant::default(), &RecordingHost, command);
        for (number, data) in &exchange.options {
            // It may fail: what follows shows it.
            let _ = decode_set(*number, data).map(|change| change.apply(&mut execute));
        }
        let privileged = !exchange.name.starts_with("user: ");
        let ours = answers(&mut session, privileged, &exchange.request, &mut execute);
        // Command 128 is ours; the others need what only the place of the system call knows.
        if exchange.name == "command 128" || exchange.name.starts_with("socket: ") {
            continue;
        }
        compared += 1;
        let (ours, theirs) = (comparable(&ours), comparable(&exchange.answers));
        if ours != theirs {
            wrong.push(format!("{}\n  ours   {ours:?}\n  kernel {theirs:?}", exchange.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 660, "only {compared} exchanges compared");
}

/// Every service and destination that the kernel shows, read by our client and written by our server, is the same.
#[test]
fn reads_and_writes_what_the_kernel_shows() {
    let mut count = 0;
    for exchange in recording() {
        for answer in &exchange.answers {
            for message in Messages::new(answer).filter(is_entry) {
                count += 1;
                assert_eq!(hex(&reencoded(&message)), hex(message.payload), "{}", exchange.name);
            }
        }
    }
    assert!(count > 40, "only {count} entries");
}

fn is_entry(message: &Message<'_>) -> bool {
    let command = message.generic().map(|(command, _)| command);
    message.header.kind == ipvs_abi::genetlink::FAMILY_ID
        && matches!(command, Some(number::command::NEW_SERVICE | number::command::NEW_DEST))
}

/// The payload of `message` after decoding it as a client and encoding it as a server.
fn reencoded(message: &Message<'_>) -> Vec<u8> {
    use ipvs_abi::genetlink::{Exchange, Header, Progress, encode_done, encode_reply};
    let (command, _) = message.generic().unwrap();
    let question = if command == number::command::NEW_SERVICE {
        Command::ListServices { cursor: 0, limit: 0 }
    } else {
        let service = ipvs_core::ServiceId::Mark { ipv6: false, mark: 0 };
        Command::ListDestinations { service, cursor: 0, limit: 0 }
    };
    let mut datagram = Vec::new();
    let length = u32::try_from(16 + message.payload.len()).unwrap();
    datagram.extend_from_slice(&length.to_ne_bytes());
    datagram.extend_from_slice(&message.header_bytes[4..]);
    datagram.extend_from_slice(message.payload);
    encode_done(&mut datagram, message.header);
    let outcome = Exchange::new(question, message.header.sequence).receive(&datagram).unwrap();
    let Progress::Done(Ok(reply)) = outcome else { panic!("not done: {outcome:?}") };
    let mut out = Vec::new();
    encode_reply(&mut out, Header::default(), &reply);
    out.split_off(16)
}
