//! struct msghdr and its vectors in a client's memory (64-bit layout).

use ipvs_abi::errno::Errno;

use crate::memory::{MOST, Memory};

/// Bytes of struct msghdr, and of struct mmsghdr, which has the length of a message after it.
const LENGTH: usize = 56;
pub(super) const MANY_LENGTH: u64 = 64;
pub(super) const MANY_RESULT: u64 = 56;

/// Most vectors of a message (UIO_MAXIOV).
const MOST_VECTORS: u64 = 1024;

/// A piece of a client's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) base: u64,
    pub(super) length: usize,
}

/// Where a message is, or goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MessageHeader {
    /// The address of the other end; 0: not given, or not wanted.
    pub(super) name: u64,
    pub(super) name_length: i32,
    pub(super) pieces: Vec<Piece>,
    pub(super) control: u64,
    pub(super) control_length: u64,
}

impl MessageHeader {
    /// One piece of data without an address.
    pub(super) fn plain(base: u64, length: u64) -> Result<Self, Errno> {
        Ok(Self { pieces: vec![Piece { base, length: size(length)? }], ..Self::default() })
    }

    /// The vectors at `address` without an address.
    pub(super) fn vectors(memory: Memory, address: u64, count: u64) -> Result<Self, Errno> {
        Ok(Self { pieces: read_pieces(memory, address, count)?, ..Self::default() })
    }

    /// The struct msghdr at `address`.
    ///
    /// # Errors
    /// EFAULT, EMSGSIZE for too many vectors, EINVAL for lengths that no memory has.
    pub(super) fn read(memory: Memory, address: u64) -> Result<Self, Errno> {
        let bytes: [u8; LENGTH] = memory.read_array(address)?;
        let long = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(word)
        };
        Ok(Self {
            name: long(0),
            name_length: i32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            pieces: read_pieces(memory, long(16), long(24))?,
            control: long(32),
            control_length: long(40),
        })
    }

    /// Bytes of all pieces.
    pub(super) fn length(&self) -> usize {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.length))
    }

    /// The data that lies in the pieces.
    ///
    /// # Errors
    /// EFAULT, EMSGSIZE for more than is taken at once.
    pub(super) fn gather(&self, memory: Memory) -> Result<Vec<u8>, Errno> {
        if self.length() > MOST {
            return Err(Errno::EMSGSIZE);
        }
        let mut data = Vec::new();
        for piece in &self.pieces {
            data.extend(memory.read(piece.base, piece.length)?);
        }
        Ok(data)
    }

    /// Puts data into the pieces, as much as fits.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn scatter(&self, memory: Memory, mut data: &[u8]) -> Result<(), Errno> {
        for piece in &self.pieces {
            let (now, later) = data.split_at(piece.length.min(data.len()));
            memory.write(piece.base, now)?;
            data = later;
        }
        Ok(())
    }

    /// Puts the results of a reception into the struct msghdr at `address`: what the kernel puts there.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn write_results(
        &self,
        memory: Memory,
        address: u64,
        name_length: usize,
        control_length: usize,
        flags: i32,
    ) -> Result<(), Errno> {
        if self.name != 0 {
            memory.write(address.wrapping_add(8), &(name_length as u32).to_ne_bytes())?;
        }
        memory.write(address.wrapping_add(40), &(control_length as u64).to_ne_bytes())?;
        memory.write(address.wrapping_add(48), &flags.to_ne_bytes())
    }
}

fn read_pieces(memory: Memory, address: u64, count: u64) -> Result<Vec<Piece>, Errno> {
    if count > MOST_VECTORS {
        return Err(Errno::EMSGSIZE);
    }
    let bytes = memory.read(address, count as usize * 16)?;
    let (vectors, _) = bytes.as_chunks::<16>();
    vectors
        .iter()
        .map(|vector| {
            let [b0, b1, b2, b3, b4, b5, b6, b7, l0, l1, l2, l3, l4, l5, l6, l7] = *vector;
            let base = u64::from_ne_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
            Ok(Piece { base, length: size(u64::from_ne_bytes([l0, l1, l2, l3, l4, l5, l6, l7]))? })
        })
        .collect()
}

