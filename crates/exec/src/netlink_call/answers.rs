//! The daemon's answers to a message, made into the datagrams that the kernel would have sent.

use std::ops::ControlFlow;

use ipvs_abi::errno::Errno;
use ipvs_abi::genetlink::number::{flag, kind};
use ipvs_abi::genetlink::{Message, Messages, encode_error};

use super::request::Taken;

/// Most bytes of a datagram with several messages of a dump: what the kernel fills for a client of which it does not
/// know a larger buffer.
const DATAGRAM: usize = 3776;

/// Bytes of a header.
const HEADER: usize = 16;

/// Gathers answers.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    request: &'a Message<'a>,
    port: u32,
    /// Whether errors leave out the request's payload.
    capped: bool,
    datagrams: Vec<Vec<u8>>,
    /// Messages of a dump for the next datagram.
    dump: Vec<u8>,
}

impl<'a> Answers<'a> {
    /// Of `request`, for the client at `port`.
    pub(super) fn new(request: &'a Message<'a>, port: u32, capped: bool) -> Self {
        Self { request, port, capped, datagrams: Vec::new(), dump: Vec::new() }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.datagrams.clear();
        self.dump.clear();
    }

    /// Takes a datagram of the daemon's; breaks off after the last.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Taken {
        for message in Messages::new(datagram) {
            match message.header.kind {
                kind::ERROR => {
                    self.take_error(&message);
                    return ControlFlow::Break(());
                }
                kind::DONE => {
                    // In a datagram of its own, as the reference kernel sends it.
                    self.end_datagram();
                    self.pack(&message);
                    return ControlFlow::Break(());
                }
                _ if message.header.has(flag::MULTI) => self.pack(&message),
                _ => self.datagrams.push(bytes(&message)),
            }
        }
        ControlFlow::Continue(())
    }

    /// Answers by an error in place of all answers.
    pub(super) fn refuse(&mut self, errno: Errno) {
        self.clear();
        let mut refusal = Vec::new();
        encode_error(&mut refusal, self.request, errno);
        refusal[12..16].copy_from_slice(&self.port.to_ne_bytes());
        if let Some(message) = Messages::new(&refusal).next() {
            self.take_error(&message);
        }
    }

    /// The datagrams.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.end_datagram();
        self.datagrams
    }

    /// An error shows the request as the client sent it, not as it went to the daemon. The acknowledgement for which the
    /// client did not ask is left out.
    fn take_error(&mut self, message: &Message<'_>) {
        let mut error = bytes(message);
        let Some(code) = message.payload.first_chunk().map(|code| i32::from_ne_bytes(*code)) else { return };
        if code == 0 && !self.request.header.has(flag::ACK) {
            return;
        }
        let echo = HEADER + 4..2 * HEADER + 4;
        if let Some(place) = error.get_mut(echo) {
            place.copy_from_slice(&self.request.header_bytes);
        }
        if self.capped && code != 0 {
            error.truncate(2 * HEADER + 4);
            let length = error.len() as u32;
            error[..4].copy_from_slice(&length.to_ne_bytes());
            error[6..8].copy_from_slice(&(message.header.flags | flag::CAPPED).to_ne_bytes());
        }
        self.datagrams.push(error);
    }

    fn pack(&mut self, message: &Message<'_>) {
        let bytes = bytes(message);
        if self.dump.len() + bytes.len() > DATAGRAM {
            self.end_datagram();
        }
        self.dump.extend(bytes);
    }

    fn end_datagram(&mut self) {
        if !self.dump.is_empty() {
            self.datagrams.push(std::mem::take(&mut self.dump));
        }
    }
}

/// A message's bytes and its padding.
fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = message.header_bytes.to_vec();
    bytes.extend_from_slice(message.payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, port: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((16 + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(port.to_ne_bytes());
        bytes.extend(payload);
        bytes
    }

    /// The datagrams that a client gets who sent `request`, when the daemon answers it with these.
    fn answers(request: &[u8], capped: bool, daemon: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let request = Messages::new(request).next().unwrap();
        let mut answers = Answers::new(&request, 7, capped);
        for (position, datagram) in daemon.iter().enumerate() {
            let last = position + 1 == daemon.len();
            assert_eq!(answers.take(datagram).is_break(), last);
        }
        answers.finish()
    }

    fn acknowledgement(code: i32, request: &[u8]) -> Vec<u8> {
        message(2, if code == 0 { 0x100 } else { 0 }, 1, 7, &[&code.to_ne_bytes(), request].concat())
    }

    #[test]
    fn a_reply_and_its_acknowledgement_are_two_datagrams() {
        let reply = message(0x4950, 0, 1, 7, &[14, 1, 0, 0]);
        let asked = message(0x4950, 5, 1, 0, &[15, 1, 0, 0]);
        let sent_on = message(0x4950, 5, 1, 7, &[]);
        let from_daemon = [reply.clone(), acknowledgement(0, &sent_on[..16])];
        // The client sees its own header, with the port id that it wrote.
        let expected = [reply.clone(), acknowledgement(0, &asked[..16])];
        assert_eq!(answers(&asked, false, &from_daemon), expected);
        // One who did not ask for the acknowledgement does not get it.
        let asked = message(0x4950, 1, 1, 0, &[15, 1, 0, 0]);
        assert_eq!(answers(&asked, false, &from_daemon), [reply]);
    }

    #[test]
    fn errors_echo_the_request_unless_capped() {
        let asked = message(0x4950, 1, 1, 0, &[1, 1, 0, 0, 9, 9]);
        let sent_on = message(0x4950, 5, 1, 7, &[1, 1, 0, 0, 9, 9]);
        let from_daemon = [acknowledgement(-22, &sent_on)];
        let answer = &answers(&asked, false, &from_daemon)[0];
        assert_eq!(answer[16..20], (-22i32).to_ne_bytes());
        assert_eq!(answer[20..42], asked);
        let capped = answers(&asked, true, &from_daemon);
        assert_eq!(capped, [message(2, 0x100, 1, 7, &[&(-22i32).to_ne_bytes(), &asked[..16]].concat())]);
    }

    #[test]
    fn dumps_are_cut_to_what_small_buffers_take() {
        let asked = message(0x4950, 0x301, 1, 0, &[4, 1, 0, 0]);
        let item = message(0x4950, 2, 1, 7, &[1; 384]);
        let done = message(3, 2, 1, 7, &[0; 4]);
        let page = item.repeat(64);
        let got = answers(&asked, false, &[page.clone(), page, done.clone()]);
        assert!(got.iter().all(|datagram| datagram.len() <= DATAGRAM));
        assert_eq!(got.concat(), [item.repeat(128), done.clone()].concat());
        assert_eq!(got.len(), 128usize.div_ceil(DATAGRAM / 400) + 1, "the end is one of its own");
        assert_eq!(answers(&asked, false, std::slice::from_ref(&done)), [done], "an empty one");
    }
}
