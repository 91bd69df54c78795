//! The command line of `ipvsd`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipvs_client::{DEFAULT_SOCKET, SOCKET_VARIABLE};
use ipvs_core::MaglevSize;
use ipvs_datapath::{AttachRule, AttachRuleError};
use ipvsd::logging::LogFormat;
use ipvsd::run;

use crate::{bench, exec, explain, lab, mark, pool, show, stop, sysctl};

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
    Bench(bench::Arguments),
    Exec(exec::Arguments),
    Explain(explain::Arguments),
    Lab(Box<lab::Arguments>),
    Mark(mark::Arguments),
    Pool(pool::Arguments),
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
/// --fast-path on the XDP program stays attached and goes on with established connections meanwhile; new ones wait where it does not
/// make the choice itself. `ipvsd stop --detach` ends everything.
#[derive(Debug, Args)]
#[command(after_long_help = "\
EXAMPLES
  ipvsd run                                      all interfaces that are up
  ipvsd run --interface eth0 --interface eth1    these
  ipvsd run --attach auto --attach eth0=tc       eth0 by tc, of the others virtual interfaces by tc, cards by XDP
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

    /// Where to attach the program: xdp, tc or auto, or NAME=WHERE for one interface (repeatable, or with commas between)
    ///
    /// `xdp`: before the host's stack, fastest for small packets. `tc`: behind its entry, where packets that are yet to be cut into
    /// segments stay whole: faster for TCP in bulk between virtual interfaces, whose ends would have to cut for XDP. (Before
    /// Linux 6.6 it is a filter of the qdisc clsact, which also stays when the daemon is killed.) `auto`: tc at veth, TUN/TAP and
    /// virtio interfaces, xdp at others. With --fast-path on the program forwards from the ones to the others, too.
    #[arg(long, value_name = "[NAME=]WHERE", default_value = "xdp", value_parser = attach_rule)]
    attach: Vec<String>,

    /// Attach by tc as before Linux 6.6: for tests
    #[arg(long, hide = true, env = "IPVSD_NO_TCX")]
    no_tcx: bool,

    /// Whether TCP packets wait in the kernel while the daemon reads their headers, at interfaces attached by tc
    ///
    /// So bulk data that the program does not forward itself are not copied to the daemon and back. They wait in a netfilter queue of a
    /// network namespace that only the daemon has, which needs CAP_SYS_ADMIN; where the kernel lacks something for that they are copied, and
    /// the log says what.
    #[arg(long, value_name = "WHETHER", value_enum, env = "IPVSD_PARKING", default_value_t = Switch::On)]
    parking: Switch,

    /// How to attach the program by XDP
    #[arg(long, value_name = "MODE", value_enum, default_value_t = XdpMode::Auto)]
    xdp: XdpMode,

    /// Whether packets of established connections are forwarded in the XDP program itself
    ///
    /// Faster by far for long connections; off until it has been tried with more network cards. The program sends by
    /// interfaces that can take its frames, the daemon by others: a virtual cable (veth) can while its other end has GRO on
    /// (`ethtool -K NAME gro on`) or an XDP program. Answers by masquerading and full NAT need the host's forwarding
    /// (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding), else the daemon sends them.
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = Switch::Off)]
    fast_path: Switch,

    /// When the XDP program looks packets up in bulk, with --fast-path on
    ///
    /// With many connections a packet's time is mostly one wait for memory. The kernel collects up to 16 frames for an interface before
    /// it sends them: with this the program only notes where their connections are when they come, reads all those places at
    /// once when they leave, and forwards them then. For services of IPv4 by masquerading and direct routing, all of whose destinations leave by one
    /// interface without a VLAN tag. `auto`: from 49152 flows in use on. With few connections it costs more than it saves.
    #[arg(long, value_name = "WHEN", value_enum, env = "IPVSD_BULK_LOOKUP", default_value_t = BulkLookup::Auto)]
    bulk_lookup: BulkLookup,

    /// Whether clients on this host reach virtual services, as with kernel IPVS
    ///
    /// Netfilter then gives away what this host sends to virtual services. With "off" it does so only with what has the mark of
    /// a service by mark. Needs nf_tables and netfilter queues in the kernel; the daemon logs if they are missing.
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = Switch::On)]
    local_clients: Switch,

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

    /// Size of the tables of the scheduler mh, as the kernel's CONFIG_IP_VS_MH_TAB_INDEX: 2^N places, to the next prime below
    ///
    /// Directors that are to send a client to the same server need the same. When a server is removed, clients of others move
    /// too: with ten servers, 13 in 1000 with the kernel's default of 4093 places, 2 in 1000 with 17. A table is filled anew at
    /// each change of its service; a place takes 4 bytes.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u8).range(8..=17))]
    mh_table_index: u8,

    /// Whether new TCP connections have to knock twice: a defence against SYN floods from random sources
    ///
    /// While it is on, the first SYN of a connection is dropped in the XDP program and its repetition let through: clients repeat it
    /// after a second, a flood does not. With --fast-path on other segments of no known connection, too, have to come twice.
    /// "auto": on while a flood has packets lost before the daemon, off five seconds after its end; both are logged, and
    /// `ipvsadm -L --drops` shows it. 16 MiB of memory unless "off". It is no help against floods of UDP, or from sources that repeat.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = SynFilter::Auto)]
    syn_filter: SynFilter,

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

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Where the host can
    On,
    /// Nowhere
    Off,
}

