//! The hash of the connection table: multilinear (Lemire and Kaser, "Strongly universal string hashing is fast", 2014), then mixed.
//!
//! A packet's hash is five products and a sum where SipHash would be six rounds, which are a fifth of all that the XDP program
//! does for a packet. What must hold: nobody outside can choose connections that meet in one chain. For keys that were drawn at
//! random, any two different clients have the same 64 bits with a probability of at most 2^-32, and the same line of a table with
//! hardly more than that of chance, whoever chose them; the hash itself is never shown. A plain multilinear hash would give away
//! more to those who measure how long lookups take: clients of one difference meet, wherever they begin. Hence the mixing.

use crate::{Address, siphash};

/// Words that are hashed.
const WORDS: usize = 5;

/// An odd number, of 2^64 by the golden ratio: its product spreads each bit to those above.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a table: numbers drawn by its key, and behind them what those of IPv4 clients add up to that is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableHash([u64; WORDS + 2]);

impl TableHash {
    /// The hash of a table with this key.
    pub fn of(key: [u64; 2]) -> Self {
        let mut number = 0;
        let [first, a, b, c, d, e] = [(); WORDS + 1].map(|()| {
            number += 1;
            siphash::hash(key, [number, 0, 0, 0, 0])
        });
        let [_, _, mapped, _] = Address::of_ipv4_word(0).words();
        Self([first, a, b, c, d, e, first.wrapping_add(c.wrapping_mul(mapped.into()))])
    }

    /// Its numbers: how the XDP program is told of it.
    pub const fn to_words(self) -> [u64; WORDS + 2] {
        self.0
    }

    /// The hash of [`TableHash::to_words`].
    #[inline(always)]
    pub const fn from_words(words: [u64; WORDS + 2]) -> Self {
        Self(words)
    }

    /// Hashes `words`. The low 32 bits are the best.
    #[inline(always)]
    pub(crate) fn hash(self, words: [u32; WORDS]) -> u64 {
        let [first, a, b, c, d, e, _] = self.0;
        let [v, w, x, y, z] = words.map(u64::from);
        let term = |number: u64, word: u64| number.wrapping_mul(word);
        let sum = first
            .wrapping_add(term(a, v))
            .wrapping_add(term(b, w))
            .wrapping_add(term(c, x))
            .wrapping_add(term(d, y))
            .wrapping_add(term(e, z));
        Self::mix(sum)
    }

    /// Hashes the same words of a client of IPv4, whose address and what follows it are the last two.
    #[inline(always)]
    pub(crate) fn hash_ipv4(self, [y, z]: [u32; 2]) -> u64 {
        let [.., d, e, ipv4] = self.0;
        Self::mix(ipv4.wrapping_add(d.wrapping_mul(y.into())).wrapping_add(e.wrapping_mul(z.into())))
    }

    /// The upper half of the sum is strongly universal; the upper half of the product depends on all of it.
    #[inline(always)]
    const fn mix(sum: u64) -> u64 {
        (sum ^ sum >> 32).wrapping_mul(SPREAD).rotate_left(32)
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests {
    use alloc::vec;

    use super::*;
    use proptest::prelude::*;

    /// Sum of squares of how many of `hashes` fall into each of 2^`BITS` places, by what chance gives.
    fn crowding<const BITS: u32>(hashes: impl Iterator<Item = u64>, shift: u32) -> f64 {
        let mut places = vec![0u64; 1 << BITS];
        let mut all = 0u64;
        for hash in hashes {
            places[(hash >> shift) as usize & ((1 << BITS) - 1)] += 1;
            all += 1;
        }
        let pairs: u64 = places.iter().map(|place| place * place - place).sum();
        pairs as f64 / (all * (all - 1)) as f64 * f64::from(1 << BITS)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Clients as they are on one network, with ports that follow each other, and as one attacker would choose them.
        #[test]
        fn clients_spread_as_by_chance(key: [u64; 2], start: u32, shift in 0..20u32, step in 1..64u32, ports in 1..64u32) {
            let hash = TableHash::of(key);
            let clients = || (0..20_000u32).map(|number| {
                let (client, port) = (number / ports * step, number % ports);
                let client = start.wrapping_add(client << shift);
                hash.hash([0, 0, 0xffff_0000, client, port | 6 << 16])
            });
            // Of the line: even fuller than by chance it could be by chance, but not by so much; nor by far emptier clients.
            let distinct = (20_000 / ports * step) >> (32 - shift).min(31) == 0;
            prop_assume!(distinct);
            for crowding in [crowding::<10>(clients(), 0), crowding::<10>(clients(), 22), crowding::<10>(clients(), 54)] {
                prop_assert!(crowding < 1.25, "{crowding}");
            }
        }

        #[test]
        fn clients_of_ipv4_have_the_hash_of_their_words(key: [u64; 2], address: u32, rest: u32) {
            let hash = TableHash::of(key);
            let [a, b, c, d] = Address::of_ipv4_word(address).words();
            prop_assert_eq!(hash.hash_ipv4([address, rest]), hash.hash([a, b, c, d, rest]));
        }

        /// All five words count.
        #[test]
        fn no_word_is_left_out(key: [u64; 2], words: [u32; WORDS], at in 0..WORDS, other: u32) {
            let hash = TableHash::of(key);
            let mut changed = words;
            changed[at] = other;
            prop_assert_eq!(hash.hash(words) == hash.hash(changed), words == changed);
        }
    }
}
