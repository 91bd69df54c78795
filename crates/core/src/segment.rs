//! TCP segments: their parts, and writing them anew with other data, numbers and options, as helpers and PROXY headers do.

use ipvs_wire::{Headers, checksum, tcp::TcpPacket};

use crate::packet::Packet;

/// Option that ends the list.
const END: u8 = 0;
/// Option that fills.
const NOP: u8 = 1;
/// Option of selective acknowledgments (RFC 2018).
const SACK: u8 = 5;

/// What the director changes, or must know to do it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Length of the TCP header.
    pub(crate) header_len: usize,
    pub(crate) sequence: u32,
    /// If the ACK bit is set.
    pub(crate) acknowledgment: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) rst: bool,
    pub(crate) fin: bool,
    /// How far urgent data goes, if the URG bit is set.
    pub(crate) urgent: Option<u16>,
}

impl Segment {
    /// Reads a whole segment; `None` if its header is not.
    pub(crate) fn read(packet: &[u8], headers: &Headers) -> Option<Self> {
        let tcp = TcpPacket::new_checked(headers.payload(packet)).ok()?;
        let flags = tcp.flags();
        Some(Self {
            header_len: tcp.header_len(),
            sequence: tcp.sequence(),
            acknowledgment: flags.ack().then(|| tcp.acknowledgment()),
            syn: flags.syn(),
            rst: flags.rst(),
            fin: flags.fin(),
            urgent: flags.urg().then(|| tcp.urgent()),
        })
    }

    /// Its data.
    pub(crate) fn data<'p>(&self, packet: &'p [u8], headers: &Headers) -> &'p [u8] {
        headers.payload(packet).get(self.header_len..).unwrap_or_default()
    }

    /// Sequence number of its first byte of data.
    pub(crate) fn first(&self) -> u32 {
        self.sequence.wrapping_add(u32::from(self.syn))
    }

    /// Writes it anew as `self` says, with other data if there are such, and blocks of selective acknowledgments as `block`
    /// gives; those for which it gives none are left out. Lengths and checksums follow: with other data the checksum is that of
    /// the whole, so whoever gives such must have seen that it was right. Returns the new headers; `None` if there is no room
    /// for the data.
    pub(crate) fn write(
        &self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        data: Option<&[u8]>,
        block: impl FnMut(u32, u32) -> Option<(u32, u32)>,
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
        change_header(tcp.get_mut(..self.header_len)?, |header| self.put(header, block))?;
        let headers = Headers::parse(packet.as_slice()).ok()?;
        if data.is_some() {
            checksum::fill_transport(packet.as_mut_slice(), &headers);
        }
        Some(headers)
    }

    fn put(&self, header: &mut [u8], block: impl FnMut(u32, u32) -> Option<(u32, u32)>) {
        put(header, 4, self.sequence.to_be_bytes());
        if let Some(acknowledgment) = self.acknowledgment {
            put(header, 8, acknowledgment.to_be_bytes());
        }
        if let Some(flags) = header.get_mut(13) {
            *flags = *flags & !1 | u8::from(self.fin);
        }
        if let Some(urgent) = self.urgent {
            put(header, 18, urgent.to_be_bytes());
        }
        change_blocks(header.get_mut(20..).unwrap_or_default(), block);
    }
}

/// Changes a TCP header, and its checksum by what that makes of it: a wrong one stays wrong.
pub(crate) fn change_header(header: &mut [u8], change: impl FnOnce(&mut [u8])) -> Option<()> {
    let before = checksum::sum(header);
    let old = u16::from_be_bytes(*header.get(16..)?.first_chunk()?);
    change(header);
    let difference = checksum::add(!before, checksum::sum(header));
    put(header, 16, checksum::update(old, difference).to_be_bytes());
    Some(())
}

fn put<const N: usize>(bytes: &mut [u8], offset: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(offset..offset + N) {
        place.copy_from_slice(&value);
    }
}

