//! Settings as the files of /proc/sys/net/ipv4/vs write and read them. How the kernel reads a write was seen on the
//! reference kernel (`conformance/control/sysctl.sh`); it is less than strtol, and partly more.

use ipvs_core::Sysctl;

use crate::errno::Errno;

/// Only so much of a write is looked at: a page less one byte.
const LOOKED_AT: usize = 4095;

/// Most characters of a number, its sign among them.
const NUMBER_MOST: usize = 20;

/// What a setting's file reads as: values separated by tabs, and a newline.
pub fn format(sysctl: Sysctl, values: &[i64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| number(sysctl, *value)).collect();
    texts.join("\t") + "\n"
}

fn number(sysctl: Sysctl, value: i64) -> String {
    if sysctl.is_unsigned_long() { value.cast_unsigned().to_string() } else { value.to_string() }
}

/// What a write to a setting's file means: as many values as it holds, or fewer. What comes after them is not looked at.
/// An empty write means nothing and is no error.
///
/// # Errors
/// EINVAL for what is no such number, or too large for the setting's width.
pub fn parse(sysctl: Sysctl, text: &[u8]) -> Result<Vec<i64>, Errno> {
    let scan = scan(sysctl, text);
    if scan.refused { Err(Errno::EINVAL) } else { Ok(scan.values) }
}

/// Does what a write to a setting's file does: has `set` set the values and returns how many bytes of `text` the kernel
/// says it took. Of two numbers the first is set even where the second is no number.
///
/// # Errors
/// EINVAL for what is no number, else what `set` returns.
pub fn write<E: From<Errno>>(
    sysctl: Sysctl,
    text: &[u8],
    set: impl FnOnce(Vec<i64>) -> Result<(), E>,
) -> Result<usize, E> {
    let scan = scan(sysctl, text);
    if !scan.values.is_empty() {
        set(scan.values)?;
    }
    if scan.refused { Err(Errno::EINVAL.into()) } else { Ok(scan.taken) }
}

/// What was found in a write.
struct Scan {
    /// The numbers before the end, or before what is none.
    values: Vec<i64>,
    /// There is something that is no number where one belongs.
    refused: bool,
    /// How many bytes were taken: the numbers and the blanks around them.
    taken: usize,
}

fn scan(sysctl: Sysctl, text: &[u8]) -> Scan {
    let mut rest = text.get(..LOOKED_AT).unwrap_or(text);
    let mut values = Vec::new();
    let mut refused = false;
    while values.len() < sysctl.width() {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            // Blanks alone are an error, nothing at all is none.
            refused = values.is_empty() && !text.is_empty();
            break;
        }
        let Some((value, length)) = read_number(sysctl, rest) else {
            refused = true;
            break;
        };
        values.push(value);
        rest = rest.get(length..).unwrap_or_default();
    }
    let taken = text.len() - skip_blanks(rest).len();
    Scan { values, refused, taken }
}

/// Skips what the kernel takes for blank: ASCII's, and the no-break space of Latin-1.
fn skip_blanks(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0);
    let blanks = text.iter().take_while(|byte| blank(byte)).count();
    text.get(blanks..).unwrap_or_default()
}

