//! UDP (RFC 768).

use crate::{Malformed, bytes};

/// Length of the header, bytes.
pub const HEADER_LEN: usize = 8;

/// A checked view of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct UdpPacket<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> UdpPacket<T> {
    /// Checks that header and length field fit the slice, which may be longer; not the checksum.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadLength`].
    pub fn new_checked(buffer: T) -> Result<Self, Malformed> {
        let data = buffer.as_ref();
        if data.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let length = usize::from(bytes::be16(data, 4));
        if length < HEADER_LEN || length > data.len() {
            return Err(Malformed::BadLength);
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

    /// Length of header and payload, bytes.
    pub fn length(&self) -> usize {
        usize::from(bytes::be16(self.data(), 4))
    }

    /// Checksum as stored; 0: none.
    pub fn checksum(&self) -> u16 {
        bytes::be16(self.data(), 6)
    }

    /// Payload.
    pub fn payload(&self) -> &[u8] {
        self.data().get(HEADER_LEN..self.length()).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> UdpPacket<T> {
    /// Sets the source port. This and the other setters leave the checksum: see
    /// [`checksum::fill_transport`](crate::checksum::fill_transport).
    pub fn set_source_port(&mut self, port: u16) {
        bytes::set(self.buffer.as_mut(), 0, port.to_be_bytes());
    }

    /// Sets the destination port.
    pub fn set_destination_port(&mut self, port: u16) {
        bytes::set(self.buffer.as_mut(), 2, port.to_be_bytes());
    }

    /// Payload, to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.length();
        self.buffer.as_mut().get_mut(HEADER_LEN..end).unwrap_or_default()
    }
}
