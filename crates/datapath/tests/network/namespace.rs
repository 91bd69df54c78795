//! Network namespaces and links of a test, removed when it ends.

use std::fs::File;
use std::process::Command;

use ipvs_lab::parts;
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
pub(crate) struct Namespace(parts::Namespace);

impl Namespace {
    /// Makes one.
    pub(crate) fn new(role: &str) -> Self {
        let namespace =
            Self(parts::Namespace::numbered(&format!("ipvsd-dp-{role}")).expect("these tests need root"));
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
        self.0.name()
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name()))
    }

    /// The hardware address of a link.
    pub(crate) fn hardware_address(&self, link: &str) -> String {
        let text = self.ip(&format!("-o link show {link}"));
        let words: Vec<&str> = text.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "link/ether").unwrap();
        words[place + 1].to_owned()
    }

    /// Index and hardware address of a link.
    pub(crate) fn interface(&self, link: &str) -> (u32, [u8; 6]) {
        let text = self.ip(&format!("-o link show {link}"));
        let index = text.split(':').next().unwrap().trim().parse().unwrap();
        let octets: Vec<u8> = self
            .hardware_address(link)
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        (index, octets.try_into().unwrap())
    }

    /// Moves the calling thread into the namespace of that name.
    pub(crate) fn enter_named(name: &str) {
        let file = File::open(format!("/run/netns/{name}")).unwrap();
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs `what` in a thread inside.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        self.0.run(what).unwrap()
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
