//! What a lab is to be: topology, scheduler, servers and load.

use std::path::PathBuf;

use serde::Serialize;

use crate::{Error, address};

/// The forwarding method under test, which decides the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Masquerading: the servers have their own segment and the director is their gateway.
    Nat,
    /// Direct routing: client, director and servers share one segment; the servers hold the virtual address without
    /// answering for it.
    Dr,
    /// Tunneling: as direct routing, but packets reach the servers inside others.
    Tun,
    /// Full NAT: client, director and servers share one segment; the servers know nothing of the director and see its
    /// pool's addresses as their clients.
    FullNat,
}

/// How packets are put into others with [`Mode::Tun`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// Generic routing encapsulation.
    Gre,
}

/// The checksum of a tunnel's own, of GUE and GRE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelChecksum {
    /// None.
    None,
    /// Over all that follows.
    Csum,
    /// GUE's remote checksum offload: packets whose checksums are complete go as with [`TunnelChecksum::Csum`].
    Remcsum,
}

impl TunnelChecksum {
    /// The option of `ipvsadm`.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::None => "--tun-nocsum",
            Self::Csum => "--tun-csum",
            Self::Remcsum => "--tun-remcsum",
        }
    }
}

/// Transport protocol of the virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP over TCP, one connection a request.
    Tcp,
    /// One datagram and its echo a request, each from its own source port.
    Udp,
}

/// Bulk transfers instead of small requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bulk {
    /// Bytes that each connection downloads and then uploads.
    pub bytes: u64,
    /// Connections at once.
    pub connections: usize,
}

/// A flood of TCP SYNs from random sources while the requests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood {
    /// SYNs a second; none: as many as one thread can send.
    pub rate: Option<u64>,
}

/// A daemon that is killed again and again while connections are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kills {
    /// How often.
    pub rounds: usize,
    /// Connections that are there before, and are in use all the time.
    pub connections: usize,
    /// The next daemon is started at once; else requests without a daemon are waited for.
    pub at_once: bool,
    /// The program begins connections of the service itself, so new ones are tried while no daemon runs, too.
    pub begins: bool,
    /// Every other daemon is started with this executable.
    pub other: Option<PathBuf>,
}

/// Everything that describes one run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Forwarding method and topology.
    pub mode: Mode,
    /// The tunnel, with [`Mode::Tun`].
    pub tunnel: Tunnel,
    /// Its checksum, with GUE and GRE.
    pub tunnel_checksum: TunnelChecksum,
    /// Scheduler name as `ipvsadm -s` takes it.
    pub scheduler: String,
    /// One weight per server, in the order in which the servers are added.
    pub weights: Vec<u32>,
    /// IPv6 throughout instead of IPv4.
    pub ipv6: bool,
    /// The servers have IPv4 all the same, with [`Mode::FullNat`].
    pub servers_ipv4: bool,
    /// Protocol of the service.
    pub protocol: Protocol,
    /// Number of requests.
    pub requests: usize,
    /// Requests under way at once.
    pub concurrency: usize,
    /// At most so many requests a second; none: as fast as they are answered.
    pub rate: Option<u64>,
    /// How many addresses the pool has with [`Mode::FullNat`].
    pub pool: u8,
    /// Least bytes in a datagram (UDP only): what exceeds the MTU goes in fragments.
    pub datagram: usize,
    /// Bulk transfers instead of requests (TCP only).
    pub bulk: Option<Bulk>,
    /// So many connections open at once instead of one after the other, with two requests on each (TCP only).
    pub at_once: Option<usize>,
    /// A SYN flood beside the requests (TCP over IPv4 only).
    pub flood: Option<Flood>,
    /// The daemon is killed instead of sending requests (TCP only).
    pub kills: Option<Kills>,
    /// Value for the daemon's `--half-open-quota`; none leaves the daemon's default.
    pub half_open_quota: Option<u32>,
    /// Value for the daemon's `--capacity`; none leaves the daemon's default.
    pub capacity: Option<u32>,
    /// Leave the lab up after the run until SIGINT or SIGTERM.
    pub keep: bool,
    /// Value for the daemon's `--attach`; none leaves the daemon's default.
    pub attach: Option<String>,
    /// Value for the daemon's `--xdp`; none leaves the daemon's default.
    pub xdp: Option<String>,
    /// Value for the daemon's `--fast-path`; none leaves the daemon's default. With "on" the director's cables are made
    /// like wires, unless `attach` is "tc": what enters has complete checksums, and what the XDP program sends arrives.
    pub fast_path: Option<String>,
    /// Value for the daemon's `--syn-filter`; none leaves the daemon's default.
    pub syn_filter: Option<String>,
    /// The requests are the director's own: its clients run on it.
    pub client_on_director: bool,
    /// No director: the client asks the servers themselves in turn, through plain kernel forwarding.
    pub direct: bool,
    /// The `ipvsd` executable.
    pub ipvsd: PathBuf,
    /// The `ipvsadm` executable.
    pub ipvsadm: PathBuf,
}

/// The address plan numbers servers from .11 on, within one /24.
const MAX_SERVERS: usize = 200;

