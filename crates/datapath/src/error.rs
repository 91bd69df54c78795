//! Why the datapath could not be opened.

use std::io;

/// Why the datapath could not be opened: names what offends and the remedy, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Privileges are missing.
    #[error(
        "not permitted to {what}: run as root or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK"
    )]
    NotPermitted {
        /// What was not permitted.
        what: &'static str,
    },
    /// An interface named does not exist.
    #[error("no interface {name} in this network namespace: see `ip link` for those there are")]
    NoSuchInterface {
        /// Its name.
        name: String,
    },
    /// An interface is not Ethernet.
    #[error("interface {name} is not Ethernet: name another with --interface")]
    NotEthernet {
        /// Its name.
        name: String,
    },
    /// The rule of where to attach names an interface that is none to attach to.
    #[error(
        "--attach names {name}, which is not among the interfaces to attach to: name it with --interface"
    )]
    NotAttached {
        /// Its name.
        name: String,
    },
    /// An interface is down.
    #[error("interface {name} is down: `ip link set {name} up`")]
    InterfaceDown {
        /// Its name.
        name: String,
    },
    /// No interface to attach to.
    #[error(
        "no Ethernet interface is up in this network namespace: bring one up or name it with --interface"
    )]
    NoInterface,
    /// Nothing can be pinned.
    #[error("{0}: with --pin off the XDP program ends with the daemon")]
    Pins(#[from] crate::PinsError),
    /// No connection table can be so large.
    #[error("{0}: choose another with --capacity")]
    Capacity(#[from] ipvs_flow::CapacityError),
    /// The XDP program could not be loaded.
    #[error(
        "the kernel does not load the XDP program ({reason}): Linux 5.10 or later with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS is needed"
    )]
    Load {
        /// What the kernel said.
        reason: String,
    },
    /// The XDP program could not be attached.
    #[error("cannot attach the XDP program to {name} in {mode} mode ({reason}): {remedy}")]
    Attach {
        /// The interface.
        name: String,
        /// The mode that was asked for.
        mode: &'static str,
        /// What the kernel said.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An AF_XDP socket could not be opened.
    #[error("cannot open an AF_XDP socket on {name} queue {queue} ({source}): {remedy}")]
    Socket {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
        /// What the kernel said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// Memory could not be had.
    #[error("cannot map {mebibytes} MiB for {what} ({source}): {remedy}")]
    Memory {
        /// What it is for.
        what: &'static str,
        /// How much was wanted.
        mebibytes: u32,
        /// What the kernel said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The TUN device could not be made.
    #[error("cannot make the TUN device {name} ({source}): {remedy}")]
    HostPort {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// Rtnetlink failed.
    #[error("cannot {what} over rtnetlink ({source})")]
    Netlink {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
