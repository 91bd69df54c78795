//! The cost of control at size: ipvsd beside the kernel's IPVS on the reference.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::conformance::fast_path::FastPath;
use crate::conformance::{Subject, candidate, reference};

/// Measure control: restoring, listing and changing many services.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many services.
    #[arg(long, default_value_t = 10_000)]
    services: u32,
    /// How many servers each has.
    #[arg(long, default_value_t = 10)]
    servers: u32,
    /// Also on the reference kernel, which is emulated in software: compare its figures with each other (a change at size with
    /// one of few), not with those of ipvsd.
    #[arg(long)]
    reference: bool,
    /// Rounds on ipvsd; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print JSON: microseconds by name.
    #[arg(long)]
    json: bool,
}

/// The script, which prints names and microseconds.
const SCRIPT: &str = include_str!("bench_control.sh");

/// Figures by name, microseconds.
type Figures = BTreeMap<String, u64>;

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let script = format!("SERVICES={} SERVERS={}\n{SCRIPT}", arguments.services, arguments.servers);
    let binaries = crate::workspace::build_ipvsd("release")?;
    let subject = Subject { binaries: &binaries, fast_path: FastPath::Off };
    let rounds = (0..arguments.rounds.max(1))
        .map(|_| figures(&candidate::bash("bench", &subject, "link", &script)?.0))
        .collect::<Result<Vec<_>>>()?;
    let ours = medians(&rounds);
    let kernel = if arguments.reference { Some(figures(&reference::bash(&script)?)?) } else { None };
    if arguments.json {
        println!("{}", serde_json::json!({ "ipvsd": ours, "kernel_emulated": kernel }));
        return Ok(true);
    }
    println!(
        "{} services of {} servers each; small: 10 services; milliseconds",
        arguments.services, arguments.servers
    );
    println!("{:<16} {:>12} {:>20}", "", "ipvsd", "kernel (emulated)");
    for (name, value) in &ours {
        let other = kernel
            .as_ref()
            .and_then(|kernel| kernel.get(name))
            .map_or_else(String::new, |value| milliseconds(*value));
        println!("{name:<16} {:>12} {other:>20}", milliseconds(*value));
    }
    for (whose, figures) in [("ipvsd", Some(&ours)), ("kernel", kernel.as_ref())] {
        let change = |size: &str| figures?.get(&format!("{size}-change")).copied();
        if let (Some(large), Some(small)) = (change("large"), change("small")) {
            println!("{whose}: a change at size costs {:.2} times one of few", large as f64 / small as f64);
        }
    }
    Ok(true)
}

fn milliseconds(microseconds: u64) -> String {
    format!("{:.1}", microseconds as f64 / 1000.0)
}

fn figures(output: &str) -> Result<Figures> {
    let line = |line: &str| -> Option<(String, u64)> {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    let figures: Figures = output.lines().filter_map(line).collect();
    ensure!(figures.len() == 8, "the script did not run to its end:\n{output}");
    Ok(figures)
}

fn medians(rounds: &[Figures]) -> Figures {
    let names = rounds.iter().flat_map(Figures::keys);
    names
        .map(|name| {
            let mut values: Vec<u64> = rounds.iter().filter_map(|round| round.get(name)).copied().collect();
            values.sort_unstable();
            (name.clone(), values.get(values.len() / 2).copied().unwrap_or(0))
        })
        .collect()
}
