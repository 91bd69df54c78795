//! Fragments: cutting packets (RFC 791 section 3.2, RFC 8200 section 4.5), and where a fragment belongs in its datagram.

mod place;

pub use place::{Place, become_whole};

use crate::{Fragment, Headers, Malformed, bytes, checksum, protocol};
use place::unfragmentable_ipv6;

/// Length of IPv6's fragment header, bytes.
const FRAGMENT_HEADER: usize = 8;

/// The smallest MTU of IPv6 (RFC 8200 section 5).
const SMALLEST_IPV6: usize = 1280;

/// The shortest TCP header.
const TCP_HEADER: usize = 20;

/// IPv4's "don't fragment".
const DONT_FRAGMENT: u16 = 0x4000;

/// IPv4's "more fragments".
const MORE: u16 = 0x2000;

/// The pieces in which a packet came before it was reassembled.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    /// Length of the largest one with its headers, bytes.
    pub largest: usize,
    /// Where each ends in the fragmentable part, bytes; the last end is that part's length.
    pub ends: &'a [u16],
}

impl Pieces<'_> {
    /// For a packet of this host's own, which may be cut as the link asks, in IPv6 too.
    pub const OWN: Self = Self { largest: u16::MAX as usize, ends: &[] };
}

/// The fragments of a packet, written one by one into the caller's buffers by [`Fragments::write_next`].
/// An IPv4 packet that is itself a fragment is cut further.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    family: Family,
    cut: Cut<'a>,
    /// Payload bytes already written.
    done: usize,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Family {
    /// Fragment offset of the packet itself, bytes, and whether more follow it.
    Ipv4 { base: usize, more: bool },
    /// Where the header names what follows it, what that is, and the identification.
    Ipv6 { next_header_at: usize, next_header: u8, identification: u32 },
}

#[derive(Clone, Copy, Debug)]
enum Cut<'a> {
    /// Not at all.
    Whole,
    /// Into so many bytes of payload each, but for the last.
    Every(usize),
    /// Where it was cut before.
    At(&'a [u16]),
}

impl<'a> Fragments<'a> {
    /// Prepares to cut `packet` for a link of `mtu` bytes. A packet that came whole and fits is one fragment, unchanged.
    ///
    /// One that came in `pieces` goes in the same pieces where all fit the link and the first holds all of a TCP header; else,
    /// and where it was put into another packet, in pieces no larger than the largest that came. (Kernel behaviour, experiments
    /// `fragments.py` and `fragments_odd.py`.) `identification` is for IPv6, whose packets have none.
    ///
    /// # Errors
    /// [`Malformed::Fragment`] if it must not be fragmented (IPv4's DF; IPv6 of others that came whole), [`Malformed::BadLength`] if
    /// `mtu` leaves no room for eight bytes after the headers, [`Malformed::Truncated`].
    pub fn new(
        packet: &'a [u8],
        headers: &Headers,
        mtu: usize,
        pieces: Option<Pieces<'a>>,
        identification: u32,
    ) -> Result<Self, Malformed> {
        let packet = packet.get(..headers.total_len).ok_or(Malformed::Truncated)?;
        let (split, family) = if headers.is_ipv6() {
            let (split, next_header_at) = unfragmentable_ipv6(packet)?;
            let next_header = bytes::u8_at(packet, next_header_at).ok_or(Malformed::Truncated)?;
            (split, Family::Ipv6 { next_header_at, next_header, identification })
        } else {
            let flags = bytes::u16_at(packet, 6).ok_or(Malformed::Truncated)?;
            if flags & DONT_FRAGMENT != 0 && packet.len() > mtu {
                return Err(Malformed::Fragment);
            }
            let base = usize::from(flags & 0x1fff) * 8;
            (headers.transport, Family::Ipv4 { base, more: flags & MORE != 0 })
        };
        let (header, payload) = packet.split_at_checked(split).ok_or(Malformed::Truncated)?;
        let most = match pieces {
            Some(pieces) if headers.is_ipv6() => pieces.largest.max(SMALLEST_IPV6).min(mtu),
            Some(pieces) => pieces.largest.min(mtu),
            None => mtu,
        };
        let cut = match pieces {
            Some(Pieces { largest, ends })
                if ends.len() > 1
                    && largest <= mtu
                    && ends.last().is_some_and(|&end| usize::from(end) == payload.len())
                    && (headers.protocol != protocol::TCP
                        || ends.first().is_some_and(|&end| usize::from(end) >= TCP_HEADER)) =>
            {
                Cut::At(ends)
            }
            _ if packet.len() <= most => Cut::Whole,
            _ if headers.is_ipv6() && (pieces.is_none() || headers.fragment != Fragment::Whole) => {
                return Err(Malformed::Fragment);
            }
            _ => {
                let overhead = header.len() + if headers.is_ipv6() { FRAGMENT_HEADER } else { 0 };
                match most.saturating_sub(overhead) & !7 {
                    0 => return Err(Malformed::BadLength),
                    step => Cut::Every(step),
                }
            }
        };
        Ok(Self { header, payload, family, cut, done: 0, ended: false })
    }

