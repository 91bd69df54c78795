//! TCP (RFC 9293).

use crate::{Fragment, Headers, Malformed, bytes, protocol};

/// TCP's control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    #[inline]
    pub const fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// Synchronise sequence numbers.
    #[inline]
    pub const fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// Reset the connection.
    #[inline]
    pub const fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// Push.
    #[inline]
    pub const fn psh(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// The acknowledgment field is significant.
    #[inline]
    pub const fn ack(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// The urgent pointer is significant.
    #[inline]
    pub const fn urg(self) -> bool {
        self.0 & 0x20 != 0
    }
}

/// The control bits of a TCP packet whose fixed header is there.
///
/// # Errors
/// [`Malformed::Protocol`] if it is not TCP, [`Malformed::Fragment`] for a later fragment,
/// [`Malformed::Truncated`].
#[inline]
pub fn flags(packet: &[u8], headers: &Headers) -> Result<Flags, Malformed> {
    if headers.protocol != protocol::TCP {
        return Err(Malformed::Protocol);
    }
    if headers.fragment == Fragment::Later {
        return Err(Malformed::Fragment);
    }
    let header: &[u8; 20] = headers.payload(packet).first_chunk().ok_or(Malformed::Truncated)?;
    Ok(Flags(header[13]))
}

/// A checked view of a TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct TcpPacket<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> TcpPacket<T> {
    /// Checks that the header, options included, is there; not the checksum.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadHeader`] for a data offset below 5.
    pub fn new_checked(buffer: T) -> Result<Self, Malformed> {
        let data = buffer.as_ref();
        if data.len() < 20 {
            return Err(Malformed::Truncated);
        }
        let header_len = usize::from(bytes::byte(data, 12) >> 4) * 4;
        if header_len < 20 {
            return Err(Malformed::BadHeader);
        }
        if header_len > data.len() {
            return Err(Malformed::Truncated);
        }
        Ok(Self { buffer })
    }

    fn data(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// Source port.
    pub fn source_port(&self) -> u16 {
        bytes::be16(self.data(), 0)
    }

    /// Destination port.
    pub fn destination_port(&self) -> u16 {
        bytes::be16(self.data(), 2)
    }

    /// Sequence number.
    pub fn sequence(&self) -> u32 {
        bytes::be32(self.data(), 4)
    }

    /// Acknowledgment number.
    pub fn acknowledgment(&self) -> u32 {
        bytes::be32(self.data(), 8)
    }

    /// Header length with options, bytes.
    pub fn header_len(&self) -> usize {
        usize::from(bytes::byte(self.data(), 12) >> 4) * 4
    }

    /// Control bits.
    pub fn flags(&self) -> Flags {
        Flags(bytes::byte(self.data(), 13))
    }

    /// Window, not scaled.
    pub fn window(&self) -> u16 {
        bytes::be16(self.data(), 14)
    }

    /// Checksum as stored.
    pub fn checksum(&self) -> u16 {
        bytes::be16(self.data(), 16)
    }

    /// Urgent pointer.
    pub fn urgent(&self) -> u16 {
        bytes::be16(self.data(), 18)
    }

    /// Options as they are, 0 to 40 bytes.
    pub fn options(&self) -> &[u8] {
        self.data().get(20..self.header_len()).unwrap_or_default()
    }

    /// Data.
    pub fn payload(&self) -> &[u8] {
        self.data().get(self.header_len()..).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> TcpPacket<T> {
    /// Sets the source port. This and the other setters leave the checksum: see
    /// [`checksum::fill_transport`](crate::checksum::fill_transport).
    pub fn set_source_port(&mut self, port: u16) {
        bytes::set(self.buffer.as_mut(), 0, port.to_be_bytes());
    }

    /// Sets the destination port.
    pub fn set_destination_port(&mut self, port: u16) {
        bytes::set(self.buffer.as_mut(), 2, port.to_be_bytes());
    }

    /// Sets the sequence number.
    pub fn set_sequence(&mut self, sequence: u32) {
        bytes::set(self.buffer.as_mut(), 4, sequence.to_be_bytes());
    }

    /// Sets the acknowledgment number.
    pub fn set_acknowledgment(&mut self, acknowledgment: u32) {
        bytes::set(self.buffer.as_mut(), 8, acknowledgment.to_be_bytes());
    }

    /// Sets the control bits.
    pub fn set_flags(&mut self, flags: Flags) {
        bytes::set(self.buffer.as_mut(), 13, [flags.0]);
    }

    /// Sets the window.
    pub fn set_window(&mut self, window: u16) {
        bytes::set(self.buffer.as_mut(), 14, window.to_be_bytes());
    }

    /// Data, to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let start = self.header_len();
        self.buffer.as_mut().get_mut(start..).unwrap_or_default()
    }
}
