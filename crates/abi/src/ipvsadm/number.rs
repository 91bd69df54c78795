//! Numbers as the C library's strtol reads them in base 10.

use std::ops::RangeInclusive;

/// Blanks of the C locale.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// The number that `text` is, if it lies in `range`: leading blanks and a sign may stand before the digits, nothing
/// after them.
pub(super) fn number(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    let (number, rest) = leading_number(text)?;
    (rest.is_empty() && range.contains(&number)).then_some(number)
}

/// The number with which `text` begins (saturating), and what follows it.
pub(super) fn leading_number(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start_matches(is_blank);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = unsigned.trim_start_matches(|character: char| character.is_ascii_digit());
    let digits = unsigned.strip_suffix(rest).filter(|digits| !digits.is_empty())?;
    let magnitude = digits.parse().unwrap_or(i64::MAX);
    Some((if text.starts_with('-') { -magnitude } else { magnitude }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_strtol_reads() {
        let all = i64::MIN..=i64::MAX;
        assert_eq!(number(" \t+010", all.clone()), Some(10));
        assert_eq!(number("-1", all.clone()), Some(-1));
        for bad in ["", "+", "- 1", "1 ", "1x", "0x10", "1.5", "--1", "+-1"] {
            assert_eq!(number(bad, all.clone()), None, "{bad}");
        }
        assert_eq!(number("99999999999999999999", 0..=i64::from(u32::MAX)), None);
        assert_eq!(leading_number("64x"), Some((64, "x")));
    }
}
