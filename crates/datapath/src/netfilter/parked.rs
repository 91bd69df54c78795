//! The queue of packets that wait in the kernel while their headers are read (`parking`): as the stack has them, yet to be cut into segments and
//! without checksum, and only their first bytes are copied.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::message::{APPEND, CREATE, Messages, Received, messages};
use super::queue::{self, NUMBER, PACKET};
use super::rule::{QueueBy, Rule};
use super::socket::Socket;
use super::table::{self, Table};

/// Bytes of a packet that are copied: all of most that are not to be cut.
const COPIED: usize = 2048;

/// Longest message: that and what the kernel says of the packet.
const MESSAGE: usize = COPIED + 1024;

/// Most packets that wait.
const LONGEST: u32 = 4096;

/// Bytes of packets that wait to be read; each takes some 4 KiB of it.
const ROOM: usize = 32 << 20;

/// Most verdicts that are given at once.
const VERDICTS: usize = 32;

const VERDICT: u16 = queue::SUBSYSTEM | 1;

// Attributes of a packet.
const SENDER: u16 = 9;
const OFFLOADS: u16 = 14;
/// Bit of the latter: there is no checksum yet.
const UNFINISHED: u32 = 1;

/// Packets are not cut into segments, nor get checksums (NFQA_CFG_F_GSO).
const AS_THEY_ARE: u32 = 4;

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    id: u32,
    /// Index of the interface that it came by.
    pub(crate) interface: u32,
    /// Payload of the segments that it is to be cut into; 0: it is not.
    pub(crate) segment: usize,
    /// It has no checksum yet.
    pub(crate) unfinished: bool,
    /// Its length.
    pub(crate) len: usize,
    /// Where its first bytes lie in the buffer.
    bytes: Range<usize>,
}

/// The queue, bound by this process in the namespace where packets wait.
#[derive(Debug)]
pub(crate) struct ParkedQueue {
    socket: Socket,
    buffer: Vec<u8>,
    out: Messages,
    owed: usize,
    /// What the kernel counts of the namespace's queues.
    statistics: File,
}

impl ParkedQueue {
    /// Binds the queue in the network namespace of the calling thread, and has all packets come to it that arrive there. Whether those of IPv6 do, too.
    ///
    /// # Errors
    /// What the kernel says that lacks something of it.
    pub(crate) fn open() -> io::Result<(Self, bool)> {
        let socket = Socket::open(ROOM)?;
        queue::bind(&socket, COPIED as u32, LONGEST, AS_THEY_ARE)?;
        catch_all(false, &socket)?;
        let ipv6 = catch_all(true, &socket).is_ok();
        let statistics = File::open("/proc/thread-self/net/netfilter/nfnetlink_queue")?;
        Ok((Self { socket, buffer: vec![0; MESSAGE], out: Messages::default(), owed: 0, statistics }, ipv6))
    }

