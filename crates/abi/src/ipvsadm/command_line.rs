//! A command line, understood: what [`parse`](super::parse::parse) makes of words.

use std::path::PathBuf;

use ipvs_core::{Command, ServiceId};

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// What it asks for.
    pub action: Action,
    /// The control socket it names, if any.
    pub socket: Option<PathBuf>,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Print the help of the original.
    Help,
    /// Print the version.
    Version,
    /// Print what is ours alone.
    HelpIpvsd,
    /// Have the director do this.
    Execute(Command),
    /// Print a listing.
    List(Listing),
    /// Print the command lines that would restore the present state.
    Save {
        /// Without names of hosts and services.
        numeric: bool,
    },
    /// Execute the command lines that come on standard input.
    Restore,
}

impl Action {
    /// Whether it needs the director.
    pub const fn needs_director(&self) -> bool {
        !matches!(self, Self::Help | Self::Version | Self::HelpIpvsd)
    }
}

/// A listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What is listed.
    pub subject: Subject,
    /// Which columns services have.
    pub columns: Columns,
    /// Without names of hosts and services.
    pub numeric: bool,
    /// Numbers in full, not as K, M, G and T.
    pub exact: bool,
    /// In order of addresses; else as the director has them.
    pub sorted: bool,
    /// As JSON.
    pub json: bool,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// All services with their destinations.
    Services,
    /// One service with its destinations.
    Service(ServiceId),
    /// Connections.
    Connections,
    /// Timeouts.
    Timeouts,
    /// Synchronisation daemons.
    SyncDaemons,
    /// Dropped packets by reason (ours).
    Drops,
}

/// Which columns a listing of services or connections has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Forwarding method, weight, connections.
    #[default]
    Plain,
    /// Counters.
    Stats,
    /// Rates.
    Rate,
    /// Connection thresholds.
    Thresholds,
    /// Persistence templates.
    PersistentConn,
    /// Plain, and how tunneled packets are encapsulated.
    TunInfo,
    /// Of connections: the local addresses of full NAT too (ours).
    Local,
}
