//! TCP segments: their parts, and writing them anew with other data and numbers.

use ipvs_wire::{Headers, checksum, tcp::TcpPacket};

use crate::packet::Packet;

/// Option that ends the list.
const END: u8 = 0;
/// Option that fills.
const NOP: u8 = 1;
/// Option of selective acknowledgments (RFC 2018).
const SACK: u8 = 5;

/// What a helper's connection needs of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Length of the TCP header.
    pub(super) header_len: usize,
    pub(super) sequence: u32,
    /// If the ACK bit is set.
    pub(super) acknowledgment: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    /// How far urgent data goes, if the URG bit is set.
    pub(super) urgent: Option<u16>,
}

impl Segment {
    /// Reads a whole segment; `None` if its header is not.
    pub(super) fn read(packet: &[u8], headers: &Headers) -> Option<Self> {
        let tcp = TcpPacket::new_checked(headers.payload(packet)).ok()?;
        let flags = tcp.flags();
        Some(Self {
            header_len: tcp.header_len(),
            sequence: tcp.sequence(),
            acknowledgment: flags.ack().then(|| tcp.acknowledgment()),
            syn: flags.syn(),
            fin: flags.fin(),
            urgent: flags.urg().then(|| tcp.urgent()),
        })
    }

    /// Its data.
    pub(super) fn data<'p>(&self, packet: &'p [u8], headers: &Headers) -> &'p [u8] {
        headers.payload(packet).get(self.header_len..).unwrap_or_default()
    }

    /// Sequence number of its first byte of data.
    pub(super) fn first(&self) -> u32 {
        self.sequence.wrapping_add(u32::from(self.syn))
    }

    /// Writes it anew as `self` says, with other data if there are such, and blocks of selective acknowledgments as `block`
    /// gives. Lengths and checksums follow. Returns the new headers; `None` if there is no room for the data.
    pub(super) fn write(
        &self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        data: Option<&[u8]>,
        block: impl FnMut(u32, u32) -> (u32, u32),
    ) -> Option<Headers> {
        let transport = packet.as_slice().len().checked_sub(headers.payload(packet.as_slice()).len())?;
        if let Some(data) = data {
            if !packet.replace_tail(transport + self.header_len, data) {
                return None;
            }
            let total = packet.len();
            let (field, length) = if headers.is_ipv6() { (4, total.checked_sub(40)?) } else { (2, total) };
            let length = u16::try_from(length).ok()?.to_be_bytes();
            packet.as_mut_slice().get_mut(field..field + 2)?.copy_from_slice(&length);
            if !headers.is_ipv6() {
                checksum::fill_ipv4_header(packet.as_mut_slice());
            }
        }
        let tcp = packet.as_mut_slice().get_mut(transport..)?;
        put(tcp, 4, self.sequence.to_be_bytes());
        if let Some(acknowledgment) = self.acknowledgment {
            put(tcp, 8, acknowledgment.to_be_bytes());
        }
        if let Some(flags) = tcp.get_mut(13) {
            *flags = *flags & !1 | u8::from(self.fin);
        }
        if let Some(urgent) = self.urgent {
            put(tcp, 18, urgent.to_be_bytes());
        }
        if let Some(options) = tcp.get_mut(20..self.header_len) {
            change_blocks(options, block);
        }
        let headers = Headers::parse(packet.as_slice()).ok()?;
        checksum::fill_transport(packet.as_mut_slice(), &headers);
        Some(headers)
    }
}

fn put<const N: usize>(bytes: &mut [u8], offset: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(offset..offset + N) {
        place.copy_from_slice(&value);
    }
}

/// Changes the blocks of selective acknowledgments.
fn change_blocks(mut options: &mut [u8], mut block: impl FnMut(u32, u32) -> (u32, u32)) {
    while let [kind, rest @ ..] = options {
        if *kind == NOP {
            options = rest;
            continue;
        }
        let kind = *kind;
        let Some(length) = rest.first().map(|&length| usize::from(length)) else { return };
        if kind == END || length < 2 || length > rest.len() + 1 {
            return;
        }
        let (value, behind) = rest.split_at_mut(length - 1);
        if kind == SACK {
            for edges in value.get_mut(1..).unwrap_or_default().as_chunks_mut::<8>().0 {
                let [a, b, c, d, e, f, g, h] = *edges;
                let (left, right) = block(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                put(edges, 0, left.to_be_bytes());
                put(edges, 4, right.to_be_bytes());
            }
        }
        options = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_among_other_options() {
        // NOP, NOP, timestamps, SACK of two blocks, end.
        let mut options = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 18];
        for edge in [10u32, 20, 30, 40] {
            options.extend(edge.to_be_bytes());
        }
        options.extend([0, 5, 10]);
        let before = options.clone();
        change_blocks(&mut options, |left, right| (left + 1, right + 2));
        let edge = |at: usize| u32::from_be_bytes(options[14 + at * 4..][..4].try_into().unwrap());
        assert_eq!([edge(0), edge(1), edge(2), edge(3)], [11, 22, 31, 42]);
        assert_eq!((&options[..14], &options[30..]), (&before[..14], &before[30..]));
    }

    #[test]
    fn options_of_bad_length_are_left() {
        for bad in [&[5u8][..], &[5, 0, 1], &[5, 1], &[5, 200, 0, 0], &[9, 9, 9], &[5, 4, 1, 2], &[]] {
            let mut options = bad.to_vec();
            change_blocks(&mut options, |_, _| (7, 7));
            assert_eq!(options, bad);
        }
    }
}
