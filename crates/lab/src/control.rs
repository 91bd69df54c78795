//! The service, set up as an administrator would: by command lines of `ipvsadm`, and of `ipvsd` what that does not have.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::interrupt::Interrupt;
use crate::options::{Mode, Options, Protocol, Tunnel};
use crate::server::decapsulate::GUE_PORT;
use crate::topology::Topology;

/// Time for the counters to be brought up to date.
const STATISTICS: Duration = Duration::from_secs(3);
/// Time for packets that are under way to arrive.
const SETTLED: Duration = Duration::from_secs(5);
/// Time for one command.
const LIMIT: Duration = Duration::from_secs(10);

/// Connections of all destinations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) active: u64,
    pub(crate) inactive: u64,
}

/// Name of the pool of local addresses.
const POOL: &str = "lab";

/// Which program a command line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Ipvsadm,
    Ipvsd,
}

impl Program {
    /// What people type.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ipvsadm => "ipvsadm",
            Self::Ipvsd => "ipvsd",
        }
    }
}

/// The programs with the lab's daemon.
pub(crate) struct Control {
    ipvsadm: PathBuf,
    ipvsd: PathBuf,
    socket: PathBuf,
    interrupt: Interrupt,
}

impl Control {
    pub(crate) fn new(options: &Options, socket: &Path, interrupt: &Interrupt) -> Self {
        let Options { ipvsadm, ipvsd, .. } = options;
        let (ipvsadm, ipvsd, socket) = (ipvsadm.clone(), ipvsd.clone(), socket.to_owned());
        Self { ipvsadm, ipvsd, socket, interrupt: interrupt.clone() }
    }

