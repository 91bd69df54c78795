//! Network namespaces and links of a test, removed when it ends.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `ip` with the words of `arguments`.
pub(crate) fn ip(arguments: &str) -> String {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    assert!(
        output.status.success(),
        "ip {arguments}: {} (these tests need root)",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// Makes one.
    pub(crate) fn new(role: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("ipvsd-dp-{}-{}-{role}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        // Addresses are usable at once.
        namespace.run(|| {
            for scope in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0").unwrap();
            }
        });
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

    /// Moves the calling thread inside.
    pub(crate) fn enter(&self) {
        Self::enter_named(&self.0);
    }

    /// Moves the calling thread into the namespace of that name.
    pub(crate) fn enter_named(name: &str) {
        let file = File::open(format!("/run/netns/{name}")).unwrap();
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs `what` in a thread inside.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter();
                    what()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Joins two namespaces by a veth pair with these names, up.
pub(crate) fn join((one, one_name): (&Namespace, &str), (other, other_name): (&Namespace, &str)) {
    ip(&format!(
        "link add {one_name} netns {} type veth peer name {other_name} netns {}",
        one.name(),
        other.name()
    ));
    one.ip(&format!("link set {one_name} up"));
    other.ip(&format!("link set {other_name} up"));
}
