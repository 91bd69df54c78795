//! One connection in the table.
//!
//! Word 15 of an entry is its version: 0 or odd while the entry is free or being written, even while it holds a
//! connection. Who writes makes it odd, then writes, then makes it even (a sequence lock):
//!
//! - writer: version odd (Relaxed), fence(Release), words (Relaxed), version even (Release);
//! - reader: version (Acquire), words (Relaxed), fence(Acquire), version again (Relaxed).
//!
//! A reader that sees the same even version twice has seen the words of that one connection: had it seen a word of a
//! later writer, the two fences would let it see that writer's odd version too.

use crate::{
    Address, Change, Key, Memory, NewConnection, Status, Tick,
    key::{KEY_OF_WORD_9, is_ipv4_connection, is_template},
    line::Line,
    sync::{AtomicU32, Ordering, fence, load_contended, load_traced, store_contended},
};

/// Number of an entry in its table: from 0 up to the capacity. A connection keeps it for its life; afterwards another
/// connection gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryIndex(pub u32);

/// A connection in the table.
///
/// Getters act on the entry's words one by one and at once; setters are those of [`Change`]. The reference does not keep the connection:
/// who is not the one that removes connections asks [`EntryRef::is_current`] after reading, or takes an
/// [`EntryRef::snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'t> {
    line: &'t Line,
    version: u32,
}

/// A connection's words, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What identifies it.
    pub key: Key,
    /// Index of its destination.
    pub destination: u32,
    /// The destination's port.
    pub destination_port: u16,
    /// Its flags, as in [`NewConnection`].
    pub flags: u16,
    /// State of its protocol's state machine, below 128.
    pub state: u8,
    /// Its timeout, in ticks.
    pub timeout: u32,
    /// When its latest packet came.
    pub last_seen: Tick,
    /// Packets from the client.
    pub packets_in: u32,
}

impl<'t> EntryRef<'t> {
    /// The connection in `line`; `None` if it is free or being written.
    #[inline(always)]
    pub(crate) fn new(line: &'t Line) -> Option<Self> {
        let version = line.word::<15>().load(Ordering::Acquire);
        holds_connection(version).then_some(EntryRef { line, version })
    }

    /// The connection that is in `line` while its version is `version`.
    #[inline(always)]
    pub(crate) const fn at(line: &'t Line, version: u32) -> Self {
        EntryRef { line, version }
    }

    /// The entry's version when the connection was looked up.
    #[inline(always)]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Whether the connection's key is that of `words`.
    #[inline(always)]
    pub(crate) fn has_key(&self, words: &[u32; 10]) -> bool {
        let mut difference = (self.word_9() ^ words[9]) & KEY_OF_WORD_9;
        difference |= self.difference::<8>(words);
        // Of connections of IPv4, which are never templates, the rest is the same.
        if !is_ipv4_connection(words[9]) {
            difference |=
                self.difference::<0>(words) | self.difference::<1>(words) | self.difference::<2>(words);
            difference |=
                self.difference::<4>(words) | self.difference::<5>(words) | self.difference::<6>(words);
        }
        difference |= self.difference::<3>(words) | self.difference::<7>(words);
        difference == 0 && self.is_current()
    }

    /// Whether the connection's client side is that of `words`.
    #[inline(always)]
    pub(crate) fn has_client(&self, words: &[u32; 10]) -> bool {
        let mut difference = (self.word_9() ^ words[9]) & KEY_OF_WORD_9;
        difference |= self.difference::<8>(words) & 0xffff;
        if !is_ipv4_connection(words[9]) {
            difference |=
                self.difference::<0>(words) | self.difference::<1>(words) | self.difference::<2>(words);
        }
        difference |= self.difference::<3>(words);
        difference == 0 && self.is_current()
    }

    /// In what word `N` differs.
    #[inline(always)]
    fn difference<const N: usize>(&self, words: &[u32; 10]) -> u32 {
        self.line.word::<N>().load(Ordering::Relaxed) ^ words[N]
    }

    /// Whether the entry still holds the connection that it held when it was looked up: what was read from it before
    /// was that connection's.
    #[inline(always)]
    pub fn is_current(&self) -> bool {
        fence(Ordering::Acquire);
        self.line.word::<15>().load(Ordering::Relaxed) == self.version
    }

