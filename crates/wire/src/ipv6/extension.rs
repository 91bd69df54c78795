//! The chain of IPv6 extension headers (RFC 8200 section 4).

use crate::{Fragment, Malformed, bytes, protocol};

/// The most extension headers that are followed. RFC 8200 section 4.1 recommends an order with at most seven; a
/// longer chain than this is [`Malformed::TooManyExtensions`].
pub const LIMIT: usize = 16;

/// Whether `next_header` is an extension header that [`Chain::parse`] steps over: hop-by-hop options, routing,
/// fragment, authentication or destination options. ESP and "no next header" end the chain.
#[inline]
pub fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AH
            | protocol::DESTINATION_OPTIONS
    )
}

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its kind, a protocol number.
    pub kind: u8,
    /// What follows it.
    pub next_header: u8,
    /// The whole header, from its next-header field on: at least 8 bytes, a multiple of 4.
    pub bytes: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Reads the header of `kind` at `offset`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it reaches beyond the slice, [`Malformed::BadHeader`] for an authentication
    /// header shorter than its fixed part.
    #[inline]
    pub fn parse(packet: &'a [u8], offset: usize, kind: u8) -> Result<Self, Malformed> {
        let rest = packet.get(offset..).ok_or(Malformed::Truncated)?;
        let &[next_header, length] = rest.first_chunk().ok_or(Malformed::Truncated)?;
        let size = match kind {
            protocol::FRAGMENT => 8,
            // In words of four bytes, less two (RFC 4302 section 2.2); the fixed part is twelve bytes.
            protocol::AH if length == 0 => return Err(Malformed::BadHeader),
            protocol::AH => (usize::from(length) + 2) * 4,
            // In words of eight bytes, not counting the first.
            _ => (usize::from(length) + 1) * 8,
        };
        let bytes = rest.get(..size).ok_or(Malformed::Truncated)?;
        Ok(Self { kind, next_header, bytes })
    }

    /// The fields of a fragment header; `None` for the others.
    #[inline]
    pub fn fragment(&self) -> Option<FragmentHeader> {
        if self.kind != protocol::FRAGMENT {
            return None;
        }
        let field = bytes::u16_at(self.bytes, 2)?;
        Some(FragmentHeader {
            offset: field & 0xfff8,
            more: field & 1 != 0,
            identification: bytes::u32_at(self.bytes, 4)?,
        })
    }
}

/// The fields of a fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Where the fragment begins in the fragmentable part, bytes.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identification, the same in all fragments of one packet.
    pub identification: u32,
}

/// Where a chain of extension headers ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The protocol after the chain.
    pub protocol: u8,
    /// Offset in bytes of what follows the chain.
    pub offset: usize,
    /// Whether the packet is a fragment.
    pub fragment: Fragment,
    /// From the fragment header, else 0.
    pub identification: u32,
}

impl Chain {
    /// Follows the chain that begins at `offset` with a header of kind `next_header`, until an upper-layer
    /// protocol, or a fragment header with an offset: what follows it is payload.
    ///
    /// # Errors
    /// [`Malformed::TooManyExtensions`] beyond [`LIMIT`], and those of [`Extension::parse`].
    pub fn parse(packet: &[u8], offset: usize, next_header: u8) -> Result<Self, Malformed> {
        let mut chain = Self { protocol: next_header, offset, fragment: Fragment::Whole, identification: 0 };
        for _ in 0..LIMIT {
            if !is_extension(chain.protocol) {
                return Ok(chain);
            }
            let extension = Extension::parse(packet, chain.offset, chain.protocol)?;
            chain.protocol = extension.next_header;
            chain.offset += extension.bytes.len();
            if let Some(fragment) = extension.fragment() {
                chain.identification = fragment.identification;
                if fragment.offset != 0 {
                    chain.fragment = Fragment::Later;
                    return Ok(chain);
                }
                if fragment.more {
                    chain.fragment = Fragment::First;
                }
            }
        }
        if is_extension(chain.protocol) { Err(Malformed::TooManyExtensions) } else { Ok(chain) }
    }
}
