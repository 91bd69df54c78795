//! Where a fragment belongs in its datagram, and what a datagram's headers become when it is whole.

use crate::ipv6::HEADER_LEN;
use crate::ipv6::extension::{Extension, LIMIT};
use crate::{Headers, Malformed, bytes, checksum, protocol};

/// A fragment's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Length of what comes before the fragmented part in each fragment, IPv6's fragment header not counted.
    pub header: usize,
    /// Where the fragmented part begins in this fragment.
    pub payload: usize,
    /// Where this piece begins in the fragmented part, bytes.
    pub offset: usize,
    /// More pieces follow it.
    pub more: bool,
    /// In IPv6: where the header names what follows it, and what follows the fragment header.
    pub next: Option<(usize, u8)>,
}

impl Place {
    /// The place of a fragment; `None` for a packet that is none. IPv6 with a fragment header that says that it is
    /// whole (RFC 6946) counts as one.
    ///
    /// # Errors
    /// [`Malformed`] if the headers are.
    pub fn of(packet: &[u8], headers: &Headers) -> Result<Option<Self>, Malformed> {
        if !headers.is_ipv6() {
            let field = bytes::u16_at(packet, 6).ok_or(Malformed::Truncated)?;
            return Ok((field & 0x3fff != 0).then_some(Self {
                header: headers.transport,
                payload: headers.transport,
                offset: usize::from(field & 0x1fff) * 8,
                more: field & 0x2000 != 0,
                next: None,
            }));
        }
        let packet = packet.get(..headers.total_len).ok_or(Malformed::Truncated)?;
        let (mut kind_at, mut at) = (6, HEADER_LEN);
        for _ in 0..LIMIT {
            let kind = bytes::u8_at(packet, kind_at).ok_or(Malformed::Truncated)?;
            if !crate::ipv6::extension::is_extension(kind) {
                return Ok(None);
            }
            let extension = Extension::parse(packet, at, kind)?;
            let end = at + extension.bytes.len();
            if let Some(fragment) = extension.fragment() {
                return Ok(Some(Self {
                    header: at,
                    payload: end,
                    offset: usize::from(fragment.offset),
                    more: fragment.more,
                    next: Some((kind_at, extension.next_header)),
                }));
            }
            (kind_at, at) = (at, end);
        }
        Err(Malformed::TooManyExtensions)
    }
}

/// Puts the headers right of a datagram whose pieces stand behind each other in `packet`, after the headers of its first
/// one (without IPv6's fragment header).
///
/// # Errors
/// [`Malformed::BadLength`] if it is longer than a packet may be, [`Malformed::Truncated`].
pub fn become_whole(packet: &mut [u8], first: &Place) -> Result<(), Malformed> {
    match first.next {
        Some((next_header_at, next_header)) => {
            let payload = packet.len().checked_sub(HEADER_LEN).ok_or(Malformed::Truncated)?;
            bytes::put_u16(packet, 4, u16::try_from(payload).map_err(|_| Malformed::BadLength)?)?;
            bytes::set(packet, next_header_at, [next_header]);
            Ok(())
        }
        None => {
            let total = u16::try_from(packet.len()).map_err(|_| Malformed::BadLength)?;
            let flags = bytes::u16_at(packet, 6).ok_or(Malformed::Truncated)?;
            bytes::put_u16(packet, 2, total)?;
            bytes::put_u16(packet, 6, flags & 0xc000)?;
            checksum::fill_ipv4_header(packet);
            Ok(())
        }
    }
}

/// Where the part of an IPv6 packet ends that goes into each of its fragments, and where that part names what follows it: all
/// headers that come before a fragment header (RFC 8200 section 4.1), destination options in any case (kernel behaviour,
/// experiment `fragments_odd.py`).
pub(super) fn unfragmentable_ipv6(packet: &[u8]) -> Result<(usize, usize), Malformed> {
    let mut found = (HEADER_LEN, 6);
    let (mut kind_at, mut at) = (6, HEADER_LEN);
    for _ in 0..LIMIT {
        let kind = bytes::u8_at(packet, kind_at).ok_or(Malformed::Truncated)?;
        if !matches!(kind, protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS) {
            break;
        }
        let end = at + Extension::parse(packet, at, kind)?.bytes.len();
        found = (end, at);
        (kind_at, at) = (at, end);
    }
    Ok(found)
}
