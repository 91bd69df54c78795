//! The command line of `ipvsd`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipvs_client::{DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvsd::logging::LogFormat;
use ipvsd::run;

use crate::{exec, lab, mark, show, stop, sysctl};

/// IPVS, the Linux Virtual Server's transport-layer load balancer, outside the kernel.
#[derive(Debug, Parser)]
#[command(name = "ipvsd", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Try it, as root: `ipvsd lab` builds a client, a director and three servers in network namespaces of their own, sends \
requests through them and takes everything down again.

For real: `ipvsd run` in one terminal, `ipvsadm -A -t 192.0.2.10:80 -s rr` and so on in another.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

// All but `version` are described at their arguments: a description here would replace that one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Run),
    Exec(exec::Arguments),
    Lab(lab::Arguments),
    Mark(mark::Arguments),
    Show(show::Arguments),
    Stop(stop::Arguments),
    Sysctl(sysctl::Arguments),
    /// Print the version
    Version,
}

/// Run the director of a network namespace, until SIGTERM or SIGINT.
///
/// Attaches an XDP program to the interfaces. It hands over what concerns a virtual service (or comes from a server of
/// a masquerading one) and leaves everything else to the kernel. On SIGUSR1, and at the end, the counters are logged, dropped packets by their reasons among them.
///
/// Virtual services are set by `ipvsadm`; it finds the daemon by its socket. A virtual address need not be an address
/// of the host: the daemon answers ARP and neighbour discovery for it.
///
/// However the daemon ends, the next one in this network namespace and with this socket goes on where it ended: services,
/// statistics and settings are kept beside the socket, connections there too if that is in memory (as /run is). With
/// --fast-path on the XDP program stays attached and goes on with established connections meanwhile; new ones wait. `ipvsd stop
/// --detach` ends everything.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd run                                      all interfaces that are up
  ipvsd run --interface eth0 --interface eth1    these
  ipvsd run --netns blue --socket /run/blue.sock inside a namespace of `ip netns`
  IPVSD_SOCKET=/run/blue.sock ipvsadm -Ln        and the client of that one
  ipvsd stop && ipvsd run                        another version: nothing is lost
  ipvsd stop --detach                            the end: nothing is left

EXIT CODES
  0  ended by SIGTERM or SIGINT
  1  could not start, or failed; the reason is the last line on standard error
  2  wrong usage
  3  another ipvsd runs in this network namespace, or has the socket
  4  privileges are missing: run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK
     (and CAP_SYS_ADMIN for --netns)

WHO MAY GIVE COMMANDS
  root, and processes with CAP_NET_ADMIN; everybody else may connect and gets \"Operation not permitted\".")]
pub(crate) struct Run {
    /// Network namespace to be the director of: a name of `ip netns`, or a path if it has a slash
    ///
    /// Default: the one this command runs in. There is one daemon per network namespace.
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,

    /// Interface to attach to (repeatable); default: all that are up, less loopback
    ///
    /// With masquerading both the clients' and the servers' side are needed. The default leaves out ports of a bridge
    /// or bond (the bridge or bond itself is taken) and VLAN devices (their packets are seen on the lower device).
    #[arg(long = "interface", value_name = "NAME")]
    interfaces: Vec<String>,

    /// Control socket, which `ipvsadm` connects to; a file left over from a daemon that is gone is replaced
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,

    /// How to attach the XDP program
    #[arg(long, value_name = "MODE", value_enum, default_value_t = XdpMode::Auto)]
    xdp: XdpMode,

