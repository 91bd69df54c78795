//! IPv4 (RFC 791).

use core::net::Ipv4Addr;

use crate::{Malformed, bytes, checksum};

/// A checked view of an IPv4 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Ipv4Packet<T> {
    /// Checks version, header length and total length; not the checksum: see [`Ipv4Packet::verify_checksum`]. The
    /// slice may be longer than the packet.
    ///
    /// # Errors
    /// [`Malformed`] for what is no IPv4 packet.
    pub fn new_checked(buffer: T) -> Result<Self, Malformed> {
        let data = buffer.as_ref();
        let first = bytes::u8_at(data, 0).ok_or(Malformed::Truncated)?;
        if first >> 4 != 4 {
            return Err(Malformed::BadVersion);
        }
        if data.len() < 20 {
            return Err(Malformed::Truncated);
        }
        let header_len = usize::from(first & 0x0f) * 4;
        let total_len = usize::from(bytes::be16(data, 2));
        if header_len < 20 {
            return Err(Malformed::BadHeader);
        }
        if header_len > total_len || total_len > data.len() {
            return Err(Malformed::BadLength);
        }
        Ok(Self { buffer })
    }

    fn data(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// Header length with options, bytes.
    pub fn header_len(&self) -> usize {
        usize::from(bytes::byte(self.data(), 0) & 0x0f) * 4
    }

    /// Type of service: DSCP (6 bits) and ECN (2 bits).
    pub fn tos(&self) -> u8 {
        bytes::byte(self.data(), 1)
    }

    /// Total length, bytes.
    pub fn total_len(&self) -> usize {
        usize::from(bytes::be16(self.data(), 2))
    }

    /// Fragment identification.
    pub fn identification(&self) -> u16 {
        bytes::be16(self.data(), 4)
    }

    /// Whether routers must not fragment it.
    pub fn dont_fragment(&self) -> bool {
        bytes::be16(self.data(), 6) & 0x4000 != 0
    }

    /// Whether more fragments follow.
    pub fn more_fragments(&self) -> bool {
        bytes::be16(self.data(), 6) & 0x2000 != 0
    }

    /// Fragment offset, bytes.
    pub fn fragment_offset(&self) -> usize {
        usize::from(bytes::be16(self.data(), 6) & 0x1fff) * 8
    }

    /// Time to live.
    pub fn ttl(&self) -> u8 {
        bytes::byte(self.data(), 8)
    }

    /// Protocol of the payload.
    pub fn protocol(&self) -> u8 {
        bytes::byte(self.data(), 9)
    }

    /// Header checksum as stored.
    pub fn checksum(&self) -> u16 {
        bytes::be16(self.data(), 10)
    }

    /// Source address.
    pub fn source(&self) -> Ipv4Addr {
        bytes::octets(self.data(), 12).into()
    }

    /// Destination address.
    pub fn destination(&self) -> Ipv4Addr {
        bytes::octets(self.data(), 16).into()
    }

    /// Options as they are, 0 to 40 bytes.
    pub fn options(&self) -> &[u8] {
        self.data().get(20..self.header_len()).unwrap_or_default()
    }

    /// Payload.
    pub fn payload(&self) -> &[u8] {
        self.data().get(self.header_len()..self.total_len()).unwrap_or_default()
    }

    /// Whether the header checksum is right.
    pub fn verify_checksum(&self) -> bool {
        checksum::verify_ipv4_header(self.data())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv4Packet<T> {
    /// Sets the type of service. This and the other setters leave the checksum: see [`Ipv4Packet::fill_checksum`].
    pub fn set_tos(&mut self, tos: u8) {
        bytes::set(self.buffer.as_mut(), 1, [tos]);
    }

    /// Sets the fragment identification.
    pub fn set_identification(&mut self, identification: u16) {
        bytes::set(self.buffer.as_mut(), 4, identification.to_be_bytes());
    }

    /// Sets or clears "don't fragment".
    pub fn set_dont_fragment(&mut self, on: bool) {
        let flags = bytes::be16(self.data(), 6);
        let flags = if on { flags | 0x4000 } else { flags & !0x4000 };
        bytes::set(self.buffer.as_mut(), 6, flags.to_be_bytes());
    }

    /// Sets the time to live.
    pub fn set_ttl(&mut self, ttl: u8) {
        bytes::set(self.buffer.as_mut(), 8, [ttl]);
    }

    /// Sets the source address.
    pub fn set_source(&mut self, address: Ipv4Addr) {
        bytes::set(self.buffer.as_mut(), 12, address.octets());
    }

    /// Sets the destination address.
    pub fn set_destination(&mut self, address: Ipv4Addr) {
        bytes::set(self.buffer.as_mut(), 16, address.octets());
    }

    /// Computes and stores the header checksum.
    pub fn fill_checksum(&mut self) {
        checksum::fill_ipv4_header(self.buffer.as_mut());
    }

    /// Payload, to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let range = self.header_len()..self.total_len();
        self.buffer.as_mut().get_mut(range).unwrap_or_default()
    }
}
