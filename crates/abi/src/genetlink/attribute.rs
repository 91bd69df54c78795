//! Netlink attributes: a bounds-checked reader and a writer.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::errno::Errno;

use super::number::family;

/// Bits of an attribute's type field: the two highest are flags (nested, network byte order), which are ignored.
const TYPE_MASK: u16 = 0x3fff;

/// Attributes in a buffer. Ends quietly at the first one that does not fit, as the kernel's parser does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]])).checked_sub(4)?;
        let value = rest.get(..length)?;
        self.0 = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK, value))
    }
}

/// What an attribute's value must look like. A longer integer than needed is accepted and cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Policy {
    /// Anything.
    Any,
    /// At least this many bytes.
    AtLeast(usize),
    /// At most this many bytes.
    AtMost(usize),
    /// Attributes: empty or at least one header long.
    Nested,
    /// A text of at most this many bytes and a NUL; what follows the NUL is ignored, but the whole value, without a
    /// NUL at its end, is no longer than that either (seen).
    Text(usize),
}

impl Policy {
    fn check(self, value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(length) if value.len() < length => Err(Errno::ERANGE),
            Self::AtMost(length) if value.len() > length => Err(Errno::ERANGE),
            Self::Nested if matches!(value.len(), 1..4) => Err(Errno::ERANGE),
            Self::Text(most) if !value.iter().take(most + 1).any(|&byte| byte == 0) => Err(Errno::EINVAL),
            Self::Text(most) if value.strip_suffix(&[0]).unwrap_or(value).len() > most => Err(Errno::ERANGE),
            _ => Ok(()),
        }
    }
}

/// The attributes of types 1 to N - 1, each the last of its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a, const N: usize>([Option<&'a [u8]>; N]);

impl<'a, const N: usize> Table<'a, N> {
    /// Collects `bytes`' attributes, each checked against `policy` of its type. Type 0 and types from N on are
    /// ignored.
    ///
    /// # Errors
    /// ERANGE or EINVAL for the first attribute that violates its policy. (Inside a nest the kernel's commands
    /// answer EINVAL whichever it was.)
    pub(super) fn parse(bytes: &'a [u8], policy: impl Fn(u16) -> Policy) -> Result<Self, Errno> {
        let mut table = [None; N];
        for (kind, value) in Attributes(bytes) {
            if kind == 0 {
                continue;
            }
            if let Some(slot) = table.get_mut(usize::from(kind)) {
                policy(kind).check(value)?;
                *slot = Some(value);
            }
        }
        Ok(Self(table))
    }

    /// The value of `kind`, if it was given.
    pub(super) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    /// The first `M` bytes of `kind`'s value; `None` if it was not given or is shorter.
    fn array<const M: usize>(&self, kind: u16) -> Option<[u8; M]> {
        self.get(kind)?.first_chunk().copied()
    }

    pub(super) fn u8(&self, kind: u16) -> Option<u8> {
        self.array(kind).map(u8::from_ne_bytes)
    }

    pub(super) fn u16(&self, kind: u16) -> Option<u16> {
        self.array(kind).map(u16::from_ne_bytes)
    }

    /// A 16-bit integer in network byte order.
    pub(super) fn be16(&self, kind: u16) -> Option<u16> {
        self.array(kind).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&self, kind: u16) -> Option<u32> {
        self.array(kind).map(u32::from_ne_bytes)
    }

    /// A 32-bit integer in network byte order.
    pub(super) fn be32(&self, kind: u16) -> Option<u32> {
        self.array(kind).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&self, kind: u16) -> Option<u64> {
        self.array(kind).map(u64::from_ne_bytes)
    }

    /// Text, see [`text`].
    pub(super) fn text(&self, kind: u16) -> Option<String> {
        self.get(kind).map(text)
    }

    /// An address: missing bytes are zero, bytes after an IPv4 address are ignored.
    pub(super) fn address(&self, kind: u16, ipv6: bool) -> Option<IpAddr> {
        let value = self.get(kind)?;
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(value) {
            *to = *from;
        }
        let [a, b, c, d, ..] = bytes;
        Some(if ipv6 { Ipv6Addr::from(bytes).into() } else { Ipv4Addr::from([a, b, c, d]).into() })
    }
}

/// The text in an attribute, up to its NUL. Bytes that are not UTF-8 are replaced: no name that exists has any.
pub(super) fn text(value: &[u8]) -> String {
    let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// The number of an address's family.
pub(super) fn family_of(address: IpAddr) -> u16 {
    if address.is_ipv6() { family::INET6 } else { family::INET }
}

/// Appends attributes to a message.
#[derive(Debug)]
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    /// An attribute of raw bytes, padded to a multiple of four. Values here are far below the 64 KiB that fit.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value.get(..usize::from(length) - 4).unwrap_or_default());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(super) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    pub(super) fn u16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    pub(super) fn be16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    pub(super) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Text and a NUL.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An address in 16 bytes; IPv4 in the first four.
    pub(super) fn address(&mut self, kind: u16, address: IpAddr) {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes = address.octets(),
        }
        self.bytes(kind, &bytes);
    }

    /// An attribute of attributes, written by `content`; the NESTED bit is not set, as the kernel's are.
    pub(super) fn nest(&mut self, kind: u16, content: impl FnOnce(&mut Writer<'_>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&0u16.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        content(&mut Writer(self.0));
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(1, 7);
        writer.be16(2, 0x1234);
        writer.text(3, "wlc");
        writer.nest(4, |inner| inner.u32(1, 5));
        let table = Table::<6>::parse(&bytes, |_| Policy::Any).unwrap();
        assert_eq!(table.u8(1), Some(7));
        assert_eq!(table.be16(2), Some(0x1234));
        assert_eq!(table.text(3).as_deref(), Some("wlc"));
        let inner = Table::<2>::parse(table.get(4).unwrap(), |_| Policy::AtLeast(4)).unwrap();
        assert_eq!(inner.u32(1), Some(5));
        assert_eq!(table.get(5), None);
    }

    #[test]
    fn ends_at_what_does_not_fit() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 40, 0, 2, 0, 1];
        let table = Table::<3>::parse(&bytes, |_| Policy::Any).unwrap();
        assert_eq!(table.u8(1), Some(9));
        assert_eq!(table.get(2), None);
        assert_eq!(Attributes(&[3, 0, 1, 0]).count(), 0);
    }
}
