//! ICMP and ICMPv6 errors: making them, recognising them, and finding the packet that they quote.

use core::{fmt, net::IpAddr};

use crate::{Fragment, Headers, bytes, checksum, protocol};

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nobody listens at this port (IPv4: 3/3, IPv6: 1/4).
    PortUnreachable,
    /// The protocol is not known here (3/2; IPv6: unrecognized next header, 4/1).
    ProtocolUnreachable {
        /// IPv6: where in the packet the next-header field is that names it, bytes.
        pointer: u32,
    },
    /// Something in the header makes no sense (12/0; IPv6: 4/0).
    ParameterProblem {
        /// Where in the packet it is, bytes.
        pointer: u32,
    },
    /// The host cannot be reached (3/1; IPv6: address unreachable, 1/3).
    HostUnreachable,
    /// No route to the network (3/0; 1/0).
    NetUnreachable,
    /// Forbidden by policy (3/13; 1/1).
    AdministrativelyProhibited,
    /// The hop limit ran out on the way (11/0; 3/0).
    TimeExceeded,
    /// Not all fragments came in time (11/1; 3/1).
    ReassemblyTimeExceeded,
    /// Too large for the next link and not to be fragmented (3/4; IPv6: packet too big, 2/0).
    FragmentationNeeded {
        /// The next link's MTU, bytes.
        mtu: u32,
    },
}

impl ErrorKind {
    /// Type, code and the four bytes after the checksum.
    fn fields(self, ipv6: bool) -> (u8, u8, [u8; 4]) {
        let (kind, code) = match (self, ipv6) {
            (Self::NetUnreachable, false) => (3, 0),
            (Self::HostUnreachable, false) => (3, 1),
            (Self::ProtocolUnreachable { .. }, false) => (3, 2),
            (Self::PortUnreachable, false) => (3, 3),
            (Self::FragmentationNeeded { .. }, false) => (3, 4),
            (Self::AdministrativelyProhibited, false) => (3, 13),
            (Self::TimeExceeded, false) => (11, 0),
            (Self::ReassemblyTimeExceeded, false) => (11, 1),
            (Self::ParameterProblem { .. }, false) => (12, 0),
            (Self::NetUnreachable, true) => (1, 0),
            (Self::AdministrativelyProhibited, true) => (1, 1),
            (Self::HostUnreachable, true) => (1, 3),
            (Self::PortUnreachable, true) => (1, 4),
            (Self::FragmentationNeeded { .. }, true) => (2, 0),
            (Self::TimeExceeded, true) => (3, 0),
            (Self::ReassemblyTimeExceeded, true) => (3, 1),
            (Self::ParameterProblem { .. }, true) => (4, 0),
            (Self::ProtocolUnreachable { .. }, true) => (4, 1),
        };
        let rest = match self {
            // RFC 1191 section 4: the lower 16 bits; RFC 4443 section 3.2: all 32.
            Self::FragmentationNeeded { mtu } if !ipv6 => mtu.min(0xffff).to_be_bytes(),
            Self::FragmentationNeeded { mtu } => mtu.to_be_bytes(),
            Self::ProtocolUnreachable { pointer } | Self::ParameterProblem { pointer } if ipv6 => {
                pointer.to_be_bytes()
            }
            // RFC 792: one byte.
            Self::ParameterProblem { pointer } => [pointer as u8, 0, 0, 0],
            _ => [0; 4],
        };
        (kind, code, rest)
    }
}

/// Why there is no ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The packet is malformed.
    Malformed,
    /// It is itself an ICMP error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
    AboutError,
    /// It is a later fragment.
    AboutFragment,
    /// Its source is no single host, or its destination is multicast or broadcast.
    NotUnicast,
    /// The source given is of the other family than the packet.
    Family,
    /// The buffer is too small: see [`MAX_LEN_V4`] and [`MAX_LEN_V6`].
    NoRoom,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "no ICMP error about a malformed packet",
            Self::AboutError => "no ICMP error about an ICMP error",
            Self::AboutFragment => "no ICMP error about a later fragment",
            Self::NotUnicast => "no ICMP error to or about what is not unicast",
            Self::Family => "address of the other family",
            Self::NoRoom => "buffer too small for an ICMP error",
        })
    }
}

impl core::error::Error for Refused {}

/// The longest ICMP error, bytes: 576 (RFC 1812 section 4.3.2.3).
pub const MAX_LEN_V4: usize = 576;
/// The longest ICMPv6 error, bytes: the smallest IPv6 MTU (RFC 4443 section 2.4).
pub const MAX_LEN_V6: usize = 1280;

/// Makes an ICMP or ICMPv6 error about `original`, a whole packet, from address `source` to its sender. Writes the
/// packet to the start of `out` and returns its length in bytes. [`MAX_LEN_V6`] bytes are always enough.
///
/// # Errors
/// [`Refused`]: no error may be made about this packet, or the arguments do not fit.
pub fn icmp_error(
    original: &[u8],
    source: IpAddr,
    kind: ErrorKind,
    out: &mut [u8],
) -> Result<usize, Refused> {
    let headers = Headers::parse(original).map_err(|_| Refused::Malformed)?;
    if headers.fragment == Fragment::Later {
        return Err(Refused::AboutFragment);
    }
    if is_icmp_error(original, &headers) {
        return Err(Refused::AboutError);
    }
    let packet_too_big = matches!(kind, ErrorKind::FragmentationNeeded { .. }) && headers.is_ipv6();
    // RFC 4443 section 2.4 (e.3): packet too big is sent about multicast too, for path MTU discovery.
    if !is_single_host(headers.source) || (is_group(headers.destination) && !packet_too_big) {
        return Err(Refused::NotUnicast);
    }
    if source.is_ipv6() != headers.is_ipv6() {
        return Err(Refused::Family);
    }
    let original = original.get(..headers.total_len).unwrap_or(original);
    emit(original, &headers, source, kind.fields(headers.is_ipv6()), out).ok_or(Refused::NoRoom)
}

