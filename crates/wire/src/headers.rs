//! One-pass parse of what balancing a packet needs to know.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Malformed, bytes, ipv6::extension};

/// Whether a packet is a fragment of a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// Not a fragment (also an IPv6 "atomic" fragment, RFC 6946).
    Whole,
    /// The first one: offset 0, more to come. It holds the transport header.
    First,
    /// A later one, without transport header.
    Later,
}

/// What balancing needs to know of a packet's IP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Upper-layer protocol; for IPv6 the one after the extension headers. In a later fragment of IPv6 it is what
    /// the fragment header announces, which may be a further extension header.
    pub protocol: u8,
    /// Offset in bytes of the upper-layer header, or of the payload in a later fragment.
    pub transport: usize,
    /// Length in bytes of the packet by its IP header. Never more than the slice, except for a quoted packet.
    pub total_len: usize,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Type of service or traffic class, all eight bits.
    pub traffic_class: u8,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// Routers must not fragment it: IPv4's DF; always true for IPv6.
    pub dont_fragment: bool,
    /// Fragment identification: IPv4's 16 bits, IPv6's 32 bits (0 without fragment header).
    pub identification: u32,
}

impl Headers {
    /// Parses a packet. The slice may be longer than the packet (Ethernet padding), not shorter. Checks version,
    /// lengths and bounds up to the transport header's start; not the IPv4 header checksum
    /// ([`checksum::verify_ipv4_header`](crate::checksum::verify_ipv4_header)) and nothing of the transport header.
    ///
    /// # Errors
    /// [`Malformed`] for what is no packet.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let headers = match packet.first().map(|byte| byte >> 4) {
            Some(4) => Self::parse_v4(packet)?,
            Some(6) => Self::parse_v6(packet)?,
            Some(_) => return Err(Malformed::BadVersion),
            None => return Err(Malformed::Truncated),
        };
        if headers.total_len > packet.len() { Err(Malformed::BadLength) } else { Ok(headers) }
    }

    /// Parses a packet quoted in an ICMP error, of which only the beginning is there: all IP headers must be, but
    /// `total_len` may exceed the slice.
    ///
    /// # Errors
    /// As [`Headers::parse`].
    #[inline]
    pub fn parse_embedded(packet: &[u8]) -> Result<Self, Malformed> {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => Self::parse_v4(packet),
            Some(6) => Self::parse_v6(packet),
            Some(_) => Err(Malformed::BadVersion),
            None => Err(Malformed::Truncated),
        }
    }

    #[inline(always)]
    fn parse_v4(packet: &[u8]) -> Result<Self, Malformed> {
        let header: &[u8; 20] = packet.first_chunk().ok_or(Malformed::Truncated)?;
        let [first, tos, l0, l1, id0, id1, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            *header;
        let header_len = usize::from(first & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([l0, l1]));
        if header_len < 20 {
            return Err(Malformed::BadHeader);
        }
        if header_len > packet.len() {
            return Err(Malformed::Truncated);
        }
        if header_len > total_len {
            return Err(Malformed::BadLength);
        }
        let flags = u16::from_be_bytes([f0, f1]);
        let fragment = match (flags & 0x1fff, flags & 0x2000) {
            (0, 0) => Fragment::Whole,
            (0, _) => Fragment::First,
            _ => Fragment::Later,
        };
        Ok(Self {
            source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
            destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
            protocol,
            transport: header_len,
            total_len,
            hop_limit: ttl,
            traffic_class: tos,
            fragment,
            dont_fragment: flags & 0x4000 != 0,
            identification: u32::from(u16::from_be_bytes([id0, id1])),
        })
    }

    #[inline(always)]
    fn parse_v6(packet: &[u8]) -> Result<Self, Malformed> {
        let (first, source, destination) = (
            bytes::array::<8>(packet, 0).ok_or(Malformed::Truncated)?,
            bytes::array::<16>(packet, 8).ok_or(Malformed::Truncated)?,
            bytes::array::<16>(packet, 24).ok_or(Malformed::Truncated)?,
        );
        let [v0, v1, _, _, l0, l1, next, hop_limit] = first;
        let total_len = 40 + usize::from(u16::from_be_bytes([l0, l1]));
        let mut headers = Self {
            source: IpAddr::V6(Ipv6Addr::from(source)),
            destination: IpAddr::V6(Ipv6Addr::from(destination)),
            protocol: next,
            transport: 40,
            total_len,
            hop_limit,
            traffic_class: v0 << 4 | v1 >> 4,
            fragment: Fragment::Whole,
            dont_fragment: true,
            identification: 0,
        };
        if extension::is_extension(next) {
            let end = packet.get(..total_len).unwrap_or(packet);
            let chain = extension::Chain::parse(end, 40, next)?;
            headers.protocol = chain.protocol;
            headers.transport = chain.offset;
            headers.fragment = chain.fragment;
            headers.identification = chain.identification;
        }
        Ok(headers)
    }

    /// Whether the packet is IPv6.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// The bytes from the transport header to the packet's end (in a quote: as far as they are there).
    #[inline]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(self.transport..self.total_len.min(packet.len())).unwrap_or_default()
    }

    /// As [`Headers::payload`], to write.
    #[inline]
    pub fn payload_mut<'a>(&self, packet: &'a mut [u8]) -> &'a mut [u8] {
        let end = self.total_len.min(packet.len());
        packet.get_mut(self.transport..end).unwrap_or_default()
    }
}
