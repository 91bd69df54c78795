//! What a write to a setting does beyond its text, as `conformance/experiments/files.py` showed it.

use std::fs;

use ipvs_core::Sysctl;

/// How much of a write the kernel looks at, in bytes.
pub(super) const SEEN: usize = 4095;

/// Whether a write at an `offset` other than 0 has no effect, and yet succeeds: `kernel.sysctl_writes_strict`, on unless
/// set otherwise.
pub(super) fn is_ignored_at(offset: u64) -> bool {
    offset != 0
        && fs::read_to_string("/proc/sys/kernel/sysctl_writes_strict")
            .map_or(true, |text| text.trim().parse::<i32>().map_or(true, |value| value > 0))
}

/// What write(2) returns for a text that was accepted: all but what follows the values, and the blanks after them, in
/// the part that the kernel looks at. A shell then writes the rest at that offset, where it has no effect.
pub(super) fn accepted(setting: Sysctl, text: &[u8]) -> usize {
    let seen = text.get(..SEEN).unwrap_or(text);
    let mut rest = seen.trim_ascii_start();
    for _ in 0..setting.width() {
        let word = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        rest = rest.get(word..).unwrap_or_default().trim_ascii_start();
    }
    text.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_kernels() {
        let blanks = [b"1".as_slice(), &[b' '; 5000]].concat();
        let cases: [(Sysctl, &[u8], usize); 12] = [
            (Sysctl::DropEntry, b"1\n", 2),
            (Sysctl::DropEntry, b"1", 1),
            (Sysctl::DropEntry, b"  3 \n", 5),
            (Sysctl::DropEntry, b"1 2", 2),
            (Sysctl::DropEntry, b"1 x", 2),
            (Sysctl::DropEntry, b"1\n2\n", 2),
            (Sysctl::DropEntry, b"1\t", 2),
            (Sysctl::DropEntry, &blanks, 5001),
            (Sysctl::SyncThreshold, b"5 60", 4),
            (Sysctl::SyncThreshold, b"5", 1),
            (Sysctl::SyncThreshold, b"5 60 70", 5),
            (Sysctl::SyncThreshold, b"9\n60\n", 5),
        ];
        for (setting, text, expected) in cases {
            assert_eq!(accepted(setting, text), expected, "{setting:?} {:?}", String::from_utf8_lossy(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_length(text: Vec<u8>) {
            assert!(accepted(Sysctl::SyncThreshold, &text) <= text.len());
        }
    }
}