    /// Whether packets of established connections are forwarded in the XDP program itself
    ///
    /// Faster by far for long connections; off until it has been tried with more network cards. The program sends by
    /// interfaces that can take its frames, the daemon by others: a virtual cable (veth) can while its other end has GRO on
    /// (`ethtool -K NAME gro on`) or an XDP program. Answers of masqueraded servers need the host's forwarding
    /// (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding), else the daemon sends them.
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = FastPath::Off)]
    fast_path: FastPath,

    /// Most connections at a time; about 96 bytes of memory each
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    capacity: u32,

    /// Most half-open connections of one service: TCP before the end of the handshake; 0: no limit, as in the kernel
    ///
    /// At its quota, a service's new connection takes the place of its oldest half-open one, never of an established one: so a
    /// SYN flood stays within the quota, and who answers before as many SYNs have come is served. 12 more bytes of
    /// memory for each of --capacity. Without it half-open connections go for new ones only when the table is full.
    #[arg(long, value_name = "N", default_value_t = 0)]
    half_open_quota: u32,

    /// The size that `ipvsadm` shows as "size=": in the kernel the number of hash buckets, here without effect
    #[arg(long, value_name = "N", default_value_t = 4096)]
    table_size: u32,

    /// Whether XDP program and connections outlive the daemon, or a BPF filesystem for them to be pinned in
    ///
    /// `on`: they are pinned in /sys/fs/bpf (mounted if need be; not from within `ip netns exec`, whose mounts end with it: use
    /// --netns). While no daemon runs, packets for it are dropped, and come again. `off`: program and connections end with the
    /// daemon. `auto`: as `on` with --fast-path on; without, connections are kept in a file beside the socket if that is in memory,
    /// and the host sees packets while no daemon runs: answers of masqueraded servers then end their connections.
    #[arg(long, value_name = "auto|on|off|DIR", default_value = "auto", value_parser = pinning)]
    pin: run::Pinning,

    /// Begin without the services, statistics, connections and settings of the last run
    #[arg(long)]
    fresh: bool,

    /// How log lines look; IPVSD_LOG chooses what is logged (error, warn, info, debug, trace)
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,

    /// Do not answer ARP, neighbour discovery and echo requests for virtual addresses that are not the host's
    ///
    /// Nor refuse what no service takes there. For virtual addresses that something else moves between hosts, such as
    /// keepalived by VRRP: while an address moves, clients are not answered and try again, instead of being refused.
    #[arg(long)]
    no_arp: bool,
}

/// How to attach the XDP program.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum XdpMode {
    /// In the driver: fastest, but not every driver can
    Native,
    /// In the network stack: every interface can
    Generic,
    /// Native where the driver can, generic elsewhere
    Auto,
}

/// Whether packets of established connections are forwarded in the XDP program.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FastPath {
    /// Where interfaces can
    On,
    /// The daemon forwards everything
    Off,
}

fn pinning(word: &str) -> Result<run::Pinning, String> {
    match word {
        "auto" => Ok(run::Pinning::Auto),
        "on" => Ok(run::Pinning::On),
        "off" => Ok(run::Pinning::Off),
        directory if directory.starts_with('/') => Ok(run::Pinning::In(directory.into())),
        _ => Err("say auto, on, off, or the absolute path of a BPF filesystem".into()),
    }
}

impl Run {
    /// How log lines look.
    pub(crate) const fn log(&self) -> LogFormat {
        self.log
    }

    /// The options of the daemon.
    pub(crate) fn options(self) -> run::Options {
        run::Options {
            netns: self.netns,
            socket: self.socket,
            capacity: self.capacity,
            half_open_quota: self.half_open_quota,
            shown_table_size: self.table_size,
            fast_path: matches!(self.fast_path, FastPath::On),
            pinning: self.pin,
            fresh: self.fresh,
            datapath: ipvs_datapath::Options {
                interfaces: self.interfaces,
                xdp_mode: match self.xdp {
                    XdpMode::Native => ipvs_datapath::XdpMode::Native,
                    XdpMode::Generic => ipvs_datapath::XdpMode::Generic,
                    XdpMode::Auto => ipvs_datapath::XdpMode::Auto,
                },
                answer_arp: !self.no_arp,
                ..ipvs_datapath::Options::default()
            },
        }
    }
}
