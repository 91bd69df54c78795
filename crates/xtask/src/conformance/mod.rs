//! The conformance suite: the same scripts under the kernel's IPVS and under ipvsd, compared byte for byte.
//!
//! Scripts lie in `conformance/control`, what the kernel answered in `conformance/recordings`; see
//! `conformance/README.md`.

pub(crate) mod candidate;
mod client;
pub(crate) mod fast_path;
mod go;
mod known;
mod packets;
mod raw;
mod recording;
pub(crate) mod reference;
mod script;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use client::{Client, Interface};
use fast_path::FastPath;
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
        /// What the clients speak (repeatable); both by default.
        #[arg(long = "interface", value_enum)]
        interfaces: Vec<Interface>,
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
        /// Clients to run the scripts with (repeatable); all by default.
        #[arg(long = "client", value_enum)]
        clients: Vec<Client>,
        /// The daemon's fast path; with it, packets forwarded by the program are counted, and a table must have some.
        #[arg(long, value_enum, default_value_t = FastPath::Off)]
        fast_path: FastPath,
        /// Scripts at once; by default as many as there are processors.
        #[arg(long)]
        jobs: Option<std::num::NonZeroUsize>,
        /// Scripts; all if none is named, and with them the sessions of raw bytes (`raw-netlink`, `raw-sockopt`) and of a Go
        /// client (`go`), and the tables of packets.
        names: Vec<String>,
    },
    /// Tables of packets alone.
    Packets {
        #[command(subcommand)]
        action: packets::Action,
    },
}

/// Does it; whether all scripts agreed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    match &arguments.action {
        Action::Record { verify, interfaces, names } => {
            let interfaces = if interfaces.is_empty() { &Interface::ALL[..] } else { interfaces };
            record(&Script::find(names)?, interfaces, *verify)
        }
        Action::Check { profile, bin_dir, show, clients, fast_path, jobs, names } => {
            let (mut sessions, names): (Vec<String>, Vec<String>) =
                names.iter().cloned().partition(|name| Session::find(name).is_some());
            let scripts =
                if sessions.is_empty() || !names.is_empty() { Script::find(&names)? } else { Vec::new() };
            let mut tables = Vec::new();
            if sessions.is_empty() && names.is_empty() {
                sessions = Session::ALL.map(|session| session.name()).to_vec();
                tables = packets::find(&[])?;
            }
            let mut runs: Vec<Run<'_>> = tables.iter().map(|table| Run::Table(table)).collect();
            runs.extend(sessions.iter().filter_map(|name| Session::find(name)).map(Run::Session));
            let binaries = binaries(bin_dir.as_deref(), profile)?;
            let clients = if clients.is_empty() { &Client::ALL[..] } else { clients };
            for &client in clients {
                client.check(&binaries)?;
                for script in &scripts {
                    if script.is_for(client)? {
                        runs.push(Run::Script(script, client));
                    }
                }
            }
            check(runs, &Subject { binaries: &binaries, fast_path: *fast_path }, *jobs, *show)
        }
        Action::Packets { action: packets::Action::Record { verify, tables } } => {
            packets::record(&packets::find(tables)?, *verify)
        }
        Action::Packets {
            action: packets::Action::Check { profile, bin_dir, show, fast_path, jobs, tables },
        } => {
            let tables = packets::find(tables)?;
            let runs = tables.iter().map(|table| Run::Table(table)).collect();
            let binaries = binaries(bin_dir.as_deref(), profile)?;
            check(runs, &Subject { binaries: &binaries, fast_path: *fast_path }, *jobs, *show)
        }
    }
}

fn record(scripts: &[Script], interfaces: &[Interface], verify: bool) -> Result<bool> {
    let mut tally = Tally::default();
    for script in scripts {
        for &interface in interfaces {
            let label = format!("{} ({})", script.name, interface.name());
            let new = reference::run(script, interface)?;
            if verify {
                let old = Recording::load(script, interface)?;
                tally.count(&label, &old.difference(&new, "recorded", "now"));
            } else {
                new.save(script, interface)?;
                println!("recorded {label}");
            }
        }
    }
    Ok(!verify || tally.finish())
}

