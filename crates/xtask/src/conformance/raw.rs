//! Sessions of raw bytes: `conformance/raw/NAME.py`, a client that knows nothing but numbers, under `ipvsd exec`; its
//! answers against those of the reference kernel (`conformance/raw/record` makes the recordings).

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use similar::TextDiff;

use super::{Outcome, Subject, candidate};

/// The sessions.
pub(crate) const NAMES: [&str; 2] = ["netlink", "sockopt"];

/// Exchanges that differ for known reasons, see `docs/compatibility.md`: texts of NETLINK_EXT_ACK, and dumps of all families,
/// which are the host kernel's.
const KNOWN: [&str; 4] = [
    "socket: CAP_ACK and EXT_ACK, short attribute",
    "socket: EXT_ACK, short attribute",
    "dump of families",
    "dump of families with a name",
];

/// Where scripts and recordings lie.
fn folder(part: &str) -> PathBuf {
    crate::workspace::root().join("conformance").join(part)
}

/// Runs a session on ipvsd; what differs from the kernel's answers.
pub(super) fn check(name: &str, subject: &Subject<'_>) -> Result<Outcome> {
    let path = folder("recordings/raw").join(format!("{name}.txt"));
    let recorded =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let scripts = folder("raw");
    let setup = format!(". {}", scripts.join("setup.sh").display());
    let run = format!("ipvsd exec -- python3 {}", scripts.join(format!("{name}.py")).display());
    let (got, forwarded) = candidate::bash(&format!("raw-{name}"), subject, &setup, &run)?;
    let (expected, count) = answers(&recorded);
    ensure!(count > 500, "only {count} exchanges are recorded in {}", path.display());
    let (got, _) = answers(&got);
    if expected == got {
        return Ok(Outcome { difference: None, forwarded });
    }
    let diff = TextDiff::from_lines(&expected, &got);
    let difference = diff.unified_diff().context_radius(3).header("kernel", "ipvsd").to_string();
    Ok(Outcome { difference: Some(difference), forwarded })
}

/// The exchanges' names and answers, and how many there are. Requests are left out: they name the family by its number.
fn answers(text: &str) -> (String, usize) {
    let (mut kept, mut count, mut known) = (String::new(), 0, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            known = KNOWN.contains(&name);
            count += 1;
        }
        if !known && !line.starts_with("> ") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    (kept, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_differences_and_requests_are_left_out() {
        let text = "# a\n> 01\n< 02\n# dump of families\n> 03\n< 04\n# b\nset 1 0 -\n= ok\n";
        assert_eq!(answers(text), ("# a\n< 02\n# b\nset 1 0 -\n= ok\n".to_owned(), 3));
    }
}
