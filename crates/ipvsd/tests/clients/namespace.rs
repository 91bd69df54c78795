//! Network namespaces and cables of a test, removed when it ends.

use std::process::Command;

use ipvs_lab::parts;

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
pub(crate) struct Namespace(parts::Namespace);

impl Namespace {
    /// Makes one, for a test and a role in it.
    pub(crate) fn new(test: &str, role: &str) -> Self {
        let name = format!("ipvsd-ka-{test}-{role}");
        let namespace = Self(parts::Namespace::numbered(&name).expect("these tests need root"));
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name()))
    }

    /// Sets a sysctl of the namespace, `ipv4/…`.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| std::fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Runs `what` in a thread inside; sockets that it makes belong to the namespace for good.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        self.0.run(what).unwrap()
    }

    /// A cable from `name` here to `port` of `bridge` in `switch`, with an address; up.
    pub(crate) fn plug(&self, name: &str, address: &str, switch: &Self, bridge: &str, port: &str) {
        ip(&format!(
            "link add {name} netns {} type veth peer name {port} netns {}",
            self.name(),
            switch.name()
        ));
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
