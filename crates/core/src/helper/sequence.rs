//! Where the bytes of a stream go when some of them are written anew: sequence numbers, acknowledgments and selective
//! acknowledgments on both sides of the director, in one place.
//!
//! Positions are offsets from the stream's first byte that was seen, as its sender counts them (*before*) or as its
//! receiver does (*after*). Each byte before becomes a fixed text after: mostly itself, of an [`Edit`] nothing but for the
//! last byte, which becomes the whole new text. So any part of the stream, sent again in any pieces, gives the same bytes at the
//! same places, and what waits ([`Edits::hold`]) may be acknowledged: as long as it is not decided, it is not needed, and
//! once it is decided, the byte that carries it is still with its sender.

use std::collections::VecDeque;

/// Edits that may wait for their acknowledgment: the stream stands still at the next one.
const MOST_WAITING: usize = 16;

/// Acknowledged edits that are kept, for segments that are sent again in vain.
const MOST_DONE: usize = 4;

/// A stretch of the stream that is written anew.
#[derive(Clone, Debug)]
struct Edit {
    /// Its first byte, before.
    start: i64,
    /// Behind its last byte, before.
    end: i64,
    /// What its last byte becomes.
    text: Box<[u8]>,
    /// The last "byte" is the FIN, which remains.
    with_fin: bool,
    /// The byte ahead of it.
    ahead: Option<u8>,
}

impl Edit {
    /// How much room it takes, after.
    fn room(&self) -> i64 {
        self.text.len() as i64 + i64::from(self.with_fin)
    }

    /// By how much all behind it moves.
    fn moves(&self) -> i64 {
        self.room() - (self.end - self.start)
    }
}

/// What becomes of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// Position of its first byte, after.
    pub(super) at: i64,
    pub(super) bytes: Vec<u8>,
    pub(super) fin: bool,
}

/// The edits of one direction of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    /// Those that matter still, in order.
    kept: VecDeque<Edit>,
    /// By how much those before them moved the stream.
    moved: i64,
    /// The end of the last one that is no longer kept: all before it has arrived.
    floor: Option<i64>,
    /// Behind the last byte that was read, before.
    edge: i64,
    /// The first byte that waits, and the byte ahead of it; all from there to the edge wait.
    held: Option<(i64, Option<u8>)>,
    /// How far the receiver got, after.
    acknowledged: i64,
}

impl Edits {
    /// Behind the last byte that was read, before.
    pub(super) fn edge(&self) -> i64 {
        self.edge
    }

    /// `length` more bytes were read.
    pub(super) fn advance(&mut self, length: usize) {
        self.edge += length as i64;
    }

    /// Whether nothing is or will be different after what was read so far.
    pub(super) fn is_plain(&self) -> bool {
        self.kept.is_empty() && self.moved == 0 && self.held.is_none()
    }

    /// Whether no further edit can be taken in before some are acknowledged.
    pub(super) fn is_full(&self) -> bool {
        self.kept.iter().filter(|edit| !self.is_done(edit)).count() >= MOST_WAITING
    }

    /// From `from` on nothing goes out; `ahead` is the byte there.
    pub(super) fn hold(&mut self, from: i64, ahead: Option<u8>) {
        self.held = Some((from, ahead));
    }

    /// What waits goes on, or was edited: its first byte.
    pub(super) fn release(&mut self) -> Option<i64> {
        self.held.take().map(|(start, _)| start)
    }

    /// Whether something waits.
    pub(super) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// The bytes from `start` to `end`, of which the last is at the edge or behind it and none but those that wait have gone
    /// by, become `text`.
    pub(super) fn replace(&mut self, start: i64, end: i64, text: &[u8], with_fin: bool, ahead: Option<u8>) {
        self.kept.push_back(Edit { start, end, text: text.into(), with_fin, ahead });
        while self.kept.len() > MOST_DONE && self.kept.front().is_some_and(|edit| self.is_done(edit)) {
            if let Some(edit) = self.kept.pop_front() {
                self.moved += edit.moves();
                self.floor = Some(edit.end);
            }
        }
    }

    /// Whether an edit has arrived. (Edits are in order, so the first's place follows from `moved`; of the others it is
    /// looked up.)
    fn is_done(&self, edit: &Edit) -> bool {
        self.after(edit.start) + edit.room() <= self.acknowledged
    }

    /// Where the byte at `position` goes. One that becomes nothing is where the next one is.
    pub(super) fn after(&self, position: i64) -> i64 {
        let mut moved = self.moved;
        for edit in &self.kept {
            if position >= edit.end {
                moved += edit.moves();
            } else {
                return position.min(edit.start) + moved;
            }
        }
        match self.held {
            Some((start, _)) if position > start => start + moved + (position - self.edge).max(0),
            _ => position + moved,
        }
    }

    /// An acknowledgment of the receiver's, as the sender must see it: all that became what has arrived.
    pub(super) fn acknowledge(&mut self, after: i64) -> i64 {
        self.acknowledged = self.acknowledged.max(after);
        self.before(after)
    }

    /// The last position whose byte goes to `after` or before it.
    pub(super) fn before(&self, after: i64) -> i64 {
        let mut moved = self.moved;
        for edit in &self.kept {
            let start = edit.start + moved;
            if after < start {
                return after - moved;
            }
            if after < start + edit.room() {
                return edit.end - 1;
            }
            moved += edit.moves();
        }
        match self.held {
            Some((start, _)) if after >= start + moved => self.edge + (after - start - moved),
            _ => after - moved,
        }
    }

