//! Both ends of a connection: simple TCPs that send again what is not acknowledged, and fail at what no TCP may see.

use crate::segment::Segment;

/// How far `number` is behind `first`.
pub(crate) fn behind(first: u32, number: u32) -> i64 {
    i64::from(number.wrapping_sub(first).cast_signed())
}

/// What an end sends.
#[derive(Debug)]
struct Sending {
    /// Sequence number of the first byte.
    first: u32,
    data: Vec<u8>,
    /// A FIN follows.
    ends: bool,
    /// Acknowledged, next, and behind the last ever sent; positions in the data, the FIN being one more.
    acknowledged: i64,
    next: i64,
    most: i64,
}

impl Sending {
    fn new(first: u32, data: Vec<u8>, ends: bool) -> Self {
        Self { first, data, ends, acknowledged: 0, next: 0, most: 0 }
    }

    fn number(&self, position: i64) -> u32 {
        self.first.wrapping_add(position as u32)
    }

    fn total(&self) -> i64 {
        self.data.len() as i64 + i64::from(self.ends)
    }

    /// Takes an acknowledgment, which must be of something that was sent.
    fn acknowledge(&mut self, number: u32, who: &str) {
        let position = behind(self.first, number);
        assert!((0..=self.most).contains(&position), "{who}: {position} of {} acknowledged", self.most);
        self.acknowledged = self.acknowledged.max(position);
        self.next = self.next.max(self.acknowledged);
    }

    /// The next segment of at most `size` bytes that the window allows, whose edge is a position.
    fn take(&mut self, size: usize, edge: i64) -> Option<Segment> {
        let end = (self.next + size as i64).min(self.data.len() as i64).min(edge);
        let from = self.next;
        let bytes = if end > from { self.data[from as usize..end as usize].to_vec() } else { Vec::new() };
        let fin = self.ends && from + bytes.len() as i64 == self.data.len() as i64 && from < self.total();
        if bytes.is_empty() && !fin {
            return None;
        }
        self.next += bytes.len() as i64 + i64::from(fin);
        self.most = self.most.max(self.next);
        Some(Segment { sequence: self.number(from), fin, data: bytes, ..Segment::default() })
    }
}

/// What an end receives, at its places.
#[derive(Debug, Default)]
struct Receiving {
    first: u32,
    bytes: Vec<Option<u8>>,
    end: Option<usize>,
}

impl Receiving {
    /// All that has come without a gap.
    fn whole(&self) -> usize {
        self.bytes.iter().position(Option::is_none).unwrap_or(self.bytes.len())
    }

    /// Up to where it has all, the FIN included; a position.
    fn next(&self) -> usize {
        let whole = self.whole();
        whole + usize::from(self.end == Some(whole))
    }

    /// Takes a segment. Returns the block to be told selectively: doubled, or out of order.
    fn take(&mut self, segment: &Segment, who: &str) -> Option<(u32, u32)> {
        let at = behind(self.first, segment.sequence);
        let before = self.next() as i64;
        let end = at + segment.data.len() as i64;
        for (place, byte) in (at..).zip(&segment.data) {
            // A keep-alive probe's byte.
            let Ok(place) = usize::try_from(place) else { continue };
            if self.bytes.len() <= place {
                self.bytes.resize(place + 1, None);
            }
            let old = self.bytes[place].replace(*byte);
            assert!(old.is_none_or(|old| old == *byte), "{who}: byte {place} was another");
        }
        if segment.fin {
            assert!(self.end.is_none_or(|known| known as i64 == end), "{who}: two ends");
            self.end = Some(end as usize);
        }
        assert!(self.end.is_none_or(|end| self.bytes.len() <= end), "{who}: bytes behind the end");
        let number = |position: i64| self.first.wrapping_add(position as u32);
        if at >= 0 && at < before && end > at {
            return Some((number(at), number(end.min(before))));
        }
        (at > before && end > at).then(|| (number(at), number(end)))
    }
}

/// An end of a connection.
#[derive(Debug)]
pub(crate) struct Tcp {
    who: &'static str,
    first: u32,
    sending: Sending,
    receiving: Receiving,
    /// The other's SYN has come; ours was acknowledged.
    met: bool,
    established: bool,
    is_server: bool,
    /// The window that it tells.
    window: u16,
    /// The greatest edge that it told, and that it was told; positions.
    told: i64,
    edge: i64,
    mss: usize,
    scale: u8,
}

/// The scale of the server's windows.
const SCALE: u8 = 2;
/// The server's greatest segment.
pub(crate) const MSS: u16 = 1400;

