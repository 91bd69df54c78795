//! One direction of a TCP connection, read as lines whatever its segments are, and written anew where a helper says so.

use super::sequence::{Edits, Output};
use super::{Expectation, Reading};

/// The longest line that is read: helpers' lines are below 100 bytes. A longer one goes by unread.
const LONGEST: usize = 512;

/// A direction of a connection.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Sequence number of position 0.
    base: u32,
    edits: Edits,
    /// The line so far, while the helper wants more of it.
    line: Vec<u8>,
    /// Position of the line's first byte.
    start: i64,
    /// The helper has decided: the rest of the line goes by.
    decided: bool,
    /// The FIN has been read.
    finished: bool,
}

/// A segment of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Sequence number of its first byte (that behind a SYN).
    pub(super) sequence: u32,
    pub(super) data: &'a [u8],
    pub(super) fin: bool,
}

impl Stream {
    /// One that begins with the byte of that sequence number.
    pub(super) fn new(base: u32) -> Self {
        let edits = Edits::default();
        Self { base, edits, line: Vec::new(), start: 0, decided: false, finished: false }
    }

    /// Whether a SYN ahead of that sequence number is of this stream, sent again.
    pub(super) fn begins_at(&self, sequence: u32) -> bool {
        self.base == sequence && !self.finished
    }

    /// Whether what goes out is what comes in.
    pub(super) fn is_plain(&self) -> bool {
        self.edits.is_plain()
    }

    /// The sequence number, after, of a sequence number before.
    pub(super) fn after(&self, sequence: u32) -> u32 {
        self.number(self.edits.after(self.position(sequence)))
    }

    /// An acknowledgment of the receiver's, for the sender.
    pub(super) fn acknowledge(&mut self, acknowledgment: u32) -> u32 {
        let position = self.edits.acknowledge(self.position_after(acknowledgment));
        self.number(position)
    }

    /// A block of a selective acknowledgment, for the sender.
    pub(super) fn block(&self, left: u32, right: u32) -> (u32, u32) {
        let first = self.edits.first_before(self.position_after(left));
        let behind = self.edits.before(self.position_after(right));
        (self.number(first), self.number(behind.max(first)))
    }

    /// The position of a sequence number, before: the one nearest to the edge.
    fn position(&self, sequence: u32) -> i64 {
        near(self.edits.edge(), sequence.wrapping_sub(self.base))
    }

    /// The same, after.
    fn position_after(&self, sequence: u32) -> i64 {
        near(self.edits.after(self.edits.edge()), sequence.wrapping_sub(self.base))
    }

    /// The sequence number of a position.
    fn number(&self, position: i64) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    /// Reads what is new in a segment and returns what becomes of the whole of it, with its sequence number; `None` if
    /// something ahead of it has not come yet: then it must come again.
    ///
    /// `read` is asked about lines, as [`super::Helper::read`]; what is expected is added to `expected`.
    pub(super) fn take(
        &mut self,
        piece: Piece<'_>,
        mut read: impl FnMut(&[u8], bool) -> Reading,
        expected: &mut Vec<Expectation>,
    ) -> Option<(u32, Output)> {
        let Piece { sequence, data, fin } = piece;
        let position = self.position(sequence);
        let end = position + data.len() as i64;
        if position > self.edits.edge() && (!data.is_empty() || fin) {
            return None;
        }
        if end >= self.edits.edge() && !self.finished {
            let known = usize::try_from(self.edits.edge() - position).unwrap_or(0);
            self.lines(data.get(known..).unwrap_or_default(), &mut read, expected);
            if fin && self.edits.edge() == end {
                self.finish(&mut read, expected);
            }
        }
        let output = self.edits.write(position, data, fin);
        Some((self.number(output.at), output))
    }

