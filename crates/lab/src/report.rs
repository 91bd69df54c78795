//! The outcome of a run, as a table or as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::client::Sample;
use crate::expectation::Expectation;
use crate::options::{Mode, Protocol};
use crate::sent::Ends;

/// What happened to the requests of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Requests (bulk: connections) in all.
    pub requests: usize,
    /// How many of them failed.
    pub failed: usize,
    /// Why, with how often, most frequent first.
    pub failures: Vec<Failure>,
    /// Forwarding method.
    pub mode: Mode,
    /// Scheduler.
    pub scheduler: String,
    /// Protocol of the service.
    pub protocol: Protocol,
    /// Whether the run was IPv6.
    pub ipv6: bool,
    /// The servers in the order in which they were added.
    pub servers: Vec<Server>,
    /// With full NAT, the addresses that the director takes for clients; a server that sees another one is a failure.
    pub pool: Vec<IpAddr>,
    /// The addresses that the servers saw as their clients'; not with a daemon that is killed.
    pub clients_seen: BTreeSet<IpAddr>,
    /// Whether the expected shares hold whatever the timing; false also when there is no expectation.
    pub expected_exact: bool,
    /// Time for a request (connection, answer, end) in microseconds.
    pub latency_us: Latency,
    /// Time for all requests in seconds.
    pub seconds: f64,
    /// Bulk transfers, if that was asked for.
    pub bulk: Option<Transfers>,
    /// Connections open at once, if that was asked for.
    pub at_once: Option<AtOnce>,
    /// A SYN flood, if that was asked for.
    pub flood: Option<Flooded>,
    /// A daemon that was killed again and again, if that was asked for.
    pub killed: Option<Killed>,
    /// What client and servers sent by their own count, once all requests were answered; not with a daemon that is killed.
    pub sent: Option<Ends>,
    /// Packets that the XDP program forwarded, if `--fast-path` was given.
    pub forwarded_by_program: Option<u64>,
    /// The director's `ipvsadm -Ln --stats`; empty without a director.
    pub statistics: String,
}

/// One reason of failure.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The reason.
    pub reason: String,
    /// Requests that failed for it.
    pub count: usize,
}

impl Failure {
    /// The most frequent first.
    fn sorted(reasons: BTreeMap<&str, usize>) -> Vec<Self> {
        let failure = |(reason, count): (&str, usize)| Self { reason: reason.to_owned(), count };
        let mut failures: Vec<_> = reasons.into_iter().map(failure).collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        failures
    }

    /// Each reason once.
    pub(crate) fn of(reasons: &[String]) -> Vec<Self> {
        let mut counts = BTreeMap::new();
        reasons.iter().for_each(|reason| *counts.entry(&**reason).or_default() += 1);
        Self::sorted(counts)
    }
}

/// One server's share.
#[derive(Debug, Serialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Address and port, as the director knows it.
    pub address: String,
    /// Its weight.
    pub weight: u32,
    /// Requests that it answered.
    pub served: u64,
    /// What the scheduler should have given it, if that is known.
    pub expected: Option<u64>,
}

/// Percentiles of the successful requests, in microseconds (nearest rank); zero if there was none.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    /// The least.
    pub min: u64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The greatest.
    pub max: u64,
}

/// Bulk transfers, all connections together.
#[derive(Debug, Serialize)]
pub struct Transfers {
    /// Bytes in each direction on each connection.
    pub bytes_per_connection: u64,
    /// Connections at once.
    pub connections: usize,
    /// Time of all downloads in seconds.
    pub download_seconds: f64,
    /// Time of all uploads in seconds.
    pub upload_seconds: f64,
}

/// Connections that were open at once, with two requests on each.
#[derive(Debug, Serialize)]
pub struct AtOnce {
    /// How many had been answered once and were open.
    pub open: u64,
    /// Active connections that the director had at that time; none without a director.
    pub active: Option<u64>,
    /// Active connections that the director had when all had been closed.
    pub active_afterwards: Option<u64>,
    /// Time until all were open, in seconds.
    pub open_seconds: f64,
}

