//! Network namespaces and cables of a test, removed when it ends.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `ip` with the words of `arguments`.
fn ip(arguments: &str) -> String {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error} (these tests need root)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// Makes one, for a test and a role in it.
    pub(crate) fn new(test: &str, role: &str) -> Self {
        let name = format!("ipvsd-ka-{}-{test}-{role}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.0))
    }

    /// Sets a sysctl of the namespace, `ipv4/…`.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| std::fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Runs `what` in a thread inside; sockets that it makes belong to the namespace for good.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                what()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A cable from `name` here to `port` of `bridge` in `switch`, with an address; up.
    pub(crate) fn plug(&self, name: &str, address: &str, switch: &Self, bridge: &str, port: &str) {
        ip(&format!("link add {name} netns {} type veth peer name {port} netns {}", self.0, switch.0));
        switch.ip(&format!("link set {port} master {bridge} up"));
        self.ip(&format!("addr add {address} dev {name}"));
        self.ip(&format!("link set {name} up"));
    }

    /// A bridge that forwards at once.
    pub(crate) fn bridge(&self, name: &str) {
        self.ip(&format!("link add {name} type bridge forward_delay 0 mcast_snooping 0"));
        self.ip(&format!("link set {name} up"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}