/// A length that is not negative as ssize_t.
fn size(length: u64) -> Result<usize, Errno> {
    i64::try_from(length).ok().and_then(|length| usize::try_from(length).ok()).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own() -> Memory {
        Memory::of(std::process::id())
    }

    fn address_of(bytes: &[u8]) -> u64 {
        bytes.as_ptr().expose_provenance() as u64
    }

    /// Addresses that are good, bad, and at the edges.
    fn addresses(good: u64) -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(good),
            Just(0),
            Just(u64::MAX),
            Just(u64::MAX - 55),
            any::<u64>(),
            good - 64..good + 64
        ]
    }

    fn lengths() -> impl Strategy<Value = u64> {
        prop_oneof![0..64u64, Just(1024), Just(1025), Just(i64::MAX as u64), Just(u64::MAX), any::<u64>()]
    }

    proptest! {
        /// Whatever a client has at the places that it names: an answer or an errno, no panic, and no more memory than
        /// is taken at once.
        #[test]
        fn takes_any_header(
            words in prop::collection::vec(any::<u64>(), 8..64),
            vectors in prop::collection::vec((any::<prop::sample::Index>(), lengths()), 0..8),
            place in any::<u64>(),
            count in lengths(),
            data in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let target = vec![0u8; 4096];
            let mut table: Vec<u8> = Vec::new();
            for (index, length) in &vectors {
                let base = [0, u64::MAX, place, address_of(&target)][index.index(4)];
                table.extend(base.to_ne_bytes());
                table.extend(length.to_ne_bytes());
            }
            let mut header: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            header[16..24].copy_from_slice(&address_of(&table).to_ne_bytes());
            let fitting = vectors.len() as u64;
            for count in [fitting, count] {
                header[24..32].copy_from_slice(&count.to_ne_bytes());
                let Ok(read) = MessageHeader::read(own(), address_of(&header)) else { continue };
                if let Ok(gathered) = read.gather(own()) {
                    prop_assert_eq!(gathered.len(), read.length());
                    prop_assert!(gathered.len() <= MOST);
                }
                // Only where the vectors lead into our own buffer can anything be put.
                let within = |piece: &Piece| piece.length.min(data.len()) == 0
                    || piece.base < 4096
                    || piece.base == u64::MAX
                    || (piece.base == address_of(&target) && piece.length <= 4096);
                if count == fitting && read.pieces.iter().all(within) {
                    let _ = read.scatter(own(), &data);
                }
            }
        }

        #[test]
        fn takes_any_address(address in addresses(4096), count in lengths()) {
            let _ = MessageHeader::read(own(), address);
            let _ = MessageHeader::vectors(own(), address, count);
            let _ = MessageHeader::plain(address, count);
        }
    }

    #[test]
    fn gathers_and_scatters_over_pieces() {
        let (first, second) = (*b"abc", *b"defgh");
        let header = MessageHeader {
            pieces: vec![
                Piece { base: address_of(&first), length: 3 },
                Piece { base: 0, length: 0 },
                Piece { base: address_of(&second), length: 5 },
            ],
            ..MessageHeader::default()
        };
        assert_eq!(header.gather(own()).as_deref(), Ok(&b"abcdefgh"[..]));
        let broken = MessageHeader { pieces: vec![Piece { base: 0, length: 1 }], ..MessageHeader::default() };
        assert_eq!(broken.gather(own()), Err(Errno::EFAULT));
        assert_eq!(broken.scatter(own(), b"x"), Err(Errno::EFAULT));
        assert_eq!(broken.scatter(own(), b""), Ok(()));
        let huge = MessageHeader { pieces: vec![Piece { base: 0, length: MOST + 1 }], ..Default::default() };
        assert_eq!(huge.gather(own()), Err(Errno::EMSGSIZE));
    }
}
