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

/// IPv4's flag "don't fragment".
const DONT_FRAGMENT: u16 = 0x4000;

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

    /// Whether a checksum covers the packet.
    pub const fn has_checksum(self) -> bool {
        matches!(self, Self::Gue { checksum: true, .. } | Self::Gre { checksum: true })
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

/// What a packet says of the outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Its family.
    pub ipv6: bool,
    /// Type of service or traffic class.
    pub class: u8,
    /// Hop limit, with which it goes on.
    pub hop_limit: u8,
    /// Length in bytes.
    pub length: u16,
    /// The sum of its bytes, as [`checksum::sum`] has it; not used without a checksum.
    pub sum: u16,
}

/// The outer IP header's part that a tunnel decides, addresses as words whose bytes lie in network order (an IPv4 address in the
/// last one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The director's address.
    pub source: [u32; 4],
    /// The far end of the tunnel.
    pub destination: [u32; 4],
    /// Identification (IPv4); `None`: routers must not fragment it.
    pub identification: Option<u16>,
}

/// Gives the outer headers of `inner` to `put`, word by word with its offset in bytes; words lie in memory as they are. They are
/// [`overhead`](Encapsulation::overhead) bytes long, and with them the packet must not be longer than its length field can
/// say. `V6`: the outer family. For the daemon and the XDP program.
///
/// TTL and type of service are the inner packet's, but for the congestion mark: a packet marked as having met
/// congestion travels as one that may be marked (RFC 3168 section 9.1.1, full functionality).
#[inline(always)]
pub fn write_headers<const V6: bool>(
    inner: &Inner,
    ends: &Ends,
    encapsulation: Encapsulation,
    mut put: impl FnMut(usize, u32),
) {
    let header = ip_header_len(V6);
    let payload = encapsulation.header_len() as u16 + inner.length;
    let class = u16::from(if inner.class & 3 == 3 { inner.class & !1 } else { inner.class });
    let (next, hop_limit) = (u16::from(encapsulation.protocol(inner.ipv6)), u16::from(inner.hop_limit));
    let ([a, b, c, d], [e, f, g, h]) = (ends.source, ends.destination);
    let addresses;
    if V6 {
        put(0, halves(0x6000 | class << 4, 0));
        put(4, halves(payload, next << 8 | hop_limit));
        put(8, a);
        put(12, b);
        put(16, c);
        put(20, d);
        put(24, e);
        put(28, f);
        put(32, g);
        put(36, h);
        addresses = sum_of([a, b, c, d]) + sum_of([e, f, g, h]);
    } else {
        let (identification, fragmentation) = match ends.identification {
            Some(identification) => (identification, 0),
            None => (0, DONT_FRAGMENT),
        };
        let start = [
            halves(0x4500 | class, payload + header as u16),
            halves(identification, fragmentation),
            halves(hop_limit << 8 | next, 0),
        ];
        addresses = sum_of([d, h]);
        put(0, start[0]);
        put(4, start[1]);
        put(8, halves(hop_limit << 8 | next, checksum_over(sum_of(start) + addresses)));
        put(12, d);
        put(16, h);
    }
    match encapsulation {
        Encapsulation::Ipip => {}
        Encapsulation::Gue { source_port, port, checksum } => {
            let inner_protocol = if inner.ipv6 { protocol::IPV6 } else { protocol::IPIP };
            let (ports, gue) = (halves(source_port, port), halves(u16::from(inner_protocol), 0));
            let mut field = 0;
            if checksum {
                let pseudo = addresses + sum_of([halves(u16::from(protocol::UDP), payload)]);
                let covered = sum_of([ports, halves(payload, 0), gue]) + in_memory(inner.sum);
                field = checksum::stored(protocol::UDP, checksum_over(pseudo + covered));
            }
            put(header, ports);
            put(header + 4, halves(payload, field));
            put(header + UDP, gue);
        }
        Encapsulation::Gre { checksum } => {
            let ethertype = if inner.ipv6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
            let first = halves(if checksum { GRE_CHECKSUM } else { 0 }, ethertype);
            put(header, first);
            if checksum {
                put(header + 4, halves(checksum_over(sum_of([first]) + in_memory(inner.sum)), 0));
            }
        }
    }
}