    /// The arguments that make the service, one list for each command.
    pub(crate) fn plan(topology: &Topology, options: &Options) -> Vec<(Program, Vec<String>)> {
        let protocol = match options.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
        };
        let (gue_port, checksum) = (GUE_PORT.to_string(), options.tunnel_checksum.option());
        let method: &[&str] = match (options.mode, options.tunnel) {
            (Mode::Nat, _) => &["-m"],
            (Mode::FullNat, _) => &["--full-nat", "--local-pool", POOL],
            (Mode::Dr, _) => &["-g"],
            (Mode::Tun, Tunnel::Ipip) => &["-i"],
            (Mode::Tun, Tunnel::Gue) => &["-i", "--tun-type", "gue", "--tun-port", &gue_port, checksum],
            (Mode::Tun, Tunnel::Gre) => &["-i", "--tun-type", "gre", checksum],
        };
        let service = topology.service.to_string();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let mut plan = Vec::new();
        if !topology.pool.is_empty() {
            let addresses = topology.pool.iter().map(ToString::to_string);
            let add = ["pool", "add", POOL].map(str::to_owned).into_iter().chain(addresses);
            plan.push((Program::Ipvsd, add.collect()));
        }
        plan.push((Program::Ipvsadm, words(&["-A", protocol, &service, "-s", &options.scheduler])));
        for (server, weight) in topology.servers.iter().zip(&options.weights) {
            let (destination, weight) = (topology.destination(server).to_string(), weight.to_string());
            let add = ["-a", protocol, &service, "-r", &destination, "-w", &weight];
            plan.push((Program::Ipvsadm, words(&[&add[..], method].concat())));
        }
        plan
    }

    /// `ipvsadm -Ln --stats`, once it shows `connections`, or what it shows after a while: kernel IPVS and whatever
    /// is like it copy the counters that users see from the live ones every two seconds.
    pub(crate) fn statistics(&self, connections: u64) -> Result<String, Error> {
        let list = || self.ipvsadm(&["-Ln", "--stats"]);
        let complete = || list().map(|text| (counted(&text) >= connections).then_some(text));
        match self.interrupt.wait(STATISTICS, complete)? {
            Some(text) => Ok(text),
            None => list(),
        }
    }

    /// All counters of the services and their destinations, in the order of the listing.
    pub(crate) fn counters(&self) -> Result<Vec<u64>, Error> {
        Ok(numbers(&self.ipvsadm(&["-Ln", "--stats", "--exact"])?))
    }

    /// How many connections the director has, active and inactive ones.
    pub(crate) fn connections(&self) -> Result<Held, Error> {
        Ok(held(&self.ipvsadm(&["-Ln"])?))
    }

    /// How many active connections the director has, once there are `wanted` of them, or after a while: the last packet may
    /// still be under way.
    pub(crate) fn active(&self, wanted: u64) -> Result<u64, Error> {
        let reached = || Ok((self.connections()?.active == wanted).then_some(wanted));
        match self.interrupt.wait(SETTLED, reached)? {
            Some(active) => Ok(active),
            None => Ok(self.connections()?.active),
        }
    }

    fn ipvsadm(&self, words: &[&str]) -> Result<String, Error> {
        self.run(Program::Ipvsadm, &words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    /// Runs one command and returns what it wrote to standard output.
    pub(crate) fn run(&self, program: Program, arguments: &[String]) -> Result<String, Error> {
        let line = format!("{} {}", program.name(), arguments.join(" "));
        let path = match program {
            Program::Ipvsadm => &self.ipvsadm,
            Program::Ipvsd => &self.ipvsd,
        };
        let failed = |error| Error::setup(format!("run {line} by {}", path.display()), error);
        let mut child = Command::new(path)
            .args(arguments)
            .env("IPVSD_SOCKET", &self.socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // Listings of at most 200 servers fit into a pipe, so waiting before reading cannot block.
        let ended = self.interrupt.wait(LIMIT, || child.try_wait().map_err(failed));
        if !matches!(ended, Ok(Some(_))) {
            let _ = child.kill();
        }
        let output = child.wait_with_output().map_err(failed)?;
        let refuse = |status: String| Error::Command {
            command: line.clone(),
            status,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        };
        // Ctrl-C reaches the command too, which then fails for that reason alone.
        self.interrupt.check()?;
        match ended? {
            Some(status) if status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(status) => Err(refuse(status.to_string())),
            None => Err(refuse(format!("no answer within {} seconds", LIMIT.as_secs()))),
        }
    }
}

/// The connections of all destinations in a `--stats` listing.
fn counted(listing: &str) -> u64 {
    let destinations = listing.lines().filter_map(|line| line.strip_prefix("  -> "));
    destinations.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// The numbers of a `--stats` listing.
fn numbers(listing: &str) -> Vec<u64> {
    let lines = listing.lines().skip(3).map(|line| line.strip_prefix("  -> ").unwrap_or(line));
    lines.flat_map(|line| line.split_whitespace().filter_map(|word| word.parse().ok())).collect()
}

/// The connections of all destinations in a plain listing: its last two columns.
fn held(listing: &str) -> Held {
    let destinations = listing.lines().filter_map(|line| line.strip_prefix("  -> "));
    let counts = destinations.filter_map(|line| {
        let mut counts = line.split_whitespace().skip(3).map(str::parse);
        Some((counts.next()?.ok()?, counts.next()?.ok()?))
    });
    counts.fold(Held::default(), |sum, (active, inactive): (u64, u64)| Held {
        active: sum.active + active,
        inactive: sum.inactive + inactive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_summed_over_destinations() {
        let listing = "IP Virtual Server version 1.2.1 (size=4096)\n\
            Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  \
            -> RemoteAddress:Port\n\
            TCP  10.77.0.10:80                     300     1500     1500    97800   105600\n  \
            -> 10.77.1.11:8080                   137      685      685    44662    48224\n  \
            -> 10.77.1.12:8080                   110      550      550    35860    38720\n";
        assert_eq!(counted(listing), 247);
        let first = [300, 1500, 1500, 97_800, 105_600];
        assert_eq!((numbers(listing)[..5].to_vec(), numbers(listing).len()), (first.to_vec(), 15));
    }

    #[test]
    fn active_and_inactive_ones_are_held() {
        let listing = "IP Virtual Server version 1.2.1 (size=4096)\n\
            Prot LocalAddress:Port Scheduler Flags\n  \
            -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
            TCP  10.77.0.10:80 rr\n  \
            -> 10.77.1.11:8080              Masq    1      20         3         \n  \
            -> 10.77.1.12:8080              Masq    1      400        5000      \n";
        assert_eq!(held(listing), Held { active: 420, inactive: 5003 });
    }
}
