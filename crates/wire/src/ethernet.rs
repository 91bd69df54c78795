//! Ethernet II frames with VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use core::fmt;

use crate::{Malformed, bytes};

/// The most VLAN tags that are read: a service tag and a customer tag.
pub const MAX_TAGS: usize = 2;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it is a group address: multicast or broadcast.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What a frame carries (IEEE registration authority). Below 0x0600 it is a length (IEEE 802.3 with LLC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// A customer VLAN tag (802.1Q).
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// A service VLAN tag (802.1ad).
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    /// Whether a VLAN tag follows.
    pub const fn is_vlan(self) -> bool {
        self.0 == Self::VLAN.0 || self.0 == Self::SERVICE_VLAN.0
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// What announces it: [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    pub protocol: EtherType,
    /// Tag control information: priority (3 bits), drop eligible (1), VLAN identifier (12).
    pub control: u16,
}

impl Tag {
    /// VLAN identifier, 0 to 4095; 0 means priority only.
    pub const fn id(self) -> u16 {
        self.control & 0x0fff
    }

    /// Priority code point, 0 to 7.
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// Destination address.
    pub destination: MacAddress,
    /// Source address.
    pub source: MacAddress,
    /// VLAN tags, the outermost first; see [`EthernetHeader::tags`].
    tags: [Option<Tag>; MAX_TAGS],
    /// What the payload is: never a VLAN tag, unless there are more than [`MAX_TAGS`].
    pub ether_type: EtherType,
    /// Offset of the payload, bytes: 14, 18 or 22.
    pub payload: usize,
}

impl EthernetHeader {
    /// A header without VLAN tags.
    pub const fn new(destination: MacAddress, source: MacAddress, ether_type: EtherType) -> Self {
        Self { destination, source, tags: [None; MAX_TAGS], ether_type, payload: 14 }
    }

    /// Parses the header of a frame.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 14] = frame.first_chunk().ok_or(Malformed::Truncated)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *fixed;
        let mut header = Self::new(
            MacAddress([d0, d1, d2, d3, d4, d5]),
            MacAddress([s0, s1, s2, s3, s4, s5]),
            EtherType(u16::from_be_bytes([t0, t1])),
        );
        for tag in &mut header.tags {
            if !header.ether_type.is_vlan() {
                break;
            }
            let [c0, c1, t0, t1] = bytes::array(frame, header.payload).ok_or(Malformed::Truncated)?;
            *tag = Some(Tag { protocol: header.ether_type, control: u16::from_be_bytes([c0, c1]) });
            header.ether_type = EtherType(u16::from_be_bytes([t0, t1]));
            header.payload += 4;
        }
        Ok(header)
    }

    /// VLAN tags, the outermost first.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.tags.iter().flatten().copied()
    }

    /// Whether there is a VLAN tag.
    #[inline]
    pub const fn is_tagged(&self) -> bool {
        self.payload > 14
    }

    /// The same with other addresses: what an answer or the next hop needs.
    #[must_use]
    pub const fn with_addresses(mut self, destination: MacAddress, source: MacAddress) -> Self {
        self.destination = destination;
        self.source = source;
        self
    }

    /// The same with another payload type.
    #[must_use]
    pub const fn with_ether_type(mut self, ether_type: EtherType) -> Self {
        self.ether_type = ether_type;
        self
    }

    /// The same with these VLAN tags (the outermost first) in place of its own.
    ///
    /// # Errors
    /// [`Malformed::BadHeader`] for more than [`MAX_TAGS`].
    pub fn with_tags(mut self, tags: &[Tag]) -> Result<Self, Malformed> {
        if tags.len() > MAX_TAGS {
            return Err(Malformed::BadHeader);
        }
        self.tags = [None; MAX_TAGS];
        self.payload = 14 + 4 * tags.len();
        for (place, tag) in self.tags.iter_mut().zip(tags) {
            *place = Some(*tag);
        }
        Ok(self)
    }

    /// Writes the header to the start of `frame`; the payload belongs at offset `self.payload`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it does not fit.
    pub fn emit(&self, frame: &mut [u8]) -> Result<(), Malformed> {
        let header = frame.get_mut(..self.payload).ok_or(Malformed::Truncated)?;
        bytes::put(header, 0, self.destination.0)?;
        bytes::put(header, 6, self.source.0)?;
        let mut offset = 12;
        for tag in self.tags() {
            bytes::put_u16(header, offset, tag.protocol.0)?;
            bytes::put_u16(header, offset + 2, tag.control)?;
            offset += 4;
        }
        bytes::put_u16(header, offset, self.ether_type.0)
    }
}

/// Replaces the addresses of a frame in place; tags and type stay.
///
/// # Errors
/// [`Malformed::Truncated`] for a frame shorter than 14 bytes.
#[inline]
pub fn set_addresses(frame: &mut [u8], destination: MacAddress, source: MacAddress) -> Result<(), Malformed> {
    let header: &mut [u8; 14] = frame.first_chunk_mut().ok_or(Malformed::Truncated)?;
    bytes::put(header, 0, destination.0)?;
    bytes::put(header, 6, source.0)
}

/// The address to which an IPv4 multicast group (RFC 1112 section 6.4) or IPv6 one (RFC 2464 section 7) maps;
/// `None` for an address that is not multicast.
pub fn multicast(address: core::net::IpAddr) -> Option<MacAddress> {
    if !address.is_multicast() {
        return None;
    }
    Some(MacAddress(match address {
        core::net::IpAddr::V4(address) => {
            let [_, b, c, d] = address.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        core::net::IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }))
}
