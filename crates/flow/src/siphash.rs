//! SipHash-1-3, written out for messages of few lengths so that it can be inlined.

/// SipHash-1-3 under `key` of the 20 bytes that `words` are in little-endian order.
#[inline(always)]
pub(crate) fn hash(key: [u64; 2], words: [u32; 5]) -> u64 {
    let [a, b, c, d, e] = words.map(u64::from);
    // The last block carries the message's length in its top byte.
    hash_blocks(key, [a | b << 32, c | d << 32, e | 20 << 56])
}

/// SipHash-1-3 under `key` of the four bytes that `word` is in little-endian order.
#[inline(always)]
pub(crate) fn hash_word(key: [u64; 2], word: u32) -> u64 {
    hash_blocks(key, [u64::from(word) | 4 << 56])
}

#[inline(always)]
fn hash_blocks<const BLOCKS: usize>(key: [u64; 2], blocks: [u64; BLOCKS]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    for block in blocks {
        v[3] ^= block;
        v = round(v);
        v[0] ^= block;
    }
    v[2] ^= 0xff;
    v = round(round(round(v)));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_an_independent_siphash(key: [u64; 2], words: [u32; 5]) {
            let mut reference = siphasher::sip::SipHasher13::new_with_keys(key[0], key[1]);
            for word in words {
                reference.write(&word.to_le_bytes());
            }
            prop_assert_eq!(super::hash(key, words), reference.finish());
        }
    }
}
