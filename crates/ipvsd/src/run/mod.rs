//! `ipvsd run`: the daemon.
//!
//! One thread owns everything (see [`Engine`]). At the start it enters its network namespace, claims it, opens the
//! datapath and then the control socket: who can connect finds a daemon that works. At the end it goes back the same
//! way, so that the socket file is gone, and the XDP programs are detached unless they are to outlive it (`state`).

mod buffer_pages;
mod clock;
mod control;
mod daemon;
mod datapath;
mod engine;
mod failure;
mod front;
mod fullness;
mod instance;
mod limitation;
mod memory;
mod namespace;
mod poller;
mod private_file;
mod report;
mod settings_file;
mod state;
mod stop;
mod stop_daemon;

pub use control::{Control, Limits};
pub use daemon::{Options, Pinning, run};
pub use engine::Engine;
pub use failure::Failure;
pub use front::{Dropped, Due, Front, Readable, Source};
pub use report::ReportSignal;
pub use settings_file::SettingsFile;
pub use state::{Detached, State, detach};
pub use stop::StopSignals;
pub use stop_daemon::{Stopped, enter, stop_daemon};
