//! TCP (RFC 9293).

use crate::{Fragment, Headers, Malformed, protocol};

/// TCP's control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    #[inline]
    pub const fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// Synchronise sequence numbers.
    #[inline]
    pub const fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// Reset the connection.
    #[inline]
    pub const fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// Push.
    #[inline]
    pub const fn psh(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// The acknowledgment field is significant.
    #[inline]
    pub const fn ack(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// The urgent pointer is significant.
    #[inline]
    pub const fn urg(self) -> bool {
        self.0 & 0x20 != 0
    }
}

/// The control bits of a TCP packet whose fixed header is there.
///
/// # Errors
/// [`Malformed::Protocol`] if it is not TCP, [`Malformed::Fragment`] for a later fragment,
/// [`Malformed::Truncated`].
#[inline]
pub fn flags(packet: &[u8], headers: &Headers) -> Result<Flags, Malformed> {
    if headers.protocol != protocol::TCP {
        return Err(Malformed::Protocol);
    }
    if headers.fragment == Fragment::Later {
        return Err(Malformed::Fragment);
    }
    let header: &[u8; 20] = headers.payload(packet).first_chunk().ok_or(Malformed::Truncated)?;
    Ok(Flags(header[13]))
}