/// The folder of ipvsd's binaries: the given one, or where they are built.
fn binaries(given: Option<&Path>, profile: &str) -> Result<PathBuf> {
    match given {
        Some(dir) => dir.canonicalize().with_context(|| format!("no folder {}", dir.display())),
        None => crate::workspace::build_ipvsd(profile),
    }
}

/// What is tested.
pub(crate) struct Subject<'a> {
    /// The folder of `ipvsd` and `ipvsadm`.
    pub(crate) binaries: &'a Path,
    pub(crate) fast_path: FastPath,
}

/// What came of a run on ipvsd.
struct Outcome {
    /// What differs from the kernel.
    difference: Option<String>,
    /// Packets that the program forwarded.
    forwarded: u64,
}

/// Runs all, `jobs` at once; whether all agreed.
fn check(
    runs: Vec<Run<'_>>,
    subject: &Subject<'_>,
    jobs: Option<std::num::NonZeroUsize>,
    show: bool,
) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces need root: run it as root");
    }
    let jobs = jobs.map_or_else(std::thread::available_parallelism, Ok)?.get();
    // Each run has namespaces of its own, and most of its time is spent waiting.
    let (runs, tally) = (Mutex::new(runs.into_iter()), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = runs.lock().ok().and_then(|mut runs| runs.next());
                    let Some(run) = next else { return };
                    let outcome = run.check(subject, show).unwrap_or_else(|error| Outcome {
                        difference: Some(format!("{error:#}\n")),
                        forwarded: 0,
                    });
                    let mut name = run.name();
                    if subject.fast_path != FastPath::Off {
                        name += &format!(": {} packets forwarded by the program", outcome.forwarded);
                    }
                    if let Ok(mut tally) = tally.lock() {
                        tally.forwarded += outcome.forwarded;
                        tally.count(&name, &outcome.difference);
                    }
                }
            });
        }
    });
    Ok(tally.lock().is_ok_and(|tally| tally.finish()))
}

/// A client of its own kind, with one conversation.
#[derive(Clone, Copy)]
enum Session {
    Raw(&'static str),
    Go,
}

impl Session {
    const ALL: [Self; 3] = [Self::Raw(raw::NAMES[0]), Self::Raw(raw::NAMES[1]), Self::Go];

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|session| session.name() == name)
    }

    fn name(self) -> String {
        match self {
            Self::Raw(name) => format!("raw-{name}"),
            Self::Go => go::NAME.to_owned(),
        }
    }
}

/// One thing to run and compare.
enum Run<'a> {
    Script(&'a Script, Client),
    Session(Session),
    /// A table of packets.
    Table(&'a str),
}

impl Run<'_> {
    fn name(&self) -> String {
        match self {
            Self::Script(script, client) => format!("{} ({})", script.name, client.name()),
            Self::Session(session) => session.name(),
            Self::Table(table) => packets::name(table),
        }
    }

    fn check(&self, subject: &Subject<'_>, show: bool) -> Result<Outcome> {
        match self {
            Self::Script(script, client) => {
                let expected = Recording::load(script, client.interface())?;
                let (got, forwarded) = candidate::run(script, *client, subject)?;
                if show {
                    println!("{}", got.text());
                }
                let difference = expected
                    .difference(&got, "kernel", "ipvsd")
                    .or_else(|| subject.fast_path.judge_script(&script.name, forwarded));
                Ok(Outcome { difference, forwarded })
            }
            Self::Session(Session::Raw(name)) => raw::check(name, subject),
            Self::Session(Session::Go) => go::check(subject),
            Self::Table(table) => packets::check(table, subject, show),
        }
    }
}

/// How many scripts agreed.
#[derive(Default)]
struct Tally {
    /// Packets that the program forwarded.
    forwarded: u64,
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
        if self.forwarded > 0 {
            println!("{} packets forwarded by the program", self.forwarded);
        }
        self.failed == 0
    }
}