/// What a SYN flood did.
#[derive(Debug, Serialize)]
pub struct Flooded {
    /// SYNs sent.
    pub syns: u64,
    /// SYNs sent in a second.
    pub syns_per_second: f64,
    /// Connections that were there before it.
    pub established: usize,
    /// How many of them did not answer in its midst.
    pub lost: usize,
    /// Why, with how often.
    pub reasons: Vec<Failure>,
    /// Connections that the director had at its end.
    pub connections: u64,
    /// The most memory that the daemon had before it, in bytes.
    pub daemon_memory_before: u64,
    /// The most memory that the daemon had until its end, in bytes.
    pub daemon_memory: u64,
}

/// What came of killing the daemon again and again.
#[derive(Debug, Default, Serialize)]
pub struct Killed {
    /// How often it was killed, and another one took its place.
    pub rounds: usize,
    /// Connections in use all the time.
    pub connections: usize,
    /// How many of them were lost.
    pub lost: usize,
    /// Why, with how often.
    pub reasons: Vec<Failure>,
    /// Requests answered on them.
    pub requests: u64,
    /// How many of these while no daemon ran.
    pub without_daemon: u64,
    /// New connections that were answered while no daemon ran; tried where the program begins connections.
    pub begun_without_daemon: u64,
    /// The longest time in milliseconds from a daemon's end until the next one was ready.
    pub longest_outage_ms: u64,
    /// Why new connections, one tried with each new daemon, and those without a daemon, failed.
    pub refused: Vec<String>,
    /// How often a listing had a smaller counter than the one before.
    pub backwards: usize,
    /// Connections in use that a listing lacked, at most.
    pub forgotten: usize,
}

impl Killed {
    fn is_good(&self) -> bool {
        self.lost == 0 && self.refused.is_empty() && self.backwards == 0 && self.forgotten == 0
    }
}

