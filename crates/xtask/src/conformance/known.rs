//! Known differences of packet scenarios: `conformance/packets/known.txt`, each with its reason.

use anyhow::{Context, Result, bail, ensure};

/// One known difference.
///
/// Its first line names a table and scenarios, lines that begin with two blanks give the reason, then those that begin with
/// `-` and `+` the lines that the kernel and ipvsd have alone. In names and lines `*` stands for anything.
struct Entry {
    table: String,
    scenarios: Vec<String>,
    reason: String,
    lines: Vec<String>,
}

/// The list.
pub(crate) struct Known {
    entries: Vec<Entry>,
}

impl Known {
    /// Reads the list's file.
    pub(crate) fn load() -> Result<Self> {
        let path = crate::workspace::root().join("conformance/packets/known.txt");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with(['-', '+']) {
                let entry = entries.last_mut().context("a difference before the first scenario")?;
                entry.lines.push(line.to_owned());
            } else if let Some(reason) = line.strip_prefix("  ") {
                let entry = entries.last_mut().context("a reason before the first scenario")?;
                entry.reason.push_str(reason);
                entry.reason.push(' ');
            } else {
                let (table, scenario) = line.split_once(' ').context("a scenario without table")?;
                let scenarios = scenario.split_whitespace().map(str::to_owned).collect();
                entries.push(Entry {
                    table: table.to_owned(),
                    scenarios,
                    reason: String::new(),
                    lines: Vec::new(),
                });
            }
        }
        for entry in &entries {
            let name = format!("{} {}", entry.table, entry.scenarios.join(" "));
            ensure!(!entry.reason.is_empty(), "{name} has no reason");
            ensure!(!entry.lines.is_empty(), "{name} has no lines");
        }
        Ok(Self { entries })
    }

    /// Judges what differs in a scenario: the lines, `-` before the kernel's and `+` before ipvsd's. An error tells what
    /// is not as the list says, also that a known difference is gone.
    pub(crate) fn judge(&self, table: &str, scenario: &str, differing: &[String]) -> Result<()> {
        let covers = |entry: &&Entry| {
            entry.table == table && entry.scenarios.iter().any(|pattern| fits(pattern, scenario))
        };
        let found = self.entries.iter().find(covers);
        let Some(entry) = found else {
            ensure!(differing.is_empty(), "differs");
            return Ok(());
        };
        if differing.is_empty() {
            bail!("no longer differs: take it off the list of known differences ({})", entry.reason.trim());
        }
        let strange = differing.iter().find(|line| !entry.lines.iter().any(|pattern| fits(pattern, line)));
        ensure!(strange.is_none(), "differs in more than what is known: {}", strange.map_or("", |line| line));
        let gone = entry.lines.iter().find(|pattern| !differing.iter().any(|line| fits(pattern, line)));
        ensure!(
            gone.is_none(),
            "a known difference is gone: {} ({})",
            gone.map_or("", |line| line),
            entry.reason.trim()
        );
        Ok(())
    }

    /// What the list names of a table's scenarios and is none of them.
    pub(crate) fn unused<'a>(&'a self, table: &str, scenarios: &[&str]) -> Vec<&'a str> {
        let of_table = self.entries.iter().filter(|entry| entry.table == table);
        let patterns = of_table.flat_map(|entry| &entry.scenarios).map(String::as_str);
        patterns.filter(|pattern| !scenarios.iter().any(|name| fits(pattern, name))).collect()
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "# comment\nicmp refused-*-dr-*\n  Not counted.\n-    -> s1:80 1 2 1 *\n+    -> s1:80 1 2 0 *\n";

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*", "", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(fits(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_known_passes_and_all_else_fails() {
        let known = Known::parse(LIST).unwrap();
        let usual = lines(&["-    -> s1:80 1 2 1 80 68", "+    -> s1:80 1 2 0 80 0"]);
        known.judge("icmp", "refused-tcp-dr-4", &usual).unwrap();
        known.judge("icmp", "other", &[]).unwrap();
        for (table, scenario, differing, word) in [
            ("icmp", "other", usual.clone(), "differs"),
            ("udp", "refused-tcp-dr-4", usual.clone(), "differs"),
            ("icmp", "refused-tcp-dr-4", Vec::new(), "no longer differs"),
            ("icmp", "refused-tcp-dr-4", [usual.clone(), lines(&["+  nothing"])].concat(), "more than"),
            ("icmp", "refused-tcp-dr-4", usual[..1].to_vec(), "is gone"),
        ] {
            let error = known.judge(table, scenario, &differing).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn entries_for_nothing_are_told() {
        let known = Known::parse(LIST).unwrap();
        assert_eq!(known.unused("icmp", &["refused-tcp-dr-4"]), [""; 0]);
        assert_eq!(known.unused("icmp", &["refused-tcp-masq-4"]), ["refused-*-dr-*"]);
        assert_eq!(known.unused("udp", &[]), [""; 0]);
    }

    #[test]
    fn a_difference_needs_a_reason() {
        for text in ["icmp a\n-b\n", "icmp a\n  reason\n", "icmp\n", "-b\n", "  reason\n"] {
            assert!(Known::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_committed_list_can_be_read() {
        Known::load().unwrap();
    }
}
