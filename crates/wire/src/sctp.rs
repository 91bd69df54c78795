//! SCTP (RFC 9260).

use crate::{Malformed, bytes, crc32c};

/// Length of the common header, bytes.
pub const HEADER_LEN: usize = 12;

/// Chunk types (RFC 9260 section 3.2).
pub mod chunk {
    /// User data.
    pub const DATA: u8 = 0;
    /// First message of an association.
    pub const INIT: u8 = 1;
    /// Answer to [`INIT`].
    pub const INIT_ACK: u8 = 2;
    /// Selective acknowledgment.
    pub const SACK: u8 = 3;
    /// Heartbeat request.
    pub const HEARTBEAT: u8 = 4;
    /// Heartbeat answer.
    pub const HEARTBEAT_ACK: u8 = 5;
    /// The association is gone.
    pub const ABORT: u8 = 6;
    /// Begin of a graceful end.
    pub const SHUTDOWN: u8 = 7;
    /// Answer to [`SHUTDOWN`].
    pub const SHUTDOWN_ACK: u8 = 8;
    /// An error report.
    pub const ERROR: u8 = 9;
    /// Third message of an association.
    pub const COOKIE_ECHO: u8 = 10;
    /// Answer to [`COOKIE_ECHO`].
    pub const COOKIE_ACK: u8 = 11;
    /// End of a graceful end.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
}

/// A checked view of an SCTP packet.
#[derive(Clone, Copy, Debug)]
pub struct SctpPacket<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> SctpPacket<T> {
    /// Checks that the common header is there; neither the checksum nor the chunks.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn new_checked(buffer: T) -> Result<Self, Malformed> {
        if buffer.as_ref().len() < HEADER_LEN { Err(Malformed::Truncated) } else { Ok(Self { buffer }) }
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

    /// Verification tag.
    pub fn verification_tag(&self) -> u32 {
        bytes::be32(self.data(), 4)
    }

    /// Checksum as stored, read as a big-endian number (it is stored the other way round).
    pub fn checksum(&self) -> u32 {
        bytes::be32(self.data(), crc32c::CHECKSUM)
    }

    /// Whether the checksum is right.
    pub fn verify_checksum(&self) -> bool {
        crc32c::verify(self.data())
    }

    /// The chunks in order; an error (a chunk that reaches beyond the packet, or shorter than its header) ends it.
    pub fn chunks(&self) -> impl Iterator<Item = Result<Chunk<'_>, Malformed>> {
        let mut rest = self.data().get(HEADER_LEN..).unwrap_or_default();
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let chunk = Chunk::parse(rest);
            rest = match &chunk {
                // Chunks begin at multiples of four bytes; the last one's padding may be missing.
                Ok(chunk) => rest.get((chunk.value.len() + 4).next_multiple_of(4)..).unwrap_or_default(),
                Err(_) => &[],
            };
            Some(chunk)
        })
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> SctpPacket<T> {
    /// Sets the source port. This and the other setters leave the checksum: see [`SctpPacket::fill_checksum`].
    pub fn set_source_port(&mut self, port: u16) {
        bytes::set(self.buffer.as_mut(), 0, port.to_be_bytes());
    }

    /// Sets the destination port.
    pub fn set_destination_port(&mut self, port: u16) {
        bytes::set(self.buffer.as_mut(), 2, port.to_be_bytes());
    }

    /// Computes and stores the checksum.
    pub fn fill_checksum(&mut self) {
        // The common header is there: it was checked at the start.
        let _ = crc32c::fill(self.buffer.as_mut());
    }
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Type: see [`chunk`].
    pub kind: u8,
    /// Flags, meaning by type.
    pub flags: u8,
    /// What follows the four header bytes, without padding.
    pub value: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Reads the chunk at the start of `data`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadLength`] for a length below 4.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let &[kind, flags, l0, l1] = data.first_chunk().ok_or(Malformed::Truncated)?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if length < 4 {
            return Err(Malformed::BadLength);
        }
        let value = data.get(4..length).ok_or(Malformed::Truncated)?;
        Ok(Self { kind, flags, value })
    }
}

/// Type of the packet's first chunk, whose four header bytes must be there: what a connection's state follows.
///
/// # Errors
/// [`Malformed::Protocol`] if it is not SCTP, [`Malformed::Fragment`] for a later fragment,
/// [`Malformed::Truncated`].
#[inline]
pub fn first_chunk(packet: &[u8], headers: &crate::Headers) -> Result<u8, Malformed> {
    if headers.protocol != crate::protocol::SCTP {
        return Err(Malformed::Protocol);
    }
    if headers.fragment == crate::Fragment::Later {
        return Err(Malformed::Fragment);
    }
    let [kind, ..] = bytes::array::<4>(headers.payload(packet), HEADER_LEN).ok_or(Malformed::Truncated)?;
    Ok(kind)
}
