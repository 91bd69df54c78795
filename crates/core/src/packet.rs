//! A packet in its buffer.

use ipvs_wire::tunnel::{Encapsulation, Outer};
use ipvs_wire::{Headers, checksum};

/// The place in the host's stack at which netfilter gave a packet away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// About to be delivered to the host.
    Input,
    /// The same, of one that came from here: the director left it to the host, or sent it to a server on the host.
    Returned,
    /// The host's own, about to leave.
    Output,
}

/// A layer-3 packet inside a larger buffer, so that it can be replaced by a longer one (an ICMP error) or grow to
/// the front (an outer header) without allocation.
#[derive(Debug)]
pub struct Packet<'a> {
    buffer: &'a mut [u8],
    start: usize,
    len: usize,
    /// Length of the largest fragment that it came in, or of the segments that it is to be cut into; 0: it came whole.
    largest: usize,
    /// It is to be cut into segments, and has no checksum yet.
    unsegmented: bool,
    /// What each segment goes inside of.
    wrapping: Option<(Outer, Encapsulation)>,
    /// Longest packet in which it is to leave, in fragments if need be, though it is IPv6 now.
    cut: Option<usize>,
    /// Where netfilter gave it away; `None`: the host's stack has not seen it.
    hook: Option<Hook>,
    /// The firewall mark that it has in the host's stack; 0: none.
    mark: u32,
}

impl<'a> Packet<'a> {
    /// The packet of `len` bytes at offset `start` of `buffer`. Both are cut to the buffer's size.
    pub fn new(buffer: &'a mut [u8], start: usize, len: usize) -> Self {
        let start = start.min(buffer.len());
        let len = len.min(buffer.len() - start);
        Self {
            buffer,
            start,
            len,
            largest: 0,
            unsegmented: false,
            wrapping: None,
            cut: None,
            hook: None,
            mark: 0,
        }
    }

    /// The same, reassembled from fragments of which the largest had `largest` bytes.
    pub fn reassembled(buffer: &'a mut [u8], start: usize, len: usize, largest: usize) -> Self {
        Self { largest, ..Self::new(buffer, start, len) }
    }

    /// The same of a TCP packet that is to be cut into segments, packets of at most `largest` bytes, after the director has seen it
    /// (segmentation offload): its TCP checksum is of no matter, before and afterwards, for each segment gets one.
    pub fn unsegmented(buffer: &'a mut [u8], start: usize, len: usize, largest: usize) -> Self {
        Self { largest, unsegmented: true, ..Self::new(buffer, start, len) }
    }

    /// Whether it is to be cut into segments.
    pub(crate) fn is_unsegmented(&self) -> bool {
        self.unsegmented
    }

    /// Whether its transport checksum, if there is one already, is right.
    pub(crate) fn is_undamaged(&self, headers: &Headers) -> bool {
        self.unsegmented || checksum::verify_transport(self.as_slice(), headers)
    }

    /// A number that its segments do not exceed.
    pub(crate) fn segments(&self) -> u16 {
        // Unless they are mostly headers.
        if self.unsegmented {
            (self.len / (self.largest / 4).max(1) + 1).min(usize::from(u16::MAX)) as u16
        } else {
            1
        }
    }

    /// Has each segment go inside another packet.
    pub(crate) fn wrap_segments(&mut self, outer: Outer, encapsulation: Encapsulation) {
        self.wrapping = Some((outer, encapsulation));
    }

    /// What each segment is to go inside of, where a packet is to be [cut](Self::unsegmented) that goes into a tunnel: identifications
    /// count from the first one's on.
    pub fn wrapping(&self) -> Option<(Outer, Encapsulation)> {
        self.wrapping
    }

    /// Has it, or each of its segments, leave in fragments where it is longer than this.
    pub(crate) fn cut_to(&mut self, longest: usize) {
        self.cut = Some(longest);
    }

    /// Into what fragments an IPv6 packet is to be cut that came as an IPv4 packet which routers may fragment: of at most so many
    /// bytes. `None`: as usual, by what came and by the link.
    pub fn cut(&self) -> Option<usize> {
        self.cut
    }

    /// The same, given away by netfilter with this mark.
    pub fn from_netfilter(self, hook: Hook, mark: u32) -> Self {
        Self { hook: Some(hook), mark, ..self }
    }

