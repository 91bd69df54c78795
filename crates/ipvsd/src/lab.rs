//! `ipvsd lab`: the arguments of the lab and its report.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ipvs_lab::{Bulk, Error, Flood, Kills, Mode, Options, Protocol, Report, Tunnel, TunnelChecksum};

/// Schedulers whose choices the XDP program can make.
const BEGUN_BY_PROGRAM: [&str; 10] = ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "sh", "dh", "mh"];

/// Try a director between a client and servers, all in namespaces made for it.
///
/// Builds network namespaces with a client, a director that runs `ipvsd run`, and real HTTP (or UDP echo) servers;
/// sends requests through the virtual address; prints who served how many, beside what the scheduler should give; and
/// takes everything down again, however it ends. Nothing outside these namespaces is touched. Needs root.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd lab                                             300 requests, three servers in turn, NAT
  ipvsd lab --mode dr --scheduler wrr --weights 3,2,1   direct routing, shares 3:2:1
  ipvsd lab --mode tun --tun-type gue                   tunneling, packets in UDP
  ipvsd lab --mode fullnat                              full NAT: servers anywhere, on the client's own segment here
  ipvsd lab --mode fullnat --ipv6 --servers-ipv4        IPv6 clients of IPv4 servers
  ipvsd lab --bulk 3000000 --connections 64             64 downloads at once, then 64 uploads, of 3 MB each
  ipvsd lab --at-once 10000 --concurrency 100           10 000 connections open at once, two requests on each
  ipvsd lab --syn-flood --half-open-quota 20000         requests in the midst of a SYN flood
  ipvsd lab --client-on-director                        requests of the director's own
  ipvsd lab --kill-daemon 10 --fast-path on             connections in use outlive the daemon
  ipvsd lab --keep                                      leaves it up and prints commands to play with it

EXIT CODES
  0  no request failed, and shares that must be exact are
  1  requests failed, shares are wrong, or the lab could not be built
  2  wrong usage
  4  privileges are missing
  130  interrupted; everything was taken down")]
pub(crate) struct Arguments {
    /// Forwarding method, which decides the topology
    #[arg(long, value_enum, default_value_t = ModeArgument::Nat)]
    mode: ModeArgument,