/// The number at the start of `text` and its length: `0x` hexadecimal, `0` octal, else decimal; at most
/// [`NUMBER_MOST`] characters, with nothing or a blank, tab or newline behind it; no sign but a minus.
fn read_number(sysctl: Sysctl, text: &[u8]) -> Option<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let sign = usize::from(negative);
    let (prefix, radix) = match text.get(sign..)? {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (2, 16),
        [b'0', ..] => (0, 8),
        _ => (0, 10),
    };
    let start = sign + prefix;
    let digits = text.get(start..)?;
    let count = digits.iter().take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let end = start + count;
    if count == 0 || end > NUMBER_MOST || !matches!(text.get(end), None | Some(b' ' | b'\t' | b'\n')) {
        return None;
    }
    let digits = core::str::from_utf8(digits.get(..count)?).ok()?;
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    let value = if sysctl.is_unsigned_long() {
        // Not even -0.
        (!negative).then_some(magnitude.cast_signed())
    } else {
        let magnitude = i64::try_from(magnitude).ok()?;
        let value = if negative { -magnitude } else { magnitude };
        i32::try_from(value).ok().map(i64::from)
    };
    value.map(|value| (value, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes as (text, what one integer becomes and how many bytes were taken), seen on the reference kernel.
    #[test]
    fn one_integer() {
        let long = |text: &str, count: usize, end: &str| text.repeat(count) + end;
        let (after, before) = ("1".to_owned() + &long(" ", 5000, ""), long(" ", 5000, "1"));
        let refused = None;
        for (text, want) in [
            (&b"1\n"[..], Some((1, 2))),
            (b"2 x", Some((2, 2))),
            (b"2 1", Some((2, 2))),
            (b"3\t60", Some((3, 2))),
            (b"1\n2\n", Some((1, 2))),
            (b"\t2\n", Some((2, 3))),
            (b"\x0b1", Some((1, 2))),
            (b"\xa01", Some((1, 2))),
            (b"1\xa0", refused),
            (b"1\r", refused),
            (b"+1", refused),
            (b"-1", Some((-1, 2))),
            (b"- 1", refused),
            (b"-0", Some((0, 2))),
            (b"\n", refused),
            (b"  \n", refused),
            (b"1\0", refused),
            (b"\0", refused),
            (b"0x10", Some((16, 4))),
            (b"0X1F", Some((31, 4))),
            (b"-0x10", Some((-16, 5))),
            (b"010", Some((8, 3))),
            (b"0x", refused),
            (b"08", refused),
            (b"5,6", refused),
            (b"2147483647", Some((2_147_483_647, 10))),
            (b"2147483648", refused),
            (b"-2147483648", Some((-2_147_483_648, 11))),
            (b"-2147483649", refused),
            (b"18446744073709551616", refused),
            (b"00000000000000000001", Some((1, 20))),
            (b"000000000000000000001", refused),
            (b"-0000000000000000001 ", Some((-1, 21))),
            (b"-00000000000000000001", refused),
            (after.as_bytes(), Some((1, 5001))),
            (before.as_bytes(), refused),
        ] {
            let mut set = None;
            let taken = write::<Errno>(Sysctl::Amemthresh, text, |values| {
                set = Some(values);
                Ok(())
            });
            let shown = String::from_utf8_lossy(text);
            match want {
                Some((value, bytes)) => {
                    assert_eq!((taken, set), (Ok(bytes), Some(vec![value])), "{shown:?}");
                }
                None => assert_eq!((taken, set), (Err(Errno::EINVAL), None), "{shown:?}"),
            }
        }
        assert_eq!(write::<Errno>(Sysctl::Amemthresh, b"", |_| Err(Errno::EIO)), Ok(0));
    }

    #[test]
    fn two_integers_and_a_long_one() {
        let two = |text: &[u8]| {
            let mut set = Vec::new();
            let taken = write::<Errno>(Sysctl::SyncThreshold, text, |values| {
                set = values;
                Ok(())
            });
            (set, taken)
        };
        assert_eq!(two(b"3 62 9"), (vec![3, 62], Ok(5)));
        assert_eq!(two(b"7"), (vec![7], Ok(1)));
        assert_eq!(two(b"3\n61\n"), (vec![3, 61], Ok(5)));
        // Set, and refused all the same.
        assert_eq!(two(b"4 x"), (vec![4], Err(Errno::EINVAL)));
        assert_eq!(two(b"x 4"), (vec![], Err(Errno::EINVAL)));
        let long =
            |text: &[u8]| parse(Sysctl::SyncQlenMax, text).map(|values| format(Sysctl::SyncQlenMax, &values));
        assert_eq!(long(b"18446744073709551615").as_deref(), Ok("18446744073709551615\n"));
        assert_eq!(long(b"18446744073709551616"), Err(Errno::EINVAL));
        assert_eq!(long(b"-0"), Err(Errno::EINVAL));
        assert_eq!(long(b"0x10").as_deref(), Ok("16\n"));
    }

    proptest! {
        /// No write makes it panic; what it takes is within the text, and what it prints it reads again.
        #[test]
        fn any_text(text in proptest::collection::vec(any::<u8>(), 0..64), which in 0..Sysctl::ALL.len()) {
            let sysctl = Sysctl::ALL[which];
            let mut set = Vec::new();
            let taken = write::<Errno>(sysctl, &text, |values| { set = values; Ok(()) });
            prop_assert!(taken.unwrap_or(0) <= text.len());
            prop_assert!(set.len() <= sysctl.width());
            if !set.is_empty() {
                prop_assert_eq!(parse(sysctl, format(sysctl, &set).as_bytes()), Ok(set));
            }
        }

        /// Numbers of every kind are read back.
        #[test]
        fn any_number(value in any::<i32>(), long in any::<i64>()) {
            let value = i64::from(value);
            prop_assert_eq!(parse(Sysctl::Amemthresh, format(Sysctl::Amemthresh, &[value]).as_bytes()), Ok(vec![value]));
            prop_assert_eq!(parse(Sysctl::SyncQlenMax, format(Sysctl::SyncQlenMax, &[long]).as_bytes()), Ok(vec![long]));
        }
    }
}
