//! The programs of a director: `ipvsd run`, and unmodified clients under `ipvsd exec`.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::Namespace;
use crate::wait_for;

/// A director: its namespace, its folder of files and its daemon. All goes when it is dropped.
pub(crate) struct Director {
    pub(crate) namespace: Namespace,
    folder: PathBuf,
    daemon: Option<Program>,
}

impl Director {
    /// A namespace without a daemon yet.
    pub(crate) fn new(test: &str, role: &str) -> Self {
        let namespace = Namespace::new(test, role);
        let folder = std::env::temp_dir().join(namespace.name());
        std::fs::create_dir_all(&folder).unwrap();
        Self { namespace, folder, daemon: None }
    }

    /// A file of its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What our program of these words says to this on standard input.
    pub(crate) fn given(&self, words: &[&str], text: &str) -> Output {
        let file = self.file("given");
        std::fs::write(&file, text).unwrap();
        self.command(words).stdin(std::fs::File::open(file).unwrap()).output().unwrap()
    }

    /// A command inside, at this director's control socket.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace.name()]).args(words);
        command.env("IPVSD_SOCKET", self.socket()).stdin(Stdio::null());
        command
    }

    /// An unmodified program of the system under `ipvsd exec` with this `--mode`.
    pub(crate) fn exec(&self, mode: &str, words: &[&str]) -> Command {
        let ipvsd = env!("CARGO_BIN_EXE_ipvsd");
        let mut command = self.command(&[&[ipvsd, "exec", "--mode", mode, "--"], words].concat());
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C");
        command
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.file("ipvsd.sock")
    }

    /// Resident memory of the daemon, KiB.
    pub(crate) fn daemon_memory(&self) -> u64 {
        let daemon = self.daemon.as_ref().expect("a daemon");
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processes that were started at this control socket, the daemon aside: clients and their supervisors.
    pub(crate) fn clients(&self) -> Vec<String> {
        let socket = format!("IPVSD_SOCKET={}", self.socket().display());
        let daemon = self.daemon.as_ref().map(|daemon| daemon.0.id().to_string());
        let of_this = |process: &std::fs::DirEntry| {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == socket.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|process| Some(process.file_name().to_string_lossy().into_owned()) != daemon)
            .filter(of_this)
            .map(|process| std::fs::read_to_string(process.path().join("comm")).unwrap_or_default())
            .collect()
    }

    /// Waits until no client and no supervisor is left.
    pub(crate) fn wait_for_no_clients(&self) {
        wait_for("the end of clients and their supervisors", || self.clients().is_empty());
    }

    /// Starts `ipvsd run`, and waits until it answers.
    pub(crate) fn start_daemon(&mut self, more: &[&str]) {
        // Room for two minutes of requests: so long a connection that has ended stays in the table.
        let mut words = vec![env!("CARGO_BIN_EXE_ipvsd"), "run", "--capacity", "131072"];
        words.extend(more);
        self.daemon = Some(Program::start(self.command(&words), self.file("ipvsd.log")));
        wait_for("the daemon's answer", || self.ipvsadm(&["-Ln"]).is_some());
    }

    /// What our `ipvsadm` prints; `None` if it fails.
    pub(crate) fn ipvsadm(&self, arguments: &[&str]) -> Option<String> {
        let words = [&[env!("CARGO_BIN_EXE_ipvsadm")], arguments].concat();
        let output = self.command(&words).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// What `ipvsd` prints; `None` if it fails.
    pub(crate) fn ipvsd(&self, arguments: &[&str]) -> Option<String> {
        let words = [&[env!("CARGO_BIN_EXE_ipvsd")], arguments].concat();
        let output = self.command(&words).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Ends the daemon.
    pub(crate) fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.signal(Signal::TERM);
            daemon.end();
        }
    }

    /// The rules, as `ipvsadm -Sn` prints them.
    pub(crate) fn rules(&self) -> String {
        self.ipvsadm(&["-Sn"]).expect("the daemon answers")
    }

    /// Waits until these are the rules.
    pub(crate) fn wait_for_rules(&self, expected: &str) {
        let mut rules = String::new();
        let mut matches = || {
            rules = self.rules();
            rules == expected
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the expected rules", &mut matches);
        }));
        assert!(outcome.is_ok(), "rules:\n{rules}\nexpected:\n{expected}\n{}", self.logs());
    }

    /// Connections that a destination has had, by `--stats`.
    pub(crate) fn connections(&self, service: &str, destination: &str) -> Option<u64> {
        let listing = self.ipvsadm(&["-Ln", "--stats", "--exact", "-t", service])?;
        let row =
            listing.lines().find_map(|line| line.trim().strip_prefix("-> ")?.strip_prefix(destination))?;
        row.split_whitespace().next()?.parse().ok()
    }

    /// Writes keepalived's configuration.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.file("keepalived.conf"), text).unwrap();
    }

    /// Starts keepalived as it is installed, with files of its own.
    pub(crate) fn start_keepalived(&self, mode: &str) -> Program {
        let path = |name: &str| self.file(name).display().to_string();
        let files = [path("keepalived.conf"), path("main.pid"), path("checkers.pid"), path("vrrp.pid")];
        let [configuration, main, checkers, vrrp] = &files;
        let words = [
            &["keepalived", "--dont-fork", "--log-console", "--no-syslog"],
            &["-f", configuration, "-p", main, "-c", checkers, "-r", vrrp][..],
        ]
        .concat();
        Program::start(self.exec(mode, &words), self.file("keepalived.log"))
    }

    /// What the programs said.
    pub(crate) fn logs(&self) -> String {
        let names = ["ipvsd.log", "keepalived.log", "sipp.log"];
        let texts = names
            .map(|name| format!("{name}:\n{}", std::fs::read_to_string(self.file(name)).unwrap_or_default()));
        texts.concat()
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        self.daemon = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A process that is ended when dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it; what it says goes to `log`.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        Self(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut status = None;
        wait_for("the end of a program at SIGTERM", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.runs() {
            return;
        }
        // By SIGTERM first: keepalived ends its children then.
        self.signal(Signal::TERM);
        for _ in 0..100 {
            if !self.runs() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
