//! The daemon from start to end.

use std::path::PathBuf;

use ipvs_core::{Config, Director};
use ipvs_datapath::Datapath;
use rustix::rand::{GetRandomFlags, getrandom};
use tracing::info;

use super::clock::now;
use super::instance::Instance;
use super::{
    Control, Engine, Failure, Front, Limits, ReportSignal, SettingsFile, StopSignals, buffer_pages, namespace,
};

/// What the daemon is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Network namespace: a name of `ip netns` or a path; `None` for the caller's.
    pub netns: Option<String>,
    /// Path of the control socket.
    pub socket: PathBuf,
    /// Most connections at a time.
    pub capacity: u32,
    /// Size of the connection table as shown to users.
    pub shown_table_size: u32,
    /// How the datapath is opened.
    pub datapath: ipvs_datapath::Options,
}

/// Runs the daemon in the calling thread, which moves into the network namespace, until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`]; what was set up until then has been taken back.
pub fn run(options: Options) -> Result<(), Failure> {
    let stop = StopSignals::collect()?;
    let report = ReportSignal::collect()?;
    if let Some(name) = &options.netns {
        namespace::enter(name)?;
    }
    // Dropped last: the next daemon may start when everything of this one is gone.
    let _instance = Instance::claim()?;
    let config = Config {
        capacity: options.capacity,
        shown_table_size: options.shown_table_size,
        seed: seed()?,
        sync_qlen_max: buffer_pages::sync_qlen_max().unwrap_or(Config::default().sync_qlen_max),
        // Where ARP is not answered, the addresses are the host's, or those of another one.
        refuses_for_virtual: options.datapath.answer_arp,
    };
    let mut director = Director::new(config, now())
        .map_err(|error| Failure::Other(format!("{error}: choose another with --capacity")))?;
    let datapath = Datapath::open(&options.datapath)?;
    let mut settings = SettingsFile::beside(&options.socket);
    settings.load(now(), Front::host(&datapath), &mut director);
    let control = Control::open(&options.socket, Limits::default())?;
    let netns = options.netns.as_deref().unwrap_or("own");
    let socket = options.socket.display();
    let mut engine = Engine::new(director, datapath, control)?;
    engine.report_on(report)?;
    engine.save_settings_in(settings);
    info!(%socket, netns, capacity = options.capacity, "ready");
    engine.run(&stop)?;
    info!("stopping: detaching from the interfaces");
    Ok(())
}

/// A seed that nobody can guess: the connection table's hash key depends on it.
fn seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|errno| Failure::new("get random numbers", errno))?;
    Ok(u64::from_ne_bytes(bytes))
}
