//! The queue: packets that wait in netfilter for a verdict (linux/netfilter/nfnetlink_queue.h).
//!
//! Segmentation offload is done, and checksums are complete, before a packet comes here: that is asked for by leaving out
//! NFQA_CFG_F_GSO.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use ipvs_core::Hook;

use super::message::{Messages, Received, messages};
use super::socket::Socket;

/// Number of the queue ("iv"). Queues belong to the network namespace.
pub(super) const NUMBER: u16 = 0x6976;

/// Most packets that wait.
const LONGEST: u32 = 8192;

/// Bytes of packets that wait to be read.
const ROOM: usize = 16 << 20;

/// Most bytes of a packet that the kernel copies.
const MOST_COPIED: u32 = 0xffff;

/// Longest message.
const MESSAGE: usize = 68 << 10;

pub(super) const SUBSYSTEM: u16 = 3 << 8;
pub(super) const PACKET: u16 = SUBSYSTEM;
const CONFIG: u16 = SUBSYSTEM | 2;
const VERDICT_BATCH: u16 = SUBSYSTEM | 3;

// Attributes of a packet.
pub(super) const PACKET_HEADER: u16 = 1;
pub(super) const VERDICT_HEADER: u16 = 2;
pub(super) const MARK: u16 = 3;
/// Index of the interface that it came by.
const INTERFACE: u16 = 5;
pub(super) const PAYLOAD: u16 = 10;
/// There if the packet was cut: its length.
pub(super) const CAPTURED: u16 = 13;

// Attributes of the configuration.
const COMMAND: u16 = 1;
const PARAMETERS: u16 = 2;
const QUEUE_LENGTH: u16 = 3;
const MASK: u16 = 4;
const FLAGS: u16 = 5;

const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;

/// Number of the hook before delivery to the host.
pub(super) const LOCAL_IN: u32 = 1;
/// Number of the hook behind the host's own packets.
pub(super) const LOCAL_OUT: u32 = 3;

/// What becomes of a packet in the host's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on as if nobody had looked.
    Accept,
    /// Its way ends there.
    Drop,
}

impl Fate {
    fn number(self) -> u32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
        }
    }
}

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    id: u32,
    /// Where it was taken.
    pub(crate) hook: Hook,
    /// Its mark; 0: none.
    pub(crate) mark: u32,
    /// Index of the interface that it came by; 0 for the host's own.
    pub(crate) interface: u32,
    /// Where it lies in the queue's buffer; nothing, if it was too long to be copied whole.
    packet: Range<usize>,
}

/// The queue, bound by this process.
#[derive(Debug)]
pub(crate) struct Queue {
    socket: Socket,
    buffer: Vec<u8>,
    out: Messages,
    /// The latest verdict that has not been given: for the packet of this number and all before it.
    owed: Option<(u32, Fate)>,
    /// Times at which the kernel had no room for packets.
    overflows: u64,
    /// Index of the host port.
    host_port: u32,
}

impl Queue {
    /// Binds the queue, in the network namespace of the calling thread. `host_port` is the index of the interface by which packets come
    /// from here.
    pub(super) fn open(host_port: u32) -> io::Result<Self> {
        let socket = Socket::open(ROOM)?;
        bind(&socket, MOST_COPIED, LONGEST, 0)?;
        let out = Messages::default();
        Ok(Self { socket, buffer: vec![0; MESSAGE], out, owed: None, overflows: 0, host_port })
    }

    /// The next packet, if there is one.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        loop {
            match self.socket.receive(&mut self.buffer) {
                Ok(Some(bytes)) => {
                    let start = bytes.as_ptr() as usize;
                    if let Some(waiting) =
                        messages(bytes).find_map(|message| read(&message, start, self.host_port))
                    {
                        return Some(waiting);
                    }
                }
                Ok(None) => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // ENOBUFS: what found no room was dropped. Tried again when the descriptor is readable.
                    self.overflows += 1;
                    return None;
                }
            }
        }
    }

    /// The bytes of the packet that [`Queue::next`] returned last.
    pub(crate) fn packet(&self, waiting: &Waiting) -> &[u8] {
        self.buffer.get(waiting.packet.clone()).unwrap_or_default()
    }

    /// Decides about a packet. Verdicts are given in the order of the packets, and equal ones in a row together: they take effect
    /// when the next differs, or at [`Queue::flush`].
    pub(crate) fn decide(&mut self, waiting: &Waiting, fate: Fate) {
        if self.owed.is_some_and(|(_, owed)| owed != fate) {
            self.flush();
        }
        self.owed = Some((waiting.id, fate));
    }

    /// Gives the verdicts that are owed.
    pub(crate) fn flush(&mut self) {
        let Some((id, fate)) = self.owed.take() else { return };
        self.out.clear();
        self.out.message((VERDICT_BATCH, 0), 0, NUMBER, |it| it.put(VERDICT_HEADER, &verdict(id, fate)));
        if let Err(error) = self.socket.send(&self.out) {
            tracing::warn!(%error, "a verdict about packets in the netfilter queue");
        }
    }

    /// Times at which the kernel had no room for packets, which it dropped.
    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Binds the queue of the socket's network namespace: of each packet so many bytes are copied at most, and so many wait at most; with these flags