    /// Where netfilter gave it away; `None`: the host's stack has not seen it.
    pub fn hook(&self) -> Option<Hook> {
        self.hook
    }

    /// The mark that it has in the host's stack; 0: none.
    pub(crate) fn mark(&self) -> u32 {
        self.mark
    }

    /// Whether it was reassembled from fragments.
    pub(crate) fn came_in_pieces(&self) -> bool {
        self.largest != 0 && !self.unsegmented
    }

    /// Whether it may not leave by a link of `mtu` bytes, though in fragments. One that came in fragments may leave in such:
    /// in IPv4 if it has no DF, in IPv6 if the largest fits (kernel behaviour, experiment `fragments.py`).
    pub(crate) fn is_too_big(&self, headers: &Headers, mtu: usize) -> bool {
        let len = if self.unsegmented {
            self.largest.min(headers.total_len)
        } else if headers.is_ipv6() && self.largest != 0 {
            self.largest
        } else {
            headers.total_len
        };
        headers.dont_fragment && len > mtu
    }

    /// The packet's bytes, from its IP header on.
    pub fn as_slice(&self) -> &[u8] {
        self.buffer.get(self.start..self.start + self.len).unwrap_or(&[])
    }

    /// The packet's bytes, to be rewritten.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.start + self.len).unwrap_or(&mut [])
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the packet starts in its buffer.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Cuts what follows the first `len` bytes (link-layer padding).
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Takes `len` bytes before the packet into it; `false`, and nothing changed, if they are not in the buffer.
    pub(crate) fn grow_front(&mut self, len: usize) -> bool {
        let Some(start) = self.start.checked_sub(len) else { return false };
        self.start = start;
        self.len += len;
        true
    }

    /// Puts `bytes` in the place of the first `len` bytes; `false`, and nothing changed, if there is no room before the packet.
    pub(crate) fn replace_front(&mut self, len: usize, bytes: &[u8]) -> bool {
        let Some(start) = (self.start + len.min(self.len)).checked_sub(bytes.len()) else { return false };
        let Some(room) = self.buffer.get_mut(start..start + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len = self.len - len.min(self.len) + bytes.len();
        self.start = start;
        true
    }

    /// Puts `bytes` in the place of all from `offset` on; `false`, and nothing changed, if the buffer is too small.
    pub(crate) fn replace_tail(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let start = self.start + offset.min(self.len);
        let Some(room) = self.buffer.get_mut(start..start + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len = offset.min(self.len) + bytes.len();
        true
    }

    /// Puts `bytes` in the packet's place; `false`, and nothing changed, if the buffer is too small.
    pub(crate) fn replace(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.buffer.get_mut(self.start..self.start + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len = bytes.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_needs_room_behind_the_start() {
        let mut buffer = [0u8; 16];
        let mut packet = Packet::new(&mut buffer, 4, 3);
        assert!(!packet.replace(&[1; 13]));
        assert_eq!(packet.as_slice(), [0; 3]);
        assert!(packet.replace(&[1; 12]));
        assert_eq!(packet.as_slice(), [1; 12]);
    }

    #[test]
    fn growing_needs_room_before_the_start() {
        let mut buffer = [7u8; 16];
        let mut packet = Packet::new(&mut buffer, 4, 3);
        assert!(!packet.grow_front(5));
        assert_eq!(packet.len(), 3);
        assert!(packet.grow_front(4));
        assert_eq!((packet.start(), packet.len()), (0, 7));
    }

    #[test]
    fn another_front_may_be_shorter_or_longer() {
        let mut buffer = [7u8; 16];
        let mut packet = Packet::new(&mut buffer, 4, 6);
        assert!(!packet.replace_front(2, &[1; 7]));
        assert!(packet.replace_front(2, &[1, 2, 3]));
        assert_eq!((packet.start(), packet.as_slice()), (3, [1, 2, 3, 7, 7, 7, 7].as_slice()));
        assert!(packet.replace_front(4, &[5]));
        assert_eq!((packet.start(), packet.as_slice()), (6, [5, 7, 7, 7].as_slice()));
    }

    #[test]
    fn offsets_outside_the_buffer_give_an_empty_packet() {
        let mut buffer = [0u8; 4];
        assert!(Packet::new(&mut buffer, 9, 3).is_empty());
        assert_eq!(Packet::new(&mut buffer, 2, 9).len(), 2);
    }
}
