//! The daemon from start to end.

use std::path::PathBuf;

use ipvs_core::{Config, Director, MaglevSize};
use ipvs_datapath::{Datapath, FastPathOptions, Shared};
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
    /// Most half-open connections of one service; 0: no limit.
    pub half_open_quota: u32,
    /// Places of the tables of the scheduler mh.
    pub maglev_size: MaglevSize,
    /// Size of the connection table as shown to users.
    pub shown_table_size: u32,
    /// Whether packets of established connections are forwarded in the XDP program.
    pub fast_path: bool,
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
        half_open_quota: options.half_open_quota,
        maglev_size: options.maglev_size,
        shown_table_size: options.shown_table_size,
        seed: seed()?,
        sync_qlen_max: buffer_pages::sync_qlen_max().unwrap_or(Config::default().sync_qlen_max),
        // Where ARP is not answered, the addresses are the host's, or those of another one.
        refuses_for_virtual: options.datapath.answer_arp,
    };
    let (datapath, shared) = open_datapath(&options, &config)?;
    let too_many = |error| Failure::Other(format!("{error}: choose another with --capacity"));
    let mut director = match shared {
        Some(Shared { memory, fast_path }) => {
            let mut director = Director::in_memory(config, now(), memory).map_err(too_many)?;
            director.set_fast_path(fast_path);
            director
        }
        None => Director::new(config, now()).map_err(too_many)?,
    };
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

/// Opens the datapath, with a connection table that the XDP program shares unless that is not wanted.
fn open_datapath(options: &Options, config: &Config) -> Result<(Datapath, Option<Shared>), Failure> {
    // Elsewhere loads and stores of the program are not ordered as the table needs it.
    let possible = cfg!(all(target_arch = "x86_64", target_endian = "little"));
    if options.fast_path && !possible {
        return Err(Failure::Other("--fast-path on works on x86-64 only: leave it out".into()));
    }
    let fast_path = options.fast_path.then(|| FastPathOptions {
        capacity: config.capacity,
        hash_key: config.hash_key(),
        destinations: FastPathOptions::DESTINATIONS,
    });
    let mut datapath = Datapath::open(&ipvs_datapath::Options { fast_path, ..options.datapath.clone() })?;
    let shared = datapath.take_shared();
    Ok((datapath, shared))
}

/// A seed that nobody can guess: the connection table's hash key depends on it.
fn seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|errno| Failure::new("get random numbers", errno))?;
    Ok(u64::from_ne_bytes(bytes))
}
