//! A path that has been built: its road with what stands in the director's place.

use std::net::SocketAddrV4;
use std::path::{Path as File, PathBuf};
use std::sync::Arc;

use ipvs_lab::parts::{Daemon, Interrupt, RunDirectory};

use crate::Error;
use crate::address::{SERVER_PORT, SERVERS, SERVICE_PORT, VIRTUAL};
use crate::balancer::{self, Proxy};
use crate::method;
use crate::path::Path;
use crate::processors::Processors;
use crate::queues;
use crate::road::Road;
use crate::row::Outcome;
use crate::service;
use crate::traffic::{Load, Offered, Traffic, Way};

/// What building a peer needs.
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

/// For what the road is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Frames,
    Sockets,
}

/// A built path. Fields are dropped in this order: daemons before namespaces.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) path: Path,
    pub(crate) daemon: Option<Daemon>,
    _proxy: Option<Proxy>,
    traffic: Traffic,
    pub(crate) road: Arc<Road>,
    /// The daemon's control socket.
    pub(crate) socket: PathBuf,
    pub(crate) capacity: u32,
    /// So many flows are known.
    pub(crate) flows: u32,
    /// Packets a second of many flows, once that was measured.
    pub(crate) rate: Option<f64>,
    /// Bytes of a daemon that has room for few, once that was measured.
    pub(crate) memory_without_connections: Option<u64>,
    used_for: Option<Use>,
}

impl Peer {
    /// Builds it. The inner error is no reason to end: the path cannot be measured here.
    pub(crate) fn build(site: &Site<'_>, path: Path) -> Result<Result<Self, Unavailable>, Error> {
        match Self::try_build(site, path) {
            Err(error @ (Error::Interrupted | Error::NotPermitted)) => Err(error),
            Err(Error::Daemon { log, .. })
                if matches!(path, Path::Tc | Path::SlowTc) && log.contains("--attach") =>
            {
                Ok(Err(missing("this ipvsd has no `run --attach tc`")))
            }
            Err(error) => Ok(Err(Unavailable { outcome: Outcome::Failed, why: error.to_string() })),
            Ok(built) => Ok(built),
        }
    }

    fn try_build(site: &Site<'_>, path: Path) -> Result<Result<Self, Unavailable>, Error> {
        let program = match path {
            Path::Nft => balancer::find("nft").ok_or("no program nft: install the package nftables"),
            Path::Haproxy if balancer::find("nsenter").is_none() => {
                Err("no program nsenter: install the package util-linux")
            }
            Path::Haproxy => {
                balancer::find("haproxy").ok_or("no program haproxy: install the package haproxy")
            }
            _ => Ok(PathBuf::new()),
        };
        let program = match program {
            Ok(program) => program,
            Err(why) => return Ok(Err(missing(why))),
        };
        let road = Road::build(&format!("{}{}", site.directory.name(), site.label), path, site.interrupt)?;
        let mut traffic = Traffic::load(&road)?;
        let file = |kind: &str| site.file(path, kind);
        let (mut daemon, mut proxy) = (None, None);
        match path {
            Path::Noop => traffic.redirect(&road)?,
            Path::Xdp | Path::XdpWlc | Path::Dr | Path::Ipip | Path::Gue | Path::Gre | Path::FullNat => {
                daemon = Some(start(site, &road, path, &["--fast-path", "on"])?);
            }
            Path::Tc => daemon = Some(start(site, &road, path, &["--fast-path", "on", "--attach", "tc"])?),
            Path::Slow => daemon = Some(start(site, &road, path, &["--fast-path", "off"])?),
            Path::SlowTc => {
                daemon = Some(start(site, &road, path, &["--fast-path", "off", "--attach", "tc"])?);
            }
            Path::Forwarding => {}
            Path::Nft => balancer::set_rules(&program, &road.director)?,
            Path::Haproxy => {
                proxy =
                    Some(Proxy::start(&program, &road.director, &file("cfg"), &file("log"), site.interrupt)?);
            }
        }
        Ok(Ok(Self {
            path,
            daemon,
            _proxy: proxy,
            traffic,
            road: Arc::new(road),
            socket: file("sock"),
            capacity: site.capacity,
            flows: 0,
            rate: None,
            memory_without_connections: None,
            used_for: None,
        }))
    }

