//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use crate::{Malformed, bytes, ethernet::MacAddress};

/// Length of an ARP packet for IPv4 over Ethernet, bytes. Frames pad it to 46.
pub const LEN: usize = 28;

/// What an ARP packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
    /// Another number (RARP and the like).
    Other(u16),
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// What it wants.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddress,
    /// The sender's IPv4 address; 0.0.0.0 in an address probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// The target's Ethernet address; zeros in a request.
    pub target_mac: MacAddress,
    /// The target's IPv4 address.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// Parses the payload of a frame of type ARP; what follows is padding.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadHeader`] for other hardware or protocols.
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let packet: &[u8; LEN] = packet.first_chunk().ok_or(Malformed::Truncated)?;
        // Hardware type 1, protocol type IPv4, lengths 6 and 4.
        if !packet.starts_with(&[0, 1, 8, 0, 6, 4]) {
            return Err(Malformed::BadHeader);
        }
        Ok(Self {
            operation: match bytes::be16(packet, 6) {
                1 => Operation::Request,
                2 => Operation::Reply,
                other => Operation::Other(other),
            },
            sender_mac: MacAddress(bytes::octets(packet, 8)),
            sender_ip: bytes::octets(packet, 14).into(),
            target_mac: MacAddress(bytes::octets(packet, 18)),
            target_ip: bytes::octets(packet, 24).into(),
        })
    }

    /// A request for the Ethernet address of `target`.
    pub const fn request(sender_mac: MacAddress, sender_ip: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac,
            sender_ip,
            target_mac: MacAddress([0; 6]),
            target_ip: target,
        }
    }

    /// The reply to this request from the station `mac`, which has the target address.
    #[must_use]
    pub const fn reply(&self, mac: MacAddress) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
        }
    }

    /// Writes the packet to the start of `out`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it does not fit.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out: &mut [u8; LEN] = out.first_chunk_mut().ok_or(Malformed::Truncated)?;
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
            Operation::Other(other) => other,
        };
        bytes::put(out, 0, [0, 1, 8, 0, 6, 4])?;
        bytes::put_u16(out, 6, operation)?;
        bytes::put(out, 8, self.sender_mac.0)?;
        bytes::put(out, 14, self.sender_ip.octets())?;
        bytes::put(out, 18, self.target_mac.0)?;
        bytes::put(out, 24, self.target_ip.octets())
    }
}
