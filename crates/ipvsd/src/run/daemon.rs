//! The daemon from start to end.

use std::path::PathBuf;

use ipvs_core::{Config, Director, MaglevSize};
use ipvs_datapath::{BulkLookup, Datapath, FastPathOptions, Pins, Shared};
use rustix::rand::{GetRandomFlags, getrandom};
use tracing::{info, warn};

use super::clock::now;
use super::instance::Instance;
use super::state::{self, Former};
use super::{
    Control, Engine, Failure, Front, Limits, ReportSignal, SettingsFile, StopSignals, buffer_pages, engine,
    namespace,
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
    /// When the program looks packets up in bulk.
    pub bulk_lookup: BulkLookup,
    /// Whether connections, and the XDP program that forwards their packets, outlive the daemon.
    pub pinning: Pinning,
    /// What a former run left is of no interest.
    pub fresh: bool,
    /// How the datapath is opened.
    pub datapath: ipvs_datapath::Options,
}

/// Whether connections outlive the daemon, and where they are pinned if the XDP program has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// As [`Pinning::On`] if the program forwards. If not, connections alone outlive the daemon, where that costs nothing.
    Auto,
    /// Yes; in the customary BPF filesystem. Until there is another daemon, packets for it are dropped.
    On,
    /// No.
    Off,
    /// Yes; in the BPF filesystem there.
    In(PathBuf),
}

impl Options {
    /// Whether program and connections are to be pinned.
    fn pins(&self) -> bool {
        match self.pinning {
            Pinning::Auto => self.fast_path,
            Pinning::On | Pinning::In(_) => true,
            Pinning::Off => false,
        }
    }
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
    let mut former = Former::find(&options.socket, options.fresh, seed()?)?;
    let pins = pins(&options, &former)?;
    let config = Config {
        capacity: options.capacity,
        half_open_quota: options.half_open_quota,
        maglev_size: options.maglev_size,
        shown_table_size: options.shown_table_size,
        seed: seed()?,
        label: former.label(),
        sync_qlen_max: buffer_pages::sync_qlen_max().unwrap_or(Config::default().sync_qlen_max),
        // Where ARP is not answered, the addresses are the host's, or those of another one.
        refuses_for_virtual: options.datapath.answer_arp,
    };
    let (mut datapath, shared) = open_datapath(&options, &config, pins.clone())?;
    let kept = pins.filter(|_| options.pins());
    let too_many = |error| Failure::Other(format!("{error}: choose another with --capacity"));
    let mut table = None;
    // Its maps must be there whenever the program is loaded.
    let mut idle_fast_path = None;
    let mut director = match shared {
        Some(Shared { memory, fast_path }) => {
            let mut director = Director::in_memory(config, now(), memory).map_err(too_many)?;
            if options.fast_path {
                director.set_fast_path(fast_path);
            } else {
                idle_fast_path = Some(fast_path);
            }
            director
        }
        None => {
            let file = if options.pinning == Pinning::Off { None } else { former.table(config.capacity) };
            let (file, memory) = file.map_or((None, None), |(file, memory)| (Some(file), Some(memory)));
            table = file;
            match memory {
                Some(memory) => Director::in_memory(config, now(), memory).map_err(too_many)?,
                None => Director::new(config, now()).map_err(too_many)?,
            }
        }
    };
    let mut settings = SettingsFile::beside(&options.socket);
    if options.fresh {
        settings.forget();
    }
    settings.load(now(), Front::host(&datapath), &mut director);
    let previous = datapath.take_previous();
    let taken = former.take_up(now(), &mut director, previous);
    // The program finds all that it must know when it is attached, or takes the place of the former run's.
    engine::follow(&mut director, &mut datapath);
    datapath.attach()?;
    let state = taken.settle(now(), &mut director, &datapath, kept.as_ref(), table);
    let outlives = kept.is_some();
    let control = Control::open(&options.socket, Limits::default())?;
    let netns = options.netns.as_deref().unwrap_or("own");
    let socket = options.socket.display();
    let mut engine = Engine::new(director, datapath, control)?;
    engine.report_on(report)?;
    engine.save_settings_in(settings);
    engine.keep_state_in(state);
    info!(%socket, netns, capacity = options.capacity, "ready");
    engine.run(&stop)?;
    drop(idle_fast_path);
    if outlives {
        info!(
            "stopping: the XDP program goes on with established connections; `ipvsd stop --detach` ends it"
        );
    } else {
        info!("stopping: detaching from the interfaces");
    }
    Ok(())
}

/// Where links and maps are or will be pinned.
fn pins(options: &Options, former: &Former) -> Result<Option<Pins>, Failure> {
    // As long as they are there, they are where they were.
    if let Some(pins) = former.pins() {
        return Ok(Some(pins));
    }
    let root = match &options.pinning {
        Pinning::In(root) => Some(root.as_path()),
        Pinning::Auto | Pinning::On | Pinning::Off => None,
    };
    let namespace =
        state::namespace().map_err(|error| Failure::new("look at the network namespace", error))?;
    match Pins::of(root, namespace, options.pins()) {
        Ok(pins) => Ok(pins),
        Err(error) if options.pinning == Pinning::Auto => {
            warn!(%error, "the XDP program will end with the daemon, and connections with it");
            Ok(None)
        }
        Err(error) => Err(Failure::Other(error.to_string())),
    }
}

/// Prepares the datapath, with a connection table that the XDP program shares unless that is not wanted.
fn open_datapath(
    options: &Options,
    config: &Config,
    pins: Option<Pins>,
) -> Result<(Datapath, Option<Shared>), Failure> {
    // Elsewhere loads and stores of the program are not ordered as the table needs it.
    let possible = cfg!(all(target_arch = "x86_64", target_endian = "little"));
    if options.fast_path && !possible {
        return Err(Failure::Other("--fast-path on works on x86-64 only: leave it out".into()));
    }
    let keep = options.pins() && pins.is_some();
    let fast_path = (options.fast_path || keep).then(|| FastPathOptions {
        forward: options.fast_path,
        capacity: config.capacity,
        hash_key: config.hash_key(),
        destinations: FastPathOptions::DESTINATIONS,
        bulk_lookup: options.bulk_lookup,
    });
    let options = ipvs_datapath::Options { fast_path, pins, keep, ..options.datapath.clone() };
    let mut datapath = Datapath::prepare(&options)?;
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
