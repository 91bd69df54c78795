//! SCTP's checksum: CRC32c (RFC 9260 section 6.8 and appendix A).

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::{Malformed, bytes};

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Offset of the checksum in SCTP's common header.
pub const CHECKSUM: usize = 8;

/// The checksum of an SCTP packet (common header and all chunks), computed with a zero checksum field, in the byte
/// order in which it is stored: least significant byte first, unlike all else.
///
/// # Errors
/// [`Malformed::Truncated`] if the common header is not all there.
pub fn checksum(sctp: &[u8]) -> Result<[u8; 4], Malformed> {
    let (before, rest) = sctp.split_at_checked(CHECKSUM).ok_or(Malformed::Truncated)?;
    let (_, after) = rest.split_at_checked(4).ok_or(Malformed::Truncated)?;
    let mut digest = CRC.digest();
    digest.update(before);
    digest.update(&[0; 4]);
    digest.update(after);
    Ok(digest.finalize().to_le_bytes())
}

/// The CRC32c of any bytes.
pub fn of(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// Whether an SCTP packet's checksum is right; false if the common header is not all there.
pub fn verify(sctp: &[u8]) -> bool {
    checksum(sctp).is_ok_and(|checksum| bytes::array(sctp, CHECKSUM) == Some(checksum))
}

/// Computes and stores an SCTP packet's checksum.
///
/// # Errors
/// As [`checksum`].
pub fn fill(sctp: &mut [u8]) -> Result<(), Malformed> {
    let checksum = checksum(sctp)?;
    bytes::put(sctp, CHECKSUM, checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_polynomial() {
        // "123456789", the customary check value of CRC-32/ISCSI.
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        // RFC 3720 appendix B.4: 32 bytes of zeros, of ones, and counting up.
        assert_eq!(CRC.checksum(&[0; 32]).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(CRC.checksum(&[0xff; 32]).to_le_bytes(), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(
            CRC.checksum(&core::array::from_fn::<u8, 32, _>(|i| i as u8)).to_le_bytes(),
            [0x4e, 0x79, 0xdd, 0x46]
        );
    }

    #[test]
    fn the_field_itself_does_not_count() {
        let mut packet = *b"\x12\x34\x00\x50\xde\xad\xbe\xef\x01\x02\x03\x04chunk";
        fill(&mut packet).unwrap();
        assert!(verify(&packet));
        packet[14] ^= 1;
        assert!(!verify(&packet));
        assert_eq!(fill(&mut [0; 11]), Err(Malformed::Truncated));
        assert!(!verify(&[0; 11]));
    }
}