/// (NFQA_CFG_F_…).
pub(super) fn bind(socket: &Socket, copied: u32, longest: u32, flags: u32) -> io::Result<()> {
    let mut out = Messages::default();
    let [high, low] = 0u16.to_be_bytes();
    out.message((CONFIG, 0), 0, NUMBER, |it| it.put(COMMAND, &[BIND, 0, high, low]));
    out.ask();
    socket.request(&out)?;
    out.clear();
    out.message((CONFIG, 0), 0, NUMBER, |it| {
        let mut parameters = [0; 5];
        parameters[..4].copy_from_slice(&copied.to_be_bytes());
        parameters[4] = COPY_PACKET;
        it.put(PARAMETERS, &parameters);
        it.put_u32(QUEUE_LENGTH, longest);
        if flags != 0 {
            it.put_u32(FLAGS, flags);
            it.put_u32(MASK, flags);
        }
    });
    out.ask();
    socket.request(&out)
}

/// A packet's message; `None` if it is another. `start` is the address of the buffer that it lies in.
fn read(message: &Received<'_>, start: usize, host_port: u32) -> Option<Waiting> {
    if message.kind != PACKET {
        return None;
    }
    let mut id = None;
    let (mut hook, mut mark, mut interface, mut packet, mut whole) = (Hook::Input, 0, 0, 0..0, true);
    for (kind, value) in message.attributes() {
        match kind {
            // Number, EtherType, hook.
            PACKET_HEADER => {
                id = value.first_chunk().map(|id| u32::from_be_bytes(*id));
                if value.get(6).copied().map(u32::from) == Some(LOCAL_OUT) {
                    hook = Hook::Output;
                }
            }
            INTERFACE => {
                interface = value.first_chunk().map_or(0, |index| u32::from_be_bytes(*index));
                if interface == host_port {
                    hook = Hook::Returned;
                }
            }
            MARK => mark = value.first_chunk().map_or(0, |mark| u32::from_be_bytes(*mark)),
            PAYLOAD => {
                let at = (value.as_ptr() as usize).saturating_sub(start);
                packet = at..at + value.len();
            }
            CAPTURED => whole = false,
            _ => {}
        }
    }
    if !whole {
        packet = 0..0;
    }
    Some(Waiting { id: id?, hook, mark, interface, packet })
}

/// The value of a verdict's attribute.
pub(super) fn verdict(id: u32, fate: Fate) -> [u8; 8] {
    let mut value = [0; 8];
    let (number, packet) = value.split_at_mut(4);
    number.copy_from_slice(&fate.number().to_be_bytes());
    packet.copy_from_slice(&id.to_be_bytes());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packets_message() {
        let mut out = Messages::default();
        let packet = |it: &mut Messages, hook: u8| {
            it.put(PACKET_HEADER, &[0, 0, 1, 2, 8, 0, hook]);
            it.put(MARK, &7u32.to_be_bytes());
            it.put(PAYLOAD, b"packet");
        };
        out.message((PACKET, 0), 2, NUMBER, |it| packet(it, 3));
        let bytes = out.bytes();
        let waiting = read(&messages(bytes).next().unwrap(), bytes.as_ptr() as usize, 9).unwrap();
        assert_eq!((waiting.id, waiting.hook, waiting.mark), (0x102, Hook::Output, 7));
        assert_eq!(&bytes[waiting.packet], b"packet");
        out.clear();
        out.message((PACKET, 0), 2, NUMBER, |it| {
            packet(it, 1);
            it.put(CAPTURED, &70_000u32.to_be_bytes());
            it.put_u32(INTERFACE, 8);
        });
        let bytes = out.bytes();
        let waiting = read(&messages(bytes).next().unwrap(), bytes.as_ptr() as usize, 9).unwrap();
        assert_eq!((waiting.hook, waiting.interface, waiting.packet), (Hook::Input, 8, 0..0));
        out.clear();
        out.message((PACKET, 0), 2, NUMBER, |it| {
            packet(it, 1);
            it.put_u32(INTERFACE, 9);
        });
        let bytes = out.bytes();
        let waiting = read(&messages(bytes).next().unwrap(), bytes.as_ptr() as usize, 9).unwrap();
        assert_eq!(waiting.hook, Hook::Returned);
        // Without a number no verdict can be given.
        out.clear();
        out.message((PACKET, 0), 2, NUMBER, |it| it.put(PAYLOAD, b"packet"));
        let bytes = out.bytes();
        assert!(read(&messages(bytes).next().unwrap(), bytes.as_ptr() as usize, 9).is_none());
    }
}
