//! The director: `ipvsd run` as a child process, in the director's namespace.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::child;
use crate::interrupt::Interrupt;
use crate::options::Options;

/// Time to attach and open the control socket; the verifier needs a while on a busy machine.
const START: Duration = Duration::from_secs(60);
/// Time to detach after SIGTERM: 10 s were not enough on a machine with twenty times as much to do as it can.
const STOP: Duration = Duration::from_secs(60);

/// Time to log its counters.
const REPORT: Duration = Duration::from_secs(5);

/// The number in a line with a counter.
fn packets_in(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("packets=")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A running daemon, stopped when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    command: String,
    log: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    /// Starts the lab's daemon, see [`launch`](Self::launch).
    pub(crate) fn start(
        options: &Options,
        ipvsd: &Path,
        namespace: &str,
        socket: PathBuf,
        log: PathBuf,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let mut arguments = Vec::new();
        if let Some(rule) = &options.attach {
            arguments.extend(["--attach".into(), rule.clone()]);
        }
        if let Some(xdp) = &options.xdp {
            arguments.extend(["--xdp".into(), xdp.clone()]);
        }
        if let Some(when) = &options.fast_path {
            arguments.extend(["--fast-path".into(), when.clone()]);
        }
        if let Some(when) = &options.syn_filter {
            arguments.extend(["--syn-filter".into(), when.clone()]);
        }
        // What is pinned would outlive the lab; here somebody takes it off.
        let pin = if options.kills.is_some() { "on" } else { "off" };
        arguments.extend(["--pin".into(), pin.into()]);
        for (option, value) in
            [("--half-open-quota", options.half_open_quota), ("--capacity", options.capacity)]
        {
            arguments.extend(value.into_iter().flat_map(|value| [option.to_owned(), value.to_string()]));
        }
        Self::launch(ipvsd, &arguments, namespace, socket, log, interrupt)
    }

    /// Starts the daemon and waits until its control socket takes connections. `more` are arguments beside namespace and
    /// socket.
    ///
    /// Must be called from a thread that outlives the daemon: the kernel ends the daemon with that thread.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log, if it does not start.
    pub fn launch(
        ipvsd: &Path,
        more: &[String],
        namespace: &str,
        socket: PathBuf,
        log: PathBuf,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let mut daemon = Self::spawn(ipvsd, more, namespace, socket, log)?;
        daemon.wait_until_it_answers(interrupt)?;
        Ok(daemon)
    }

    /// As [`launch`](Self::launch), without waiting: others can start meanwhile. Not of use before
    /// [`wait_until_it_answers`](Self::wait_until_it_answers).
    ///
    /// # Errors
    /// [`Error`], if there is no such program.
    pub fn spawn(
        ipvsd: &Path,
        more: &[String],
        namespace: &str,
        socket: PathBuf,
        log: PathBuf,
    ) -> Result<Self, Error> {
        let mut arguments = vec!["run".to_owned(), "--netns".into(), namespace.into()];
        arguments.extend(["--socket".into(), socket.display().to_string()]);
        arguments.extend_from_slice(more);
        let line = format!("{} {}", ipvsd.display(), arguments.join(" "));
        let failed = |error: io::Error| Error::setup(format!("start {line}"), error);
        let output = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let mut command = Command::new(ipvsd);
        command.args(&arguments).stdin(Stdio::null());
        command.stdout(output.try_clone().map_err(failed)?).stderr(output);
        let child = child::spawn(&mut command).map_err(failed)?;
        Ok(Self { child, command: line, log, socket })
    }

    /// Waits until the control socket takes connections.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log, if it ended instead, or takes none in a minute.
    pub fn wait_until_it_answers(&mut self, interrupt: &Interrupt) -> Result<(), Error> {
        let ready = interrupt.wait(START, || {
            let ended = self.child.try_wait();
            if let Some(status) =
                ended.map_err(|error| Error::setup(format!("start {}", self.command), error))?
            {
                return Err(self.error(format!("`{}` ended at once ({status})", self.command)));
            }
            Ok(self.answers().then_some(()))
        })?;
        ready.ok_or_else(|| {
            self.error(format!(
                "`{}` did not open {} within {} seconds",
                self.command,
                self.socket.display(),
                START.as_secs()
            ))
        })
    }

    /// The command line.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had so far, in bytes; 0 if the kernel does not tell.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Packets that its XDP program has forwarded: the daemon is asked to log its counters. 0 if it says nothing of such packets in time.
    pub(crate) fn forwarded_by_program(&self, interrupt: &Interrupt) -> Result<u64, Error> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::USR1);
        }
        // This counter is the last of them.
        let logged = interrupt.wait(REPORT, || {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let line = log.lines().rev().find(|line| line.contains("forwarded-by-xdp"));
            Ok(line.and_then(packets_in))
        })?;
        Ok(logged.unwrap_or(0))
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails if the daemon has ended.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(self.error(format!("the daemon ended during the run ({status})"))),
            _ => Ok(()),
        }
    }

    /// Stops the daemon by SIGTERM; an error if it does not end by itself and in order.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Kills the daemon.
    pub(crate) fn kill(mut self) -> Result<(), Error> {
        let failed = |error| Error::setup("kill the daemon", error);
        self.child.kill().map_err(failed)?;
        self.child.wait().map(drop).map_err(failed)
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Ok(Some(_)) = self.child.try_wait() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = Interrupt::default().wait(STOP, || {
            self.child.try_wait().map_err(|error| Error::setup("wait for the daemon", error))
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.error(format!("the daemon did not stop in order ({status})"))),
            None => {
                let _ = self.child.kill();
                let _ = self.child.wait();
                Err(self
                    .error(format!("the daemon did not stop within {} seconds of SIGTERM", STOP.as_secs())))
            }
        }
    }

    fn answers(&self) -> bool {
        let try_connect = || {
            let address = SocketAddrUnix::new(&self.socket)?;
            connect(socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?, &address)
        };
        try_connect().is_ok()
    }

    fn error(&self, reason: String) -> Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let log = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        Error::Daemon { reason, log }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