    /// How packets are put into others with --mode tun
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = TunnelArgument::Ipip)]
    tun_type: TunnelArgument,

    /// The checksum of GUE or GRE
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = ChecksumArgument::Csum)]
    tun_checksum: ChecksumArgument,

    /// Scheduler: rr, wrr, lc, wlc, sed, nq, ...
    #[arg(long, value_name = "NAME", default_value = "rr")]
    scheduler: String,

    /// Number of servers [default: 3, or as many as there are weights]
    #[arg(long, value_name = "N")]
    servers: Option<usize>,

    /// Weights of the servers, in order [default: 1 each]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    weights: Vec<u32>,

    /// Requests to send
    #[arg(long, value_name = "N", default_value_t = 300)]
    requests: usize,

    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    concurrency: usize,

    /// At most so many requests a second [default: as fast as they are answered]
    #[arg(long, value_name = "N", conflicts_with_all = ["bulk", "at_once", "kill_daemon"])]
    rate: Option<u64>,

    /// Addresses in the pool with --mode fullnat
    #[arg(long, value_name = "N", default_value_t = 1)]
    pool: u8,

    /// IPv6 instead of IPv4
    #[arg(long)]
    ipv6: bool,

    /// IPv4 servers for the IPv6 client, with --mode fullnat
    #[arg(long, requires = "ipv6")]
    servers_ipv4: bool,

    /// UDP datagrams and their echo instead of HTTP requests
    #[arg(long)]
    udp: bool,

    /// Least bytes in a datagram; more than the MTU make fragments
    #[arg(long, value_name = "BYTES", default_value_t = 0, requires = "udp")]
    datagram: usize,

    /// Instead of requests: that many bytes down and then up on each connection, all at once, checked by SHA-256
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["udp", "requests", "concurrency"])]
    bulk: Option<u64>,

    /// Connections at once with --bulk, or in use with --kill-daemon
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,

    /// Instead of requests: that many connections open at once, with a request on each, and one more on each when all are open
    ///
    /// Fails if a request fails, or the director's active connections are not those that are open.
    #[arg(long, value_name = "N", conflicts_with_all = ["udp", "requests", "bulk", "syn_flood"])]
    at_once: Option<usize>,

    /// A flood of TCP SYNs from random sources while the requests run: so many a second, or as many as one thread can send
    ///
    /// Fails if a request fails, or one of 50 connections from before the flood is lost.
    #[arg(long, value_name = "RATE", num_args = 0..=1, default_missing_value = "full")]
    #[arg(value_parser = flood, conflicts_with_all = ["udp", "ipv6", "bulk", "direct"])]
    syn_flood: Option<Flood>,

    /// Kill the daemon so many times while --connections are in use, each time at a random moment, and start another one
    ///
    /// Fails if a connection is lost, a new one refused, a counter goes backwards. The daemon is run with --pin on. With --fast-path on
    /// requests are answered while no daemon runs, and new connections begin if the scheduler is one whose choices the program makes;
    /// else they wait for the next one.
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["udp", "bulk", "syn_flood", "direct", "keep"])]
    kill_daemon: Option<usize>,

    /// Another version of ipvsd to be every second daemon with --kill-daemon
    #[arg(long, value_name = "PATH", requires = "kill_daemon")]
    upgrade_to: Option<PathBuf>,

    /// Most half-open connections of the service, for the daemon [default: the daemon's]
    #[arg(long, value_name = "N")]
    half_open_quota: Option<u32>,

    /// Most connections at a time, for the daemon [default: the daemon's]
    #[arg(long, value_name = "N")]
    capacity: Option<u32>,

    /// The report as JSON
    #[arg(long)]
    json: bool,

    /// Leave the lab up after the run, until Ctrl-C, and print commands to play with it
    #[arg(long)]
    keep: bool,

    /// How the director attaches its XDP program: native, generic or auto
    #[arg(long, value_name = "MODE", value_parser = ["native", "generic", "auto"])]
    xdp: Option<String>,

    /// --attach of the daemon: xdp, tc or auto; with tc the ends' cables keep their offloads
    #[arg(long, value_name = "WHERE")]
    attach: Option<String>,

    /// Whether the XDP program forwards packets of established connections: on or off
    ///
    /// With "on" the director's cables are made like wires: what enters has complete checksums, and what the program sends
    /// arrives.
    #[arg(long, value_name = "WHEN", value_parser = ["on", "off"])]
    fast_path: Option<String>,

    /// When the first SYNs of connections are dropped: off, auto or on [default: the daemon's]
    #[arg(long, value_name = "WHEN", value_parser = ["off", "auto", "on"])]
    syn_filter: Option<String>,

    /// The requests come from the director itself
    #[arg(long, conflicts_with_all = ["direct", "syn_flood"])]
    client_on_director: bool,

    /// No director: the client asks the servers in turn, through plain kernel forwarding, for comparison
    #[arg(long)]
    direct: bool,

    /// The daemon's executable [default: this one]
    #[arg(long, value_name = "PATH")]
    ipvsd: Option<PathBuf>,

    /// The client's executable [default: ipvsadm beside this one]
    #[arg(long, value_name = "PATH")]
    ipvsadm: Option<PathBuf>,

    /// Be a server of a lab with --at-once, at the listener that is standard input
    #[arg(long, exclusive = true, hide = true, value_name = "NAME")]
    serve_standard_input: Option<String>,

    /// Remove what labs that were killed left behind, and do nothing else
    #[arg(long, exclusive = true)]
    clean: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArgument {
    /// Masquerading: the director is the servers' gateway
    Nat,
    /// Direct routing: the servers answer the client themselves
    Dr,
    /// Tunneling: as direct routing, packets reach the servers inside others
    Tun,
    /// Full NAT: all on one segment; the servers see addresses of the director's pool and know nothing of it
    #[value(name = "fullnat", alias = "full-nat")]
    FullNat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TunnelArgument {
    /// IP in IP
    Ipip,
    /// Generic UDP encapsulation
    Gue,
    /// Generic routing encapsulation
    Gre,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ChecksumArgument {
    /// None
    None,
    /// Over all that follows
    Csum,
    /// GUE's remote checksum offload: as csum where the inner checksum is complete
    Remcsum,
}

/// The rate of a flood: a number, or "full".
fn flood(text: &str) -> Result<Flood, String> {
    match text {
        "full" => Ok(Flood { rate: None }),
        number => match number.parse() {
            Ok(rate) if rate > 0 => Ok(Flood { rate: Some(rate) }),
            _ => Err("SYNs a second, or nothing for the full rate".into()),
        },
    }
}

const SERVERS: usize = 3;

impl Arguments {
    fn options(&self) -> Result<Options, Error> {
        let weights = match (self.weights.as_slice(), self.servers) {
            ([], servers) => vec![1; servers.unwrap_or(SERVERS)],
            (weights, Some(servers)) if servers != weights.len() => {
                return Err(Error::Options(format!(
                    "{} weights for {servers} servers: give one each, or leave out --servers",
                    weights.len()
                )));
            }
            (weights, _) => weights.to_vec(),
        };
        let this = std::env::current_exe().unwrap_or_else(|_| "ipvsd".into());
        Ok(Options {
            mode: match self.mode {
                ModeArgument::Nat => Mode::Nat,
                ModeArgument::Dr => Mode::Dr,
                ModeArgument::Tun => Mode::Tun,
                ModeArgument::FullNat => Mode::FullNat,
            },
            tunnel: match self.tun_type {
                TunnelArgument::Ipip => Tunnel::Ipip,
                TunnelArgument::Gue => Tunnel::Gue,
                TunnelArgument::Gre => Tunnel::Gre,
            },
            tunnel_checksum: match self.tun_checksum {
                ChecksumArgument::None => TunnelChecksum::None,
                ChecksumArgument::Csum => TunnelChecksum::Csum,
                ChecksumArgument::Remcsum => TunnelChecksum::Remcsum,
            },
            scheduler: self.scheduler.clone(),
            weights,
            ipv6: self.ipv6,
            servers_ipv4: self.servers_ipv4,
            protocol: if self.udp { Protocol::Udp } else { Protocol::Tcp },
            requests: self.requests,
            concurrency: self.concurrency,
            rate: self.rate,
            pool: self.pool,
            datagram: self.datagram,
            bulk: self.bulk.map(|bytes| Bulk { bytes, connections: self.connections }),
            at_once: self.at_once,
            flood: self.syn_flood,
            kills: self.kill_daemon.map(|rounds| Kills {
                rounds,
                connections: self.connections,
                at_once: self.fast_path.as_deref() != Some("on"),
                begins: self.fast_path.as_deref() == Some("on")
                    && matches!(self.mode, ModeArgument::Nat | ModeArgument::Dr)
                    && BEGUN_BY_PROGRAM.contains(&&*self.scheduler)
                    && self.half_open_quota.is_none(),
                other: self.upgrade_to.clone(),
            }),
            half_open_quota: self.half_open_quota,
            capacity: self.capacity,
            keep: self.keep,
            attach: self.attach.clone(),
            xdp: self.xdp.clone(),
            fast_path: self.fast_path.clone(),
            syn_filter: self.syn_filter.clone(),
            client_on_director: self.client_on_director,
            direct: self.direct,
            ipvsadm: self.ipvsadm.clone().unwrap_or_else(|| this.with_file_name("ipvsadm")),
            ipvsd: self.ipvsd.clone().unwrap_or(this),
        })
    }
}

/// Runs the lab and prints its report; with `--json` nothing else goes to standard output.
pub(crate) fn lab(arguments: &Arguments) -> ExitCode {
    if let Some(name) = &arguments.serve_standard_input {
        return match ipvs_lab::serve_standard_input(name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "ipvsd lab: cannot serve standard input: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let outcome = if arguments.clean { clean() } else { run(arguments) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ipvsd lab: {error}");
            ExitCode::from(match error {
                Error::Options(_) => 2,
                Error::NotPermitted => 4,
                Error::Interrupted => 130,
                _ => 1,
            })
        }
    }
}

fn clean() -> Result<bool, Error> {
    for name in ipvs_lab::clean()? {
        let _ = writeln!(io::stdout(), "removed {name}");
    }
    Ok(true)
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    let options = arguments.options()?;
    let mut good = false;
    let mut show = |report: &Report| {
        good = report.is_good();
        let text = if arguments.json {
            serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
        } else {
            report.table()
        };
        // Nobody reading the report is no failure of the lab.
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    };
    let mut progress = io::stderr();
    ipvs_lab::run(&options, &mut progress, &mut show)?;
    Ok(good)
}
