//! `ipvsd bench`: the arguments of a measurement and its report.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ipvs_bench::{Error, KernelIpvs, Options};

/// Measure this director from end to end, in turn with what else could be in its place.
///
/// Builds network namespaces with a client, a director and a server for each path, sends packets of 64 bytes, first segments,
/// real connections and data through them, and prints medians of several rounds with their spread, and ratios: those matter, for
/// absolute figures are this machine's. Everything is taken down again, however it ends. Needs root.
///
/// Packets are made and counted by XDP programs; these and the director share one processor. With other work on the machine figures are
/// worse and ratios less certain: the load average is printed, too. While nftables is measured, the machine's limit of tracked
/// connections (nf_conntrack_max, nf_conntrack_buckets) may be raised; it is put back at the end (not after kill -9).
/// `ipvsd lab --clean` removes what a killed run left behind.
#[derive(Debug, Args)]
#[command(after_long_help = "\
PATHS
  noop        an XDP program that redirects every frame without a look: the limit
  xdp         ipvsd run --fast-path on: masquerading in the XDP program
  xdp-wlc100  the same, the service under wlc with 100 servers (syns only)
  dr, ipip, gue, gre, fullnat
              the same by direct routing, tunnels of IP in IP, GUE and GRE, full NAT
              (packets of 1 and 64k flows)
  tc          ipvsd run --fast-path on --attach tc
  slow        ipvsd run --fast-path off: the daemon forwards everything
  slow-tc     ipvsd run --fast-path off --attach tc (bulk only)
  forwarding  the kernel's forwarding to one server, no balancing
  nft         nftables: DNAT to a server by a random number (package nftables)
  haproxy     HAProxy in TCP mode (package haproxy)

ROWS (MEASURE-PATH, --list has all)
  packets-PATH-1, -1k, -64k, -1m
                             packets a second of so many flows, as many as come through
  syns-PATH                  first segments of new connections, of random clients, that reach a
                             server, a second
  connections-PATH           complete connections of real sockets a second, a byte each way
  bulk-PATH                  bits a second of one TCP connection
  latency-PATH               round trips of a datagram, at half of what packets-PATH-64k takes
  memory-PATH                bytes per connection
  storm-PATH                 packets a second during 10 000 changes a second, against those
                             without (--storm)
  storm-latency-PATH         round trips at half load during them

COLUMNS
  median, spread  of the rounds, by time
  of CPU          packets a second of processor time, where one processor does everything: nearly
                  the median on a quiet machine, on a busy one what it would be
  CPU ns/pk       processor time per packet, generator and sink included; where the daemon or
                  HAProxy have another processor, of the whole machine
  arrived         share of the frames that came out, rewritten as they should be
  in program      share of the frames that ipvsd's program forwarded, not the daemon

KERNEL IPVS
  Few machines have ip_vs in the kernel that is to be measured. So ratios against it
  (…_vs_kernel_ipvs) compare shares: what a row does of plain forwarding, here and in the same
  round, by what kernel IPVS does of plain forwarding, in its own kernel. The default is Debian's
  kernel 6.1 under User Mode Linux, one processor: 0.74 of it with 1000 established flows, 0.48
  where each packet begins a flow (rr), 0.37 under wlc with 100 servers; 320 bytes a connection.
  Measured your own? --kernel-ipvs 0.8,0.5,0.4

EXAMPLES
  ipvsd bench --quick                       the ratios, in less than a minute
  ipvsd bench                               everything, some minutes
  ipvsd bench --only packets-xdp,packets-noop --rounds 9
  ipvsd bench --only packets-noop,packets-ipip,packets-fullnat
  ipvsd bench --only packets-xdp-1k,packets-forwarding-1k,syns,memory-xdp   against kernel IPVS
  ipvsd bench --only latency --storm 10     latencies, and a storm of changes for 10 s in each round
  ipvsd bench --quick --json | jq .ratios

EXIT CODES
  0  everything was measured, but for what is not there (a program, a feature: the table says which)
  1  something could not be measured, or nothing could be built
  2  wrong usage
  4  privileges are missing
  130  interrupted; everything was taken down")]
pub(crate) struct Arguments {
    /// Only the rows that the most important ratios need, three short rounds: less than 50 seconds on an idle machine
    #[arg(long)]
    quick: bool,

    /// Only these rows, or those whose names begin so (`packets-xdp`, `bulk`)
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    only: Vec<String>,

    /// How often each row is measured [default: 5, with --quick 3]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// How long each value is measured [default: 1, with --quick 0.25]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,

    /// Measure, too, while weights of destinations are changed 10 000 times a second, for so long in each round
    #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1, default_missing_value = "2")]
    storm: Option<Duration>,

    /// What kernel IPVS does: shares of plain forwarding, and if wanted bytes of a connection (see KERNEL IPVS)
    ///
    /// Of established flows, of new ones under rr, of new ones under wlc with 100 servers.
    #[arg(long, value_name = "SHARE,SHARE,SHARE[,BYTES]", default_value_t = KernelIpvs::REFERENCE)]
    kernel_ipvs: KernelIpvs,

    /// The report as JSON: `rows`, `ratios`, `kernel_ipvs`
    #[arg(long)]
    json: bool,

    /// List the names of all rows, and do nothing else
    #[arg(long, exclusive = true)]
    list: bool,

    /// The daemon's executable [default: this one]
    #[arg(long, value_name = "PATH")]
    ipvsd: Option<PathBuf>,
}

/// A time of more than nothing, and of an hour at most.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("seconds above 0 and up to 3600, please".into()),
    }
}

/// Measures and prints the report; with `--json` nothing else goes to standard output.
pub(crate) fn bench(arguments: &Arguments) -> ExitCode {
    if arguments.list {
        // Nobody reading the list is no failure.
        let _ = writeln!(io::stdout(), "{}", ipvs_bench::names().join("\n"));
        return ExitCode::SUCCESS;
    }
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ipvsd bench: {error}");
            ExitCode::from(match error {
                Error::Options(_) => 2,
                Error::NotPermitted => 4,
                Error::Interrupted => 130,
                _ => 1,
            })
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    let (rounds, time) =
        if arguments.quick { (3, Duration::from_millis(250)) } else { (5, Duration::from_secs(1)) };
    let ipvsd = match &arguments.ipvsd {
        Some(path) if !path.is_file() => {
            return Err(Error::Options(format!(
                "no executable at {}: name another with --ipvsd PATH",
                path.display()
            )));
        }
        Some(path) => path.clone(),
        None => std::env::current_exe().unwrap_or_else(|_| "ipvsd".into()),
    };
    let options = Options {
        rounds: arguments.rounds.unwrap_or(rounds),
        time: arguments.seconds.unwrap_or(time),
        quick: arguments.quick,
        only: arguments.only.clone(),
        storm: arguments.storm,
        kernel_ipvs: arguments.kernel_ipvs,
        ipvsd,
    };
    let report = ipvs_bench::run(&options, &mut io::stderr())?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    } else {
        report.table()
    };
    // Nobody reading the report is no failure of the measurement.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    Ok(report.is_good())
}
