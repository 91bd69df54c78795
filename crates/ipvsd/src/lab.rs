//! `ipvsd lab`: real traffic through a director, in network namespaces of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ipvs_lab::{Bulk, Error, Mode, Options, Protocol};

/// Watch a director balance real requests over real servers, in network namespaces of its own.
///
/// Makes a client, a director and servers, runs `ipvsd run` and `ipvsadm` in them, sends requests through the virtual
/// address, shows who served how many, and removes everything again. Needs root. The exit code is 0 only if no request
/// failed and shares that can be exact are exact.
#[derive(Debug, Args)]
pub(crate) struct LabArguments {
    /// Forwarding method: masquerading, or direct routing
    #[arg(long, value_enum, default_value = "nat")]
    mode: ModeName,

    /// Scheduler of the virtual service
    #[arg(long, value_name = "NAME", default_value = "rr")]
    scheduler: String,

    /// Number of servers [default: 3, or as many as weights are given]
    #[arg(long, value_name = "N")]
    servers: Option<usize>,

    /// Weights of the servers, in the order in which they are added [default: 1 each]
    #[arg(long, value_name = "W,W,...", value_delimiter = ',')]
    weights: Vec<u32>,

    /// IPv6 instead of IPv4
    #[arg(long)]
    ipv6: bool,

    /// UDP echo instead of HTTP over TCP
    #[arg(long)]
    udp: bool,

    /// Number of requests
    #[arg(long, value_name = "N", default_value_t = 300)]
    requests: usize,

    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    concurrency: usize,

    /// Instead of requests, download and then upload BYTES on each connection, all at once, checked by SHA-256
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["udp", "requests", "concurrency"])]
    bulk: Option<u64>,

    /// Connections of --bulk
    #[arg(long, value_name = "N", default_value_t = 64, requires = "bulk")]
    connections: usize,

    /// How the daemon attaches to its interfaces, passed on to `ipvsd run`
    #[arg(long, value_parser = ["native", "generic", "auto"])]
    xdp: Option<String>,

    /// The report as JSON
    #[arg(long)]
    json: bool,

    /// Leave the lab up and say how to play with it, until Ctrl-C
    #[arg(long)]
    keep: bool,

    /// No director: the client asks the servers in turn (a baseline, and a check of the lab itself)
    #[arg(long)]
    direct: bool,

    /// Remove what killed labs left behind, and do nothing else
    #[arg(long, exclusive = true)]
    clean: bool,

    /// The daemon [default: this executable]
    #[arg(long, value_name = "PATH")]
    ipvsd: Option<PathBuf>,

    /// The control program [default: ipvsadm beside this executable]
    #[arg(long, value_name = "PATH")]
    ipvsadm: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeName {
    Nat,
    Dr,
}

impl LabArguments {
    /// Runs the lab, or the cleaning. The report goes to standard output, everything else to standard error.
    pub(crate) fn run(self) -> ExitCode {
        match self.execute() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("ipvsd lab: {error}");
                match error {
                    Error::Options(_) => ExitCode::from(2),
                    Error::Interrupted => ExitCode::from(130),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }

    fn execute(self) -> Result<ExitCode, Error> {
        if self.clean {
            let removed = ipvs_lab::clean()?;
            removed.iter().for_each(|name| println!("removed {name}"));
            return Ok(ExitCode::SUCCESS);
        }
        let json = self.json;
        let options = self.options()?;
        let mut good = false;
        ipvs_lab::run(&options, &mut std::io::stderr(), &mut |report| {
            good = report.is_good();
            if json {
                // Strings, numbers and lists only: they always have a JSON form.
                println!("{}", serde_json::to_string_pretty(report).unwrap_or_default());
            } else {
                println!("{}", report.table());
            }
        })?;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn options(self) -> Result<Options, Error> {
        let weights = match (self.servers, self.weights) {
            (servers, weights) if weights.is_empty() => vec![1; servers.unwrap_or(3)],
            (Some(servers), weights) if servers != weights.len() => {
                return Err(Error::Options(format!(
                    "{servers} servers, but {} weights: give one weight for each server",
                    weights.len()
                )));
            }
            (_, weights) => weights,
        };
        let this = match std::env::current_exe() {
            Ok(path) => path,
            Err(error) => {
                return Err(Error::Options(format!(
                    "where is this executable? {error}: give --ipvsd and --ipvsadm"
                )));
            }
        };
        Ok(Options {
            mode: match self.mode {
                ModeName::Nat => Mode::Nat,
                ModeName::Dr => Mode::Dr,
            },
            scheduler: self.scheduler,
            weights,
            ipv6: self.ipv6,
            protocol: if self.udp { Protocol::Udp } else { Protocol::Tcp },
            requests: self.requests,
            concurrency: self.concurrency,
            bulk: self.bulk.map(|bytes| Bulk { bytes, connections: self.connections }),
            keep: self.keep,
            xdp: self.xdp,
            direct: self.direct,
            ipvsadm: self.ipvsadm.unwrap_or_else(|| this.with_file_name("ipvsadm")),
            ipvsd: self.ipvsd.unwrap_or(this),
        })
    }
}