/// When packets are looked up in bulk.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BulkLookup {
    /// Never
    Off,
    /// With many connections
    Auto,
    /// Always
    On,
}

/// When new TCP connections have to knock twice.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SynFilter {
    /// Never
    Off,
    /// While a flood has packets lost
    Auto,
    /// Always
    On,
}

/// A rule, or a part of one.
fn attach_rule(text: &str) -> Result<String, AttachRuleError> {
    text.parse::<AttachRule>().map(|_| text.to_owned())
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
    ///
    /// # Errors
    /// Two values of --attach that contradict each other.
    pub(crate) fn options(self) -> Result<run::Options, AttachRuleError> {
        Ok(run::Options {
            netns: self.netns,
            socket: self.socket,
            capacity: self.capacity,
            half_open_quota: self.half_open_quota,
            // The argument's range is the type's.
            maglev_size: MaglevSize::of_index(self.mh_table_index).unwrap_or_default(),
            shown_table_size: self.table_size,
            fast_path: self.fast_path == Switch::On,
            bulk_lookup: match self.bulk_lookup {
                BulkLookup::Auto => ipvs_datapath::BulkLookup::Auto,
                BulkLookup::On => ipvs_datapath::BulkLookup::On,
                BulkLookup::Off => ipvs_datapath::BulkLookup::Off,
            },
            pinning: self.pin,
            fresh: self.fresh,
            datapath: ipvs_datapath::Options {
                interfaces: self.interfaces,
                attach: self.attach.join(",").parse()?,
                tcx: !self.no_tcx,
                parking: self.parking == Switch::On,
                xdp_mode: match self.xdp {
                    XdpMode::Native => ipvs_datapath::XdpMode::Native,
                    XdpMode::Generic => ipvs_datapath::XdpMode::Generic,
                    XdpMode::Auto => ipvs_datapath::XdpMode::Auto,
                },
                answer_arp: !self.no_arp,
                syn_filter: match self.syn_filter {
                    SynFilter::Off => ipvs_datapath::SynFilter::Off,
                    SynFilter::Auto => ipvs_datapath::SynFilter::Auto,
                    SynFilter::On => ipvs_datapath::SynFilter::On,
                },
                local_clients: self.local_clients == Switch::On,
                ..ipvs_datapath::Options::default()
            },
        })
    }
}
