//! Replays what a kernel answered to socket options (`conformance/recordings/raw/sockopt.txt`, made by
//! `conformance/raw/sockopt.py`) against our codec and session in front of our director. The caller's memory is a model:
//! a buffer after whose last byte nothing can be read or written.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod raw;

use std::str::Lines;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::{OptionExchange, Session, SockoptAnswer};
use ipvs_abi::sockopt::{Operation, Reading, check, decode_set};
use ipvs_core::{Config, Director, Instant};
use raw::{RecordingHost, unhex};

/// A call and what came of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    result: Result<(), Errno>,
    /// Of a get, `*optlen` afterwards.
    length: Option<i32>,
    /// Of a get, the buffer afterwards.
    buffer: Vec<u8>,
}

struct Call {
    name: &'static str,
    operation: Operation,
    number: u32,
    length: i32,
    /// `None`: a null pointer.
    buffer: Option<Vec<u8>>,
    writable: bool,
    kernel: Outcome,
}

/// Every error that the recording names.
const ERRNOS: [Errno; 10] = [
    Errno::EPERM,
    Errno::ENOENT,
    Errno::ESRCH,
    Errno::EFAULT,
    Errno::EEXIST,
    Errno::ENODEV,
    Errno::EINVAL,
    Errno::ERANGE,
    Errno::ENOPROTOOPT,
    Errno::EOPNOTSUPP,
];

/// Hex in which "xx*count" stands for repeated bytes and dots separate the pieces.
fn unsqueeze(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    let piece = |piece: &str| match piece.split_once('*') {
        Some((byte, count)) => unhex(byte).repeat(count.parse().unwrap()),
        None => unhex(piece),
    };
    text.split('.').flat_map(piece).collect()
}

/// Reads the next call; `None` at the end.
fn next(lines: &mut std::iter::Peekable<Lines<'static>>) -> Option<Call> {
    let name = lines.next()?.strip_prefix("# ").unwrap();
    let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let [kind, number, length, data] = words[..] else { panic!("{words:?}") };
    let operation = if kind == "get" { Operation::Get } else { Operation::Set };
    let (writable, data) = data.strip_prefix("ro:").map_or((true, data), |data| (false, data));
    let buffer = (data != "null").then(|| unsqueeze(data));
    let answer: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let result = match answer[1] {
        "ok" => Ok(()),
        "ENOTSUP" => Err(Errno::EOPNOTSUPP),
        name => Err(*ERRNOS.iter().find(|errno| errno.name() == Some(name)).unwrap()),
    };
    let after = lines.next_if(|line| line.starts_with("< ")).map(|line| unsqueeze(&line[2..]));
    let kernel = Outcome {
        result,
        length: answer.get(2).map(|length| length.parse().unwrap()),
        buffer: after.or_else(|| buffer.clone()).unwrap_or_default(),
    };
    Some(Call {
        name,
        operation,
        number: number.parse().unwrap(),
        length: length.parse().unwrap(),
        buffer,
        writable,
        kernel,
    })
}

/// The daemon: a session in front of a director.
struct Daemon {
    session: Session,
    director: Director,
    sequence: u32,
}

impl Daemon {
    /// Has it do an option, through the wire format of the control socket.
    fn ask(
        &mut self,
        operation: Operation,
        number: u32,
        length: u32,
        data: &[u8],
    ) -> Result<SockoptAnswer, Errno> {
        self.sequence += 1;
        let mut exchange = OptionExchange::new(self.sequence, length);
        self.session.receive(&exchange.request(operation, number, data));
        let (session, director) = (&mut self.session, &mut self.director);
        let mut outcome = None;
        while !session.is_idle() {
            session.step(
                true,
                &mut |command| director.execute(Instant::default(), &RecordingHost, command),
                &mut |datagram| outcome = exchange.receive(&datagram).unwrap(),
            );
        }
        outcome.expect("an answer")
    }
}

/// Does a call as a supervisor of the caller does: what needs no memory of the caller's, then copying, then the daemon.
fn ours(daemon: &mut Daemon, call: &Call) -> Outcome {
    let privileged = !call.name.starts_with("user: ");
    let mut buffer = call.buffer.clone().unwrap_or_default();
    let mut length = call.length;
    let result = check(call.operation, call.number, call.length, privileged).and_then(|copied| {
        let data = buffer.get(..copied).ok_or(Errno::EFAULT)?;
        let room = u32::try_from(call.length).unwrap();
        let answer = daemon.ask(call.operation, call.number, room, data)?;
        for (offset, bytes) in answer.chunks {
            for (offset, byte) in (offset as usize..).zip(bytes) {
                let place = buffer.get_mut(offset).filter(|_| call.writable).ok_or(Errno::EFAULT)?;
                *place = byte;
            }
        }
        length = i32::try_from(answer.length).unwrap();
        Ok(())
    });
    Outcome { result, length: (call.operation == Operation::Get).then_some(length), buffer }
}

/// No bytes under any number make the codec fail, and a set that passes the checks is a command or a refusal.
#[test]
fn no_bytes_make_it_fail() {
    use proptest::prelude::*;
    let config = ProptestConfig::with_cases(20_000);
    proptest!(config, |(number in 1150..1170u32, data in proptest::collection::vec(any::<u8>(), 0..130), length: i32)| {
        let _ = decode_set(number, &data);
        let _ = Reading::new(number, length as u32, &data);
        for operation in [Operation::Get, Operation::Set] {
            for length in [length, data.len() as i32] {
                if let Ok(copied) = check(operation, number, length, true) {
                    prop_assert!(copied <= length as usize);
                    prop_assert!(copied <= 104);
                }
                prop_assert!(check(operation, number, length, false).is_err());
            }
        }
    });
}

#[test]
fn answers_as_the_kernel_does() {
    let mut lines = include_str!("../../../conformance/recordings/raw/sockopt.txt").lines().peekable();
    let director = Director::new(Config::default(), Instant::default()).unwrap();
    let mut daemon = Daemon { session: Session::new(), director, sequence: 0 };
    let (mut compared, mut wrong) = (0, Vec::new());
    while let Some(mut call) = next(&mut lines) {
        if call.name.starts_with("socket: ") {
            // What comes before IPVS; a flush that reaches it changes what follows.
            if call.kernel.result.is_ok() {
                ours(&mut daemon, &call);
            }
            continue;
        }
        if call.operation == Operation::Set {
            call.kernel.buffer = call.buffer.clone().unwrap_or_default();
        }
        compared += 1;
        let ours = ours(&mut daemon, &call);
        if ours != call.kernel {
            wrong.push(format!("{}\n  ours   {ours:x?}\n  kernel {:x?}", call.name, call.kernel));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 500, "only {compared} calls compared");
}
