//! Ports of TCP, UDP and SCTP, which all have them in their first four bytes.

use crate::{Fragment, Headers, Malformed, bytes, protocol};

/// Source and destination port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// Length in bytes of the transport header's fixed part; `None` for a protocol without ports.
#[inline]
pub fn fixed_header_len(protocol: u8) -> Option<usize> {
    match protocol {
        protocol::TCP => Some(20),
        protocol::UDP => Some(8),
        protocol::SCTP => Some(12),
        _ => None,
    }
}

/// Ports of a TCP, UDP or SCTP packet, whose whole fixed header must be there.
///
/// # Errors
/// [`Malformed::Protocol`] for other protocols, [`Malformed::Fragment`] for a later fragment,
/// [`Malformed::Truncated`].
#[inline]
pub fn ports(packet: &[u8], headers: &Headers) -> Result<Ports, Malformed> {
    let needed = fixed_header_len(headers.protocol).ok_or(Malformed::Protocol)?;
    read(packet, headers, needed)
}

/// Ports of a packet quoted in an ICMP error: four bytes of the transport header suffice.
///
/// # Errors
/// As [`ports`].
#[inline]
pub fn ports_embedded(packet: &[u8], headers: &Headers) -> Result<Ports, Malformed> {
    fixed_header_len(headers.protocol).ok_or(Malformed::Protocol)?;
    read(packet, headers, 4)
}

#[inline]
fn read(packet: &[u8], headers: &Headers, needed: usize) -> Result<Ports, Malformed> {
    if headers.fragment == Fragment::Later {
        return Err(Malformed::Fragment);
    }
    let payload = headers.payload(packet);
    if payload.len() < needed {
        return Err(Malformed::Truncated);
    }
    let [s0, s1, d0, d1] = bytes::array(payload, 0).ok_or(Malformed::Truncated)?;
    Ok(Ports { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) })
}
