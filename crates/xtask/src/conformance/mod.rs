//! The conformance suite: the same scripts under the kernel's IPVS and under ipvsd, compared byte for byte.
//!
//! Scripts lie in `conformance/control`, what the kernel answered in `conformance/recordings`; see
//! `conformance/README.md`.

mod candidate;
mod recording;
mod reference;
mod script;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use recording::Recording;
use script::Script;

/// Compare ipvsd with the kernel's IPVS.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Run scripts on the reference kernel and write the recordings.
    Record {
        /// Write nothing: compare with the recordings, and fail when they drift.
        #[arg(long)]
        verify: bool,
        /// Scripts; all if none is named.
        names: Vec<String>,
    },
    /// Run scripts on ipvsd and compare with the recordings; needs root.
    Check {
        /// Cargo profile that ipvsd is built with.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Use the binaries `ipvsd` and `ipvsadm` of this folder instead of building them.
        #[arg(long)]
        bin_dir: Option<PathBuf>,
        /// Print the whole output of each script, not only what differs.
        #[arg(long)]
        show: bool,
        /// Scripts; all if none is named.
        names: Vec<String>,
    },
}

/// Does it; whether all scripts agreed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    match &arguments.action {
        Action::Record { verify, names } => record(&Script::find(names)?, *verify),
        Action::Check { profile, bin_dir, show, names } => {
            let scripts = Script::find(names)?;
            let binaries = match bin_dir {
                Some(dir) => dir.canonicalize().with_context(|| format!("no folder {}", dir.display()))?,
                None => crate::workspace::build_ipvsd(profile)?,
            };
            check(&scripts, &binaries, *show)
        }
    }
}

fn record(scripts: &[Script], verify: bool) -> Result<bool> {
    let mut tally = Tally::default();
    for script in scripts {
        let new = reference::run(script)?;
        if !verify {
            new.save(script)?;
            println!("recorded {}", script.name);
            continue;
        }
        tally.count(&script.name, &Recording::load(script)?.difference(&new, "recorded", "now"));
    }
    Ok(!verify || tally.finish())
}

fn check(scripts: &[Script], binaries: &std::path::Path, show: bool) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces need root: run it as root");
    }
    let mut tally = Tally::default();
    for script in scripts {
        let expected = Recording::load(script)?;
        match candidate::run(script, binaries) {
            Ok(got) => {
                if show {
                    println!("{}", got.text());
                }
                tally.count(&script.name, &expected.difference(&got, "kernel", "ipvsd"));
            }
            Err(error) => tally.count(&script.name, &Some(format!("{error:#}\n"))),
        }
    }
    Ok(tally.finish())
}

/// How many scripts agreed.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Counts and prints one result; `difference` is `None` if all is equal.
    fn count(&mut self, name: &str, difference: &Option<String>) {
        match difference {
            None => {
                self.passed += 1;
                println!("PASS {name}");
            }
            Some(text) => {
                self.failed += 1;
                println!("FAIL {name}\n{text}");
            }
        }
    }

    fn finish(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}
