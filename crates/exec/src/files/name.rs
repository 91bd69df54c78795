//! Which files there are.

use ipvs_abi::proc::File;
use ipvs_core::Sysctl;

/// A file whose content comes from the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A table of /proc/net.
    Table(File),
    /// A setting of /proc/sys/net/ipv4/vs.
    Setting(Sysctl),
}

impl Name {
    /// The file's name in its directory.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Table(file) => file.name(),
            Self::Setting(sysctl) => sysctl.name(),
        }
    }

    /// The tables, sorted by name.
    pub(super) fn tables() -> Vec<Self> {
        sorted(File::ALL.into_iter().map(Self::Table))
    }

    /// The settings, sorted by name as the kernel lists them.
    pub(super) fn settings() -> Vec<Self> {
        sorted(Sysctl::ALL.into_iter().map(Self::Setting))
    }
}

fn sorted(names: impl Iterator<Item = Name>) -> Vec<Name> {
    let mut names: Vec<Name> = names.collect();
    names.sort_unstable_by_key(|name| name.text());
    names
}
