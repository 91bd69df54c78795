//! The client's side of a socket option.

use crate::errno::Errno;
use crate::sockopt::{Operation, Page};

use super::FAMILY_ID;
use super::attribute::{Policy, Table};
use super::exchange::ProtocolError;
use super::message::{Header, Messages};
use super::number::{attribute, command, flag, kind};
use super::sockopt::{read_page, write_request};

/// What a get writes into the caller's buffer. What no chunk covers stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SockoptAnswer {
    /// Offsets in the caller's buffer and what is written there; in ascending order, without overlap.
    pub chunks: Vec<(u32, Vec<u8>)>,
    /// The length to give back (`*optlen`).
    pub length: u32,
}

/// One socket option on its way: send [`request`](Self::request), give every datagram received to
/// [`receive`](Self::receive) until it is done.
#[derive(Debug)]
pub struct OptionExchange {
    sequence: u32,
    answer: SockoptAnswer,
}

impl OptionExchange {
    /// An exchange whose answers are recognised by `sequence`; of a get with a buffer of `length` bytes.
    pub const fn new(sequence: u32, length: u32) -> Self {
        Self { sequence, answer: SockoptAnswer { chunks: Vec::new(), length } }
    }

    /// The request datagram for option `number`: of a set with all its `data`, of a get with the `data` that the
    /// buffer begins with.
    pub fn request(&self, operation: Operation, number: u32, data: &[u8]) -> Vec<u8> {
        let (flags, length) = match operation {
            Operation::Set => (flag::REQUEST | flag::ACK, u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Operation::Get => (flag::REQUEST, self.answer.length),
        };
        let mut out = Vec::new();
        Header { kind: FAMILY_ID, flags, sequence: self.sequence, port: 0 }.write_generic(
            &mut out,
            command::SOCKOPT,
            1,
            |writer| {
                writer.nest(attribute::SOCKOPT, |nest| write_request(nest, operation, number, length, data));
            },
        );
        out
    }

    /// Takes a datagram of answers; returns the outcome, or `None` while more are to come. Those of other exchanges
    /// are skipped.
    ///
    /// # Errors
    /// [`ProtocolError`] if an answer makes no sense; the exchange is over then.
    pub fn receive(
        &mut self,
        datagram: &[u8],
    ) -> Result<Option<Result<SockoptAnswer, Errno>>, ProtocolError> {
        let sequence = self.sequence;
        for message in Messages::new(datagram).filter(|message| message.header.sequence == sequence) {
            match message.header.kind {
                kind::ERROR => {
                    let code = message.payload.first_chunk().ok_or(ProtocolError("short error"))?;
                    return Ok(Some(match i32::from_ne_bytes(*code) {
                        0 => Ok(core::mem::take(&mut self.answer)),
                        code => Err(Errno(code.saturating_neg())),
                    }));
                }
                kind::DONE => return Ok(Some(Ok(core::mem::take(&mut self.answer)))),
                FAMILY_ID => {
                    let (_, attributes) = message.generic().ok_or(ProtocolError("short message"))?;
                    let page = Table::<{ attribute::END }>::parse(attributes, |_| Policy::Any)
                        .ok()
                        .and_then(|table| read_page(table.get(attribute::SOCKOPT)?))
                        .ok_or(ProtocolError("bad socket option"))?;
                    self.take_in(page);
                }
                _ => return Err(ProtocolError("message of another family")),
            }
        }
        Ok(None)
    }

    fn take_in(&mut self, page: Page) {
        if !page.data.is_empty() {
            self.answer.chunks.push((page.offset, page.data));
        }
        if let Some(length) = page.last {
            self.answer.length = length;
        }
    }
}
