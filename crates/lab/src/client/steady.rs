//! Connections that stay open and are in use all the time.

use std::io;
use std::iter::Cycle;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::flood::joined;
use super::{Answer, explain, http};
use crate::Error;
use crate::message::Exchange;
use crate::topology::Topology;

/// Threads that use connections.
const WORKERS: usize = 8;
/// How long an answer may take.
pub(crate) const STALL: Duration = Duration::from_secs(60);
/// The first source port.
const FIRST_PORT: u16 = 2_000;

/// Threads that open connections: with the filter of first SYNs each connection takes a second.
const OPENERS: usize = 50;

/// Opens `count` connections from source ports `first_port` on, each with one request answered.
pub(super) fn establish(
    topology: &Topology,
    first_port: u16,
    count: usize,
    stall: Duration,
) -> Result<Vec<Exchange>, Error> {
    let connect = |port| {
        let from = SocketAddr::new(topology.client.address, port);
        let mut exchange = http::connect(from, topology.service, stall)?;
        http::ask(&mut exchange, topology.service)?;
        Ok(exchange)
    };
    let ports: Vec<u16> = (first_port..).take(count).collect();
    let open = |ports: &[u16]| {
        let all = || ports.iter().copied().map(connect).collect::<io::Result<Vec<_>>>();
        topology.client.namespace.run(all)?.map_err(|error| Error::setup("open connections", error))
    };
    std::thread::scope(|scope| {
        let parts = ports.chunks(count.div_ceil(OPENERS).max(1));
        let opening: Vec<_> = parts.map(|ports| scope.spawn(|| open(ports))).collect();
        opening.into_iter().try_fold(Vec::with_capacity(count), |mut all, thread| {
            all.extend(joined(thread.join())?);
            Ok(all)
        })
    })
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    stop: AtomicBool,
    answered: AtomicU64,
    lost: Mutex<Vec<String>>,
}

impl Usage {
    /// Requests that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Why connections were lost, one line for each.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses connections in turn until it is told to stop, and once more.
    fn use_all(&self, mut connections: Vec<Exchange>, to: SocketAddr) {
        let mut last = false;
        while !last {
            last = self.stop.load(Ordering::Relaxed);
            connections.retain_mut(|exchange| match http::ask(exchange, to) {
                Ok(()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(error) => {
                    let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.push(explain(&error, STALL));
                    false
                }
            });
        }
    }
}

/// Opens `count` connections and uses them all the time while `meanwhile` runs; each is used once more behind it.
pub(crate) fn with_connections<R>(
    topology: &Topology,
    count: usize,
    usage: &Usage,
    meanwhile: impl FnOnce() -> Result<R, Error>,
) -> Result<R, Error> {
    let mut shares: Vec<Vec<Exchange>> = (0..WORKERS).map(|_| Vec::new()).collect();
    for (number, exchange) in establish(topology, FIRST_PORT, count, STALL)?.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % WORKERS) {
            share.push(exchange);
        }
    }
    std::thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || usage.use_all(share, topology.service));
        }
        let outcome = meanwhile();
        usage.stop.store(true, Ordering::Relaxed);
        outcome
    })
}

/// Source ports of new connections, each another one: a SYN from a port that the director still has a connection of is the daemon's.
pub(crate) struct NewPorts(Cycle<RangeInclusive<u16>>);

impl NewPorts {
    /// Beside those of `connections` in use.
    pub(crate) fn beside(connections: usize) -> Self {
        let used = u16::try_from(connections).unwrap_or(u16::MAX);
        Self((FIRST_PORT.saturating_add(used)..=u16::MAX).cycle())
    }

    /// Whom a new connection from the next port reaches.
    pub(crate) fn connect(&mut self, topology: &Topology) -> Result<Result<Answer, String>, Error> {
        let from = SocketAddr::new(topology.client.address, self.0.next().unwrap_or_default());
        let outcome = topology.client.namespace.run(|| http::get(from, topology.service))?;
        Ok(outcome.map_err(|error| explain(&error, super::LIMIT)))
    }
}
