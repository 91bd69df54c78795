//! Packets: scenarios of `conformance/packets/TABLE.table` through the kernel's director and through ipvsd, compared packet by packet.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use similar::{ChangeTag, TextDiff};

use super::fast_path::FastPath;
use super::known::Known;
use super::{Outcome, Subject, Tally, client, reference};

/// Record or compare the tables of packets.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Run tables on the reference kernel and write the recordings.
    Record {
        /// Write nothing: compare with the recordings, and fail when they drift.
        #[arg(long)]
        verify: bool,
        /// Tables; all if none is named.
        tables: Vec<String>,
    },
    /// Run tables on ipvsd and compare with the recordings; needs root.
    Check {
        /// Cargo profile that ipvsd is built with.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Use the binaries `ipvsd` and `ipvsadm` of this folder instead of building them.
        #[arg(long)]
        bin_dir: Option<PathBuf>,
        /// Print what came of each scenario.
        #[arg(long)]
        show: bool,
        /// The daemon's fast path; with it, packets forwarded by the program are counted, and a table must have some.
        #[arg(long, value_enum, default_value_t = FastPath::Off)]
        fast_path: FastPath,
        /// Tables at once; by default as many as there are processors.
        #[arg(long)]
        jobs: Option<std::num::NonZeroUsize>,
        /// Tables; all if none is named.
        tables: Vec<String>,
    },
}

/// Most seconds for all tables on the reference kernel, which is emulated.
const LIMIT: &str = "3000";

/// The folder of the tables and of what runs them.
pub(super) fn folder() -> PathBuf {
    crate::workspace::root().join("conformance/packets")
}

fn recording(table: &str) -> PathBuf {
    crate::workspace::root().join("conformance/recordings/packets").join(format!("{table}.txt"))
}

/// The tables of these names, or all in order of name.
pub(crate) fn find(names: &[String]) -> Result<Vec<String>> {
    if !names.is_empty() {
        for name in names {
            let path = folder().join(format!("{name}.table"));
            ensure!(path.is_file(), "no table {}", path.display());
        }
        return Ok(names.to_vec());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).context("cannot read conformance/packets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "table") {
            found.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    found.sort();
    Ok(found)
}

/// Runs tables on the reference kernel, in one boot; writes their recordings or compares with them.
pub(crate) fn record(tables: &[String], verify: bool) -> Result<bool> {
    let script = format!(
        "echo \"kernel $(uname -r), $(ipvsadm -v)\"; cd /in && exec python3 run.py kernel {}\n",
        tables.join(" ")
    );
    let text = reference::bash_in(&folder(), &script, LIMIT)?;
    let (source, body) = text.split_once('\n').context("the reference kernel printed nothing")?;
    let mut tally = Tally::default();
    for table in tables {
        let new = part(body, table)?;
        ensure!(!new.contains("\n  STALLED"), "{table}: a packet did not come through, run it again");
        if verify {
            let old = load(table)?;
            let difference = (old != new).then(|| {
                let diff = TextDiff::from_lines(old.as_str(), new);
                diff.unified_diff().context_radius(3).header("recorded", "now").to_string()
            });
            tally.count(&name(table), &difference);
        } else {
            let header =
                format!("# cargo xtask conformance packets record {table}\n# on the reference: {source}\n\n");
            std::fs::write(recording(table), header + new)?;
            println!("recorded {table}: {} scenarios", scenarios(new).len());
        }
    }
    Ok(!verify || tally.finish())
}

/// What a table's run is called among the others.
pub(crate) fn name(table: &str) -> String {
    format!("packets {table}")
}

/// Runs a table on ipvsd; what differs from the kernel, and is not known to.
pub(super) fn check(table: &str, subject: &Subject<'_>, show: bool) -> Result<Outcome> {
    let expected = load(table)?;
    let output = Command::new("python3")
        .arg(folder().join("run.py"))
        .args([subject.fast_path.director(), table])
        .env("PATH", client::Client::Ours.path(subject.binaries))
        .env("LC_ALL", "C")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .context("cannot run python3")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && errors.is_empty(), "{}:\n{errors}", output.status);
    let text = String::from_utf8(output.stdout).context("output is not UTF-8")?;
    let (text, forwarded) = split_forwarded(&text)?;
    let got = part(text, table)?;
    if show {
        println!("{got}");
    }
    let difference = compare(table, &expected, got, &Known::load()?)?;
    let difference = difference.or_else(|| subject.fast_path.judge_table(table, forwarded));
    Ok(Outcome { difference, forwarded })
}

/// What a run printed without its last line, and what that says: how many packets the program forwarded.
fn split_forwarded(text: &str) -> Result<(&str, u64)> {
    match text.rsplit_once("\nforwarded ") {
        Some((text, count)) => Ok((text, count.trim_end().parse().context("no number of packets")?)),
        None => Ok((text, 0)),
    }
}