/// Makes an ICMP or ICMPv6 error about a packet of which only the beginning is there, as an error that has to be passed on quotes
/// it: of this type and code, with these four bytes after the checksum. Otherwise as [`icmp_error`].
///
/// # Errors
/// [`Refused`].
pub fn icmp_error_about_quote(
    quoted: &[u8],
    source: IpAddr,
    (kind, code, rest): (u8, u8, [u8; 4]),
    out: &mut [u8],
) -> Result<usize, Refused> {
    let headers = Headers::parse_embedded(quoted).map_err(|_| Refused::Malformed)?;
    if headers.fragment == Fragment::Later {
        return Err(Refused::AboutFragment);
    }
    if is_icmp_error(quoted, &headers) {
        return Err(Refused::AboutError);
    }
    if !is_single_host(headers.source) || is_group(headers.destination) {
        return Err(Refused::NotUnicast);
    }
    if headers.is_ipv6() != source.is_ipv6() {
        return Err(Refused::Family);
    }
    emit(quoted, &headers, source, (kind, code, rest), out).ok_or(Refused::NoRoom)
}

/// Writes the error; `None` if there is no room.
///
/// As Linux makes them (seen on the reference, 6.1, for port unreachable, time exceeded, fragmentation needed):
/// IPv4: type of service 0xc0 | (that of the packet & 0x1e), TTL 64, DF clear, at most 576 bytes in all, the quote
/// not rounded; IPv6: traffic class 0, hop limit 64, at most 1280 bytes in all. Different: Linux gives IPv4 a running
/// identification and IPv6 a flow label hashed with a secret; here both are 0 (RFC 6864: these packets are never
/// fragmented, so the identification means nothing).
fn emit(
    original: &[u8],
    headers: &Headers,
    source: IpAddr,
    (icmp_type, code, [r0, r1, r2, r3]): (u8, u8, [u8; 4]),
    out: &mut [u8],
) -> Option<usize> {
    let ipv6 = headers.is_ipv6();
    let (header_len, max) = if ipv6 { (40, MAX_LEN_V6) } else { (20, MAX_LEN_V4) };
    let quoted = original.get(..max - header_len - 8).unwrap_or(original);
    let total = header_len + 8 + quoted.len();
    let out = out.get_mut(..total)?;
    let (ip, icmp) = out.split_at_mut_checked(header_len)?;
    let (icmp_header, quote) = icmp.split_first_chunk_mut::<8>()?;
    quote.copy_from_slice(quoted);
    *icmp_header = [icmp_type, code, 0, 0, r0, r1, r2, r3];
    ip.fill(0);
    match (source, headers.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // Precedence "internetwork control", RFC 1812 section 4.3.2.5, with the type of service of the packet.
            let tos = 0xc0 | (headers.traffic_class & 0x1e);
            bytes::put(ip, 0, [0x45, tos]).ok()?;
            bytes::put_u16(ip, 2, total as u16).ok()?;
            bytes::put(ip, 8, [64, protocol::ICMP]).ok()?;
            bytes::put(ip, 12, from.octets()).ok()?;
            bytes::put(ip, 16, to.octets()).ok()?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes::put(ip, 0, [0x60, 0, 0, 0]).ok()?;
            bytes::put_u16(ip, 4, (total - header_len) as u16).ok()?;
            bytes::put(ip, 6, [protocol::ICMPV6, 64]).ok()?;
            bytes::put(ip, 8, from.octets()).ok()?;
            bytes::put(ip, 24, to.octets()).ok()?;
        }
        _ => return None,
    }
    checksum::fill_ipv4_header(out);
    let made = Headers::parse(out).ok()?;
    checksum::fill_transport(out, &made);
    Some(total)
}

/// Whether an address can be a sender's: not unspecified, broadcast, multicast or reserved (RFC 1122 section
/// 3.2.2).
fn is_single_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && address.octets()[0] < 240
        }
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    }
}

/// Whether an address is multicast or the limited broadcast.
fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

/// Whether the packet is an ICMP error, that is, quotes a packet: IPv4 types 3, 4, 5, 11, 12 (RFC 1122 section
/// 3.2.2); IPv6 types below 128 (RFC 4443 section 2.1) and redirect (137), about which there may be no error
/// either. False for a later fragment.
pub fn is_icmp_error(packet: &[u8], headers: &Headers) -> bool {
    if headers.fragment == Fragment::Later {
        return false;
    }
    let Some(kind) = bytes::u8_at(headers.payload(packet), 0) else { return false };
    match headers.protocol {
        protocol::ICMP if !headers.is_ipv6() => matches!(kind, 3 | 4 | 5 | 11 | 12),
        protocol::ICMPV6 if headers.is_ipv6() => kind < 128 || kind == 137,
        _ => false,
    }
}

/// Offset in bytes, from the packet's start, of the packet that an ICMP error quotes; `None` if it is no ICMP error,
/// quotes nothing, or is an ICMPv6 redirect (which quotes in an option).
pub fn quoted_offset(packet: &[u8], headers: &Headers) -> Option<usize> {
    let payload = headers.payload(packet);
    let quotes = is_icmp_error(packet, headers)
        && payload.len() > 8
        && (!headers.is_ipv6() || bytes::u8_at(payload, 0) != Some(137));
    quotes.then_some(headers.transport + 8)
}