impl Report {
    /// Whether all requests succeeded, shares that can be exact are exact, and the director counted connections right.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let all_known = |at_once: &AtOnce| {
            at_once.active.is_none_or(|active| active == at_once.open)
                && at_once.active_afterwards.is_none_or(|active| active == 0)
        };
        self.failed == 0
            && self.at_once.as_ref().is_none_or(all_known)
            && self.flood.as_ref().is_none_or(|flood| flood.lost == 0)
            && self.killed.as_ref().is_none_or(Killed::is_good)
            && (!self.expected_exact
                || self.servers.iter().all(|server| server.expected == Some(server.served)))
    }

    /// Fills in what the samples say.
    pub(crate) fn count(&mut self, samples: &[Sample], expectation: Option<Expectation>) {
        let mut reasons = BTreeMap::<&str, usize>::new();
        let mut times = Vec::with_capacity(samples.len());
        for sample in samples {
            match &sample.outcome {
                Ok(answer) => match self.servers.iter_mut().find(|server| server.name == answer.server) {
                    Some(_) if !self.pool.is_empty() && !self.pool.contains(&answer.client) => {
                        self.clients_seen.insert(answer.client);
                        *reasons.entry("the server saw a client that is not of the pool").or_default() += 1;
                    }
                    Some(server) => {
                        self.clients_seen.insert(answer.client);
                        server.served += 1;
                        times.push(sample.elapsed);
                    }
                    None => *reasons.entry("an answer of an unknown server").or_default() += 1,
                },
                Err(reason) => *reasons.entry(reason).or_default() += 1,
            }
        }
        self.requests = samples.len();
        self.failures = Failure::sorted(reasons);
        self.failed = self.failures.iter().map(|failure| failure.count).sum();
        self.latency_us = Latency::of(times);
        if let Some(expectation) = expectation {
            self.expected_exact = expectation.exact;
            for (server, share) in self.servers.iter_mut().zip(expectation.shares) {
                server.expected = Some(share);
            }
        }
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        if let Some(killed) = &self.killed {
            return self.write_killed(killed, text);
        }
        let width = self.servers.iter().map(|server| server.address.len()).max().unwrap_or(0).max(7);
        writeln!(text, "{:<width$}  {:>6}  {:>8}  {:>9}", "server", "weight", "served", "expected")?;
        for server in &self.servers {
            let expected = match server.expected {
                Some(share) if self.expected_exact => format!("{share}"),
                Some(share) => format!("about {share}"),
                None => "-".into(),
            };
            let Server { address, weight, served, .. } = server;
            writeln!(text, "{address:<width$}  {weight:>6}  {served:>8}  {expected:>9}")?;
        }
        writeln!(text, "\n{} requests in {:.2} s, {} failed", self.requests, self.seconds, self.failed)?;
        for failure in &self.failures {
            writeln!(text, "  {} x {}", failure.count, failure.reason)?;
        }
        if !self.pool.is_empty() {
            let seen: Vec<_> = self.clients_seen.iter().map(ToString::to_string).collect();
            writeln!(text, "the servers saw as their client: {}", seen.join(", "))?;
        }
        let Latency { min, p50, p90, p99, max } = self.latency_us;
        let ms = |microseconds: u64| microseconds as f64 / 1000.0;
        writeln!(
            text,
            "latency in ms: min {:.2}, median {:.2}, 90 % {:.2}, 99 % {:.2}, max {:.2}",
            ms(min),
            ms(p50),
            ms(p90),
            ms(p99),
            ms(max)
        )?;
        if let Some(bulk) = &self.bulk {
            let total = bulk.bytes_per_connection as f64 * bulk.connections as f64;
            let rate = |seconds: f64| total * 8e-6 / seconds.max(1e-9);
            writeln!(
                text,
                "{} connections, {:.1} MB each way on each, SHA-256 checked at both ends: download {:.2} s ({:.0} Mbit/s), upload {:.2} s ({:.0} Mbit/s)",
                bulk.connections,
                bulk.bytes_per_connection as f64 / 1e6,
                bulk.download_seconds,
                rate(bulk.download_seconds),
                bulk.upload_seconds,
                rate(bulk.upload_seconds)
            )?;
        }
        if let Some(AtOnce { open, active, active_afterwards, open_seconds }) = &self.at_once {
            writeln!(
                text,
                "{open} connections open at once after {open_seconds:.2} s, with a second request on each"
            )?;
            if let (Some(active), Some(afterwards)) = (active, active_afterwards) {
                writeln!(
                    text,
                    "the director had {active} active connections then, {afterwards} after their end"
                )?;
            }
        }
        if let Some(flood) = &self.flood {
            writeln!(
                text,
                "flood: {} SYNs, {:.0} a second; {} of {} connections from before were lost\n\
                 at its end the director had {} connections; its daemon had at most {:.1} MB of memory ({:.1} before)",
                flood.syns,
                flood.syns_per_second,
                flood.lost,
                flood.established,
                flood.connections,
                flood.daemon_memory as f64 / 1e6,
                flood.daemon_memory_before as f64 / 1e6
            )?;
            for failure in &flood.reasons {
                writeln!(text, "  {} x {}", failure.count, failure.reason)?;
            }
        }
        if !self.statistics.is_empty() {
            write!(text, "\n# ipvsadm -Ln --stats\n{}", self.statistics)?;
        }
        if let Some(packets) = self.forwarded_by_program {
            writeln!(text, "\n{packets} packets forwarded by the XDP program itself")?;
        }
        let lost = self.flood.as_ref().map_or(0, |flood| flood.lost);
        let exact = self.servers.iter().all(|server| server.expected == Some(server.served));
        if self.failed == 0 && lost == 0 && self.expected_exact && !exact {
            writeln!(text, "\nThe shares are not what {} gives exactly.", self.scheduler)?;
        }
        Ok(())
    }
}

impl Report {
    fn write_killed(&self, killed: &Killed, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "daemon killed {} times: {} of {} connections in use lost; {} requests answered on them, {} of these while no \
             daemon ran, and {} new connections\nlongest time without daemon {} ms; new connections refused {}; counters went backwards {} times; \
             connections forgotten {}",
            killed.rounds,
            killed.lost,
            killed.connections,
            killed.requests,
            killed.without_daemon,
            killed.begun_without_daemon,
            killed.longest_outage_ms,
            killed.refused.len(),
            killed.backwards,
            killed.forgotten
        )?;
        for failure in &killed.reasons {
            writeln!(text, "  {} x {}", failure.count, failure.reason)?;
        }
        for reason in &killed.refused {
            writeln!(text, "  new connection: {reason}")?;
        }
        write!(text, "\n# ipvsadm -Ln --stats\n{}", self.statistics)
    }
}

impl Latency {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1) - 1;
            times.get(rank).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
        };
        Self { min: at(0), p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let times = (1..=200).rev().map(Duration::from_micros).collect();
        let Latency { min, p50, p90, p99, max } = Latency::of(times);
        assert_eq!((min, p50, p90, p99, max), (1, 100, 180, 198, 200));
        assert_eq!(Latency::of(Vec::new()).max, 0);
    }
}
