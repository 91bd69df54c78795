//! Fragments, put together again: the director judges whole datagrams, as IPVS in the kernel does.
//!
//! Rules seen on the reference: `conformance/experiments/fragments.py`, `fragments_odd.py` and `fragments_lost.py`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::Instant;
use ipvs_wire::fragment::{Pieces, Place, become_whole};
use ipvs_wire::{Headers, protocol};

/// How long a datagram waits for its pieces: the kernel's net.ipv4.ipfrag_time and net.ipv6.ip6frag_time by default.
const PATIENCE_IPV4: Duration = Duration::from_secs(30);
const PATIENCE_IPV6: Duration = Duration::from_secs(60);

/// Memory for pieces in all, bytes: the kernel's net.ipv4.ipfrag_high_thresh by default. Where the kernel refuses new pieces
/// then, the datagrams that have waited longest make room here: a flood of pieces must not shut out others for 30 seconds.
const MEMORY: usize = 4 << 20;

/// What a datagram and a piece cost beside their bytes.
const DATAGRAM_COST: usize = 256;
const PIECE_COST: usize = 64;

/// The longest ICMP error: an IPv6 packet of the smallest MTU (RFC 4443 section 2.4).
pub(crate) const LONGEST_ERROR: usize = 1280;

/// Which datagram a piece belongs to (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    /// IPv4 only.
    protocol: u8,
    identification: u32,
}

#[derive(Debug)]
struct Piece {
    offset: usize,
    bytes: Box<[u8]>,
}

impl Piece {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }
}

/// A datagram of which pieces are missing.
#[derive(Debug)]
struct Waiting {
    number: u64,
    since: Instant,
    /// By offset, without overlap.
    pieces: Vec<Piece>,
    /// Bytes in them.
    held: usize,
    /// Length of the fragmentable part, from the last piece on.
    len: Option<usize>,
    /// The first piece as it came, and its place.
    first: Option<(Box<[u8]>, Place)>,
    /// Length of the largest piece with its headers.
    largest: usize,
    /// Which of the four congestion marks were seen, by bit.
    marks: u8,
    cost: usize,
}

/// A datagram that is whole again.
#[derive(Debug)]
pub(crate) struct Reassembled {
    /// The packet, behind the room that was asked for and before room for an ICMP error in its place.
    pub(crate) buffer: Vec<u8>,
    /// Its length, bytes.
    pub(crate) len: usize,
    largest: usize,
    ends: Vec<u16>,
}

impl Reassembled {
    /// The pieces in which it came.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces { largest: self.largest, ends: &self.ends }
    }
}

/// What becomes of a piece.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is kept until the others have come.
    Held,
    /// It was the last one.
    Whole(Reassembled),
    /// It makes no datagram, and what there was of its datagram is dropped.
    Dropped,
}

/// Datagrams of which pieces are missing.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    waiting: BTreeMap<Key, Waiting>,
    /// By age; IPv4 and IPv6 apart, since they wait for different times.
    ages: [BTreeMap<u64, Key>; 2],
    /// Number of the next datagram.
    number: u64,
    memory: usize,
}

impl Reassembly {
    /// Takes a piece; `room` is how many bytes to keep free before a datagram. Returns also how many datagrams had to make
    /// room for it.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        packet: &[u8],
        headers: &Headers,
        room: usize,
    ) -> (Outcome, usize) {
        let packet = packet.get(..headers.total_len).unwrap_or(packet);
        let Ok(Some(place)) = Place::of(packet, headers) else { return (Outcome::Dropped, 0) };
        let payload = packet.get(place.payload..).unwrap_or_default();
        let key = Key {
            source: headers.source,
            destination: headers.destination,
            protocol: if headers.is_ipv6() { 0 } else { headers.protocol },
            identification: headers.identification,
        };
        if !is_sound(headers, &place, packet.len(), payload.len()) {
            // Without bytes it ends an IPv4 datagram (seen on the reference).
            if payload.is_empty() && !headers.is_ipv6() {
                self.remove(&key);
            }
            return (Outcome::Dropped, 0);
        }
        let number = self.number;
        let waiting = self.waiting.entry(key).or_insert_with(|| Waiting::new(number, now));
        if waiting.number == number {
            self.number += 1;
            self.memory += waiting.cost;
            if let Some(ages) = self.ages.get_mut(usize::from(headers.is_ipv6())) {
                ages.insert(number, key);
            }
        }
        let before = waiting.cost;
        let fits = waiting.add(packet, &place, payload, headers.traffic_class);
        self.memory += waiting.cost - before;
        match fits {
            Fit::Ignored => (Outcome::Held, 0),
            Fit::Conflict => {
                self.remove(&key);
                (Outcome::Dropped, 0)
            }
            Fit::Added if waiting.is_complete() => {
                let whole = self.remove(&key).and_then(|waiting| waiting.whole(room));
                (whole.map_or(Outcome::Dropped, Outcome::Whole), 0)
            }
            Fit::Added => (Outcome::Held, self.make_room()),
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Waiting> {
        let waiting = self.waiting.remove(key)?;
        self.ages.get_mut(usize::from(key.source.is_ipv6()))?.remove(&waiting.number);
        self.memory -= waiting.cost;
        Some(waiting)
    }

    /// Drops the oldest datagrams until the others fit the memory; returns how many.
    fn make_room(&mut self) -> usize {
        let mut dropped = 0;
        while self.memory > MEMORY {
            let oldest = self.ages.iter().filter_map(|ages| ages.first_key_value()).min();
            let Some((_, &key)) = oldest else { break };
            self.remove(&key);
            dropped += 1;
        }
        dropped
    }

    /// Takes out a datagram that has waited too long; the first piece of it, if that has come, is what its sender is told of.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Option<Option<Box<[u8]>>> {
        let key = self.oldest().find(|(_, _, due)| *due <= now).map(|(key, ..)| key)?;
        let waiting = self.remove(&key)?;
        Some(waiting.first.map(|(packet, _)| packet))
    }

    /// When the next datagram will have waited too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.oldest().map(|(.., due)| due).min()
    }

    /// The oldest datagram of each family, and when it is overdue.
    fn oldest(&self) -> impl Iterator<Item = (Key, &Waiting, Instant)> {
        let patience = [PATIENCE_IPV4, PATIENCE_IPV6];
        self.ages.iter().zip(patience).filter_map(|(ages, patience)| {
            let (_, key) = ages.first_key_value()?;
            let waiting = self.waiting.get(key)?;
            Some((*key, waiting, waiting.since + patience))
        })
    }
}

