//! Messages of nfnetlink: a netlink header, a header of its own, attributes (linux/netfilter/nfnetlink.h). What lies behind the
//! headers is in network byte order unless said otherwise.

/// Makes what is not there.
pub(super) const CREATE: u16 = 0x400;
/// Puts a rule behind the others.
pub(super) const APPEND: u16 = 0x800;

const REQUEST: u16 = 0x1;
/// Wants an answer for success, too.
const ACK: u16 = 0x4;

/// Type of the kernel's answers, with an errno or 0.
const ERROR: u16 = 2;

/// The attribute holds attributes.
const NESTED: u16 = 0x8000;

/// Messages to send, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    /// Of the latest message.
    sequence: u32,
    /// Where the latest message begins.
    latest: usize,
    /// Number of the message that asks for an answer.
    asking: u32,
}

impl Messages {
    /// The same for new messages, numbered on.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Has the latest message ask for an answer for success, too; the kernel answers refusals anyway.
    pub(super) fn ask(&mut self) {
        let flags = u16_at(&self.bytes, self.latest + 6).unwrap_or_default() | ACK;
        if let Some(place) = self.bytes.get_mut(self.latest + 6..self.latest + 8) {
            place.copy_from_slice(&flags.to_ne_bytes());
        }
        self.asking = self.sequence;
    }

    /// Number of the message that asks.
    pub(super) fn asking(&self) -> u32 {
        self.asking
    }

    /// A message: `kind` with its subsystem, and `resource` (a queue's number, or the subsystem of a batch).
    pub(super) fn message(
        &mut self,
        (kind, flags): (u16, u16),
        family: u8,
        resource: u16,
        attributes: impl FnOnce(&mut Self),
    ) {
        self.sequence = self.sequence.wrapping_add(1);
        let start = self.bytes.len();
        self.latest = start;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0, 0, 0, 0, family, 0]);
        self.bytes.extend_from_slice(&resource.to_be_bytes());
        attributes(self);
        let length = (self.bytes.len() - start) as u32;
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// An attribute.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |messages| messages.bytes.extend_from_slice(value));
    }

    /// An attribute of 32 bits.
    pub(super) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// An attribute that is a text, with a zero behind it.
    pub(super) fn put_text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, |messages| {
            messages.bytes.extend_from_slice(text.as_bytes());
            messages.bytes.push(0);
        });
    }

    /// An attribute that holds others.
    pub(super) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        self.attribute(kind | NESTED, inner);
    }

    fn attribute(&mut self, kind: u16, value: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        value(self);
        // Callers keep lists short enough for the 16 bits.
        let length = (self.bytes.len() - start) as u16;
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A message that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    /// What lies behind the netlink header.
    body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The errno of an answer, 0 for success; `None`: it is none.
    pub(super) fn errno(&self) -> Option<i32> {
        let code = self.body.first_chunk().filter(|_| self.kind == ERROR)?;
        Some(i32::from_ne_bytes(*code).saturating_neg())
    }

    /// Its attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.body.get(4..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, kind) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
            let value = rest.get(4..length.into())?;
            rest = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
            Some((kind & !NESTED, value))
        })
    }
}

/// The messages of a datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let body = bytes.get(16..length)?;
        let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let received = Received { kind: u16_at(bytes, 4)?, sequence, body };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(received)
    })
}

/// 16 bits in the machine's byte order.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length of a netlink header and the one behind it.
    const HEADERS: usize = 20;

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Messages::default();
        out.message((0x301, 0), 2, 7, |it| {
            it.put(1, &[1, 2, 3]);
            it.nest(2, |it| it.put_u32(9, 5));
            it.put_text(3, "ab");
        });
        out.message((0x302, 0), 10, 0, |_| {});
        assert_eq!(out.bytes().len(), HEADERS + 8 + 12 + 8 + HEADERS);
        let read: Vec<_> = messages(out.bytes()).collect();
        assert_eq!(
            read.iter().map(|it| (it.kind, it.sequence)).collect::<Vec<_>>(),
            [(0x301, 1), (0x302, 2)]
        );
        let attributes: Vec<_> = read[0].attributes().collect();
        assert_eq!(attributes[0], (1, &[1, 2, 3][..]));
        assert_eq!((attributes[1].0, attributes[1].1.len()), (2, 8));
        assert_eq!(attributes[2], (3, &b"ab\0"[..]));
        assert_eq!(read[1].attributes().count(), 0);
    }

    /// Whatever comes, it is read to its end at most.
    #[test]
    fn what_is_cut_off_or_nonsense_ends_the_reading() {
        let mut out = Messages::default();
        out.message((0x301, 0), 2, 7, |it| it.put(1, &[1, 2, 3]));
        for len in 0..out.bytes().len() {
            assert_eq!(messages(&out.bytes()[..len]).count(), 0);
        }
        let mut zero_length = out.bytes().to_vec();
        zero_length[HEADERS..HEADERS + 2].copy_from_slice(&[0, 0]);
        assert_eq!(messages(&zero_length).next().map(|it| it.attributes().count()), Some(0));
        assert_eq!(messages(&[0; 64]).count(), 0);
        let mut refused = Vec::from(20u32.to_ne_bytes());
        refused.extend(2u16.to_ne_bytes());
        refused.extend([0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        refused.extend((-17i32).to_ne_bytes());
        let read = messages(&refused).next();
        assert_eq!(read.and_then(|it| it.errno()), Some(17));
        refused[16..20].copy_from_slice(&i32::MIN.to_ne_bytes());
        assert_eq!(messages(&refused).next().and_then(|it| it.errno()), Some(i32::MAX));
    }
}
