//! Numbers in columns of nine characters.

/// `value` after a blank, right-aligned in nine characters; from a hundred million on as K, M, G and T (rounded
/// down), unless `exact`.
pub(super) fn column(value: u64, exact: bool) -> String {
    match value {
        _ if exact => format!(" {value:>8}"),
        0..100_000_000 => format!(" {value:>8}"),
        100_000_000..1_000_000_000 => format!("{:>8}K", value / 1000),
        1_000_000_000..100_000_000_000 => format!("{:>8}M", value / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{:>8}G", value / 1_000_000_000),
        _ => format!("{:>8}T", value / 1_000_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn shortens_from_a_hundred_million_on() {
        for (value, text) in [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (990_896_744, "  990896K"),
            (1_010_913_592, "    1010M"),
            (99_999_999_999, "   99999M"),
            (100_000_000_000, "     100G"),
            (99_999_999_999_999, "   99999G"),
            (100_000_000_000_000, "     100T"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(column(value, false), text);
        }
        assert_eq!(column(1_010_913_592, true), " 1010913592");
    }
}
