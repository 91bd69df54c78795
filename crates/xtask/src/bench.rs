//! The engine's benchmark, which lies with the engine: `crates/core/benches/engine`.

use std::process::Command;

use anyhow::{Context, Result};

/// Measure the engine alone.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Fewer rounds.
    #[arg(long)]
    quick: bool,
    /// Only scenarios whose name contains this ("nat-new", "65536").
    #[arg(long)]
    only: Option<String>,
    /// Do not count instructions (valgrind counts them, where it is installed).
    #[arg(long)]
    no_instructions: bool,
}

/// Runs it; whether it kept its promises (no allocations, at most 96 bytes per connection).
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(crate::workspace::root());
    command.args(["bench", "--quiet", "--package", "ipvs-core", "--bench", "engine", "--"]);
    for (given, flag) in [
        (arguments.json, "--json"),
        (arguments.quick, "--quick"),
        (arguments.no_instructions, "--no-instructions"),
    ] {
        if given {
            command.arg(flag);
        }
    }
    if let Some(only) = &arguments.only {
        command.args(["--only", only]);
    }
    Ok(command.status().context("cannot run cargo")?.success())
}
