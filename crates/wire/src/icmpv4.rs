//! ICMP for IPv4 (RFC 792).

use crate::{Malformed, bytes, checksum};

/// Length of the header, bytes: type, code, checksum, and four bytes whose meaning depends on the type.
pub const HEADER_LEN: usize = 8;

/// Message types.
pub mod kind {
    /// Answer to [`ECHO_REQUEST`].
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    /// Source quench (obsolete).
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// "Ping".
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Code of a destination unreachable message: too large and not to be fragmented.
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;

/// A checked view of an ICMP message.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv4Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Icmpv4Packet<T> {
    /// Checks that the header is there; not the checksum.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn new_checked(buffer: T) -> Result<Self, Malformed> {
        if buffer.as_ref().len() < HEADER_LEN { Err(Malformed::Truncated) } else { Ok(Self { buffer }) }
    }

    fn data(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// Type: see [`kind`].
    pub fn kind(&self) -> u8 {
        bytes::byte(self.data(), 0)
    }

    /// Code, meaning by type.
    pub fn code(&self) -> u8 {
        bytes::byte(self.data(), 1)
    }

    /// Checksum as stored.
    pub fn checksum(&self) -> u16 {
        bytes::be16(self.data(), 2)
    }

    /// Whether the checksum is right.
    pub fn verify_checksum(&self) -> bool {
        checksum::sum(self.data()) == 0xffff
    }

    /// Echo: identifier.
    pub fn identifier(&self) -> u16 {
        bytes::be16(self.data(), 4)
    }

    /// Echo: sequence number.
    pub fn sequence(&self) -> u16 {
        bytes::be16(self.data(), 6)
    }

    /// Fragmentation needed: the next link's MTU, bytes (RFC 1191); 0 from old routers.
    pub fn mtu(&self) -> u16 {
        bytes::be16(self.data(), 6)
    }

    /// What follows the header: echo data, or the packet an error quotes.
    pub fn payload(&self) -> &[u8] {
        self.data().get(HEADER_LEN..).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Icmpv4Packet<T> {
    /// Sets the next link's MTU of a fragmentation needed message.
    pub fn set_mtu(&mut self, mtu: u16) {
        bytes::set(self.buffer.as_mut(), 6, mtu.to_be_bytes());
    }

    /// What follows the header, to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().get_mut(HEADER_LEN..).unwrap_or_default()
    }

    /// Computes and stores the checksum.
    pub fn fill_checksum(&mut self) {
        let data = self.buffer.as_mut();
        bytes::set(data, 2, [0, 0]);
        let checksum = !checksum::sum(data);
        bytes::set(data, 2, checksum.to_be_bytes());
    }
}
