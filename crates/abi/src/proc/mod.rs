//! The files of /proc/net as text: what the director answers, printed as the kernel prints it (recorded in
//! `conformance/recordings/proc.txt`).

mod connections;
mod services;
mod stats;

use core::net::IpAddr;

use ipvs_core::{Command, Reply};

/// Items asked for at a time.
const PAGE: usize = 1024;

/// A file of /proc/net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    /// `ip_vs`: services and destinations.
    IpVs,
    /// `ip_vs_app`: application helpers. None is implemented, so it is the title alone.
    IpVsApp,
    /// `ip_vs_conn`: connections.
    IpVsConn,
    /// `ip_vs_conn_sync`: connections and where they come from.
    IpVsConnSync,
    /// `ip_vs_stats`: counters and rates of everything.
    IpVsStats,
    /// `ip_vs_stats_percpu`: the counters by processor.
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

    /// Its name in /proc/net.
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

    /// The file of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.name() == name)
    }
}

/// The text of `file`, in which only data of persistence engines may not be ASCII: asks `director` for what it needs. `processors` is the host's number of possible processors, each
/// of which has a row in [`File::IpVsStatsPercpu`].
///
/// # Errors
/// The first of the director's refusals. An answer of the wrong kind reads as one without content.
pub fn read<E>(
    file: File,
    processors: usize,
    director: &mut dyn FnMut(Command) -> Result<Reply, E>,
) -> Result<Vec<u8>, E> {
    match file {
        File::IpVs => services::read(director).map(String::into_bytes),
        File::IpVsApp => Ok(b"prot port    usecnt name\n".to_vec()),
        File::IpVsConn => connections::read(false, director),
        File::IpVsConnSync => connections::read(true, director),
        File::IpVsStats => Ok(stats::totals(&stats::ask(director)?).into_bytes()),
        File::IpVsStatsPercpu => Ok(stats::by_processor(&stats::ask(director)?, processors).into_bytes()),
    }
}

/// All pages of a listing: `ask` makes the command for a cursor, `take` takes a reply's items and returns where to go on.
fn each_page<E>(
    director: &mut dyn FnMut(Command) -> Result<Reply, E>,
    ask: impl Fn(u64) -> Command,
    mut take: impl FnMut(Reply) -> Option<u64>,
) -> Result<(), E> {
    let mut cursor = 0;
    while let Some(next) = take(director(ask(cursor))?) {
        cursor = next;
    }
    Ok(())
}

/// An IPv6 address as the kernel's `%pI6`: eight groups of four digits.
fn groups(address: core::net::Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:04x}")).join(":")
}

/// An address as a connection's row has it: eight hexadecimal digits, or the eight groups of IPv6.
fn bare(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08X}", address.to_bits()),
        IpAddr::V6(address) => groups(address),
    }
}

/// An address as a service's or destination's line has it: as [`bare`], IPv6 in brackets.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(_) => bare(address),
        IpAddr::V6(address) => format!("[{}]", groups(address)),
    }
}

/// The name of an IP protocol, 0 being that of a firewall mark's template.
fn protocol_name(protocol: u16) -> String {
    match protocol {
        0 => "IP".to_owned(),
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "ICMPv6".to_owned(),
        132 => "SCTP".to_owned(),
        other => format!("IP_{other}"),
    }
}

#[cfg(test)]
mod tests;
