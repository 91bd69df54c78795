//! A path that has been built: its road with what stands in the director's place.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

use ipvs_lab::parts::{Daemon, Interrupt};

use crate::Error;
use crate::address::{SERVER_PORT, SERVERS, SERVICE_PORT, VIRTUAL};
use crate::balancer::Proxy;
use crate::build::Site;
use crate::method;
use crate::path::Path;
use crate::processors::Processors;
use crate::queues;
use crate::road::Road;
use crate::service;
use crate::traffic::{Load, Offered, Traffic, Way};

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
    /// Of what has been built; its daemon may not answer yet.
    pub(crate) fn new(
        path: Path,
        daemon: Option<Daemon>,
        proxy: Option<Proxy>,
        traffic: Traffic,
        road: Road,
        socket: PathBuf,
        capacity: u32,
    ) -> Self {
        Self {
            path,
            daemon,
            _proxy: proxy,
            traffic,
            road: Arc::new(road),
            socket,
            capacity,
            flows: 0,
            rate: None,
            memory_without_connections: None,
            used_for: None,
        }
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
