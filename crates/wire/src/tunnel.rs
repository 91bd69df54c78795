//! Putting a packet into another: IP in IP (RFC 2003, RFC 2473), generic UDP encapsulation, GRE (RFC 2784).
//!
//! Byte for byte as the kernel's IPVS does it (seen on the reference, `conformance/experiments/tunnels.py`).

use core::net::IpAddr;

use crate::{Malformed, bytes, checksum, protocol};

/// What stands between the outer IP header and the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Nothing.
    Ipip,
    /// UDP, and a GUE header of version 0 without options.
    Gue {
        /// UDP source port: one per flow, so that routers spread flows.
        source_port: u16,
        /// UDP destination port.
        port: u16,
        /// With a UDP checksum.
        checksum: bool,
    },
    /// A GRE header of version 0.
    Gre {
        /// With a checksum.
        checksum: bool,
    },
}

/// EtherTypes, by which GRE names what it carries.
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// GRE's flag "checksum present".
const GRE_CHECKSUM: u16 = 0x8000;

/// Length of a GUE header without options; of the UDP header before it.
const GUE: usize = 4;
const UDP: usize = 8;

impl Encapsulation {
    /// Length in bytes of what stands between outer IP header and packet.
    pub const fn header_len(self) -> usize {
        match self {
            Self::Ipip => 0,
            Self::Gue { .. } => UDP + GUE,
            Self::Gre { checksum: false } => 4,
            Self::Gre { checksum: true } => 8,
        }
    }

    /// By how many bytes the packet grows with an outer header of this family.
    pub const fn overhead(self, ipv6: bool) -> usize {
        ip_header_len(ipv6) + self.header_len()
    }

    /// The outer header's protocol, for a packet of this family.
    pub const fn protocol(self, inner_ipv6: bool) -> u8 {
        match self {
            Self::Ipip if inner_ipv6 => protocol::IPV6,
            Self::Ipip => protocol::IPIP,
            Self::Gue { .. } => protocol::UDP,
            Self::Gre { .. } => protocol::GRE,
        }
    }
}

const fn ip_header_len(ipv6: bool) -> usize {
    if ipv6 { 40 } else { 20 }
}

/// The outer IP header, as far as the packet does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// The director's address.
    pub source: IpAddr,
    /// The far end of the tunnel; of the same family.
    pub destination: IpAddr,
    /// Routers must not fragment it (IPv4).
    pub dont_fragment: bool,
    /// Identification (IPv4).
    pub identification: u16,
}

/// Writes the outer headers to the start of `packet`, which the inner packet follows after
/// [`overhead`](Encapsulation::overhead) bytes.
///
/// TTL and type of service are the inner packet's, but for the congestion mark: a packet marked as having met
/// congestion travels as one that may be marked (RFC 3168 section 9.1.1, full functionality).
///
/// # Errors
/// [`Malformed::Truncated`] if there is no inner packet, [`Malformed::BadLength`] if the whole is too long,
/// [`Malformed::BadVersion`] if the outer addresses are of two families.
pub fn encapsulate(packet: &mut [u8], outer: &Outer, encapsulation: Encapsulation) -> Result<(), Malformed> {
    let ipv6 = outer.destination.is_ipv6();
    let (header, inner_at) = (ip_header_len(ipv6), encapsulation.overhead(ipv6));
    let total = packet.len();
    let inner: &[u8; 20] = bytes_of(packet, inner_at)?;
    let inner_ipv6 = inner[0] >> 4 == 6;
    let (hop_limit, class) =
        if inner_ipv6 { (inner[7], inner[0] << 4 | inner[1] >> 4) } else { (inner[8], inner[1]) };
    let class = if class & 3 == 3 { class & !1 } else { class };
    let payload = u16::try_from(total - header).map_err(|_| Malformed::BadLength)?;
    packet.get_mut(..inner_at).ok_or(Malformed::Truncated)?.fill(0);
    let next = encapsulation.protocol(inner_ipv6);
    match (outer.source, outer.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes::put(packet, 0, [0x45, class])?;
            bytes::put_u16(packet, 2, u16::try_from(total).map_err(|_| Malformed::BadLength)?)?;
            bytes::put_u16(packet, 4, outer.identification)?;
            bytes::put_u16(packet, 6, if outer.dont_fragment { 0x4000 } else { 0 })?;
            bytes::put(packet, 8, [hop_limit, next])?;
            bytes::put(packet, 12, source.octets())?;
            bytes::put(packet, 16, destination.octets())?;
            checksum::fill_ipv4_header(packet);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes::put(packet, 0, [0x60 | class >> 4, class << 4])?;
            bytes::put_u16(packet, 4, payload)?;
            bytes::put(packet, 6, [next, hop_limit])?;
            bytes::put(packet, 8, source.octets())?;
            bytes::put(packet, 24, destination.octets())?;
        }
        _ => return Err(Malformed::BadVersion),
    }
    match encapsulation {
        Encapsulation::Ipip => {}
        Encapsulation::Gue { source_port, port, checksum } => {
            bytes::put_u16(packet, header, source_port)?;
            bytes::put_u16(packet, header + 2, port)?;
            bytes::put_u16(packet, header + 4, payload)?;
            let inner_protocol = if inner_ipv6 { protocol::IPV6 } else { protocol::IPIP };
            bytes::put(packet, header + UDP, [0, inner_protocol])?;
            if checksum {
                let pseudo = checksum::pseudo_header(packet, ipv6, protocol::UDP, usize::from(payload));
                let sum = checksum::sum(packet.get(header..).unwrap_or_default());
                let sum = checksum::stored(protocol::UDP, !checksum::add(pseudo, sum));
                bytes::put_u16(packet, header + 6, sum)?;
            }
        }
        Encapsulation::Gre { checksum } => {
            let ethertype = if inner_ipv6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
            bytes::put_u16(packet, header, if checksum { GRE_CHECKSUM } else { 0 })?;
            bytes::put_u16(packet, header + 2, ethertype)?;
            if checksum {
                let sum = !checksum::sum(packet.get(header..).unwrap_or_default());
                bytes::put_u16(packet, header + 4, sum)?;
            }
        }
    }
    Ok(())
}

/// Where the inner IPv4 packet starts in a packet that [`encapsulate`] made, or in the beginning of one: after the outer IPv4
/// header of `header` bytes and protocol `outer`. `None` if it is no such packet.
pub fn inner_ipv4(packet: &[u8], header: usize, outer: u8) -> Option<usize> {
    let inner = match outer {
        protocol::IPIP => header,
        protocol::UDP => match bytes::array(packet, header + UDP)? {
            [0, protocol::IPIP, 0, 0] => header + UDP + GUE,
            _ => return None,
        },
        protocol::GRE => match (bytes::u16_at(packet, header)?, bytes::u16_at(packet, header + 2)?) {
            (0, ETHERTYPE_IPV4) => header + 4,
            (GRE_CHECKSUM, ETHERTYPE_IPV4) => header + 8,
            _ => return None,
        },
        _ => return None,
    };
    (bytes::u8_at(packet, inner)? >> 4 == 4).then_some(inner)
}

/// The `N` bytes at `offset`.
fn bytes_of<const N: usize>(packet: &[u8], offset: usize) -> Result<&[u8; N], Malformed> {
    packet.get(offset..).and_then(<[u8]>::first_chunk).ok_or(Malformed::Truncated)
}
