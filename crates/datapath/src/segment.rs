//! Cutting large TCP packets of segmentation offload (GSO, GRO) to packets that fit a link.
//!
//! Such packets come in generic mode only (and on links with large MTUs): with the program for single buffers in native
//! mode a veth has its peer cut them, and drivers deliver what was on the wire. The size that the sender meant is not in
//! the packet: the MTU of the link that it came by stands for it.

use ipvs_wire::{Fragment, Headers, checksum, protocol};

/// Offsets in a TCP header.
const SEQUENCE: usize = 4;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// The segments of a packet, written one by one.
#[derive(Debug)]
pub(crate) struct Segments<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    headers: Headers,
    /// Most bytes of payload in a segment.
    size: usize,
    /// Bytes of payload written.
    done: usize,
    number: u16,
}

impl<'a> Segments<'a> {
    /// Prepares to cut `packet` to packets of at most `mtu` bytes. `None` if it is not TCP, is a fragment, or `mtu`
    /// leaves no room.
    pub(crate) fn new(packet: &'a [u8], headers: &Headers, mtu: usize) -> Option<Self> {
        if headers.protocol != protocol::TCP || headers.fragment != Fragment::Whole {
            return None;
        }
        let tcp = packet.get(headers.transport..)?;
        let header_len = headers.transport + usize::from(tcp.get(DATA_OFFSET)? >> 4) * 4;
        if header_len < headers.transport + 20 {
            return None;
        }
        let (header, payload) = packet.get(..headers.total_len)?.split_at_checked(header_len)?;
        let size = mtu.checked_sub(header_len).filter(|size| *size != 0)?;
        Some(Self { header, payload, headers: *headers, size, done: 0, number: 0 })
    }

    /// Writes the next segment to the start of `out` and returns its length; `None` after the last, or if `out` is too
    /// small.
    pub(crate) fn write_next(&mut self, out: &mut [u8]) -> Option<usize> {
        let rest = self.payload.get(self.done..).filter(|rest| !rest.is_empty())?;
        let piece = rest.get(..self.size.min(rest.len()))?;
        let last = piece.len() == rest.len();
        let len = self.header.len() + piece.len();
        let out = out.get_mut(..len)?;
        out[..self.header.len()].copy_from_slice(self.header);
        out[self.header.len()..].copy_from_slice(piece);
        if self.headers.is_ipv6() {
            out[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
        } else {
            out[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            let id = (self.headers.identification as u16).wrapping_add(self.number);
            out[4..6].copy_from_slice(&id.to_be_bytes());
            checksum::fill_ipv4_header(out);
        }
        let tcp = out.get_mut(self.headers.transport..)?;
        let sequence = u32::from_be_bytes(tcp.get(SEQUENCE..SEQUENCE + 4)?.try_into().ok()?);
        tcp[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sequence.wrapping_add(self.done as u32).to_be_bytes());
        if !last {
            tcp[FLAGS] &= !(FIN | PSH);
        }
        if self.number != 0 {
            tcp[FLAGS] &= !CWR;
        }
        let headers = Headers { total_len: len, ..self.headers };
        checksum::fill_transport(out, &headers);
        self.done += piece.len();
        self.number = self.number.wrapping_add(1);
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(ipv6: bool, payload: &[u8], flags: u8) -> Vec<u8> {
        let ip = if ipv6 { 40 } else { 20 };
        let mut packet = vec![0; ip + 32];
        packet.extend_from_slice(payload);
        let len = packet.len();
        if ipv6 {
            packet[0] = 0x60;
            packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
            packet[6] = 6;
            packet[7] = 64;
            packet[8..40].fill(0x20);
        } else {
            packet[0] = 0x45;
            packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            packet[4..6].copy_from_slice(&[0xff, 0xff]);
            packet[8] = 64;
            packet[9] = 6;
            packet[12..20].fill(10);
        }
        packet[ip + 4..ip + 8].copy_from_slice(&0xffff_fff0u32.to_be_bytes());
        packet[ip + 12] = 0x80;
        packet[ip + 13] = flags;
        packet
    }

    proptest! {
        #[test]
        fn the_segments_are_the_stream(
            ipv6: bool,
            payload in proptest::collection::vec(any::<u8>(), 1..9000),
            mtu in 600usize..2000,
        ) {
            let packet = packet(ipv6, &payload, FIN | PSH | CWR | 0x10);
            let headers = Headers::parse(&packet).unwrap();
            let mut segments = Segments::new(&packet, &headers, mtu).unwrap();
            let mut out = vec![0; mtu];
            let mut stream = Vec::new();
            let mut sequence = 0xffff_fff0u32;
            let mut flags = Vec::new();
            while let Some(len) = segments.write_next(&mut out) {
                let segment = &out[..len];
                let headers = Headers::parse(segment).unwrap();
                prop_assert_eq!(headers.total_len, len);
                prop_assert!(checksum::verify_transport(segment, &headers));
                prop_assert!(ipv6 || checksum::verify_ipv4_header(segment));
                let tcp = headers.payload(segment);
                prop_assert_eq!(u32::from_be_bytes(tcp[4..8].try_into().unwrap()), sequence);
                flags.push(tcp[FLAGS]);
                sequence = sequence.wrapping_add(tcp.len() as u32 - 32);
                stream.extend_from_slice(&tcp[32..]);
            }
            prop_assert_eq!(stream, payload);
            let last = flags.len() - 1;
            for (position, flags) in flags.into_iter().enumerate() {
                prop_assert_eq!(flags & CWR != 0, position == 0);
                prop_assert_eq!(flags & (FIN | PSH) != 0, position == last);
            }
        }

        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200), mtu in 0usize..100) {
            if let Ok(headers) = Headers::parse(&bytes)
                && let Some(mut segments) = Segments::new(&bytes, &headers, mtu)
            {
                let mut out = [0; 100];
                while segments.write_next(&mut out).is_some() {}
            }
        }
    }
}