    /// Writes the next fragment to the start of `out` and returns its length in bytes, or `None` after the last.
    /// After an error the same fragment is next.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if `out` is too small (the `mtu` given to [`Fragments::new`] is enough).
    pub fn write_next(&mut self, out: &mut [u8]) -> Result<Option<usize>, Malformed> {
        if self.ended {
            return Ok(None);
        }
        let end = match self.cut {
            Cut::Whole => self.payload.len(),
            Cut::Every(step) => self.payload.len().min(self.done + step),
            Cut::At(ends) => {
                let next = ends.iter().map(|&end| usize::from(end)).find(|&end| end > self.done);
                next.unwrap_or(self.payload.len()).min(self.payload.len())
            }
        };
        let last = end == self.payload.len();
        let part = self.payload.get(self.done..end).ok_or(Malformed::Truncated)?;
        let total = match self.family {
            Family::Ipv4 { base, more } => self.write_ipv4(out, part, base, more || !last)?,
            Family::Ipv6 { .. } if matches!(self.cut, Cut::Whole) => {
                let total = self.header.len() + part.len();
                let (header, rest) = halves(out, self.header.len(), total)?;
                header.copy_from_slice(self.header);
                rest.copy_from_slice(part);
                total
            }
            Family::Ipv6 { next_header_at, next_header, identification } => {
                self.write_ipv6(out, part, !last, (next_header_at, next_header), identification)?
            }
        };
        self.done = end;
        self.ended = last;
        Ok(Some(total))
    }

    fn write_ipv4(&self, out: &mut [u8], part: &[u8], base: usize, more: bool) -> Result<usize, Malformed> {
        let total = self.header.len() + part.len();
        let (header, payload) = halves(out, self.header.len(), total)?;
        header.copy_from_slice(self.header);
        payload.copy_from_slice(part);
        if self.done > 0 {
            blank_options(header);
        }
        let flags = bytes::u16_at(header, 6).ok_or(Malformed::Truncated)? & 0xc000;
        // An offset past 13 bits would be of a packet longer than 65535 bytes in all.
        let offset = u16::try_from((base + self.done) / 8).map_err(|_| Malformed::BadLength)?;
        if offset > 0x1fff {
            return Err(Malformed::BadLength);
        }
        bytes::put_u16(header, 6, flags | if more { MORE } else { 0 } | offset)?;
        bytes::put_u16(header, 2, total as u16)?;
        checksum::fill_ipv4_header(header);
        Ok(total)
    }

    fn write_ipv6(
        &self,
        out: &mut [u8],
        part: &[u8],
        more: bool,
        (next_header_at, next_header): (usize, u8),
        identification: u32,
    ) -> Result<usize, Malformed> {
        let before = self.header.len() + FRAGMENT_HEADER;
        let total = before + part.len();
        let (headers, payload) = halves(out, before, total)?;
        payload.copy_from_slice(part);
        let (header, fragment) =
            headers.split_at_mut_checked(self.header.len()).ok_or(Malformed::Truncated)?;
        header.copy_from_slice(self.header);
        bytes::set(header, next_header_at, [protocol::FRAGMENT]);
        bytes::put_u16(header, 4, (total - crate::ipv6::HEADER_LEN) as u16)?;
        bytes::set(fragment, 0, [next_header, 0]);
        bytes::put_u16(fragment, 2, self.done as u16 & !7 | u16::from(more))?;
        bytes::set(fragment, 4, identification.to_be_bytes());
        Ok(total)
    }
}

/// The first `total` bytes of `out`, split at `at`.
fn halves(out: &mut [u8], at: usize, total: usize) -> Result<(&mut [u8], &mut [u8]), Malformed> {
    out.get_mut(..total).and_then(|out| out.split_at_mut_checked(at)).ok_or(Malformed::Truncated)
}

/// Overwrites with no-operations the options that belong into the first fragment only: those without the copied
/// flag (RFC 791 section 3.1). The header keeps its length.
fn blank_options(header: &mut [u8]) {
    let mut rest = header.get_mut(20..).unwrap_or_default();
    while let Some(&kind) = rest.first() {
        let length = match kind {
            0 => return,
            1 => 1,
            _ => usize::from(rest.get(1).copied().unwrap_or_default()),
        };
        if length == 0 || (kind > 1 && length < 2) {
            return;
        }
        let Some((option, after)) = rest.split_at_mut_checked(length) else { return };
        if kind & 0x80 == 0 {
            option.fill(1);
        }
        rest = after;
    }
}
