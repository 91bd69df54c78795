//! The clients: real sockets in the client's namespace.

pub(crate) mod bulk;
pub(crate) mod crowd;
pub(crate) mod flood;
mod http;
pub(crate) mod steady;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
use crate::interrupt::Interrupt;
use crate::options::{Options, Protocol};
use crate::topology::Topology;

/// How long connecting, and each wait for bytes, may take. Longer than two TCP retransmissions of a SYN.
const LIMIT: Duration = Duration::from_secs(8);
/// After this many failures the rest is not tried: the run could last for hours.
const MAX_FAILURES: usize = 64;

/// The first source port.
const FIRST_PORT: usize = 1024;
/// So many requests have source ports of their own; those of later ones are the system's choice.
pub(crate) const MAX_DISTINCT: usize = 65_536 - FIRST_PORT;

/// Who answered a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The server's name.
    pub(crate) server: String,
    /// The client as the server saw it.
    pub(crate) client: IpAddr,
}

/// The outcome of one request: who answered, or why nobody did.
pub(crate) struct Sample {
    pub(crate) outcome: Result<Answer, String>,
    pub(crate) elapsed: Duration,
}

/// Sends the requests, `options.concurrency` at once, and returns one sample for each.
pub(crate) fn run(
    topology: &Topology,
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Vec<Sample>, Error> {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    let samples = Mutex::new(Vec::with_capacity(options.requests));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= options.requests || interrupt.is_set() {
                break;
            }
            if let Some(rate) = options.rate {
                let due = Duration::from_secs_f64(index as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            let sample = if failures.load(Ordering::Relaxed) >= MAX_FAILURES {
                let reason = format!("not sent: given up after {MAX_FAILURES} failures");
                Sample { outcome: Err(reason), elapsed: Duration::ZERO }
            } else {
                request(index, topology, options)
            };
            if sample.outcome.is_err() {
                failures.fetch_add(1, Ordering::Relaxed);
            }
            samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sample);
        }
    };
    topology.asking(options).namespace.run(|| {
        std::thread::scope(|scope| {
            for _ in 0..options.concurrency.min(options.requests) {
                scope.spawn(work);
            }
        });
    })?;
    interrupt.check()?;
    Ok(samples.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn request(index: usize, topology: &Topology, options: &Options) -> Sample {
    let to = target(index, topology, options.direct);
    let own = topology.asking(options).address;
    let start = Instant::now();
    let outcome = match options.protocol {
        Protocol::Tcp => http::get(source(index, own), to),
        Protocol::Udp => udp::echo(source(index, own), to, index, options.datagram),
    };
    Sample { outcome: outcome.map_err(|error| explain(&error, LIMIT)), elapsed: start.elapsed() }
}

/// Whom request or connection `index` asks: the virtual service, or without director the servers in turn.
fn target(index: usize, topology: &Topology, direct: bool) -> SocketAddr {
    match topology.servers.get(index % topology.servers.len()) {
        Some(server) if direct => topology.destination(server),
        _ => topology.service,
    }
}

/// A source port of its own for each request, so that each is a new connection to the director. The system repeats
/// ports: at random for UDP, and some of 3000 in a row even for TCP. A repeated port continues the old connection at
/// its server, without scheduling, as long as the director remembers it.
fn source(index: usize, address: IpAddr) -> SocketAddr {
    let port = if index < MAX_DISTINCT { u16::try_from(FIRST_PORT + index).unwrap_or(0) } else { 0 };
    SocketAddr::new(address, port)
}

pub(crate) fn explain(error: &std::io::Error, limit: Duration) -> String {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("no answer within {} seconds", limit.as_secs())
        }
        _ => error.to_string(),
    }
}