/// Calls `change` with each option, kind and length included; fillers are passed over. What is behind a malformed one is left.
pub(crate) fn each_option(mut options: &mut [u8], mut change: impl FnMut(u8, &mut [u8])) {
    while let Some(&kind) = options.first() {
        let length = match (kind, options.get(1)) {
            (NOP, _) => 1,
            (END, _) | (_, None) => return,
            (_, Some(&length)) => usize::from(length),
        };
        let Some((option, behind)) = options.split_at_mut_checked(length).filter(|_| length > 0) else {
            return;
        };
        if kind != NOP {
            if length < 2 {
                return;
            }
            change(kind, option);
        }
        options = behind;
    }
}

/// Takes an option away: fillers stand in its place.
pub(crate) fn blank(option: &mut [u8]) {
    option.fill(NOP);
}

/// Changes the blocks of selective acknowledgments, or leaves some out.
fn change_blocks(options: &mut [u8], mut block: impl FnMut(u32, u32) -> Option<(u32, u32)>) {
    each_option(options, |kind, option| {
        if kind != SACK {
            return;
        }
        let (all, mut kept) = (option.len().saturating_sub(2) / 8, 0);
        for number in 0..all {
            let Some(edges) = option.get(2 + number * 8..).and_then(<[u8]>::first_chunk::<8>) else { break };
            let [a, b, c, d, e, f, g, h] = *edges;
            if let Some((left, right)) =
                block(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
            {
                put(option, 2 + kept * 8, left.to_be_bytes());
                put(option, 6 + kept * 8, right.to_be_bytes());
                kept += 1;
            }
        }
        if kept < all {
            let length = if kept == 0 { 0 } else { 2 + kept * 8 };
            if let (Some(field), Ok(length)) = (option.get_mut(1), u8::try_from(length)) {
                *field = length;
            }
            blank(option.get_mut(length..).unwrap_or_default());
        }
    });
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
        change_blocks(&mut options, |left, right| Some((left + 1, right + 2)));
        let edge = |at: usize| u32::from_be_bytes(options[14 + at * 4..][..4].try_into().unwrap());
        assert_eq!([edge(0), edge(1), edge(2), edge(3)], [11, 22, 31, 42]);
        assert_eq!((&options[..14], &options[30..]), (&before[..14], &before[30..]));
    }

    #[test]
    fn blocks_that_are_left_out() {
        let block = |left: u32| [left.to_be_bytes(), (left + 5).to_be_bytes()].concat();
        let options = [&[1, 1, 5, 18][..], &block(10), &block(30)].concat();
        let without = |out: &[u32]| {
            let mut changed = options.clone();
            change_blocks(&mut changed, |left, right| (!out.contains(&left)).then_some((left, right)));
            changed
        };
        assert_eq!(without(&[]), options);
        assert_eq!(without(&[10]), [&[1, 1, 5, 10][..], &block(30), &[1; 8]].concat());
        assert_eq!(without(&[30]), [&[1, 1, 5, 10][..], &block(10), &[1; 8]].concat());
        assert_eq!(without(&[10, 30]), [1; 20]);
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut header: Vec<u8> = (0..20).collect();
        change_header(&mut header, |_| {}).unwrap();
        let before = checksum::sum(&header);
        change_header(&mut header, |header| put(header, 4, [200, 1, 77, 3])).unwrap();
        assert_eq!((checksum::sum(&header), &header[4..8]), (before, &[200, 1, 77, 3][..]));
    }

    #[test]
    fn options_of_bad_length_are_left() {
        for bad in [&[5u8][..], &[5, 0, 1], &[5, 1], &[5, 200, 0, 0], &[9, 9, 9], &[5, 4, 1, 2], &[]] {
            let mut options = bad.to_vec();
            change_blocks(&mut options, |_, _| Some((7, 7)));
            assert_eq!(options, bad);
        }
    }
}
