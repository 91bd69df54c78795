//! Reproducible pseudo-random bytes, so that both ends of a transfer know what must arrive.

use sha2::{Digest, Sha256};

/// Transfers are produced and checked in blocks of this size (a multiple of 8).
pub(crate) const BLOCK: usize = 64 * 1024;

/// The byte stream of one seed (SplitMix64, little-endian words).
pub(crate) struct Pattern(u64);

impl Pattern {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next bytes of the stream. All blocks but the last must be a multiple of 8 long.
    pub(crate) fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            word.copy_from_slice(&mixed.to_le_bytes()[..word.len()]);
        }
    }
}

/// Calls `each` with consecutive blocks of the first `length` bytes of `seed`'s stream.
pub(crate) fn blocks<E>(
    seed: u64,
    length: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut pattern = Pattern::new(seed);
    let mut block = vec![0; BLOCK];
    let mut left = length;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        pattern.fill(&mut block[..size]);
        each(&block[..size])?;
        left -= size as u64;
    }
    Ok(())
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn hex(digest: Sha256) -> String {
    use std::fmt::Write;
    digest.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_exact_and_seeds_differ() {
        let take = |seed, length| {
            let mut all = Vec::new();
            blocks(seed, length, |block| {
                all.extend_from_slice(block);
                Ok::<_, ()>(())
            })
            .unwrap();
            all
        };
        let long = take(1, BLOCK as u64 + 13);
        assert_eq!(long.len(), BLOCK + 13);
        assert_eq!(take(1, 1000), long[..1000]);
        assert_ne!(take(2, 1000), long[..1000]);
    }
}