    /// Reads new bytes, line by line, as long as edits can be taken in.
    fn lines(
        &mut self,
        mut data: &[u8],
        read: &mut impl FnMut(&[u8], bool) -> Reading,
        expected: &mut Vec<Expectation>,
    ) {
        while !data.is_empty() && !self.edits.is_full() {
            let end = data.iter().position(|&byte| byte == b'\n');
            let (part, rest) = data.split_at(end.map_or(data.len(), |at| at + 1));
            data = rest;
            let edge = self.edits.edge();
            self.edits.advance(part.len());
            if !self.decided {
                if self.line.is_empty() {
                    self.start = edge;
                }
                let room = (LONGEST + 1).saturating_sub(self.line.len());
                self.line.extend_from_slice(part.get(..room).unwrap_or(part));
                self.decide(edge, end.is_some(), false, read, expected);
            }
            if self.decided {
                self.line.clear();
            }
            if end.is_some() {
                self.decided = false;
            }
        }
    }

    /// The stream ends, and so does its last line.
    fn finish(&mut self, read: &mut impl FnMut(&[u8], bool) -> Reading, expected: &mut Vec<Expectation>) {
        if !self.decided && !self.line.is_empty() {
            self.decide(self.edits.edge(), true, true, read, expected);
        }
        self.edits.advance(1);
        self.finished = true;
        self.line = Vec::new();
    }

    /// Asks about the line so far, of which the bytes before `edge` came with earlier segments: those have gone by but for
    /// what waits. That goes out with the first byte that has come now, or with the FIN.
    fn decide(
        &mut self,
        edge: i64,
        ended: bool,
        fin: bool,
        read: &mut impl FnMut(&[u8], bool) -> Reading,
        expected: &mut Vec<Expectation>,
    ) {
        let reading = if self.line.len() > LONGEST { Reading::Nothing } else { read(&self.line, ended) };
        let edit = match reading {
            Reading::More { keep } if !ended => {
                let from = edge.max(self.start + keep as i64);
                if !self.edits.holds() && from < self.edits.edge() {
                    self.edits.hold(from, self.ahead(from));
                }
                return;
            }
            Reading::Expect { expectation, edit } => {
                expected.push(expectation);
                edit
            }
            Reading::Write(edit) => Some(edit),
            _ => None,
        };
        self.decided = true;
        let held = self.edits.release();
        let first = held.unwrap_or(edge);
        let at = |offset: usize| self.start + offset as i64;
        let edit = edit.filter(|(range, _)| {
            at(range.start) >= first && range.start < range.end && range.end <= self.line.len()
        });
        let Some(waiting) = held else {
            if let Some((range, text)) = edit {
                let (start, end) = (at(range.start), at(range.end));
                let ahead = self.ahead(start);
                self.edits.replace(start, end, &text, false, ahead);
            }
            return;
        };
        let carrier = if fin { edge } else { edge + 1 };
        let end = edit.as_ref().map_or(carrier, |(range, _)| at(range.end).max(carrier));
        let part = |from: i64, to: i64| {
            let offset = |at: i64| usize::try_from(at - self.start).unwrap_or(0);
            self.line.get(offset(from)..offset(to)).unwrap_or_default()
        };
        let text = match &edit {
            Some((range, text)) => {
                [part(waiting, at(range.start)), text.as_slice(), part(at(range.end), end)].concat()
            }
            None => part(waiting, end).to_vec(),
        };
        let ahead = self.ahead(waiting);
        self.edits.replace(waiting, end + i64::from(fin), &text, fin, ahead);
    }

    /// The byte ahead of a position in the line; none at the beginning of the stream.
    fn ahead(&self, position: i64) -> Option<u8> {
        match usize::try_from(position - self.start - 1) {
            Ok(before) => self.line.get(before).copied(),
            Err(_) => (self.start > 0).then_some(b'\n'),
        }
    }
}

/// The position whose low 32 bits are `low`, nearest to `other`.
fn near(other: i64, low: u32) -> i64 {
    other + i64::from(low.wrapping_sub(other as u32) as i32)
}

#[cfg(test)]
mod tests;
