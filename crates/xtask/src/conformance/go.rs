//! A Go client, on the library that Docker and kube-proxy use: `conformance/go/client.go` under `ipvsd exec`; what it says against
//! what it said on the reference kernel (`conformance/go/record` makes the recording).

use std::process::Command;

use anyhow::{Context, Result, ensure};
use similar::TextDiff;

use super::{Outcome, Subject, candidate};

/// What the session is called among the others.
pub(crate) const NAME: &str = "go";

/// The library runs modprobe(8) at its start whatever IPVS answers, and warns that the host has no such module.
const MODPROBE: &str = "level=warning msg=\"Running modprobe ip_vs failed";

/// Builds the client and runs it on ipvsd; what differs from the kernel's answers.
pub(super) fn check(subject: &Subject<'_>) -> Result<Outcome> {
    let root = crate::workspace::root();
    let sources = root.join("conformance/go");
    let client = root.join("target/conformance/go-client");
    let output = Command::new(sources.join("build")).arg(&client).output().context("cannot run go/build")?;
    ensure!(output.status.success(), "go/build failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let path = root.join("conformance/recordings/go.txt");
    let expected =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let setup = format!(". {}", root.join("conformance/raw/setup.sh").display());
    let run = format!("ipvsd exec -- {} 2> >(grep -v '{MODPROBE}' >&2)", client.display());
    let (got, forwarded) = candidate::bash(NAME, subject, &setup, &run)?;
    if expected == got {
        return Ok(Outcome { difference: None, forwarded });
    }
    let diff = TextDiff::from_lines(&expected, &got);
    let difference = diff.unified_diff().context_radius(3).header("kernel", "ipvsd").to_string();
    Ok(Outcome { difference: Some(difference), forwarded })
}