impl Tcp {
    /// One that counts from `first` and sends `data` once there is a connection, and then a FIN if it `ends`.
    pub(crate) fn new(is_server: bool, first: u32, data: Vec<u8>, ends: bool, window: u16) -> Self {
        Self {
            who: if is_server { "server" } else { "client" },
            first,
            sending: Sending::new(first.wrapping_add(1), data, ends),
            receiving: Receiving::default(),
            met: false,
            established: false,
            is_server,
            window,
            told: 0,
            edge: 0,
            mss: 536,
            scale: 0,
        }
    }

    /// All that came.
    pub(crate) fn received(&self) -> Vec<u8> {
        let whole = self.receiving.whole();
        self.receiving.bytes[..whole].iter().map(|byte| byte.unwrap()).collect()
    }

    /// All that it had to say was acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.established && self.sending.acknowledged == self.sending.total()
    }

    /// The other's FIN came, and all before.
    pub(crate) fn saw_end(&self) -> bool {
        self.receiving.end == Some(self.receiving.whole())
    }

    fn ack(&mut self, block: Option<(u32, u32)>) -> Segment {
        let next = self.receiving.next() as i64;
        let scale = if self.is_server { SCALE } else { 0 };
        self.told = self.told.max(next + (i64::from(self.window) << scale));
        Segment {
            sequence: self.sending.number(self.sending.next),
            acknowledgment: Some(self.receiving.first.wrapping_add(next as u32)),
            window: self.window,
            block,
            ..Segment::default()
        }
    }

    fn syn(&mut self) -> Segment {
        let answered = self.met.then_some(self.receiving.first);
        self.told = self.told.max(i64::from(self.window));
        Segment {
            sequence: self.first,
            acknowledgment: answered,
            syn: true,
            window: self.window,
            mss: Some(MSS),
            scale: Some(if self.is_server { SCALE } else { 0 }),
            ..Segment::default()
        }
    }

    /// What it sends of itself when time has passed: what was not acknowledged, from the beginning of that, in a segment of at
    /// most `size` bytes. `probe`: it asks whether the other is there, if there is nothing else.
    pub(crate) fn timer(&mut self, size: usize, probe: bool) -> Option<Segment> {
        if !self.established {
            return (self.met || !self.is_server).then(|| self.syn());
        }
        self.sending.next = self.sending.acknowledged;
        let sent = self.send(size);
        if sent.is_none() && probe {
            let sequence = self.sending.number(self.sending.next - 1);
            return Some(Segment { sequence, ..self.ack(None) });
        }
        sent
    }

    /// The next segment, if it may send one.
    pub(crate) fn send(&mut self, size: usize) -> Option<Segment> {
        if !self.established {
            return None;
        }
        let sent = self.sending.take(size.min(self.mss), self.edge)?;
        let Segment { acknowledgment, window, .. } = self.ack(None);
        Some(Segment { acknowledgment, window, ..sent })
    }

    /// Takes a segment; its answer, if there must be one.
    pub(crate) fn receive(&mut self, segment: &Segment) -> Option<Segment> {
        if segment.syn {
            let first = segment.sequence.wrapping_add(1);
            if self.met {
                assert_eq!(first, self.receiving.first, "{}: another SYN", self.who);
                return Some(if self.is_server && !self.established { self.syn() } else { self.ack(None) });
            }
            self.met = true;
            self.receiving.first = first;
            self.mss = usize::from(segment.mss.unwrap());
            self.scale = segment.scale.unwrap();
            self.edge = i64::from(segment.window);
            if self.is_server {
                return Some(self.syn());
            }
            self.sending.acknowledge(segment.acknowledgment.unwrap(), self.who);
            self.established = true;
            return Some(self.ack(None));
        }
        if !self.met {
            return None;
        }
        let who = self.who;
        self.sending.acknowledge(segment.acknowledgment.unwrap(), who);
        self.established = true;
        let acknowledged = behind(self.sending.first, segment.acknowledgment.unwrap());
        self.edge = self.edge.max(acknowledged + (i64::from(segment.window) << self.scale));
        if let Some((left, right)) = segment.block {
            let [left, right] = [left, right].map(|edge| behind(self.sending.first, edge));
            assert!(
                0 <= left && left < right && right <= self.sending.most,
                "{who}: {left}..{right} is no block"
            );
        }
        let carries = !segment.data.is_empty() || segment.fin;
        let at = behind(self.receiving.first, segment.sequence);
        if self.is_server {
            let end = at + segment.data.len() as i64;
            assert!(end <= self.told, "{end} is outside the window that ends at {}", self.told);
            assert!(segment.data.len() <= usize::from(MSS), "too great a segment");
        }
        let block = self.receiving.take(segment, who);
        (carries || at < self.receiving.next() as i64).then(|| self.ack(block))
    }
}
