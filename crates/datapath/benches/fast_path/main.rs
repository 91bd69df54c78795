//! Nanoseconds per packet of forwarding in the XDP program: `cargo xtask build-xdp`, then, as root,
//! `cargo bench --profile dev -p ipvs-datapath --bench fast_path`. By BPF_PROG_TEST_RUN with a program that makes its frame
//! anew in each round (`crates/xdp/src/bench.rs`); every packet must have been forwarded. All kinds are measured in turn, in
//! many runs of one to three milliseconds; shown are the least and the median.
//!
//! Rows `plain_by_…` are a plain balancer (`crates/xdp/src/plain`) over the kernel's hashes and over other table layouts.
//!
//! Options, behind `--`: `--keep FOLDER` copies executable and object for a later comparison and measures nothing; `--against
//! FOLDER` measures those of the folder in turn with the present ones; `--object FILE`; `--program FILE` loads the whole program
//! (`crates/datapath/src/bpf/ipvsd.o`), too, and says what the verifier counts; `--turns N`; `--flows N` and `--kind TEXT`
//! measure these only.

#![allow(clippy::unwrap_used, reason = "a measurement may fail that way")]

#[path = "../../tests/network/namespace.rs"]
#[allow(dead_code, unreachable_pub)]
mod namespace;
mod plain;
mod setup;
mod turn;

use std::path::{Path, PathBuf};

use namespace::{Namespace, join};
use turn::{Kept, Kind, Own, Turns, serve};

/// Turns of each kind, unless the options say otherwise.
const TURNS: usize = 15;

struct Options {
    object: PathBuf,
    program: Option<PathBuf>,
    keep: Option<PathBuf>,
    against: Option<PathBuf>,
    serve: bool,
    turns: usize,
    flows: Option<u32>,
    kind: String,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            object: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../target/xdp/bpfel-unknown-none/release/bench"),
            program: None,
            keep: None,
            against: None,
            serve: false,
            turns: TURNS,
            flows: None,
            kind: String::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--object" => options.object = value().into(),
                "--program" => options.program = Some(value().into()),
                "--keep" => options.keep = Some(value().into()),
                "--against" => options.against = Some(value().into()),
                "--turns" => options.turns = value().parse().unwrap(),
                "--flows" => options.flows = Some(value().parse().unwrap()),
                "--kind" => options.kind = value(),
                "--serve" => options.serve = true,
                // Cargo's.
                "--bench" => {}
                _ => panic!("{word} is no option: see the head of this source"),
            }
        }
        options
    }

    fn wants(&self, kind: Kind, flows: u32) -> bool {
        kind.name().contains(&self.kind) && self.flows.is_none_or(|wanted| wanted == flows)
    }
}

fn main() {
    let options = Options::read();
    if let Some(folder) = &options.keep {
        return Kept::keep(folder, &options.object);
    }
    let object = std::fs::read(&options.object).unwrap_or_else(|error| {
        panic!("{}: {error}: run `cargo xtask build-xdp` before", options.object.display())
    });
    let [client, director, server] = ["c", "d", "s"].map(Namespace::new);
    join((&client, "c0"), (&director, "d0"));
    join((&director, "d1"), (&server, "s0"));
    director.ip("addr add 10.1.0.1/24 dev d0");
    director.ip("addr add 10.2.0.1/24 dev d1");
    director.ip("route add 10.100.0.0/16 via 10.1.0.2");
    director.ip("neigh replace 10.1.0.2 lladdr 02:00:00:00:00:01 nud permanent dev d0");
    director.run(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let mut own = Own::new(object, &director);
        if options.serve { serve(&mut own) } else { measure(&mut own, &options) }
    });
}

/// Least and median.
fn figures(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.0} {:.0}", times[0], times[times.len() / 2])
}

fn measure(own: &mut Own<'_>, options: &Options) {
    let whole = options.program.as_ref().map(|file| std::fs::read(file).unwrap());
    if let Some(whole) = whole {
        for name in ["ipvsd", "ipvsd_leaving"] {
            println!("{name}: {}", setup::whole_program(&whole, name));
        }
    }
    println!("forwarding: {}", own.size());
    let mut kept = options.against.as_deref().map(Kept::start);
    println!("ns per packet, least and median of {} turns", options.turns);
    println!("{:<20} {:>8} {:>12} {:>12}", "", "flows", "", if kept.is_some() { "against" } else { "" });
    for flows in options.flows.map_or_else(|| vec![1, 1 << 16, 1 << 20], |flows| vec![flows]) {
        let kinds = Kind::ALL.into_iter().filter(|kind| {
            let once = matches!(kind, Kind::Empty | Kind::Redirect | Kind::Birth(_));
            options.wants(*kind, flows) && (flows == 1 || !once)
        });
        // New connections have a table of their own.
        let (births, others): (Vec<Kind>, Vec<Kind>) = kinds.partition(|kind| matches!(kind, Kind::Birth(_)));
        for kinds in [others, births] {
            let mut times = vec![(Vec::new(), Vec::new()); kinds.len()];
            for _ in 0..options.turns {
                for (kind, (ours, theirs)) in kinds.iter().zip(&mut times) {
                    ours.extend(own.turn(*kind, flows));
                    if let Some(kept) = &mut kept {
                        theirs.extend(kept.turn(*kind, flows));
                    }
                }
            }
            for (kind, (ours, theirs)) in kinds.iter().zip(&mut times) {
                let against = if theirs.is_empty() { String::new() } else { figures(theirs) };
                println!("{:<20} {flows:>8} {:>12} {against:>12}", kind.name(), figures(ours));
            }
        }
    }
}
