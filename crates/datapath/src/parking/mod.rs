//! Parking: TCP packets that are the daemon's wait in the kernel while it judges them by their headers, so that bulk data are not copied to the
//! daemon and back (`crates/xdp/src/parking.rs` has the way). Only where the program is a classifier: what it has there the kernel can hold.
//!
//! A packet that goes on as it came but for its headers leaves from there. Any other is brought to the daemon whole, by a TAP device, judged already
//! if it was; so packets that wait stay in order. What does not wait may overtake them: SYNs, and acknowledgements
//! without payload.

mod enclosure;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use ipvs_core::Verdict;
use ipvs_wire::fragment::Pieces;

use self::enclosure::{Cables, Enclosure};
use crate::ethernet::{self, Tag};
use crate::netfilter::ParkedQueue;
use crate::netlink::{Requests, cable};
use crate::program::{Program, reason};
use crate::shared_memory::{Cells, SharedMemory};
use crate::tap::Tap;
use crate::unsegmented::Cut;

/// Packets whose word the program has at a time (`LEN` there).
const RELEASED: u32 = 4096;

/// Lines of 64 bytes for a word: number, interface, length, VLAN tag, and as many bytes (`Released` there).
const LINES: u32 = 4;
/// Length of the former.
const FACTS: usize = 16;
/// Length of the longest word, in eights.
const WORD: usize = (FACTS + LONGEST).next_multiple_of(8);

/// Longest headers: Ethernet, IPv6, TCP with options.
pub(crate) const LONGEST: usize = ethernet::HEADER + 40 + 60;

/// What becomes of a packet that is brought whole.
#[derive(Debug)]
pub(crate) enum Errand {
    /// It is judged as if it came by the TAP device of that interface.
    Judge(u32),
    /// It was judged by its headers, and is to be cut.
    Cut(Verdict, Cut),
    /// It was judged, and these are its bytes; with the pieces in which it is to leave.
    Settle(Verdict, Vec<u8>, Option<Pieces<'static>>),
}

/// A packet that is brought whole.
#[derive(Debug)]
pub(crate) struct Brought {
    number: u32,
    pub(crate) errand: Errand,
    /// What takes the place of its first bytes, from the IP header on, and of how many: on its way through the kernel it is changed.
    pub(crate) head: Vec<u8>,
    pub(crate) replaced: usize,
}

/// Names of the interfaces that lead to where packets wait, and back.
fn cables(name: &str) -> [String; 2] {
    ["park", "back"].map(|end| format!("{name}-{end}"))
}

/// Removes what a daemon that was killed may have left: the kernel does so some time after it has ended.
pub(crate) fn remove_leftovers(name: &str) -> io::Result<()> {
    let mut requests = Requests::open()?;
    cables(name).iter().try_for_each(|end| cable::remove(&mut requests, cable::Name::Text(end)))
}

/// All that belongs to parking.
#[derive(Debug)]
pub(crate) struct Parking {
    /// Where packets wait.
    pub(crate) queue: ParkedQueue,
    /// By which whole packets come.
    pub(crate) whole: Tap,
    cables: Cables,
    released: SharedMemory<Cells>,
    /// The packet that was released last.
    number: u32,
    /// Those that are yet to come whole.
    brought: VecDeque<Brought>,
}

impl Parking {
    /// Makes it, its interfaces beginning with this name; `tcx`: programs are attached by links.
    ///
    /// # Errors
    /// What the kernel says that lacks something of it: then packets come by TAP devices as before.
    pub(crate) fn open(program: &mut Program, name: &str, tcx: bool) -> io::Result<Self> {
        let failed = |error: &(dyn std::error::Error + 'static)| io::Error::other(reason(error));
        let released = program.take_released().map_err(|error| failed(&error))?;
        let released = SharedMemory::map(&released, RELEASED * LINES)?;
        let [entrance, exit] = cables(name);
        let enclosure = enclosure::open((&entrance, &exit), |out| {
            program.attach_ticket(out, tcx).map_err(|error| failed(&error))
        })?;
        let whole = Tap::open(&format!("{name}-whole")).map_err(|error| failed(&error))?;
        let Enclosure { queue, ipv6, cables } = enclosure;
        program.attach_release(cables.exit, &exit, tcx).map_err(|error| failed(&error))?;
        let families = [Some(cables.entrance), Some(cables.entrance).filter(|_| ipv6)];
        program.set_parking(families).map_err(|error| failed(&error))?;
        Ok(Self { queue, whole, cables, released, number: 0, brought: VecDeque::new() })
    }

    /// What becomes readable when there is something to do.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.queue.as_fd(), self.whole.as_fd()]
    }

    /// Has the next packet that goes on leave by an interface, with that VLAN tag, `head` in the place of its frame's first bytes, [`LONGEST`] at
    /// most. Its number, for the verdict's mark.
    pub(crate) fn release(&mut self, interface: u32, tag: Option<Tag>, head: &[u8]) -> u32 {
        let number = self.next_number();
        self.say(number, interface, tag, head);
        number
    }

    /// Has the next packet that goes on brought whole, for that errand, with `head` in the place of its first `replaced` bytes. Its number.
    pub(crate) fn bring(&mut self, errand: Errand, head: &[u8], replaced: usize) -> u32 {
        let number = self.next_number();
        self.say(number, self.whole.interface, None, &[]);
        // What never came is forgotten.
        if self.brought.len() >= RELEASED as usize {
            self.brought.pop_front();
        }
        self.brought.push_back(Brought { number, errand, head: head.to_vec(), replaced });
        number
    }

    /// The packet that came whole, by the number that stands in its frame. `None`: that is nobody's.
    pub(crate) fn came(&mut self, frame: &[u8]) -> Option<Brought> {
        let number = u32::from_ne_bytes(*frame.first_chunk()?);
        // They come in order; what is missing was lost on its way.
        let place = self.brought.iter().position(|brought| brought.number == number)?;
        self.brought.drain(..place);
        self.brought.pop_front()
    }

    /// Index of the interface by which packets come back.
    pub(crate) fn exit(&self) -> u32 {
        self.cables.exit
    }

    /// Packets that found no room on their way here.
    pub(crate) fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Never 0, which is the mark of what nobody gave one.
    fn next_number(&mut self) -> u32 {
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.number
    }

    fn say(&self, number: u32, interface: u32, tag: Option<Tag>, head: &[u8]) {
        let mut word = [0; WORD];
        let len = head.len().min(LONGEST);
        let tag = tag.map_or(0, u32::from_ne_bytes);
        for (at, value) in [(0, number), (4, interface), (8, len as u32), (12, tag)] {
            word[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        word[FACTS..FACTS + len].copy_from_slice(&head[..len]);
        let first = (number % RELEASED * LINES) as usize;
        let lines = self.released.as_ref().get(first..first + LINES as usize).unwrap_or_default();
        let cells = lines.iter().flat_map(|line| &line.0);
        for (cell, value) in cells.zip(word.as_chunks().0) {
            cell.store(u64::from_ne_bytes(*value), Ordering::Relaxed);
        }
    }
}
