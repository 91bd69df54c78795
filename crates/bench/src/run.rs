//! A run: every path is built, then all rows are measured in turn, round by round.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use ipvs_lab::parts::{Interrupt, RunDirectory};

use crate::Error;
use crate::build::{self, Site, Unavailable};
use crate::choice::{self, MANY, MOST};
use crate::connections::{self, MOST_SYNS};
use crate::crowd::Crowd;
use crate::limit::Limit;
use crate::options::Options;
use crate::path::Path;
use crate::peer::Peer;
use crate::processors::Processors;
use crate::queues::Lost;
use crate::ratios::Ratios;
use crate::report::Report;
use crate::row::{Measure, Outcome, Row};
use crate::statistics::{Percentiles, Spread};
use crate::table::number;
use crate::traffic::Offered;
use crate::{bulk, flows, latency, memory, storm};

/// Most rounds: new connections of all of them are kept.
const MOST_ROUNDS: usize = 100;
/// Shares of packets below which a row says so.
const NEARLY_ALL: f64 = 0.99;
const MOSTLY: f64 = 0.5;

/// What a row adds up over its rounds.
#[derive(Debug, Default)]
struct Sum {
    offered: Offered,
    in_program: Option<u64>,
    round_trips: Vec<f64>,
    /// Without a storm.
    calm: Vec<f64>,
}

/// Measures, and takes everything down again; `progress` gets a line for each step.
///
/// Signals are caught from here on, so a process should run one and then end.
///
/// # Errors
/// [`Error`], if nothing could be measured. Everything is cleaned up in any case.
pub fn run(options: &Options, progress: &mut dyn Write) -> Result<Report, Error> {
    let mut rows = choice::chosen(&options.only, options.quick, options.storm.is_some())?;
    if options.rounds == 0 || options.rounds > MOST_ROUNDS || options.time.is_zero() {
        return Err(Error::Options(format!("1 to {MOST_ROUNDS} rounds, of more than 0 s each, please")));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotPermitted);
    }
    let (start, load_before) = (Instant::now(), load_average());
    let interrupt = Interrupt::install()?;
    // Dropped in the opposite order: daemons, namespaces, and the directory last.
    let directory = RunDirectory::create()?;
    let processors = Processors::of_this_process();
    let born = rows.iter().any(|row| row.measure == Measure::Syns);
    let born = if born { (options.rounds as u64 + 1) * MOST_SYNS } else { 0 };
    let capacity = u32::try_from(u64::from(MOST) * 9 / 8 + born).unwrap_or(u32::MAX);
    let site = Site {
        directory: &directory,
        label: "",
        ipvsd: &options.ipvsd,
        capacity,
        processors: &processors,
        interrupt: &interrupt,
    };
    let mut bench = Bench { options, site: &site, peers: BTreeMap::new(), limit: None, progress };
    bench.build(&mut rows)?;
    let mut sums: Vec<Sum> = rows.iter().map(|_| Sum::default()).collect();
    for round in 1..=options.rounds {
        for (row, sum) in rows.iter_mut().zip(&mut sums) {
            if row.outcome == Outcome::Measured {
                bench.measure(round, row, sum)?;
            }
        }
    }
    rows.iter_mut().zip(&sums).for_each(|(row, sum)| conclude(row, sum));
    drop(bench);
    Ok(Report {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        processors: processors.count(),
        load_average: [load_before, load_average()],
        rounds: options.rounds,
        seconds: options.time.as_secs_f64(),
        elapsed_seconds: start.elapsed().as_secs_f64(),
        kernel_ipvs: options.kernel_ipvs,
        ratios: Ratios::of(&rows, &options.kernel_ipvs),
        ratios_at_work: Ratios::at_work(&rows, &options.kernel_ipvs),
        rows,
    })
}

struct Bench<'a> {
    options: &'a Options,
    site: &'a Site<'a>,
    peers: BTreeMap<(Path, Crowd), Result<Peer, Unavailable>>,
    limit: Option<Limit>,
    progress: &'a mut dyn Write,
}

