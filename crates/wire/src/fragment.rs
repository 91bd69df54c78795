//! Cutting an IPv4 packet into fragments (RFC 791 section 3.2).

use crate::{Headers, Malformed, bytes, checksum};

/// The fragments of an IPv4 packet, written one by one into the caller's buffers by [`Fragments::write_next`].
/// A packet that is itself a fragment is cut further.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    /// Payload bytes of each fragment but the last: a multiple of 8.
    step: usize,
    /// Fragment offset of the packet itself, bytes, and its more-fragments flag.
    base: usize,
    more: bool,
    /// Payload bytes already written.
    done: usize,
}

impl<'a> Fragments<'a> {
    /// Prepares to cut `packet` into fragments of at most `mtu` bytes. A packet that fits is one fragment.
    ///
    /// # Errors
    /// [`Malformed::BadVersion`] if it is not IPv4, [`Malformed::Fragment`] if it must not be fragmented,
    /// [`Malformed::BadLength`] if `mtu` leaves no room for eight bytes after the header, [`Malformed::Truncated`].
    pub fn new(packet: &'a [u8], headers: &Headers, mtu: usize) -> Result<Self, Malformed> {
        if headers.is_ipv6() {
            return Err(Malformed::BadVersion);
        }
        if headers.dont_fragment && headers.total_len > mtu {
            return Err(Malformed::Fragment);
        }
        let header = packet.get(..headers.transport).ok_or(Malformed::Truncated)?;
        let payload = packet.get(headers.transport..headers.total_len).ok_or(Malformed::Truncated)?;
        let flags = bytes::u16_at(header, 6).ok_or(Malformed::Truncated)?;
        let step =
            if headers.total_len <= mtu { payload.len() } else { mtu.saturating_sub(header.len()) & !7 };
        if step == 0 && headers.total_len > mtu {
            return Err(Malformed::BadLength);
        }
        let base = usize::from(flags & 0x1fff) * 8;
        Ok(Self { header, payload, step, base, more: flags & 0x2000 != 0, done: 0 })
    }

    /// Writes the next fragment to the start of `out` and returns its length in bytes, or `None` after the last.
    /// After an error the same fragment is next.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if `out` is too small (the `mtu` given to [`Fragments::new`] is enough).
    pub fn write_next(&mut self, out: &mut [u8]) -> Result<Option<usize>, Malformed> {
        let rest = self.payload.get(self.done..).unwrap_or_default();
        if rest.is_empty() && (self.done > 0 || self.step > 0) {
            return Ok(None);
        }
        let part = rest.get(..self.step).unwrap_or(rest);
        let last = part.len() == rest.len();
        let total = self.header.len() + part.len();
        let out = out.get_mut(..total).ok_or(Malformed::Truncated)?;
        let (header, payload) = out.split_at_mut_checked(self.header.len()).ok_or(Malformed::Truncated)?;
        header.copy_from_slice(self.header);
        payload.copy_from_slice(part);
        if self.done > 0 {
            blank_options(header);
        }
        let flags = bytes::u16_at(header, 6).ok_or(Malformed::Truncated)? & 0xc000;
        let more = if self.more || !last { 0x2000 } else { 0 };
        // An offset past 13 bits would be of a packet longer than 65535 bytes in all.
        let offset = u16::try_from((self.base + self.done) / 8).map_err(|_| Malformed::BadLength)?;
        if offset > 0x1fff {
            return Err(Malformed::BadLength);
        }
        bytes::put_u16(header, 6, flags | more | offset)?;
        bytes::put_u16(header, 2, total as u16)?;
        checksum::fill_ipv4_header(header);
        self.done += part.len();
        if self.payload.is_empty() {
            // A packet without payload is one fragment; mark it written.
            self.step = 1;
        }
        Ok(Some(total))
    }
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
