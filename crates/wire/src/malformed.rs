//! Why bytes are not the packet they should be.

use core::fmt;

/// Why bytes are not the packet they should be, or not one that can do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// A header reaches beyond the bytes there are.
    Truncated,
    /// The IP version is not the one expected.
    BadVersion,
    /// A length field contradicts another, or says more than there is.
    BadLength,
    /// A field has a value that the header cannot have.
    BadHeader,
    /// More IPv6 extension headers than [`ipv6::extension::LIMIT`](crate::ipv6::extension::LIMIT).
    TooManyExtensions,
    /// A fragment, which lacks the part asked for: the transport header (not in later fragments) or the whole
    /// payload.
    Fragment,
    /// The protocol has no such part (ports in ICMP, for instance).
    Protocol,
    /// The address is of the other family than the packet.
    Family,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated header",
            Self::BadVersion => "wrong IP version",
            Self::BadLength => "wrong length field",
            Self::BadHeader => "impossible header field",
            Self::TooManyExtensions => "too many IPv6 extension headers",
            Self::Fragment => "a fragment does not have it",
            Self::Protocol => "the protocol does not have it",
            Self::Family => "address of the other family",
        })
    }
}

impl core::error::Error for Malformed {}
