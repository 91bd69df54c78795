//! Netlink messages: the 16-byte header, several messages in a datagram, the 4-byte generic netlink header.

/// A netlink message header without its length field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Message type: a family's id, or see [`kind`](super::number::kind).
    pub kind: u16,
    /// Flags, see [`flag`](super::number::flag).
    pub flags: u16,
    /// Sequence number, chosen by the requester.
    pub sequence: u32,
    /// Port id of the requester.
    pub port: u32,
}

impl Header {
    /// Whether all of `bits` are set in the flags.
    pub const fn has(&self, bits: u16) -> bool {
        self.flags & bits == bits
    }

    /// Appends a message with this header and what `payload` appends.
    pub(super) fn write(&self, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&self.sequence.to_ne_bytes());
        out.extend_from_slice(&self.port.to_ne_bytes());
        payload(out);
        out.resize(out.len().next_multiple_of(4), 0);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Appends a generic netlink message: this header, command and version, and what `attributes` appends.
    pub(super) fn write_generic(
        &self,
        out: &mut Vec<u8>,
        command: u8,
        version: u8,
        attributes: impl FnOnce(&mut super::attribute::Writer<'_>),
    ) {
        self.write(out, |out| {
            out.extend_from_slice(&[command, version, 0, 0]);
            attributes(&mut super::attribute::Writer(out));
        });
    }
}

/// A message in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// The 16 bytes of the header as they came, for the echo in an error.
    pub header_bytes: [u8; 16],
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Command and attributes, if the payload has a generic netlink header. Its version is not looked at.
    pub fn generic(&self) -> Option<(u8, &'a [u8])> {
        let (head, attributes) = self.payload.split_first_chunk::<4>()?;
        Some((head[0], attributes))
    }
}

/// The messages of a datagram. A message whose length is below 16 or beyond the datagram ends it without a word, as in
/// the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// The messages of `datagram`.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }

    /// How many bytes are left: with the datagram's length, the place of the next message.
    pub const fn remaining(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let header_bytes = *self.0.first_chunk::<16>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = header_bytes;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let payload = self.0.get(16..length)?;
        self.0 = length.checked_next_multiple_of(4).and_then(|next| self.0.get(next..)).unwrap_or_default();
        let header = Header {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
        };
        Some(Message { header, header_bytes, payload })
    }
}
