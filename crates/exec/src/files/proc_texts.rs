//! Stand-in with the interface of `ipvs_abi::proc`, which takes its place.

use ipvs_core::{Command, Reply};

/// A file of /proc/net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum File {
    IpVs,
    IpVsApp,
    IpVsConn,
    IpVsConnSync,
    IpVsStats,
    IpVsStatsPercpu,
}

impl File {
    /// All files.
    pub const ALL: [Self; 6] = [
        Self::IpVs,
        Self::IpVsApp,
        Self::IpVsConn,
        Self::IpVsConnSync,
        Self::IpVsStats,
        Self::IpVsStatsPercpu,
    ];

    /// The file's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpVs => "ip_vs",
            Self::IpVsApp => "ip_vs_app",
            Self::IpVsConn => "ip_vs_conn",
            Self::IpVsConnSync => "ip_vs_conn_sync",
            Self::IpVsStats => "ip_vs_stats",
            Self::IpVsStatsPercpu => "ip_vs_stats_percpu",
        }
    }
}

/// The file's text.
pub(super) fn read<E>(_: File, _: &mut dyn FnMut(Command) -> Result<Reply, E>) -> Result<String, E> {
    Ok(String::new())
}
