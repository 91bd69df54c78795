//! The service, set up as an administrator would: by `ipvsadm` command lines.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::interrupt::Interrupt;
use crate::options::{Mode, Options, Protocol};
use crate::topology::Topology;

/// Time for one command.
const LIMIT: Duration = Duration::from_secs(10);

/// `ipvsadm` with the lab's daemon.
pub(crate) struct Control {
    program: PathBuf,
    socket: PathBuf,
    interrupt: Interrupt,
}

impl Control {
    pub(crate) fn new(program: &Path, socket: &Path, interrupt: &Interrupt) -> Self {
        Self { program: program.to_owned(), socket: socket.to_owned(), interrupt: interrupt.clone() }
    }

    /// The arguments that make the service, one list for each command.
    pub(crate) fn plan(topology: &Topology, options: &Options) -> Vec<Vec<String>> {
        let protocol = match options.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
        };
        let method = match options.mode {
            Mode::Nat => "-m",
            Mode::Dr => "-g",
        };
        let service = topology.service.to_string();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let mut plan = vec![words(&["-A", protocol, &service, "-s", &options.scheduler])];
        for (server, weight) in topology.servers.iter().zip(&options.weights) {
            let (destination, weight) = (topology.destination(server).to_string(), weight.to_string());
            plan.push(words(&["-a", protocol, &service, "-r", &destination, method, "-w", &weight]));
        }
        plan
    }

    /// Runs one command and returns what it wrote to standard output.
    pub(crate) fn run(&self, arguments: &[String]) -> Result<String, Error> {
        let line = format!("ipvsadm {}", arguments.join(" "));
        let failed = |error| Error::setup(format!("run {line} by {}", self.program.display()), error);
        let mut child = Command::new(&self.program)
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
        let refuse = |status: String| Error::Ipvsadm {
            command: line.clone(),
            status,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        };
        match ended? {
            Some(status) if status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(status) => Err(refuse(status.to_string())),
            None => Err(refuse(format!("no answer within {} seconds", LIMIT.as_secs()))),
        }
    }
}