/// Two 16-bit numbers as they lie in a packet.
const fn halves(first: u16, second: u16) -> u32 {
    ((first as u32) << 16 | second as u32).to_be()
}

/// Sum of words as they lie in memory.
#[inline(always)]
fn sum_of<const N: usize>(words: [u32; N]) -> u64 {
    words.into_iter().map(u64::from).sum()
}

/// A folded sum as it would lie in memory.
const fn in_memory(sum: u16) -> u64 {
    sum.to_be() as u64
}

/// The checksum over words that lie in memory, of this sum.
const fn checksum_over(sum: u64) -> u16 {
    !u16::from_be(checksum::fold(sum))
}

/// The sum of a whole TCP or UDP packet without options or extension headers whose checksums are right (as [`Inner`] has it):
/// what they cover is known to add up to nothing, so no payload is read. `start` is an IPv6 packet's first two words, `ends`
/// the sum of an IPv4 packet's addresses, words as they lie in memory; `length` is that of the transport header and what
/// follows. If the packet's checksum is wrong, one over this is wrong by as much.
#[inline(always)]
pub fn sum_of_whole(ipv6: bool, start: [u32; 2], ends: u64, protocol: u8, length: u16) -> u16 {
    let stated = sum_of([halves(u16::from(protocol), length)]);
    // Over IPv4 the header adds up to nothing, and the rest to what its pseudo-header lacks; over IPv6 the header's addresses
    // are those of the pseudo-header.
    if ipv6 {
        let lacking = !checksum::fold(stated);
        u16::from_be(checksum::fold(sum_of(start) + lacking as u64))
    } else {
        u16::from_be(!checksum::fold(ends + stated))
    }
}

/// Writes the outer headers to the start of `packet`, which the inner packet follows after
/// [`overhead`](Encapsulation::overhead) bytes: see [`write_headers`].
///
/// # Errors
/// [`Malformed::Truncated`] if there is no inner packet, [`Malformed::BadLength`] if the whole is too long,
/// [`Malformed::BadVersion`] if the outer addresses are of two families.
pub fn encapsulate(packet: &mut [u8], outer: &Outer, encapsulation: Encapsulation) -> Result<(), Malformed> {
    let ipv6 = outer.destination.is_ipv6();
    let inner_at = encapsulation.overhead(ipv6);
    let total = packet.len();
    let start: &[u8; 20] = bytes_of(packet, inner_at)?;
    let inner_ipv6 = start[0] >> 4 == 6;
    let (hop_limit, class) =
        if inner_ipv6 { (start[7], start[0] << 4 | start[1] >> 4) } else { (start[8], start[1]) };
    let counted = if ipv6 { total - ip_header_len(true) } else { total };
    u16::try_from(counted).map_err(|_| Malformed::BadLength)?;
    let (headers, packet) = packet.split_at_mut_checked(inner_at).ok_or(Malformed::Truncated)?;
    let sum = if encapsulation.has_checksum() { checksum::sum(packet) } else { 0 };
    let length = u16::try_from(packet.len()).map_err(|_| Malformed::BadLength)?;
    let inner = Inner { ipv6: inner_ipv6, class, hop_limit, length, sum };
    let identification = (!outer.dont_fragment).then_some(outer.identification);
    let put = |at, word: u32| bytes::set(headers, at, word.to_ne_bytes());
    match (outer.source, outer.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let word = |octets| [0, 0, 0, u32::from_ne_bytes(octets)];
            let (source, destination) = (word(source.octets()), word(destination.octets()));
            let ends = Ends { source, destination, identification };
            write_headers::<false>(&inner, &ends, encapsulation, put);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let (source, destination) = (words(source.octets()), words(destination.octets()));
            let ends = Ends { source, destination, identification };
            write_headers::<true>(&inner, &ends, encapsulation, put);
        }
        _ => return Err(Malformed::BadVersion),
    }
    Ok(())
}

fn words(octets: [u8; 16]) -> [u32; 4] {
    let (words, _) = octets.as_chunks::<4>();
    core::array::from_fn(|number| words.get(number).map_or(0, |word| u32::from_ne_bytes(*word)))
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
