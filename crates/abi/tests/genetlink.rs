//! Replays what a kernel's IPVS family answered (`genetlink/kernel.rec`, made by `genetlink/record.py` on Debian's
//! 6.1) against our codec in front of our director: every datagram must be the same, byte for byte.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::IpAddr;

use ipvs_abi::genetlink::{Message, Messages, Session, number};
use ipvs_core::{AddressKind, Command, Config, Director, Error, Host, Instant, Reply};

/// The recording machine: 10.0.0.0/24 and a default route; multicast is no host's.
struct RecordingHost;

impl Host for RecordingHost {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        if address.is_multicast() { AddressKind::Other } else { AddressKind::Unicast }
    }

    fn path_mtu(&self, _: IpAddr) -> Option<u32> {
        Some(1500)
    }

    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        None
    }
}

struct Exchange {
    name: &'static str,
    request: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

fn recording() -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for line in include_str!("genetlink/kernel.rec").lines() {
        match line.split_at(2) {
            ("# ", name) => all.push(Exchange { name, request: Vec::new(), answers: Vec::new() }),
            ("> ", hex) => all.last_mut().unwrap().request = unhex(hex),
            ("< ", hex) => all.last_mut().unwrap().answers.push(unhex(hex)),
            _ => panic!("a line that is none: {line}"),
        }
    }
    all
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
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
        if exchange.name == "END OF REPLAY" {
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            assert!(compared > 250, "only {compared} exchanges compared");
            return;
        }
        let privileged = !exchange.name.starts_with("user: ");
        let ours = answers(&mut session, privileged, &exchange.request, &mut |command| {
            director.execute(Instant::default(), &RecordingHost, command)
        });
        // Known differences: command 128 is ours, and there are no sync daemons yet.
        match exchange.name {
            "command 128" => continue,
            "start daemon unknown interface" => {
                assert_eq!(error_of(&ours[0]), -95);
                continue;
            }
            _ => {}
        }
        compared += 1;
        let (ours, theirs) = (comparable(&ours), comparable(&exchange.answers));
        if ours != theirs {
            wrong.push(format!("{}\n  ours   {ours:?}\n  kernel {theirs:?}", exchange.name));
        }
    }
    panic!("the recording has no end of replay");
}

fn error_of(answer: &[u8]) -> i32 {
    i32::from_ne_bytes(answer[16..20].try_into().unwrap())
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
