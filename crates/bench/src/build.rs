//! How paths are built: side by side, for most of the time the kernel is waited for, which makes interfaces operational and verifies
//! programs.

use std::path::{Path as File, PathBuf};

use ipvs_lab::parts::{Daemon, Interrupt, RunDirectory};

use crate::Error;
use crate::balancer::{self, Proxy};
use crate::path::Path;
use crate::peer::Peer;
use crate::processors::Processors;
use crate::road::Road;
use crate::row::Outcome;
use crate::service;
use crate::traffic::Traffic;

/// What building a peer needs.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) directory: &'a RunDirectory,
    /// What tells names apart from those of other sites.
    pub(crate) label: &'a str,
    pub(crate) ipvsd: &'a File,
    /// Value for the daemons' `--capacity`.
    pub(crate) capacity: u32,
    pub(crate) processors: &'a Processors,
    pub(crate) interrupt: &'a Interrupt,
}

impl Site<'_> {
    fn file(&self, path: Path, kind: &str) -> PathBuf {
        self.directory.file(&format!("{}{}.{kind}", path.name(), self.label))
    }
}

/// Why there is no such peer.
#[derive(Debug, Clone)]
pub(crate) struct Unavailable {
    pub(crate) outcome: Outcome,
    pub(crate) why: String,
}

/// Why it could not be built.
enum Failure {
    Missing(&'static str),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Builds peers. An inner error is no reason to end: the path cannot be measured here.
///
/// Must be called from a thread that outlives them: the kernel ends daemons with the thread that started them.
pub(crate) fn all(plan: &[(Site<'_>, Path)]) -> Result<Vec<Result<Peer, Unavailable>>, Error> {
    let grounds: Vec<Result<(Road, Traffic), Failure>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            plan.iter().map(|(site, path)| scope.spawn(|| Ok(ground(site, *path)?))).collect();
        let outcome = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(outcome).collect()
    });
    let stood = grounds.into_iter().zip(plan).map(|(ground, (site, path))| stand(site, *path, ground?));
    // All are to have started before one is waited for.
    let stood: Vec<Result<Peer, Failure>> = stood.collect();
    let built = stood.into_iter().zip(plan);
    built.map(|(peer, (site, path))| judge(*path, peer.and_then(|peer| finish(peer, site)))).collect()
}

/// Builds one.
pub(crate) fn one(site: Site<'_>, path: Path) -> Result<Result<Peer, Unavailable>, Error> {
    let built = all(&[(site, path)])?.pop();
    built.ok_or_else(|| Error::setup(format!("build {}", path.name()), "nothing was built"))
}

fn ground(site: &Site<'_>, path: Path) -> Result<(Road, Traffic), Error> {
    let road = Road::build(&format!("{}{}", site.directory.name(), site.label), path, site.interrupt)?;
    let mut traffic = Traffic::load(&road)?;
    if path == Path::Noop {
        traffic.redirect(&road)?;
    }
    Ok((road, traffic))
}

/// What stands in the director's place. A daemon has only been started.
fn stand(site: &Site<'_>, path: Path, (road, traffic): (Road, Traffic)) -> Result<Peer, Failure> {
    let file = |kind: &str| site.file(path, kind);
    let (mut daemon, mut proxy) = (None, None);
    match path {
        Path::Noop | Path::Forwarding => {}
        Path::Xdp | Path::XdpWlc | Path::Dr | Path::Ipip | Path::Gue | Path::Gre | Path::FullNat => {
            daemon = Some(start(site, &road, path, &["--fast-path", "on"])?);
        }
        Path::Tc => daemon = Some(start(site, &road, path, &["--fast-path", "on", "--attach", "tc"])?),
        Path::Slow => daemon = Some(start(site, &road, path, &["--fast-path", "off"])?),
        Path::SlowTc => {
            daemon = Some(start(site, &road, path, &["--fast-path", "off", "--attach", "tc"])?);
        }
        Path::Nft => {
            let missing = Failure::Missing("no program nft: install the package nftables");
            balancer::set_rules(&balancer::find("nft").ok_or(missing)?, &road.director)?;
        }
        Path::Haproxy => {
            let missing = Failure::Missing("no program nsenter: install the package util-linux");
            balancer::find("nsenter").ok_or(missing)?;
            let missing = Failure::Missing("no program haproxy: install the package haproxy");
            let program = balancer::find("haproxy").ok_or(missing)?;
            let (configuration, log) = (file("cfg"), file("log"));
            proxy = Some(Proxy::start(&program, &road.director, &configuration, &log, site.interrupt)?);
        }
    }
    Ok(Peer::new(path, daemon, proxy, traffic, road, file("sock"), site.capacity))
}

/// Starts a daemon.
fn start(site: &Site<'_>, road: &Road, path: Path, more: &[&str]) -> Result<Daemon, Error> {
    let file = |kind: &str| site.file(path, kind);
    let capacity = site.capacity.to_string();
    // What is pinned would outlive the run; a flood of first segments is what is measured.
    let always = ["--pin", "off", "--syn-filter", "off", "--local-clients", "off", "--capacity", &capacity];
    let arguments: Vec<String> = more.iter().chain(&always).map(|&word| word.to_owned()).collect();
    Daemon::spawn(site.ipvsd, &arguments, road.director.name(), file("sock"), file("log"))
}

/// Waits for the daemon and sets up its services.
fn finish(mut peer: Peer, site: &Site<'_>) -> Result<Peer, Failure> {
    if let Some(daemon) = &mut peer.daemon {
        daemon.wait_until_it_answers(site.interrupt)?;
        service::set_up(&peer.socket, peer.path)?;
    }
    Ok(peer)
}

fn judge(path: Path, built: Result<Peer, Failure>) -> Result<Result<Peer, Unavailable>, Error> {
    let missing = |why: &str| Unavailable { outcome: Outcome::Missing, why: why.to_owned() };
    Ok(match built {
        Ok(peer) => Ok(peer),
        Err(Failure::Missing(why)) => Err(missing(why)),
        Err(Failure::Other(error @ (Error::Interrupted | Error::NotPermitted))) => return Err(error),
        Err(Failure::Other(Error::Daemon { log, .. }))
            if matches!(path, Path::Tc | Path::SlowTc) && log.contains("--attach") =>
        {
            Err(missing("this ipvsd has no `run --attach tc`"))
        }
        Err(Failure::Other(error)) => Err(Unavailable { outcome: Outcome::Failed, why: error.to_string() }),
    })
}
