//! A SYN flood from random sources, with honest clients in its midst: some have connections since before, some come new.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Sample, explain, http, steady};
use crate::Error;
use crate::interrupt::Interrupt;
use crate::message::Exchange;
use crate::options::{Flood, Options};
use crate::topology::Topology;

/// Connections that are there before the flood.
const ESTABLISHED: usize = 50;
/// The first of their source ports, above those of new requests.
const FIRST_PORT: u16 = 64_000;
/// How long one of them may wait for an answer: in a full queue segments are lost and repeated, again and again.
const STALL: Duration = Duration::from_secs(60);
/// How often each of them is used: a server closes connections that are silent for a minute.
const ROUND: Duration = Duration::from_secs(5);
/// The flood goes on alone for so long before new requests come.
const LEAD: Duration = Duration::from_secs(2);
/// Sources are addresses of 198.18.0.0/15, which RFC 2544 sets aside for such tests.
const SOURCES: u32 = 0xc612_0000;
const SOURCE_BITS: u32 = 0x0001_ffff;
/// For a socket whose packets bring their own IP headers.
const RAW: i32 = 255;
/// With a rate, it is kept by the burst.
const BURST: u64 = 32;

const IP_LEN: usize = 20;
const TCP_LEN: usize = 20;

/// What came of it.
pub(crate) struct Outcome {
    /// SYNs that the client's kernel took.
    pub(crate) syns: u64,
    /// How long they were sent for.
    pub(crate) elapsed: Duration,
    /// Connections that were there before.
    pub(crate) established: usize,
    /// Why some of them ended in the flood.
    pub(crate) lost: Vec<String>,
}

/// A connection from before, until it is lost.
type Established = Result<Exchange, io::Error>;

/// Opens connections, floods, sends `options.requests` requests, and asks the first connections once more.
pub(crate) fn run(
    topology: &Topology,
    options: &Options,
    flood: Flood,
    interrupt: &Interrupt,
) -> Result<(Vec<Sample>, Outcome), Error> {
    let established =
        steady::establish(topology, FIRST_PORT, ESTABLISHED, STALL)?.into_iter().map(Ok).collect();
    let (stop, syns) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        let flooding =
            scope.spawn(|| topology.client.namespace.run(|| send(topology.service, flood, &stop, &syns)));
        let using = scope.spawn(|| use_all(established, topology.service, &stop));
        let samples =
            interrupt.wait::<()>(LEAD, || Ok(None)).and_then(|_| super::run(topology, options, interrupt));
        stop.store(true, Ordering::Relaxed);
        let elapsed = start.elapsed();
        joined(flooding.join())?.map_err(|error| Error::setup("send a flood of SYNs", error))?;
        let lost = joined(using.join());
        let syns = syns.load(Ordering::Relaxed);
        Ok((samples?, Outcome { syns, elapsed, established: ESTABLISHED, lost }))
    })
}

/// What a thread gave; its panic is passed on.
pub(super) fn joined<T>(outcome: std::thread::Result<T>) -> T {
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Uses each connection every few seconds, once more before it is told to stop; why those ended that did.
fn use_all(mut connections: Vec<Established>, to: SocketAddr, stop: &AtomicBool) -> Vec<String> {
    let mut last = false;
    while !last {
        last = stop.load(Ordering::Relaxed);
        let begin = Instant::now();
        for connection in &mut connections {
            if let Ok(exchange) = connection
                && let Err(error) = http::ask(exchange, to)
            {
                *connection = Err(error);
            }
        }
        while begin.elapsed() < ROUND && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    connections.into_iter().filter_map(|it| it.err().map(|error| explain(&error, STALL))).collect()
}

/// Sends SYNs until it is told to stop.
fn send(to: SocketAddr, flood: Flood, stop: &AtomicBool, syns: &AtomicU64) -> io::Result<()> {
    let SocketAddr::V4(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
    let address = SockAddr::from(SocketAddrV4::new(*to.ip(), 0));
    let (start, mut random, mut sent) = (Instant::now(), 0x9e37_79b9_7f4a_7c15_u64, 0);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match socket.send_to(&syn(random, to), &address) {
                Ok(_) => sent += 1,
                // The client's own queues are full: that is the full rate.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {}
                Err(error) => return Err(error),
            }
        }
        syns.store(sent, Ordering::Relaxed);
        if let Some(rate) = flood.rate {
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    Ok(())
}

/// A SYN whose source address, port and sequence number are taken from `random`. The kernel fills in the IP checksum.
fn syn(random: u64, to: SocketAddrV4) -> [u8; IP_LEN + TCP_LEN] {
    let source = Ipv4Addr::from_bits(SOURCES | random as u32 & SOURCE_BITS).octets();
    let port = ((random >> 20) as u16 | 1024).to_be_bytes();
    let sequence = ((random >> 32) as u32).to_be_bytes();
    let mut packet = [0; IP_LEN + TCP_LEN];
    packet[0] = 0x45;
    packet[3] = (IP_LEN + TCP_LEN) as u8;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&to.ip().octets());
    packet[20..22].copy_from_slice(&port);
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[24..28].copy_from_slice(&sequence);
    packet[32] = 5 << 4;
    packet[33] = 0x02;
    packet[34..36].copy_from_slice(&u16::MAX.to_be_bytes());
    let words = packet[12..].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>() + 6 + TCP_LEN as u32;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_covers_addresses_and_header() {
        for random in [1, u64::MAX, 0x1234_5678_9abc_def0] {
            let packet = syn(random, SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 10), 80));
            let words = packet[12..].chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]));
            // Protocol and length complete the pseudo-header; with its checksum all adds up to ones.
            let sum = words.sum::<u64>() + 6 + 20;
            assert_eq!(sum % 0xffff, 0);
            assert_eq!(packet[12..14], [198, 18 | packet[13] & 1]);
        }
    }
}
