//! A daemon as a process, and a network namespace for it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use ipvs_lab::parts;

pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A network namespace with a pair of interfaces, removed when dropped.
pub(crate) struct Namespace(parts::Namespace);

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: run it by sudo");
        let namespace = Self(parts::Namespace::numbered(&format!("ipvsd-test-{name}")).unwrap());
        for command in ["add one type veth peer name two", "set one up", "set two up"] {
            ip(&format!("-n {} link {command}", namespace.name()));
        }
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{}.sock", self.name()))
    }

    /// The daemon with these arguments; namespace, socket and capacity are given unless they are among them.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipvsd"));
        command.args(["run", "--netns", self.name()]).args(more).stdin(Stdio::null()).stderr(Stdio::piped());
        if !more.contains(&"--capacity") {
            command.args(["--capacity", "1024"]);
        }
        if !more.contains(&"--socket") {
            command.arg("--socket").arg(self.socket());
        }
        command
    }

    /// Runs a daemon that should end by itself.
    pub(crate) fn refused(&self, more: &[&str]) -> (Option<i32>, String) {
        outcome(&self.command(more).output().unwrap())
    }

    pub(crate) fn has_xdp(&self) -> bool {
        ip(&format!("-n {} -details link show", self.name())).contains("xdp")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Left for a next daemon.
        let socket = self.socket();
        for ending in ["", ".state", ".counters", ".connections", ".settings"] {
            let _ = std::fs::remove_file(format!("{}{ending}", socket.display()));
        }
    }
}

pub(crate) fn outcome(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A daemon that said that it is ready; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: BufReader<std::process::ChildStderr>,
    pub(crate) said: String,
}

impl Running {
    pub(crate) fn start(namespace: &Namespace, more: &[&str]) -> Self {
        let mut child = namespace.command(more).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, log, said: String::new() };
        while !running.said.contains("ready") {
            let length = running.log.read_line(&mut running.said).unwrap();
            assert!(length > 0, "it ended: {}", running.said);
        }
        running
    }

    /// Sends a signal and waits for the end; returns exit code and all that it said.
    pub(crate) fn end(mut self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
        self.log.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
