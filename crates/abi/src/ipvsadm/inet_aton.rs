//! IPv4 addresses in every notation that the C library's inet_aton accepts.

use std::net::Ipv4Addr;

use super::number::is_blank;

/// Reads one to four parts, each decimal, octal (`0…`) or hexadecimal (`0x…`); the last part fills the remaining
/// bytes ("10" is 0.0.0.10). What follows a blank is ignored, as the C library does.
pub(super) fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let text = text.split(is_blank).next()?;
    let parts: Vec<u32> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|byte| *byte > 255) {
        return None;
    }
    let free_bits = 32 - 8 * leading.len() as u32;
    if u64::from(*last) >= 1 << free_bits {
        return None;
    }
    let high = leading.iter().zip([24, 16, 8]).fold(0, |sum, (byte, shift)| sum | byte << shift);
    Some(Ipv4Addr::from(high | last))
}

fn part(text: &str) -> Option<u32> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match text.strip_prefix('0') {
        None | Some("") => text.parse().ok(),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(digits) if digits.starts_with('+') => None,
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None if rest.starts_with('+') => None,
            None => u32::from_str_radix(rest, 8).ok(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_notation() {
        for (text, bytes) in [
            ("10.0.0.1", [10, 0, 0, 1]),
            ("10", [0, 0, 0, 10]),
            ("10.0", [10, 0, 0, 0]),
            ("1.2.65535", [1, 2, 255, 255]),
            ("010.0.0.1", [8, 0, 0, 1]),
            ("0x0a000001", [10, 0, 0, 1]),
            ("255.255.255", [255, 255, 0, 255]),
            ("4294967295", [255; 4]),
            ("1.2.3.4 rest", [1, 2, 3, 4]),
            ("0", [0; 4]),
        ] {
            assert_eq!(inet_aton(text), Some(Ipv4Addr::from(bytes)), "{text}");
        }
        for bad in
            ["", " 1.2.3.4", "10.0.0.256", "1.2.3.4.5", "1.2.3.", ".1", "08", "+1", "0x+1", "4294967296", "a"]
        {
            assert_eq!(inet_aton(bad), None, "{bad}");
        }
    }
}