/// What differs between two texts of a table, scenario by scenario.
fn compare(table: &str, expected: &str, got: &str, known: &Known) -> Result<Option<String>> {
    let (kernel, ipvsd) = (scenarios(expected), scenarios(got));
    let names = |list: &[(&str, &str)]| list.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    if names(&kernel) != names(&ipvsd) {
        bail!("the recording has other scenarios than the table: record it again");
    }
    let mut told = String::new();
    for ((scenario, expected), (_, got)) in kernel.iter().zip(&ipvsd) {
        let diff = TextDiff::from_lines(*expected, *got);
        let sign = |tag| match tag {
            ChangeTag::Delete => Some('-'),
            ChangeTag::Insert => Some('+'),
            ChangeTag::Equal => None,
        };
        let changes = diff.iter_all_changes();
        let differing: Vec<String> = changes
            .filter_map(|change| Some(format!("{}{}", sign(change.tag())?, change.value().trim_end())))
            .collect();
        if let Err(error) = known.judge(table, scenario, &differing) {
            let text = diff.unified_diff().context_radius(3).header("kernel", "ipvsd").to_string();
            told.push_str(&format!("{scenario} {error}\n{text}"));
        }
    }
    let scenarios: Vec<&str> = kernel.iter().map(|(name, _)| *name).collect();
    for scenario in known.unused(table, &scenarios) {
        told.push_str(&format!("known.txt: {table} has no scenario {scenario}\n"));
    }
    Ok((!told.is_empty()).then_some(told))
}

fn load(table: &str) -> Result<String> {
    let path = recording(table);
    let file = std::fs::read_to_string(&path)
        .with_context(|| format!("{table} is not recorded: cannot read {}", path.display()))?;
    let (_, text) =
        file.split_once("\n\n").context("a recording has a header, an empty line and the text")?;
    Ok(text.to_owned())
}

/// A table's part of what run.py printed.
fn part<'a>(text: &'a str, table: &str) -> Result<&'a str> {
    let start = format!("table {table}\n\n");
    let at = if text.starts_with(&start) {
        0
    } else {
        text.find(&format!("\n{start}")).with_context(|| format!("nothing of table {table} was printed"))? + 1
    };
    let rest = text.get(at + start.len()..).unwrap_or_default();
    // A table that follows begins at the start of a line.
    Ok(rest.find("\ntable ").and_then(|end| rest.get(..=end)).unwrap_or(rest))
}

/// The scenarios of a table's text: their names, and what came of each.
fn scenarios(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("\nscenario ").map(|part| part.strip_prefix("scenario ").unwrap_or(part));
    parts.filter_map(|part| part.split_once(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "table a\n\nscenario x-4: one\n  p\n    nothing\n\nscenario x-6: two\n  q\n    to s1: r\ntable b\n\nscenario y: three\n  p\n";

    #[test]
    fn a_table_and_its_scenarios_are_found() {
        let a = part(TEXT, "a").unwrap();
        assert_eq!(scenarios(a), [("x-4", " one\n  p\n    nothing\n"), ("x-6", " two\n  q\n    to s1: r\n")]);
        assert_eq!(scenarios(part(TEXT, "b").unwrap()), [("y", " three\n  p\n")]);
        assert!(part(TEXT, "c").is_err());
    }

    #[test]
    fn a_changed_byte_of_one_scenario_is_told_with_its_name() {
        let known = Known::load().unwrap();
        let a = part(TEXT, "a").unwrap();
        assert_eq!(compare("a", a, a, &known).unwrap(), None);
        let told = compare("a", a, &a.replace("to s1", "to s2"), &known).unwrap().unwrap();
        assert!(
            told.starts_with("x-6 differs\n") && told.contains("-    to s1: r\n+    to s2: r\n"),
            "{told}"
        );
        assert!(compare("a", a, &a.replace("x-6", "x-7"), &known).is_err());
    }

    #[test]
    fn what_the_program_forwarded_is_no_part_of_the_table() {
        assert_eq!(split_forwarded(TEXT).unwrap(), (TEXT, 0));
        assert_eq!(split_forwarded(&format!("{TEXT}\nforwarded 12\n")).unwrap(), (TEXT, 12));
        assert!(split_forwarded("\nforwarded many\n").is_err());
    }

    /// The promise of the suite.
    #[test]
    fn more_than_200_scenarios_are_recorded() {
        let count: usize =
            find(&[]).unwrap().iter().map(|table| scenarios(&load(table).unwrap()).len()).sum();
        assert!(count >= 200, "{count}");
    }
}