/// Whether a piece may be one: not empty; with a length in eights of bytes unless it is the last (RFC 791 section 3.2); not
/// behind the end of the longest packet; and the first one of an IPv6 datagram with the whole header of a known transport
/// protocol (RFC 7112 section 5).
fn is_sound(headers: &Headers, place: &Place, packet: usize, payload: usize) -> bool {
    let transport = match headers.protocol {
        _ if !headers.is_ipv6() || place.offset != 0 => 0,
        protocol::TCP => headers.transport + 20,
        protocol::UDP | protocol::ICMPV6 => headers.transport + 8,
        _ => 0,
    };
    payload != 0
        && (!place.more || payload.is_multiple_of(8))
        && place.header + place.offset + payload <= usize::from(u16::MAX)
        && packet >= transport
}

/// Whether a piece fits those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Added,
    /// All of it is there already.
    Ignored,
    /// It overlaps others, or contradicts the datagram's length.
    Conflict,
}

impl Waiting {
    fn new(number: u64, since: Instant) -> Self {
        Self {
            number,
            since,
            pieces: Vec::new(),
            held: 0,
            len: None,
            first: None,
            largest: 0,
            marks: 0,
            cost: DATAGRAM_COST,
        }
    }

    fn add(&mut self, packet: &[u8], place: &Place, payload: &[u8], traffic_class: u8) -> Fit {
        let (start, end) = (place.offset, place.offset + payload.len());
        let furthest = self.pieces.last().map_or(0, Piece::end);
        let known = if place.more { self.len } else { Some(self.len.unwrap_or(end)) };
        match known {
            // IPv6 loses the piece, IPv4 the datagram (seen on the reference).
            Some(len) if end > len && place.next.is_some() => return Fit::Ignored,
            Some(len) if end > len || furthest > len || !place.more && end != len => return Fit::Conflict,
            _ => {}
        }
        let at = self.pieces.partition_point(|piece| piece.end() <= start);
        let overlapped =
            self.pieces.get(at..).unwrap_or_default().iter().take_while(|piece| piece.offset < end);
        // What overlaps must hold all of it, without a gap.
        let mut covered = start;
        let mut overlaps = false;
        for piece in overlapped {
            overlaps = true;
            if piece.offset > covered {
                return Fit::Conflict;
            }
            covered = piece.end();
        }
        if overlaps {
            return if covered >= end { Fit::Ignored } else { Fit::Conflict };
        }
        self.len = known;
        self.held += payload.len();
        self.largest = self.largest.max(packet.len());
        self.marks |= 1 << (traffic_class & 3);
        self.cost += payload.len() + PIECE_COST;
        if start == 0 {
            self.first = Some((packet.into(), *place));
            self.cost += packet.len();
        }
        self.pieces.insert(at, Piece { offset: start, bytes: payload.into() });
        Fit::Added
    }

    fn is_complete(&self) -> bool {
        self.first.is_some() && self.len == Some(self.held)
    }

    /// The datagram; `None` if pieces with and without a mark of congestion make it a contradiction (RFC 3168 section 5.3).
    fn whole(self, room: usize) -> Option<Reassembled> {
        let (first, place) = self.first?;
        const NOT_CAPABLE: u8 = 1 << 0;
        const EXPERIENCED: u8 = 1 << 3;
        if self.marks & NOT_CAPABLE != 0 && self.marks != NOT_CAPABLE {
            return None;
        }
        let mut buffer = vec![0; room];
        let len = place.header + self.held;
        buffer.reserve_exact(len.max(LONGEST_ERROR));
        buffer.extend_from_slice(first.get(..place.header)?);
        for piece in &self.pieces {
            buffer.extend_from_slice(&piece.bytes);
        }
        let packet = buffer.get_mut(room..)?;
        if self.marks & EXPERIENCED != 0 {
            match place.next {
                Some(_) => *packet.get_mut(1)? |= 0x30,
                None => *packet.get_mut(1)? |= 3,
            }
        }
        become_whole(packet, &place).ok()?;
        buffer.resize(room + len.max(LONGEST_ERROR), 0);
        // No piece ends behind the longest packet.
        let ends = self.pieces.iter().map(|piece| piece.end() as u16).collect();
        Some(Reassembled { buffer, len, largest: self.largest, ends })
    }
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