impl Bench<'_> {
    /// Builds the paths that the rows need; rows of paths that are not there are given up.
    fn build(&mut self, rows: &mut [Row]) -> Result<(), Error> {
        let keys: BTreeSet<(Path, Crowd)> = rows.iter().map(key).collect();
        let mut plan = Vec::new();
        for &(path, crowd) in &keys {
            self.say(&format!("building: {}{}", path.title(), crowd.title()));
            plan.push((Site { label: crowd.label(), ..*self.site }, path));
        }
        self.peers = keys.into_iter().zip(build::all(&plan)?).collect();
        let has_nft = self.peers.iter().any(|((path, _), peer)| *path == Path::Nft && peer.is_ok());
        if has_nft {
            match Limit::raise(self.site.capacity.next_power_of_two()) {
                // What it was before is put back when the bench ends.
                Ok(limit) => self.limit = Some(limit),
                Err(error) => {
                    let of_nft = rows.iter_mut().filter(|row| row.path == Path::Nft);
                    of_nft.for_each(|row| row.note(error.to_string()));
                }
            }
        }
        for row in rows {
            if let Some(Err(unavailable)) = self.peers.get(&key(row)) {
                row.give_up(unavailable.outcome, unavailable.why.clone());
                self.say(&format!("{}: {}", row.name, row.notes.join("; ")));
            }
        }
        Ok(())
    }

    /// One round of a row.
    fn measure(&mut self, round: usize, row: &mut Row, sum: &mut Sum) -> Result<(), Error> {
        let Some(Ok(peer)) = self.peers.get_mut(&key(row)) else {
            return Ok(());
        };
        let line = match value(peer, self.options, self.site, row, sum) {
            Ok(value) => {
                row.values.push(value);
                format!(
                    "round {round} of {}: {} {} {}",
                    self.options.rounds,
                    row.name,
                    number(value),
                    row.unit
                )
            }
            Err(error @ (Error::Interrupted | Error::NotPermitted)) => return Err(error),
            Err(error) => {
                row.give_up(Outcome::Failed, error.to_string());
                format!("{}: {error}", row.name)
            }
        };
        self.say(&line);
        Ok(())
    }

    fn say(&mut self, line: &str) {
        // Nobody reading the progress is no failure.
        let _ = writeln!(self.progress, "# {line}");
    }
}

/// Which peer a row is measured at.
fn key(row: &Row) -> (Path, Crowd) {
    (row.path, Crowd::of(row.measure, row.path))
}

fn value(
    peer: &mut Peer,
    options: &Options,
    site: &Site<'_>,
    row: &mut Row,
    sum: &mut Sum,
) -> Result<f64, Error> {
    let time = options.time;
    match row.measure {
        Measure::Packets(flows) => {
            if let Some(lacking) = flows::make_known(peer, flows, site)? {
                row.note(lacking);
            }
            let offered = counted(peer, site, sum, |peer| flows::packets(peer, flows, time, site))?;
            if flows == MANY {
                peer.rate = Some(offered.rate());
            }
            Ok(rate(row, &offered))
        }
        Measure::Syns => {
            let offered = counted(peer, site, sum, |peer| connections::syns(peer, time, site))?;
            Ok(rate(row, &offered))
        }
        Measure::Connections => {
            let completed = connections::complete(peer, time, site)?;
            if completed.failed > 0 {
                let reason = completed.reason.unwrap_or_default();
                row.note(format!("{} connections failed: {reason}", completed.failed));
            }
            Ok(completed.per_second)
        }
        Measure::Bulk => bulk::bits_per_second(peer, time, site),
        Measure::Latency => {
            let seen = latency::at_half_load(peer, time, site)?;
            note_losses(row, &seen, "");
            sum.round_trips.extend_from_slice(&seen.round_trips);
            median(&seen.round_trips)
        }
        Measure::Memory => {
            let (bytes, what) = memory::per_connection(peer, site)?;
            row.note(what);
            Ok(bytes)
        }
        Measure::Storm => storm_of(peer, options.storm.unwrap_or(time), site, row),
        Measure::StormLatency => {
            let time = options.storm.unwrap_or(time);
            let calm = latency::at_half_load(peer, time, site)?;
            let socket = peer.socket.clone();
            let (seen, _) =
                storm::during(&socket, site.processors, || latency::at_half_load(peer, time, site))?;
            note_losses(row, &calm, " without changes");
            note_losses(row, &seen, " with changes");
            sum.calm.extend_from_slice(&calm.round_trips);
            sum.round_trips.extend_from_slice(&seen.round_trips);
            median(&seen.round_trips)
        }
    }
}