    /// Whom clients ask.
    pub(crate) const fn target(&self) -> SocketAddrV4 {
        match self.path {
            Path::Forwarding => SocketAddrV4::new(SERVERS[0], SERVER_PORT),
            _ => SocketAddrV4::new(VIRTUAL, SERVICE_PORT),
        }
    }

    fn way(&self) -> Way {
        Way { to: self.target(), arrive: method::arrival(self.path) }
    }

    /// Sends frames.
    pub(crate) fn offer(&mut self, load: Load, site: &Site<'_>) -> Result<Offered, Error> {
        self.use_for_frames(site.processors)?;
        let way = self.way();
        let refused = queues::refused(&self.road)?;
        let mut offered = self.traffic.offer(&self.road, way, load, site.processors, site.interrupt)?;
        offered.refused = queues::refused(&self.road)? - refused;
        offered.by_one_processor = self.path.is_on_one_processor();
        self.check()?;
        Ok(offered)
    }

    /// Makes the road one for frames that are made; real sockets can be beside them.
    pub(crate) fn use_for_frames(&mut self, processors: &Processors) -> Result<(), Error> {
        if self.used_for != Some(Use::Frames) {
            if let Some(daemon) = &self.daemon {
                processors.keep_off(daemon.id());
            }
            self.road.take_frames(true)?;
            self.traffic.set_sink(&self.road, true)?;
            self.used_for = Some(Use::Frames);
        }
        Ok(())
    }

    /// Makes the road one for real sockets alone: without the sink, which would take the servers' segmentation offload; and no processor is
    /// the generator's.
    pub(crate) fn use_for_sockets(&mut self, processors: &Processors) -> Result<(), Error> {
        if self.used_for != Some(Use::Sockets) {
            if let Some(daemon) = &self.daemon {
                processors.set_free(daemon.id());
            }
            self.traffic.set_sink(&self.road, false)?;
            if !self.path.is_xdp() {
                self.road.take_frames(false)?;
            }
            self.used_for = Some(Use::Sockets);
        }
        Ok(())
    }

    /// Frames sent so far.
    pub(crate) fn sent(&self) -> Result<u64, Error> {
        self.traffic.sent()
    }

    /// Packets that ipvsd's program has forwarded so far; none of what has no such program.
    pub(crate) fn in_program(&self, interrupt: &Interrupt) -> Result<Option<u64>, Error> {
        match (&self.daemon, self.path) {
            (Some(daemon), path) if path.is_fast() => {
                service::forwarded_in_program(daemon, interrupt).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Fails if its daemon has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        self.daemon.as_mut().map_or(Ok(()), Daemon::check)
    }
}

fn missing(why: &str) -> Unavailable {
    Unavailable { outcome: Outcome::Missing, why: why.to_owned() }
}

/// Starts a daemon and sets up its services.
fn start(site: &Site<'_>, road: &Road, path: Path, more: &[&str]) -> Result<Daemon, Error> {
    let file = |kind: &str| site.file(path, kind);
    let capacity = site.capacity.to_string();
    // What is pinned would outlive the run; a flood of first segments is what is measured.
    let always = ["--pin", "off", "--syn-filter", "off", "--local-clients", "off", "--capacity", &capacity];
    let arguments: Vec<String> = more.iter().chain(&always).map(|&word| word.to_owned()).collect();
    let (socket, log) = (file("sock"), file("log"));
    let name = road.director.name();
    let daemon = Daemon::launch(site.ipvsd, &arguments, name, socket.clone(), log, site.interrupt)?;
    service::set_up(&socket, path)?;
    Ok(daemon)
}
