//! The clients that scripts run with, and the interfaces that these speak.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// One of the two interfaces of the kernel's IPVS. What a client prints depends on which of them it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Interface {
    /// Generic netlink, what every client tries first.
    Netlink,
    /// Socket options, what clients fall back to without it.
    Sockopt,
}

impl Interface {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Netlink, Self::Sockopt];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Netlink => "netlink",
            Self::Sockopt => "sockopt",
        }
    }

    /// Its recordings, under `conformance/recordings`.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Netlink => "",
            Self::Sockopt => "sockopt",
        }
    }
}

/// Which `ipvsadm` a script runs with on ipvsd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Client {
    /// Ours, at the control socket.
    Ours,
    /// Debian's under `ipvsd exec`, by generic netlink.
    DebianNetlink,
    /// Debian's under `ipvsd exec`, by socket options.
    DebianSockopt,
}

/// Debian's ipvsadm.
const DEBIAN: &str = "/usr/sbin/ipvsadm";

impl Client {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::DebianNetlink, Self::DebianSockopt];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::DebianNetlink => "debian-netlink",
            Self::DebianSockopt => "debian-sockopt",
        }
    }

    /// The interface whose recordings it must match.
    pub(crate) const fn interface(self) -> Interface {
        match self {
            Self::Ours | Self::DebianNetlink => Interface::Netlink,
            Self::DebianSockopt => Interface::Sockopt,
        }
    }

    /// Whether it is an unmodified program under `ipvsd exec`.
    pub(crate) const fn is_debian(self) -> bool {
        !matches!(self, Self::Ours)
    }

    /// What goes before the shell of a script, so that every program of the script is under `ipvsd exec`.
    pub(crate) fn wrapper(self, binaries: &Path) -> Vec<PathBuf> {
        if !self.is_debian() {
            return Vec::new();
        }
        let words = ["exec", "--mode", self.interface().name(), "--"];
        std::iter::once(binaries.join("ipvsd")).chain(words.map(PathBuf::from)).collect()
    }

    /// PATH of the scripts: finds this client's `ipvsadm` first.
    pub(crate) fn path(self, binaries: &Path) -> String {
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        if self.is_debian() { system.to_owned() } else { format!("{}:{system}", binaries.display()) }
    }

    /// Fails, with the remedy, if its programs are not here.
    pub(crate) fn check(self, binaries: &Path) -> Result<()> {
        for name in ["ipvsd", "ipvsadm"] {
            ensure!(binaries.join(name).is_file(), "no {name} in {}", binaries.display());
        }
        if self.is_debian() {
            let there = Path::new(DEBIAN).is_file();
            ensure!(there, "no {DEBIAN}: apt-get install ipvsadm (on Debian), or --client ours");
        }
        Ok(())
    }
}