    /// The next packet, if there is one.
    pub(crate) fn next(&mut self) -> Option<Parked> {
        loop {
            match self.socket.receive(&mut self.buffer) {
                Ok(Some(bytes)) => {
                    let start = bytes.as_ptr() as usize;
                    if let Some(parked) = messages(bytes).find_map(|message| read(&message, start)) {
                        return Some(parked);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: what found no room was dropped, and counted.
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The first bytes of the packet that [`ParkedQueue::next`] returned last.
    pub(crate) fn bytes(&self, parked: &Parked) -> &[u8] {
        self.buffer.get(parked.bytes.clone()).unwrap_or_default()
    }

    /// Lets a packet go on, with that mark, or drops it; at [`ParkedQueue::flush`] at the latest.
    pub(crate) fn decide(&mut self, parked: &Parked, mark: Option<u32>) {
        let fate = if mark.is_some() { queue::Fate::Accept } else { queue::Fate::Drop };
        self.out.message((VERDICT, 0), 0, NUMBER, |it| {
            it.put(queue::VERDICT_HEADER, &queue::verdict(parked.id, fate));
            if let Some(mark) = mark {
                it.put_u32(queue::MARK, mark);
            }
        });
        self.owed += 1;
        if self.owed == VERDICTS {
            self.flush();
        }
    }

    /// Gives the verdicts that are owed.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.owed) == 0 {
            return;
        }
        if let Err(error) = self.socket.send(&self.out) {
            tracing::warn!(%error, "verdicts about parked packets");
        }
        self.out.clear();
    }

    /// Packets that found no room.
    pub(crate) fn lost(&self) -> u64 {
        let mut text = String::new();
        let mut file = &self.statistics;
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        if read.is_ok() { dropped(&text) } else { 0 }
    }
}

impl AsFd for ParkedQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What the kernel counts as dropped, in its own words: for want of places, and of room to be read.
fn dropped(text: &str) -> u64 {
    let numbers =
        text.lines().map(|line| line.split_whitespace().filter_map(|word| word.parse::<u64>().ok()));
    numbers.flat_map(|numbers| numbers.skip(5).take(2)).sum()
}

/// Has all packets of a family that come into the namespace of the calling thread wait in the queue.
fn catch_all(ipv6: bool, socket: &Socket) -> io::Result<()> {
    const PRE_ROUTING: u32 = 0;
    let mut outcome = Ok(());
    for by in [QueueBy::Expression, QueueBy::Target] {
        let mut table = Table::new(ipv6);
        let family = table.family();
        outcome = table.transact(socket, |out| {
            out.message((table::NEW_TABLE, CREATE), family, 0, |it| it.put_text(1, table::NAME));
            table::chain(out, family, ("all", PRE_ROUTING, 0));
            out.message((table::NEW_RULE, CREATE | APPEND), family, 0, |it| {
                it.put_text(1, table::NAME);
                it.put_text(2, "all");
                it.nest(4, |it| Rule(it).queue(by));
            });
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// A packet's message; `None` if it is another. `start` is the address of the buffer that it lies in.
fn read(message: &Received<'_>, start: usize) -> Option<Parked> {
    if message.kind != PACKET {
        return None;
    }
    let mut id = None;
    let (mut sender, mut offloads, mut bytes, mut len) = ([0; 6], 0, 0..0, None);
    let word = |value: &[u8]| value.first_chunk().map(|word| u32::from_be_bytes(*word));
    for (kind, value) in message.attributes() {
        match kind {
            queue::PACKET_HEADER => id = word(value),
            // Length, padding, address.
            SENDER => sender = value.get(4..10).and_then(|it| it.try_into().ok()).unwrap_or_default(),
            OFFLOADS => offloads = word(value).unwrap_or_default(),
            queue::PAYLOAD => {
                let at = (value.as_ptr() as usize).saturating_sub(start);
                bytes = at..at + value.len();
            }
            queue::CAPTURED => len = word(value).map(|len| len as usize),
            _ => {}
        }
    }
    // What the program wrote in the place of the sender's address.
    let [a, b, c, d, e, f] = sender;
    Some(Parked {
        id: id?,
        interface: u32::from_ne_bytes([a, b, c, d]),
        segment: u16::from_ne_bytes([e, f]).into(),
        unfinished: offloads & UNFINISHED != 0,
        len: len.unwrap_or(bytes.len()),
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says() {
        let mut out = Messages::default();
        out.message((PACKET, 0), 2, NUMBER, |it| {
            it.put(queue::PACKET_HEADER, &[0, 0, 1, 2, 8, 0, 0]);
            let [a, b, c, d] = 9u32.to_ne_bytes();
            let [e, f] = 1448u16.to_ne_bytes();
            it.put(SENDER, &[0, 6, 0, 0, a, b, c, d, e, f, 0, 0]);
            it.put(queue::PAYLOAD, b"packet");
            it.put_u32(queue::CAPTURED, 60_000);
            it.put_u32(OFFLOADS, 3);
        });
        let bytes = out.bytes();
        let parked = read(&messages(bytes).next().unwrap(), bytes.as_ptr() as usize).unwrap();
        assert_eq!((parked.id, parked.interface, parked.segment), (0x102, 9, 1448));
        assert_eq!((parked.unfinished, parked.len), (true, 60_000));
        assert_eq!(&bytes[parked.bytes], b"packet");
        out.clear();
        out.message((PACKET, 0), 2, NUMBER, |it| {
            it.put(queue::PACKET_HEADER, &[0, 0, 1, 2, 8, 0, 0]);
            it.put(queue::PAYLOAD, b"packet");
        });
        let parked = read(&messages(out.bytes()).next().unwrap(), 0).unwrap();
        assert_eq!((parked.unfinished, parked.len, parked.segment), (false, 6, 0));
        // Without a number no verdict can be given.
        out.clear();
        out.message((PACKET, 0), 2, NUMBER, |it| it.put(queue::PAYLOAD, b"packet"));
        assert!(read(&messages(out.bytes()).next().unwrap(), 0).is_none());
    }

    #[test]
    fn what_the_kernel_has_dropped() {
        assert_eq!(dropped("26998   4711     3 2  2048     5     7      900  1\n"), 12);
        assert_eq!(dropped(""), 0);
        assert_eq!(dropped("nonsense\n"), 0);
    }
}
