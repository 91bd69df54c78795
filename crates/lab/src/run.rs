//! One run from the first namespace to the report.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cleanup::RunDirectory;
use crate::client::{self, Sample, crowd};
use crate::control::Control;
use crate::daemon::Daemon;
use crate::interrupt::Interrupt;
use crate::options::{Kills, Options, Protocol};
use crate::report::{AtOnce, Failure, Flooded, Latency, Report, Server, Transfers};
use crate::topology::Topology;
use crate::{Error, expectation, kills, sent, server};

/// Room for files that are no connections: namespaces, netlink, listeners, event loops.
const OTHER_FILES: u64 = 1000;

/// Builds a lab, sends the requests, hands the report to `show`, and takes the lab down; with
/// [`keep`](Options::keep) only after SIGINT or SIGTERM. `progress` gets the commands as they are run.
///
/// Signals are caught from here on, so a process should run one lab and then end.
///
/// # Errors
/// [`Error`], if the lab could not be built or the daemon failed. Failed requests are in the report. Everything is
/// cleaned up in any case.
pub fn run(options: &Options, progress: &mut dyn Write, show: &mut dyn FnMut(&Report)) -> Result<(), Error> {
    options.check()?;
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotPermitted);
    }
    raise_file_limit(options)?;
    let interrupt = Interrupt::install()?;
    // Dropped in the opposite order: the daemon first, then the namespaces, the directory last.
    let directory = RunDirectory::create()?;
    let topology = Topology::build(directory.name(), options, &interrupt)?;
    interrupt.check()?;
    let _servers = server::start_all(&topology, options)?;
    let mut lab =
        Lab { options, directory: &directory, topology: &topology, interrupt: &interrupt, progress };
    let mut director = if options.direct { None } else { Some(lab.start_director()?) };
    if let Some(kills) = &options.kills
        && let Some((daemon, control)) = director.take()
    {
        return lab.kill(kills, daemon, &control, show);
    }
    let memory_before = director.as_ref().map_or(0, |(daemon, _)| daemon.peak_memory());
    let outcome = lab.load(director.as_ref().map(|(_, control)| control)).and_then(|mut report| {
        if let Some((daemon, control)) = &mut director {
            daemon.check()?;
            if let Some(flood) = &mut report.flood {
                let held = control.connections()?;
                flood.connections = held.active + held.inactive;
                flood.daemon_memory_before = memory_before;
                flood.daemon_memory = daemon.peak_memory();
            }
            report.sent = Some(sent::by_both(&topology, &interrupt)?);
            if options.fast_path.as_deref().is_some_and(|when| when != "off") {
                report.forwarded_by_program = Some(daemon.forwarded_by_program(&interrupt)?);
            }
            report.statistics =
                control.statistics(report.servers.iter().map(|server| server.served).sum())?;
        }
        show(&report);
        if options.keep { lab.keep(director.as_mut().map(|(daemon, _)| daemon)) } else { Ok(()) }
    });
    let stopped = director.map_or(Ok(()), |(daemon, _)| daemon.stop());
    outcome.and(stopped)
}

struct Lab<'a> {
    options: &'a Options,
    directory: &'a RunDirectory,
    topology: &'a Topology,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn Write,
}

