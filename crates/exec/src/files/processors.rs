//! How many processors the host may have: each has a row in ip_vs_stats_percpu.

/// The number of processors that the host may ever have; 1 if it does not say.
pub fn possible_processors() -> usize {
    std::fs::read_to_string("/sys/devices/system/cpu/possible")
        .ok()
        .and_then(|text| count(&text))
        .unwrap_or(1)
}

/// How many numbers a list like `0-3,8` has.
fn count(list: &str) -> Option<usize> {
    list.trim().split(',').try_fold(0_usize, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(count("0\n"), Some(1));
        assert_eq!(count("0-3,8\n"), Some(5));
        for bad in ["", "x", "3-1", "0-", "0-18446744073709551615"] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }
}