    /// The first position whose byte goes to `after` or behind it: where what arrived out of order begins.
    pub(super) fn first_before(&self, after: i64) -> i64 {
        let mut moved = self.moved;
        for edit in &self.kept {
            let start = edit.start + moved;
            if after <= start {
                return after - moved;
            }
            if after <= start + edit.room() {
                return edit.end;
            }
            moved += edit.moves();
        }
        match self.held {
            Some((start, _)) if after > start + moved => self.edge + (after - start - moved),
            _ => after - moved,
        }
    }

    /// What becomes of a segment of the stream that was read. One of which nothing is left, though it had something, goes
    /// to its receiver one byte early with the byte that is there: so the receiver says how far it got, and the sender
    /// learns that what it sent has been read.
    pub(super) fn write(&self, position: i64, data: &[u8], fin: bool) -> Output {
        let end = position + data.len() as i64;
        // Of what was not read nothing goes out.
        let fin = fin && self.edge > end;
        let last = end.min(self.edge);
        // What arrived long ago is left out.
        let first = self.floor.map_or(position, |floor| position.max(floor));
        let part = |from: i64, to: i64| {
            let offset = |at: i64| usize::try_from(at - position).unwrap_or(0);
            data.get(offset(from)..offset(to)).unwrap_or_default()
        };
        let mut bytes = Vec::with_capacity(data.len() + 32);
        let (mut at, mut ahead) = (first, None);
        for edit in &self.kept {
            if edit.end <= at {
                continue;
            }
            if edit.start > last {
                break;
            }
            if edit.start > at {
                bytes.extend_from_slice(part(at, edit.start));
            }
            if edit.start <= first {
                ahead = edit.ahead;
            }
            if last >= edit.end || edit.with_fin && fin {
                bytes.extend_from_slice(&edit.text);
                at = edit.end;
            } else {
                at = last;
                break;
            }
        }
        let until = match self.held {
            Some((start, byte)) => {
                if start <= first {
                    ahead = byte;
                }
                last.min(start)
            }
            None => last,
        };
        if until > at {
            bytes.extend_from_slice(part(at, until));
        }
        let at = self.after(first);
        if bytes.is_empty() && !fin && !data.is_empty() {
            return Output { at: at - 1, bytes: ahead.into_iter().collect(), fin };
        }
        Output { at, bytes, fin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "ab1234cd" with "1234" to become "xyz567".
    fn edited() -> Edits {
        let mut edits = Edits::default();
        edits.advance(8);
        edits.replace(2, 6, b"xyz567", false, Some(b'b'));
        edits
    }

    #[test]
    fn positions_there_and_back() {
        let edits = edited();
        let after: Vec<i64> = (0..10).map(|position| edits.after(position)).collect();
        assert_eq!(after, [0, 1, 2, 2, 2, 2, 8, 9, 10, 11]);
        let before: Vec<i64> = (0..12).map(|position| edits.before(position)).collect();
        assert_eq!(before, [0, 1, 5, 5, 5, 5, 5, 5, 6, 7, 8, 9]);
        let first: Vec<i64> = (0..12).map(|position| edits.first_before(position)).collect();
        assert_eq!(first, [0, 1, 2, 6, 6, 6, 6, 6, 6, 7, 8, 9]);
    }

    #[test]
    fn any_part_sent_again_gives_the_same() {
        let edits = edited();
        let stream = b"ab1234cd";
        let all = b"abxyz567cd";
        for from in 0..8 {
            for to in from + 1..=8 {
                let output = edits.write(from as i64, &stream[from..to], false);
                let at = usize::try_from(output.at).unwrap();
                assert_eq!(&all[at..at + output.bytes.len()], output.bytes, "{from}..{to}");
                // Nothing left: the byte before.
                assert!(!output.bytes.is_empty());
            }
        }
    }

    #[test]
    fn what_waits_is_acknowledged_when_what_is_ahead_has_arrived() {
        let mut edits = Edits::default();
        edits.advance(2);
        edits.hold(2, Some(b'b'));
        edits.advance(3);
        assert_eq!(edits.write(0, b"ab123", false), Output { at: 0, bytes: b"ab".to_vec(), fin: false });
        assert_eq!(edits.write(4, b"3", false), Output { at: 1, bytes: b"b".to_vec(), fin: false });
        assert_eq!([edits.before(1), edits.before(2)], [1, 5]);
        edits.advance(1);
        edits.release();
        edits.replace(2, 6, b"xyz567", false, Some(b'b'));
        assert_eq!(edits.write(5, b"4", false), Output { at: 2, bytes: b"xyz567".to_vec(), fin: false });
    }

    #[test]
    fn edits_that_arrived_are_forgotten_and_others_bounded() {
        let mut edits = Edits::default();
        let mut position = 0;
        for number in 0..MOST_WAITING as i64 {
            assert!(!edits.is_full(), "{number}");
            edits.advance(4);
            edits.replace(position, position + 2, b"abc", false, None);
            position += 4;
        }
        assert!(edits.is_full());
        assert_eq!(edits.kept.len(), MOST_WAITING);
        let arrived = edits.after(position);
        assert_eq!(arrived, position + MOST_WAITING as i64);
        assert_eq!(edits.acknowledge(arrived), position);
        assert!(!edits.is_full());
        edits.advance(4);
        edits.replace(position, position + 2, b"abc", false, None);
        assert_eq!(edits.kept.len(), MOST_DONE);
        // Positions are as before.
        assert_eq!(edits.after(position), arrived);
        assert_eq!(edits.after(position + 4), arrived + 5);
        // Of what arrived long ago nothing is sent again, but the receiver is asked.
        let output = edits.write(0, b"1234", false);
        assert!(output.bytes.is_empty() && output.at < arrived);
    }
}
