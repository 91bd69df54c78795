//! Bounds-checked access to big-endian fields. No offset panics: a read beyond the end gives `None`, a write says
//! whether it happened.

use crate::Malformed;

/// The `N` bytes at `offset`.
#[inline]
pub(crate) fn array<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk().copied()
}

/// The byte at `offset`.
#[inline]
pub(crate) fn u8_at(data: &[u8], offset: usize) -> Option<u8> {
    data.get(offset).copied()
}

/// The 16-bit number at `offset`.
#[inline]
pub(crate) fn u16_at(data: &[u8], offset: usize) -> Option<u16> {
    array(data, offset).map(u16::from_be_bytes)
}

/// The 32-bit number at `offset`.
#[inline]
pub(crate) fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    array(data, offset).map(u32::from_be_bytes)
}

/// Stores `value` at `offset`.
#[inline]
pub(crate) fn put<const N: usize>(data: &mut [u8], offset: usize, value: [u8; N]) -> Result<(), Malformed> {
    *data.get_mut(offset..).and_then(<[u8]>::first_chunk_mut).ok_or(Malformed::Truncated)? = value;
    Ok(())
}

/// Stores a 16-bit number at `offset`.
#[inline]
pub(crate) fn put_u16(data: &mut [u8], offset: usize, value: u16) -> Result<(), Malformed> {
    put(data, offset, value.to_be_bytes())
}

/// The byte at `offset`, 0 beyond the end. For views, whose length was checked at the start.
#[inline]
pub(crate) fn byte(data: &[u8], offset: usize) -> u8 {
    u8_at(data, offset).unwrap_or_default()
}

/// The 16-bit number at `offset`, 0 beyond the end.
#[inline]
pub(crate) fn be16(data: &[u8], offset: usize) -> u16 {
    u16_at(data, offset).unwrap_or_default()
}

/// The 32-bit number at `offset`, 0 beyond the end.
#[inline]
pub(crate) fn be32(data: &[u8], offset: usize) -> u32 {
    u32_at(data, offset).unwrap_or_default()
}

/// The `N` bytes at `offset`, zeros beyond the end.
#[inline]
pub(crate) fn octets<const N: usize>(data: &[u8], offset: usize) -> [u8; N] {
    array(data, offset).unwrap_or([0; N])
}

/// Stores `value` at `offset` if it fits. For views, whose length was checked at the start.
#[inline]
pub(crate) fn set<const N: usize>(data: &mut [u8], offset: usize, value: [u8; N]) {
    let _ = put(data, offset, value);
}