/// Most addresses of a pool: those between the director's and the virtual one.
const MOST_POOL_ADDRESSES: u8 = address::VIRTUAL - address::POOL;

/// Most bytes in a datagram: room for the server's name in the echo stays.
const LARGEST_DATAGRAM: usize = 65000;

/// Each of the connections that are open at once has a source port of its own.
pub(crate) const MAX_AT_ONCE: usize = 60_000;
/// Most connections in use all the time: each takes a thread of its server.
const MOST_STEADY: usize = 20_000;

/// Source ports above are those of connections from before the flood.
const MAX_REQUESTS_IN_FLOOD: usize = 60_000;

impl Options {
    /// Refuses combinations that make no lab.
    ///
    /// # Errors
    /// [`Error::Options`] with what to change.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Options(text));
        if self.weights.is_empty() || self.weights.len() > MAX_SERVERS {
            return refuse(format!(
                "the number of servers must be 1 to {MAX_SERVERS}, not {}",
                self.weights.len()
            ));
        }
        if self.requests == 0 || self.concurrency == 0 || self.concurrency > 4096 {
            return refuse("at least 1 request, and a concurrency of 1 to 4096, please".into());
        }
        if self.rate == Some(0) {
            return refuse("a rate above 0, please".into());
        }
        if self.pool == 0 || self.pool > MOST_POOL_ADDRESSES {
            return refuse(format!(
                "a pool has 1 to {MOST_POOL_ADDRESSES} addresses here, not {}",
                self.pool
            ));
        }
        if self.servers_ipv4 && (self.mode != Mode::FullNat || !self.ipv6 || self.direct) {
            return refuse(
                "IPv4 servers of IPv6 clients take full NAT: add --mode fullnat and --ipv6, and leave out --direct".into(),
            );
        }
        if self.tunnel == Tunnel::Gre && self.tunnel_checksum == TunnelChecksum::Remcsum {
            return refuse("remote checksum offload is GUE's: --tun-type gue, or --tun-checksum csum".into());
        }
        if self.mode != Mode::FullNat && self.pool != 1 {
            return refuse("a pool of addresses is for full NAT: add --mode fullnat".into());
        }
        if let Some(connections) = self.at_once {
            if connections == 0 || connections > MAX_AT_ONCE {
                return refuse(format!("1 to {MAX_AT_ONCE} connections at once, not {connections}"));
            }
            if self.protocol == Protocol::Udp || self.bulk.is_some() || self.flood.is_some() {
                return refuse("connections at once are TCP: leave out --udp, --bulk and --syn-flood".into());
            }
        }
        if self.datagram > LARGEST_DATAGRAM {
            return refuse(format!(
                "a datagram has at most {LARGEST_DATAGRAM} bytes here, not {}",
                self.datagram
            ));
        }
        if self.datagram != 0 && self.protocol != Protocol::Udp {
            return refuse("the size of datagrams is for UDP: add --udp".into());
        }
        if let Some(bulk) = self.bulk {
            if self.protocol == Protocol::Udp {
                return refuse("bulk transfers are TCP: leave out --udp or --bulk".into());
            }
            if bulk.bytes == 0 || bulk.connections == 0 || bulk.connections > 1024 {
                return refuse("bulk transfers need at least 1 byte and 1 to 1024 connections".into());
            }
        }
        if self.flood.is_some() {
            if self.protocol == Protocol::Udp || self.ipv6 || self.bulk.is_some() || self.direct {
                return refuse(
                    "a SYN flood is TCP over IPv4 through a director, beside requests: leave out --udp, --ipv6, --bulk \
                     and --direct"
                        .into(),
                );
            }
            if self.mode != Mode::Nat {
                return refuse(
                    "with --syn-flood the answers must come back through the director: --mode nat".into(),
                );
            }
            if self.flood.is_some_and(|flood| flood.rate == Some(0)) || self.requests > MAX_REQUESTS_IN_FLOOD
            {
                return refuse(format!(
                    "a rate above 0 and at most {MAX_REQUESTS_IN_FLOOD} requests, please"
                ));
            }
        }
        if self.client_on_director && (self.direct || self.flood.is_some()) {
            return refuse(
                "a client on the director asks through it, beside no flood: leave out --client-on-director, or --direct and \
                 --syn-flood"
                    .into(),
            );
        }
        if let Some(kills) = &self.kills {
            if self.protocol == Protocol::Udp || self.bulk.is_some() || self.flood.is_some() || self.direct {
                return refuse(
                    "killing the daemon is for TCP connections through it: leave out --udp, --bulk, --syn-flood and --direct"
                        .into(),
                );
            }
            if kills.rounds == 0 || kills.connections == 0 || kills.connections > MOST_STEADY {
                return refuse(format!("at least 1 round and 1 to {MOST_STEADY} connections, please"));
            }
        }
        if !self.direct {
            for (path, option) in [(&self.ipvsd, "--ipvsd"), (&self.ipvsadm, "--ipvsadm")] {
                if !path.is_file() {
                    return refuse(format!(
                        "no executable at {}: build it, or name another with {option} PATH",
                        path.display()
                    ));
                }
            }
        }
        Ok(())
    }
}