    /// The whole connection; `None` if it was removed meanwhile.
    pub fn snapshot(&self) -> Option<Connection> {
        let connection = Connection {
            key: self.key(),
            destination: self.destination(),
            destination_port: self.destination_port(),
            flags: self.flags(),
            state: self.state(),
            timeout: self.timeout(),
            last_seen: self.last_seen(),
            packets_in: self.packets_in(),
        };
        self.is_current().then_some(connection)
    }

    /// What identifies the connection.
    #[inline(always)]
    pub fn key(&self) -> Key {
        Key::from_words(key_words(self.line))
    }

    /// The address and the port that the client sends to.
    #[inline(always)]
    pub fn virtual_end(&self) -> (Address, u16) {
        let word = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let line = self.line;
        let address = [line.word::<4>(), line.word::<5>(), line.word::<6>(), line.word::<7>()].map(word);
        (Address::from_words(address), (word(line.word::<8>()) >> 16) as u16)
    }

    /// Whether it is a persistence template rather than a connection with packets.
    pub fn is_template(&self) -> bool {
        is_template(self.word_9())
    }

    /// IP protocol number.
    #[inline(always)]
    pub(crate) fn protocol(&self) -> u8 {
        (self.word_9() >> 16) as u8
    }

    /// Index of the connection's destination.
    #[inline(always)]
    pub fn destination(&self) -> u32 {
        self.line.word::<11>().load(Ordering::Relaxed)
    }

    /// The destination's port.
    #[inline(always)]
    pub fn destination_port(&self) -> u16 {
        self.word_9() as u16
    }

    /// The connection's flags, as in [`NewConnection`].
    #[inline(always)]
    pub fn flags(&self) -> u16 {
        self.status().flags()
    }

    /// State of the connection's protocol's state machine.
    #[inline(always)]
    pub fn state(&self) -> u8 {
        self.status().state()
    }

    /// The connection's timeout, in ticks.
    #[inline(always)]
    pub fn timeout(&self) -> u32 {
        self.line.word::<12>().load(Ordering::Relaxed)
    }

    /// When the connection's latest packet came.
    pub fn last_seen(&self) -> Tick {
        Tick(self.line.word::<13>().load(Ordering::Relaxed))
    }

    /// When the connection expires, unless another packet comes.
    pub fn deadline(&self) -> Tick {
        self.last_seen().after(self.timeout())
    }

    /// Packets from the client, modulo 2^32.
    pub fn packets_in(&self) -> u32 {
        self.line.word::<14>().load(Ordering::Relaxed)
    }

    /// As [`EntryRef::count_packet_in`], of so many that were counted elsewhere.
    #[inline(always)]
    pub(crate) fn add_packets_in(&self, packets: u32) {
        self.line.word::<14>().fetch_add(packets, Ordering::Relaxed);
    }

    /// Notes that a packet of the connection came at `now`.
    #[inline(always)]
    pub fn touch(&self, now: Tick) {
        set(self.line.word::<13>(), now.0);
    }

    /// As [`EntryRef::touch`], by a clock that may be some ticks behind: what was noted later stays.
    #[inline(always)]
    pub fn touch_late(&self, now: Tick) {
        let word = self.line.word::<13>();
        if !Tick(load_traced(word, Ordering::Relaxed)).reached(now) {
            store_contended(word, now.0, Ordering::Relaxed);
        }
    }

    /// Sets the number of packets from the client: of a connection that another table held.
    pub fn set_packets_in(&self, packets: u32) {
        set(self.line.word::<14>(), packets);
    }

    /// Counts a packet from the client and returns how many there were, this one included, modulo 2^32.
    #[inline(always)]
    pub fn count_packet_in(&self) -> u32 {
        self.line.word::<14>().fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// As [`EntryRef::count_packet_in`], without a locked instruction: of packets that two processors have at the same time one may
    /// not count. For the XDP program, whose processor is told a connection's packets by one receive queue.
    #[inline(always)]
    pub fn note_packet_in(&self) {
        let word = self.line.word::<14>();
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    #[inline(always)]
    const fn line(&self) -> &'t Line {
        self.line
    }

    #[inline(always)]
    pub(crate) fn word_9(&self) -> u32 {
        self.line.word::<9>().load(Ordering::Relaxed)
    }

    /// The word of [`Status`].
    #[inline(always)]
    pub(crate) fn status_word(&self) -> &AtomicU32 {
        self.line.word::<10>()
    }

    #[inline(always)]
    pub(crate) fn timeout_word(&self) -> &AtomicU32 {
        self.line.word::<12>()
    }
}

impl<M: Memory> Change<'_, M> {
    /// Sets the timeout, in ticks.
    pub fn set_timeout(&self, timeout: u32) {
        set(self.line().word::<12>(), timeout);
    }

