//! IPv6 (RFC 8200).

pub mod extension;

use core::net::Ipv6Addr;

use crate::{Malformed, bytes};
use extension::{Extension, LIMIT, is_extension};

/// Length of the fixed header, bytes.
pub const HEADER_LEN: usize = 40;

/// A checked view of an IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Ipv6Packet<T> {
    /// Checks version and payload length. The slice may be longer than the packet. Jumbograms (RFC 2675) are not
    /// known: their payload length 0 is taken as it is.
    ///
    /// # Errors
    /// [`Malformed`] for what is no IPv6 packet.
    pub fn new_checked(buffer: T) -> Result<Self, Malformed> {
        let data = buffer.as_ref();
        let first = bytes::u8_at(data, 0).ok_or(Malformed::Truncated)?;
        if first >> 4 != 6 {
            return Err(Malformed::BadVersion);
        }
        if data.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        if HEADER_LEN + usize::from(bytes::be16(data, 4)) > data.len() {
            return Err(Malformed::BadLength);
        }
        Ok(Self { buffer })
    }

    fn data(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// Traffic class: DSCP (6 bits) and ECN (2 bits).
    pub fn traffic_class(&self) -> u8 {
        (bytes::be16(self.data(), 0) >> 4) as u8
    }

    /// Flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        bytes::be32(self.data(), 0) & 0x000f_ffff
    }

    /// Payload length with extension headers, bytes.
    pub fn payload_len(&self) -> usize {
        usize::from(bytes::be16(self.data(), 4))
    }

    /// What follows the fixed header: a protocol or an extension header.
    pub fn next_header(&self) -> u8 {
        bytes::byte(self.data(), 6)
    }

    /// Hop limit.
    pub fn hop_limit(&self) -> u8 {
        bytes::byte(self.data(), 7)
    }

    /// Source address.
    pub fn source(&self) -> Ipv6Addr {
        bytes::octets(self.data(), 8).into()
    }

    /// Destination address.
    pub fn destination(&self) -> Ipv6Addr {
        bytes::octets(self.data(), 24).into()
    }

    /// Payload, extension headers included.
    pub fn payload(&self) -> &[u8] {
        self.data().get(HEADER_LEN..HEADER_LEN + self.payload_len()).unwrap_or_default()
    }

    /// The extension headers in order, at most [`LIMIT`]; an error ends it.
    pub fn extensions(&self) -> impl Iterator<Item = Result<Extension<'_>, Malformed>> {
        let payload = self.payload();
        let (mut kind, mut offset, mut ended) = (self.next_header(), 0, false);
        core::iter::from_fn(move || {
            if ended || !is_extension(kind) {
                return None;
            }
            let extension = Extension::parse(payload, offset, kind);
            match &extension {
                Ok(extension) => {
                    kind = extension.next_header;
                    offset += extension.bytes.len();
                    // What follows a later fragment's header is payload.
                    ended = extension.fragment().is_some_and(|fragment| fragment.offset != 0);
                }
                Err(_) => ended = true,
            }
            Some(extension)
        })
        .take(LIMIT)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv6Packet<T> {
    /// Sets the traffic class.
    pub fn set_traffic_class(&mut self, class: u8) {
        let word = bytes::be32(self.data(), 0) & !0x0ff0_0000 | u32::from(class) << 20;
        bytes::set(self.buffer.as_mut(), 0, word.to_be_bytes());
    }

    /// Sets the flow label, of which the lower 20 bits count.
    pub fn set_flow_label(&mut self, label: u32) {
        let word = bytes::be32(self.data(), 0) & !0x000f_ffff | label & 0x000f_ffff;
        bytes::set(self.buffer.as_mut(), 0, word.to_be_bytes());
    }

    /// Sets the hop limit.
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        bytes::set(self.buffer.as_mut(), 7, [hop_limit]);
    }

    /// Sets the source address; transport checksums cover it.
    pub fn set_source(&mut self, address: Ipv6Addr) {
        bytes::set(self.buffer.as_mut(), 8, address.octets());
    }

    /// Sets the destination address; transport checksums cover it.
    pub fn set_destination(&mut self, address: Ipv6Addr) {
        bytes::set(self.buffer.as_mut(), 24, address.octets());
    }

    /// Payload, extension headers included, to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = HEADER_LEN + self.payload_len();
        self.buffer.as_mut().get_mut(HEADER_LEN..end).unwrap_or_default()
    }
}