impl Lab<'_> {
    /// Kills the daemon again and again.
    fn kill(
        &mut self,
        kills: &Kills,
        daemon: Daemon,
        control: &Control,
        show: &mut dyn FnMut(&Report),
    ) -> Result<(), Error> {
        let mut daemon = Some(daemon);
        let other = kills.other.as_deref().unwrap_or(&self.options.ipvsd);
        let executables = [&*self.options.ipvsd, other];
        let outcome = kills::run(self.topology, kills, &mut daemon, control, self.interrupt, &mut |number| {
            self.start_daemon(executables.get(number).copied().unwrap_or(other))
        });
        let statistics = control.statistics(0);
        let stopped = daemon.map_or(Ok(()), Daemon::stop);
        // Pins would outlive the lab.
        let detached = self.detach();
        let report = Report { killed: Some(outcome?), statistics: statistics?, ..self.report() };
        show(&report);
        stopped.and(detached)
    }

    fn detach(&self) -> Result<(), Error> {
        let (socket, ipvsd) = (self.directory.file("ipvsd.sock"), &self.options.ipvsd);
        let failed = |error| Error::setup("end what outlives the daemon", error);
        let mut command = Command::new(ipvsd);
        command.args(["stop", "--detach", "--netns", self.topology.director.namespace.name(), "--socket"]);
        let output = command.arg(socket).stdin(Stdio::null()).output().map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(failed(io::Error::other(said))) }
    }

    fn start_daemon(&self, ipvsd: &Path) -> Result<Daemon, Error> {
        let (socket, log) = (self.directory.file("ipvsd.sock"), self.directory.file("ipvsd.log"));
        let namespace = self.topology.director.namespace.name();
        Daemon::start(self.options, ipvsd, namespace, socket, log, self.interrupt)
    }

    /// Starts the daemon and sets up the service.
    fn start_director(&mut self) -> Result<(Daemon, Control), Error> {
        let socket = self.directory.file("ipvsd.sock");
        let daemon = self.start_daemon(&self.options.ipvsd)?;
        self.say(&format!("# {}", daemon.command()));
        let control = Control::new(self.options, &socket, self.interrupt);
        for (program, arguments) in Control::plan(self.topology, self.options) {
            self.say(&format!("# {} {}", program.name(), arguments.join(" ")));
            control.run(program, &arguments)?;
        }
        Ok((daemon, control))
    }

    /// A report of nothing yet.
    fn report(&self) -> Report {
        let Options { weights, scheduler, protocol, .. } = self.options;
        let servers =
            self.topology.servers.iter().zip(weights).enumerate().map(|(index, (host, weight))| Server {
                name: server::name(index),
                address: self.topology.destination(host).to_string(),
                weight: *weight,
                served: 0,
                expected: None,
            });
        Report {
            requests: 0,
            failed: 0,
            failures: Vec::new(),
            mode: self.options.mode,
            scheduler: scheduler.clone(),
            protocol: *protocol,
            ipv6: self.options.ipv6,
            servers: servers.collect(),
            pool: if self.options.direct { Vec::new() } else { self.topology.pool.clone() },
            clients_seen: BTreeSet::new(),
            expected_exact: false,
            latency_us: Latency::default(),
            seconds: 0.0,
            bulk: None,
            at_once: None,
            flood: None,
            killed: None,
            sent: None,
            forwarded_by_program: None,
            statistics: String::new(),
        }
    }

    /// Sends the requests or bulk transfers. `control` is the director's, if there is one.
    fn load(&mut self, control: Option<&Control>) -> Result<Report, Error> {
        let Options { weights, scheduler, protocol, .. } = self.options;
        let mut report = self.report();
        let start = Instant::now();
        let (samples, open) = match (self.options.bulk, self.options.flood) {
            _ if let Some(count) = self.options.at_once => {
                let (samples, outcome) = self.crowd(count, control)?;
                report.at_once = Some(outcome);
                (samples, count)
            }
            (_, Some(flood)) => {
                let (samples, outcome) =
                    client::flood::run(self.topology, self.options, flood, self.interrupt)?;
                report.flood = Some(Flooded {
                    syns: outcome.syns,
                    syns_per_second: outcome.syns as f64 / outcome.elapsed.as_secs_f64(),
                    established: outcome.established,
                    lost: outcome.lost.len(),
                    reasons: Failure::of(&outcome.lost),
                    connections: 0,
                    daemon_memory_before: 0,
                    daemon_memory: 0,
                });
                (samples, self.options.concurrency)
            }
            (Some(bulk), None) => {
                let (samples, times) = client::bulk::run(self.topology, self.options, bulk, self.interrupt)?;
                report.bulk = Some(Transfers {
                    bytes_per_connection: bulk.bytes,
                    connections: bulk.connections,
                    download_seconds: times.download.as_secs_f64(),
                    upload_seconds: times.upload.as_secs_f64(),
                });
                (samples, bulk.connections)
            }
            (None, None) => {
                let samples = client::run(self.topology, self.options, self.interrupt)?;
                (samples, if *protocol == Protocol::Udp { 0 } else { self.options.concurrency })
            }
        };
        report.seconds = start.elapsed().as_secs_f64();
        // Without a director the client asks the servers in turn.
        let expectation = if self.options.direct {
            let (servers, all) = (weights.len(), samples.len());
            let shares = (0..servers)
                .map(|index| (all / servers + usize::from(index < all % servers)) as u64)
                .collect();
            Some(expectation::Expectation { shares, exact: true })
        } else if self.options.flood.is_some() {
            // The flood takes its turns among the requests.
            None
        } else {
            expectation::of(scheduler, weights, samples.len(), open)
        };
        let expectation = expectation.map(|mut expectation| {
            // Repeated source ports are connections that the director may know already.
            expectation.exact &= samples.len() <= client::MAX_DISTINCT;
            expectation
        });
        report.count(&samples, expectation);
        Ok(report)
    }

    /// Opens connections, looks at the director, and closes them.
    fn crowd(&self, count: usize, control: Option<&Control>) -> Result<(Vec<Sample>, AtOnce), Error> {
        let start = Instant::now();
        let look = |open| {
            let open_seconds = start.elapsed().as_secs_f64();
            let active = control.map(|control| control.active(open)).transpose()?;
            Ok(AtOnce { open, active, active_afterwards: None, open_seconds })
        };
        let (samples, outcome) = crowd::run(self.topology, self.options, count, self.interrupt, look)?;
        let active_afterwards = control.map(|control| control.active(0)).transpose()?;
        Ok((samples, AtOnce { active_afterwards, ..outcome }))
    }

    /// Says how to play with the lab, and waits for a signal.
    fn keep(&mut self, mut daemon: Option<&mut Daemon>) -> Result<(), Error> {
        let client = self.topology.asking(self.options).namespace.name();
        let service = self.topology.service;
        let mut lines = vec!["\nThe lab stays up. In another terminal, as root:".to_owned()];
        lines.push(match self.options.protocol {
            Protocol::Tcp => format!("  ip netns exec {client} curl http://{service}/"),
            Protocol::Udp => format!("  ip netns exec {client} socat - UDP:{service}"),
        });
        if let Some(daemon) = &daemon {
            let socket = self.directory.file("ipvsd.sock");
            lines.push(format!("  export IPVSD_SOCKET={}", socket.display()));
            lines.push(format!("  {} -Ln --stats", self.options.ipvsadm.display()));
            lines.push(format!("  tail -f {}", daemon.log().display()));
        }
        lines.push(format!("  ip netns exec {} tcpdump -ni eth0", self.topology.director.namespace.name()));
        lines.push(format!("To stop it: Ctrl-C here, or kill {}", std::process::id()));
        self.say(&lines.join("\n"));
        let day = Duration::from_secs(24 * 3600);
        loop {
            let waited = self.interrupt.wait::<()>(day, || {
                daemon.as_mut().map_or(Ok(()), |daemon| daemon.check())?;
                Ok(None)
            });
            match waited {
                Err(Error::Interrupted) => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
    }

    fn say(&mut self, text: &str) {
        // Whoever closed the progress stream does not want to see it.
        let _ = writeln!(self.progress, "{text}");
    }
}

/// Connections are descriptors, both ends of many of them: 1024, the usual soft limit, is few.
fn raise_file_limit(options: &Options) -> Result<(), Error> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raise = |to| setrlimit(Resource::Nofile, Rlimit { current: to, maximum: to });
    let needed = options.kills.as_ref().map_or(0, |kills| kills.connections as u64 + OTHER_FILES);
    if let Some(maximum) = limit.maximum.filter(|&maximum| maximum < needed) {
        // Only few may do that.
        let refused = |error| {
            let reason = format!("have {needed} open files, {maximum} is the limit (raise it by ulimit -Hn)");
            Error::setup(reason, error)
        };
        return raise(Some(needed)).map_err(refused);
    }
    // A refusal shows as a failed request, with its reason.
    let _ = raise(limit.maximum);
    Ok(())
}