/// Frames a second; those of processor time are noted.
fn rate(row: &mut Row, offered: &Offered) -> f64 {
    if row.path.is_on_one_processor() {
        // A place for each round.
        let rate = if offered.by_one_processor { offered.rate_at_work() } else { f64::NAN };
        row.values_at_work.push(rate);
    }
    offered.rate()
}

/// Packets a second with changes against those without, of the same round.
fn storm_of(peer: &mut Peer, time: Duration, site: &Site<'_>, row: &mut Row) -> Result<f64, Error> {
    flows::make_known(peer, MANY, site)?;
    let calm = flows::packets(peer, MANY, time, site)?;
    let socket = peer.socket.clone();
    let (stormy, changes) =
        storm::during(&socket, site.processors, || flows::packets(peer, MANY, time, site))?;
    row.note(format!("{changes:.0} changes a second; with them {}, without {}", Lost(&stormy), Lost(&calm)));
    Ok(stormy.rate() / calm.rate())
}

/// Adds up what was offered, and what the program forwarded of it.
fn counted(
    peer: &mut Peer,
    site: &Site<'_>,
    sum: &mut Sum,
    work: impl FnOnce(&mut Peer) -> Result<Offered, Error>,
) -> Result<Offered, Error> {
    let (before, sent_before) = (peer.in_program(site.interrupt)?, peer.sent()?);
    let mut offered = work(peer)?;
    let sent = peer.sent()? - sent_before;
    let in_program = peer.in_program(site.interrupt)?.zip(before).map(|(after, before)| after - before);
    if let Some(forwarded) = in_program {
        // What warmed up is in both.
        let share = (forwarded as f64 / sent as f64).min(1.0);
        *sum.in_program.get_or_insert(0) += (share * offered.sent as f64) as u64;
        // The daemon, which did the rest, has another processor.
        offered.by_one_processor &= share > MOSTLY;
    }
    sum.offered.add(&offered);
    Ok(offered)
}

fn note_losses(row: &mut Row, seen: &latency::Seen, when: &str) {
    let load = Lost(&seen.load);
    if load.packets() > 0 || seen.lost > 0 {
        row.note(format!("the load: {load}{when}; and {} of the datagrams", seen.lost));
    }
}

fn median(values: &[f64]) -> Result<f64, Error> {
    let spread = Spread::of(values).ok_or_else(|| Error::setup("find a median", "there is no value"))?;
    Ok(spread.median)
}

/// What follows from all rounds.
fn conclude(row: &mut Row, sum: &Sum) {
    row.spread = if row.outcome == Outcome::Measured { Spread::of(&row.values) } else { None };
    row.percentiles = Percentiles::of(&sum.round_trips);
    if let (Some(calm), Some(stormy)) = (Percentiles::of(&sum.calm), row.percentiles) {
        row.note(format!(
            "99.9th percentile without changes {:.1} us, so {:.1} us are added",
            calm.p999,
            stormy.p999 - calm.p999
        ));
    }
    let offered = &sum.offered;
    if offered.sent == 0 {
        return;
    }
    let share = |part: u64| part as f64 / offered.sent as f64;
    row.delivered = Some(share(offered.right));
    row.in_program = sum.in_program.map(share);
    let cpu = if offered.by_one_processor { offered.worked } else { offered.busy };
    row.cpu_ns_per_packet = (offered.in_time > 0).then(|| cpu.as_nanos() as f64 / offered.in_time as f64);
    if offered.wrong > 0 {
        row.note(format!("{} frames arrived that were not rewritten as they should be", offered.wrong));
    }
    match (row.in_program, row.measure) {
        (Some(share), Measure::Packets(_)) if share < NEARLY_ALL => {
            row.note("the daemon forwarded the others")
        }
        (Some(share), Measure::Syns) if share < MOSTLY && row.path == Path::XdpWlc => {
            row.note("the daemon makes the choices: these are more destinations than the program looks at");
        }
        (Some(share), Measure::Syns) if share < NEARLY_ALL => row.note("the others were left to the daemon"),
        _ => {}
    }
}

/// Of the last minute; 0 if the kernel does not tell.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
