//! FTP with full NAT: what the server must be told instead of what the client said.

use core::ops::Range;
use std::net::IpAddr;

use super::six_numbers;
use crate::helper::{Expectation, Reading, Saying, Take};

/// Ports below are of services: servers refuse to connect there (RFC 2577, section 3), for which they must see them.
const FIRST_OF_CLIENTS: u16 = 1024;

/// Length of the verbs that may change.
const VERB: usize = 4;

/// The verbs that are said otherwise to a server of the other family.
const CHANGED: [&[u8; VERB]; 4] = [b"PORT", b"EPRT", b"PASV", b"EPSV"];

/// Whether client and server are of different families.
pub(super) fn is_across(saying: &Saying<'_>) -> bool {
    saying.local.is_some_and(|local| local.is_ipv6() != saying.virtual_end.0.is_ipv6())
}

/// From where on bytes of a command have to wait while it is not whole, if it is one that may change.
pub(super) fn kept(saying: &Saying<'_>) -> usize {
    let length = saying.text.len();
    let verb = saying.text.get(..VERB).unwrap_or(saying.text);
    let may_change =
        || CHANGED.iter().any(|it| it.get(..verb.len()).is_some_and(|it| it.eq_ignore_ascii_case(verb)));
    match saying.local {
        Some(_) if is_across(saying) && may_change() => 0,
        Some(_) => length.min(VERB),
        None => length,
    }
}

/// What becomes of PASV.
pub(super) fn passive_question(saying: &Saying<'_>) -> Reading {
    match is_across(saying) {
        true => Reading::Write((0..VERB, b"EPSV".to_vec())),
        false => Reading::Nothing,
    }
}

/// What becomes of EPSV, which may name a family by its number.
pub(super) fn extended_question(saying: &Saying<'_>) -> Reading {
    let number = saying.text.iter().rposition(|byte| matches!(byte, b'1' | b'2'));
    match number {
        Some(at) if is_across(saying) => {
            let other = if saying.text.get(at) == Some(&b'1') { b'2' } else { b'1' };
            Reading::Write((at..at + 1, vec![other]))
        }
        _ => Reading::Nothing,
    }
}

/// What becomes of a command that names `end` by the bytes in `address`. The server is told of a port of the local address. That is what it
/// takes for the client's, whoever is meant, so another host than the client, and a port of a service, go on as they are: such a
/// command the server can refuse.
pub(super) fn active(
    saying: &Saying<'_>,
    local: IpAddr,
    end: (IpAddr, u16),
    address: Range<usize>,
    take: &mut Take<'_>,
) -> Reading {
    if end.0 != saying.client.0 || end.1 < FIRST_OF_CLIENTS {
        return Reading::Nothing;
    }
    let Some(port) = take(end.1) else { return Reading::Nothing };
    let as_extended = saying.text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'E'));
    let (start, verb) = if is_across(saying) { (0, true) } else { (address.start, false) };
    let text = match local {
        IpAddr::V4(local) if verb => format!("PORT {}", six_numbers(local, port)),
        IpAddr::V4(local) if as_extended => format!("|1|{local}|{port}|"),
        IpAddr::V4(local) => six_numbers(local, port),
        IpAddr::V6(local) if verb => format!("EPRT |2|{local}|{port}|"),
        IpAddr::V6(local) => format!("|2|{local}|{port}|"),
    };
    Reading::Expect {
        expectation: Expectation::Server { client: end, port_below: true, local_port: Some(port) },
        edit: Some((start..address.end, text.into_bytes())),
    }
}
