//! ICMP for IPv6 (RFC 4443). Its checksum covers the IPv6 pseudo-header: see
//! [`checksum::verify_transport`](crate::checksum::verify_transport) and
//! [`checksum::fill_transport`](crate::checksum::fill_transport).

use crate::{Malformed, bytes};

/// Length of the header, bytes: type, code, checksum, and four bytes whose meaning depends on the type.
pub const HEADER_LEN: usize = 8;

/// Message types.
pub mod kind {
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// "Ping".
    pub const ECHO_REQUEST: u8 = 128;
    /// Answer to [`ECHO_REQUEST`].
    pub const ECHO_REPLY: u8 = 129;
    /// Neighbour solicitation (RFC 4861).
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861).
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// Redirect (RFC 4861).
    pub const REDIRECT: u8 = 137;
}

/// A checked view of an ICMPv6 message.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv6Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Icmpv6Packet<T> {
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

    /// Type: see [`kind`]. Below 128 it is an error.
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

    /// Echo: identifier.
    pub fn identifier(&self) -> u16 {
        bytes::be16(self.data(), 4)
    }

    /// Echo: sequence number.
    pub fn sequence(&self) -> u16 {
        bytes::be16(self.data(), 6)
    }

    /// Packet too big: the next link's MTU, bytes.
    pub fn mtu(&self) -> u32 {
        bytes::be32(self.data(), 4)
    }

    /// What follows the header: echo data, or the packet an error quotes.
    pub fn payload(&self) -> &[u8] {
        self.data().get(HEADER_LEN..).unwrap_or_default()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Icmpv6Packet<T> {
    /// Sets the next link's MTU of a packet too big message.
    pub fn set_mtu(&mut self, mtu: u32) {
        bytes::set(self.buffer.as_mut(), 4, mtu.to_be_bytes());
    }

    /// What follows the header, to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().get_mut(HEADER_LEN..).unwrap_or_default()
    }
}