    /// Sets the destination's index: a connection that waited for its destination gets it.
    pub fn set_destination(&self, destination: u32) {
        set(self.line().word::<11>(), destination);
    }
}

/// Stores `value` unless it is there: the cache line stays shared between the processors that only read it.
#[inline(always)]
fn set(word: &AtomicU32, value: u32) {
    if load_contended(word) != value {
        word.store(value, Ordering::Relaxed);
    }
}

#[inline(always)]
const fn holds_connection(version: u32) -> bool {
    version & 1 == 0 && version != 0
}

/// Words 0 to 9 of an entry, the destination port among them.
fn key_words(line: &Line) -> [u32; 10] {
    let mut words = [0; 10];
    for (to, from) in words.iter_mut().zip(line.first::<10>()) {
        *to = from.load(Ordering::Relaxed);
    }
    words
}

/// Fills a free entry with a connection and makes it readable. The entry must be the caller's alone. Returns its version.
#[inline(always)]
pub(crate) fn write(line: &Line, new: &NewConnection, now: Tick) -> u32 {
    // The version is 0 or odd; maybe another thread made it so, hence the fence of our own before the words.
    fence(Ordering::Release);
    let words = new.key.to_words();
    for (word, value) in line.first::<9>().iter().zip(words) {
        word.store(value, Ordering::Relaxed);
    }
    line.word::<9>().store(words[9] | u32::from(new.destination_port), Ordering::Relaxed);
    let status = Status::new(new.flags, new.state, next_version(line));
    // One that is late may still change it from what it was.
    store_contended(line.word::<10>(), status.word(), Ordering::Relaxed);
    line.word::<11>().store(new.destination, Ordering::Relaxed);
    line.word::<12>().store(new.timeout, Ordering::Relaxed);
    line.word::<13>().store(now.0, Ordering::Relaxed);
    line.word::<14>().store(0, Ordering::Relaxed);
    publish(line)
}

/// Makes the words of an entry readable: the next even version, Release, which it returns.
#[inline(always)]
pub(crate) fn publish(line: &Line) -> u32 {
    let version = next_version(line);
    line.word::<15>().store(version, Ordering::Release);
    version
}

/// The next even version.
#[inline(always)]
fn next_version(line: &Line) -> u32 {
    let next = (line.word::<15>().load(Ordering::Relaxed) | 1).wrapping_add(1);
    if next == 0 { 2 } else { next }
}

/// Makes an entry unreadable before its words change: the next odd version, then a Release fence.
pub(crate) fn retire(line: &Line) {
    let version = line.word::<15>();
    version.store(version.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
    fence(Ordering::Release);
}

/// Changes the client port of a retired entry.
pub(crate) fn write_client_port(line: &Line, port: u16) {
    let ports = line.word::<8>();
    ports.store(ports.load(Ordering::Relaxed) & 0xffff_0000 | u32::from(port), Ordering::Relaxed);
}

/// Changes virtual and destination port of a retired entry.
pub(crate) fn write_service_ports(line: &Line, port: u16) {
    let port = u32::from(port);
    let ports = line.word::<8>();
    ports.store(ports.load(Ordering::Relaxed) & 0xffff | port << 16, Ordering::Relaxed);
    let rest = line.word::<9>();
    rest.store(rest.load(Ordering::Relaxed) & KEY_OF_WORD_9 | port, Ordering::Relaxed);
}

/// The word that links free entries. No setter writes it, so a reference that outlived its connection cannot break the
/// list.
pub(crate) fn free_link(line: &Line) -> &AtomicU32 {
    line.word::<0>()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_late_clock_takes_nothing_back() {
        let line = Line::zeroed();
        let entry = EntryRef::at(&line, 2);
        // Over the wrap, too.
        entry.touch(Tick(u32::MAX));
        for (now, noted) in [(Tick(u32::MAX - 1), Tick(u32::MAX)), (Tick(1), Tick(1)), (Tick(0), Tick(1))] {
            entry.touch_late(now);
            assert_eq!(entry.last_seen(), noted);
        }
    }
}
