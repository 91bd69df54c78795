//! SIP: the messages of a call stay on one server, by the header Call-ID (RFC 3261 section 20.8).
//!
//! The kernel reads the header its own way, which is followed here to the byte (`conformance/experiments/sip_header.py`):
//! it does not know where a message's header ends, takes a lone CR or LF for the end of a line, and gives up at some
//! mistakes while it passes over others.

use super::{LONGEST, PersistenceEngine};
use crate::protocol::UDP;

/// The engine.
#[derive(Debug)]
pub(super) struct Sip;

impl PersistenceEngine for Sip {
    fn name(&self) -> &'static str {
        "sip"
    }

    /// Of UDP alone; a UDP length shorter than the packet does not matter (seen).
    fn data<'p>(&self, protocol: u8, payload: &'p [u8]) -> Option<&'p [u8]> {
        if protocol == UDP { call_id(payload) } else { None }
    }

    fn servers_begin(&self) -> Option<u8> {
        Some(UDP)
    }
}

/// The long form of the header's name; the short one is the letter i.
const NAME: &[u8] = b"Call-ID";

/// The message's Call-ID, 1 to [`LONGEST`] bytes.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    // The first line is none of the header's.
    let mut rest = message;
    loop {
        let line = next_line(rest)?;
        // An empty line hides the line behind it: its own end is passed over.
        rest = line.get(1..)?;
        let Some(name) = name_length(line) else { continue };
        let colon = skip_blanks(line.get(name..)?)?;
        let value = skip_blanks(colon.strip_prefix(b":")?)?;
        let length = value_length(value);
        if length == 0 {
            continue;
        }
        let (value, behind) = value.split_at_checked(length)?;
        return (matches!(behind, [b'\r' | b'\n', ..]) && length <= LONGEST).then_some(value);
    }
}

/// What follows the next end of a line: CR, LF or both in this order.
fn next_line(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    text.get(end..).map(behind_end)
}

/// What follows the end of a line with which `text` begins.
fn behind_end(text: &[u8]) -> &[u8] {
    match text {
        [b'\r', b'\n', rest @ ..] | [b'\r' | b'\n', rest @ ..] => rest,
        _ => text,
    }
}

/// The length of the header's name with which a line begins.
fn name_length(line: &[u8]) -> Option<usize> {
    match line {
        _ if line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) => Some(NAME.len()),
        [b'i' | b'I', next, ..] if !is_letter(*next) => Some(1),
        _ => None,
    }
}

/// What follows blanks, among which one end of a line may stand if a blank follows it; `None` if none does.
fn skip_blanks(text: &[u8]) -> Option<&[u8]> {
    let text = skip_spaces(text);
    if !matches!(text, [b'\r' | b'\n', ..]) {
        return Some(text);
    }
    let next = behind_end(text);
    matches!(next, [b' ' | b'\t', ..]).then(|| skip_spaces(next))
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(spaces..).unwrap_or_default()
}

/// The length of the Call-ID with which a text begins: a word, or two with an @ between; 0 if it has neither form.
fn value_length(text: &[u8]) -> usize {
    let word = word_length(text);
    match text.get(word..) {
        Some([b'@', domain @ ..]) if word > 0 => match word_length(domain) {
            0 => 0,
            length => word + 1 + length,
        },
        _ => word,
    }
}

/// The length of the `word` of RFC 3261 with which a text begins.
fn word_length(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| is_letter(**byte) || br#"0123456789-.!%*_+`'~()<>:\"/[]?{}"#.contains(*byte))
        .count()
}

/// Whether it is a letter of Latin-1, which is what the kernel goes by.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0xc0 && !matches!(byte, 0xd7 | 0xf7)
}

#[cfg(test)]
mod tests;
