//! Sums of a few words for the Internet checksum, folded in fewer instructions than [`ipvs_wire::checksum::fold`] takes for any
//! sum: those here are below 2^36, as of up to fifteen words of 32 bits.

/// Not more than 0xffff and 16 more, of the same rest by 0xffff as `sum`, and 0 only if that is.
#[inline(always)]
const fn nearly(sum: u64) -> u64 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}

/// The sum, folded: as [`ipvs_wire::checksum::fold`].
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = nearly(sum);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Whether a sum folds to 0xffff: that over all there is, the checksum among it, if this is right.
#[inline(always)]
pub const fn is_whole(sum: u64) -> bool {
    nearly(sum) == 0xffff
}

/// Both agree with the fold of any sum, at each power of two and around it, up to the greatest.
const _: () = {
    let mut bits = 0;
    while bits <= 36 {
        let mut around = 0;
        while around < 5 {
            let sum = ((1u64 << bits) + around).saturating_sub(2 + (bits == 36) as u64 * 3);
            let folded = ipvs_wire::checksum::fold(sum);
            assert!(fold(sum) == folded && is_whole(sum) == (folded == 0xffff));
            around += 1;
        }
        bits += 1;
    }
};
