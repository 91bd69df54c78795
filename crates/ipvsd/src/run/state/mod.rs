//! What outlives the daemon, so that the next one goes on where it ended, however it ended.
//!
//! Beside the control socket, usually in /run and so gone when the host restarts, lie
//!
//! | file | what |
//! |---|---|
//! | `SOCKET.state` | services and destinations ([`journal`]) |
//! | `SOCKET.counters` | their counters ([`counters`]) |
//! | `SOCKET.connections` | the connection table ([`connections`]), unless the XDP program has it: then it is pinned (`ipvs_datapath::Pins`) |
//!
//! The first line of the journal says whose state it is: of which run of the host's kernel and of which network namespace. A
//! new daemon takes it up in this order, so that being killed at any point costs nothing: services, connections into a
//! new table, attach, counters, the new table in the place of the old, the journal, and last what is of no use any more.

mod connections;
mod counters;
mod journal;
mod record;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipvs_core::{Adopted, Counted, Director, Instant, MemoryError, SavedCounters, TableMemory};
use ipvs_datapath::{Datapath, Pins, Previous};
use tracing::{info, warn};

use super::Failure;
use super::control::refuse_if_used;
use super::private_file::{remove, with_ending};
use connections::ConnectionsFile;
use counters::CountersFile;
use journal::{Claim, Found, Journal};

/// When to try again to write what could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// Paths of the files.
#[derive(Clone, Debug)]
struct Paths {
    journal: PathBuf,
    counters: PathBuf,
    connections: PathBuf,
}

impl Paths {
    fn beside(socket: &Path) -> Self {
        let with = |ending| with_ending(socket, ending);
        Self { journal: with(".state"), counters: with(".counters"), connections: with(".connections") }
    }
}

/// Whose state it is, in words: the run of the host's kernel, the network namespace, a random number of the state from its first daemon
/// on, which its connection table has too, and the folder of pins, if the connections are there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    /// Kernel and namespace.
    home: String,
    label: u64,
    pins: Option<PathBuf>,
}

impl Owner {
    /// Of the calling thread's network namespace.
    fn here(label: u64, pins: Option<PathBuf>) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self { home: format!("boot {} netns {:x}", boot.trim(), namespace()?), label, pins })
    }

    fn words(&self) -> String {
        let pins = self.pins.as_ref().and_then(|path| path.to_str()).unwrap_or("-");
        format!("{} label {:x} pins {pins}", self.home, self.label)
    }

    fn parse(words: &str) -> Option<Self> {
        let (home, rest) = words.split_once(" label ")?;
        let (label, pins) = rest.split_once(" pins ")?;
        let label = u64::from_str_radix(label, 16).ok()?;
        Some(Self { home: home.into(), label, pins: Some(PathBuf::from(pins)).filter(|_| pins != "-") })
    }
}

/// A number of the calling thread's network namespace: one that is never used again where the kernel has such (Linux 5.14).
pub(super) fn namespace() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    ipvs_datapath::namespace_cookie().or_else(|_| Ok(fs::metadata("/proc/thread-self/ns/net")?.ino()))
}

/// What a former run left, and the right to take it up.
#[derive(Debug)]
pub(super) struct Former {
    paths: Paths,
    _claim: Option<Claim>,
    found: Found,
    /// Of this namespace and this run of the host, and wanted.
    is_ours: bool,
    /// What it and the connection table are known by.
    label: u64,
    /// Where its connections are, if they are pinned.
    pins: Option<PathBuf>,
}

impl Former {
    /// Looks for it beside the control socket. `fresh`: it is of no interest. `label` is a random number for a new state.
    ///
    /// # Errors
    /// [`Failure::AnotherDaemon`] if it belongs to a daemon that runs.
    pub(super) fn find(socket: &Path, fresh: bool, label: u64) -> Result<Self, Failure> {
        let paths = Paths::beside(socket);
        let path = paths.journal.display();
        let mut claim = match Claim::of(&paths.journal) {
            Ok(claim) => claim,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Failure::AnotherDaemon(format!(
                    "{path} is in use: another ipvsd has this control socket; choose another with --socket"
                )));
            }
            Err(error) => {
                warn!(%path, %error, "cannot read the state of the last run; beginning without");
                None
            }
        };
        let mut found = Found::default();
        if let Some(claim) = claim.as_mut() {
            match claim.read() {
                Ok(read) => found = read,
                Err(error) => {
                    warn!(%path, %error, "cannot read the state of the last run; beginning without")
                }
            }
        }
        if let Some(flaw) = found.flaw.as_ref().filter(|_| !fresh) {
            warn!(%path, flaw, "of the state of the last run not everything can be used");
        }
        let owner = found.owner.as_deref().and_then(Owner::parse);
        let here =
            Owner::here(0, None).map_err(|error| Failure::new("look at the network namespace", error))?;
        let owner_is_ours = owner.as_ref().is_some_and(|owner| owner.home == here.home);
        if owner.is_some() && !owner_is_ours {
            info!(%path, "what is there is of another network namespace or from before the host's start; beginning anew");
        }
        let owner = owner.filter(|_| owner_is_ours);
        let is_ours = owner.is_some() && !fresh;
        let label = owner.as_ref().filter(|_| is_ours).map_or(label, |owner| owner.label);
        let pins = owner.and_then(|owner| owner.pins);
        Ok(Self { paths, _claim: claim, found, is_ours, label, pins })
    }

    /// What the state and its connection table are known by.
    pub(super) const fn label(&self) -> u64 {
        self.label
    }

    /// Where the former run pinned what outlives it, if it did.
    pub(super) fn pins(&self) -> Option<Pins> {
        self.pins.clone().map(Pins::in_folder)
    }

    /// Memory for the connection table that outlives the daemon, if the filesystem allows it.
    pub(super) fn table(&mut self, capacity: u32) -> Option<(TableFile, TableMemory)> {
        let path = &self.paths.connections;
        match ConnectionsFile::create(path, capacity) {
            Ok((file, memory)) => Some((TableFile(file), memory)),
            Err(refusal) => {
                let path = path.display();
                let why = "connections will end with the daemon";
                match refusal {
                    connections::Refusal::OnDisk => info!(%path, reason = %refusal, "{why}"),
                    _ => warn!(%path, reason = %refusal, "{why}"),
                }
                None
            }
        }
    }

    /// Makes `director` what the former run's was. `previous` is what its XDP program left.
    pub(super) fn take_up(
        mut self,
        now: Instant,
        director: &mut Director,
        mut previous: Option<Previous>,
    ) -> Taken {
        let mut counters = HashMap::new();
        let mut begun = 0;
        if self.is_ours {
            let restored = director.restore(now, std::mem::take(&mut self.found.saves));
            if restored.refused > 0 {
                let refused = restored.refused;
                warn!(refused, "services of the last run that this version of ipvsd cannot have");
            }
            counters = counters::read(&self.paths.counters).unwrap_or_else(|error| {
                let path = self.paths.counters.display();
                warn!(%path, %error, "cannot read the counters of the last run; they begin at 0");
                HashMap::new()
            });
            begun = previous.as_ref().map_or(0, Previous::begun);
            let adopted = self.adopt(now, director, previous.as_ref());
            director.restore_counters(|of| counters.get(&of).copied());
            let Adopted { connections, templates, no_room, unknown } = adopted;
            if restored.services > 0 || connections > 0 {
                let (services, destinations) = (restored.services, restored.destinations);
                info!(services, destinations, connections, templates, "going on where the last run ended");
            }
            if no_room > 0 || unknown > 0 {
                warn!(no_room, unknown, "connections of the last run that could not be kept");
            }
        } else {
            previous = None;
            director.restore_counters(|_| None);
        }
        Taken { former: self, counters, previous, begun }
    }

    fn adopt(&self, now: Instant, director: &mut Director, previous: Option<&Previous>) -> Adopted {
        let table = if self.pins.is_some() {
            previous.map(Previous::connections)
        } else {
            connections::left(&self.paths.connections).unwrap_or_else(|error| {
                let path = self.paths.connections.display();
                warn!(%path, %error, "cannot read the connections of the last run");
                None
            })
        };
        let Some(table) = table else { return Adopted::default() };
        director.adopt(now, table).unwrap_or_else(|error: MemoryError| {
            warn!(%error, "the connections of the last run cannot be kept");
            Adopted::default()
        })
    }
}

/// The file of the connection table of this run.
#[derive(Debug)]
pub(super) struct TableFile(ConnectionsFile);

/// The state of a former run, taken up but still where it was.
#[derive(Debug)]
pub(super) struct Taken {
    former: Former,
    counters: HashMap<Counted, SavedCounters>,
    previous: Option<Previous>,
    /// How many connections its program had begun before they were taken over.
    begun: u64,
}

impl Taken {
    /// With the datapath attached: counts what was forwarded meanwhile, and puts the state of this run in the place of that of the
    /// former. `pins` has the connections unless `table` has.
    pub(super) fn settle(
        self,
        now: Instant,
        director: &mut Director,
        datapath: &Datapath,
        pins: Option<&Pins>,
        table: Option<TableFile>,
    ) -> State {
        let Self { former, counters, previous, begun } = self;
        if let Some(previous) = previous {
            if previous.begun() != begun
                && let Err(error) = director.adopt_latest(now, previous.connections())
            {
                warn!(%error, "connections that began during the start cannot be kept");
            }
            let of_these = counters
                .get(&Counted::Total)
                .is_some_and(|total| total.taken[0] == u64::from(previous.counters_id()));
            for (of, kept) in counters {
                if let Counted::Destination(index, _) = of
                    && of_these
                {
                    director.count_missed(index, previous.counted_since(index, kept.taken));
                }
            }
        }
        let paths = former.paths.clone();
        let owner = Owner::here(former.label, pins.map(|pins| pins.folder().to_owned()));
        let mut state = State {
            paths: paths.clone(),
            owner: owner.map(|owner| owner.words()).unwrap_or_default(),
            counters_id: datapath.counters_id().unwrap_or(0),
            journal: None,
            counters: None,
            retry: None,
        };
        match CountersFile::create(&paths.counters) {
            Ok(file) => state.counters = Some(file),
            Err(error) => {
                let path = paths.counters.display();
                warn!(%path, %error, "cannot keep the counters over a restart");
            }
        }
        state.count(director);
        let complain = |what: &str, result: io::Result<()>| {
            if let Err(error) = result {
                warn!(%error, "cannot {what}");
            }
        };
        if let Some(TableFile(file)) = &table {
            complain("keep the connections over a restart", file.settle());
        }
        if pins.is_some() {
            complain("pin the maps of the XDP program", datapath.settle_pins());
        }
        state.begin(Instant::default(), director);
        if table.is_none() {
            complain("remove the connections of the last run", remove(&paths.connections));
        }
        if pins.is_none() {
            complain("remove the pins of the last run", datapath.settle_pins());
        }
        state
    }
}

/// The state of a daemon that runs.
#[derive(Debug)]
pub struct State {
    paths: Paths,
    owner: String,
    counters_id: u32,
    journal: Option<Journal>,
    counters: Option<CountersFile>,
    /// When to try again to write the journal.
    retry: Option<Instant>,
}

impl State {
    fn begin(&mut self, now: Instant, director: &mut Director) {
        match Journal::begin(&self.paths.journal, self.owner.clone(), director) {
            Ok(journal) => {
                if self.retry.take().is_some() {
                    info!("the state is kept again");
                }
                self.journal = Some(journal);
            }
            Err(error) => self.fail(now, &error),
        }
    }

    fn fail(&mut self, now: Instant, error: &io::Error) {
        if self.retry.is_none() {
            let path = self.paths.journal.display();
            warn!(%path, %error, "cannot keep the state: services would not survive the daemon's end; trying again");
        }
        self.journal = None;
        self.retry = Some(now + RETRY);
    }

    /// Writes down what commands and time have changed. Before the client of a command learns that it is done.
    pub(super) fn save(&mut self, now: Instant, director: &mut Director) {
        let result = match &mut self.journal {
            Some(journal) => journal.save(director),
            None => {
                if self.retry.is_some_and(|retry| retry <= now) {
                    self.begin(now, director);
                }
                return;
            }
        };
        if let Err(error) = result {
            self.fail(now, &error);
        }
    }

    /// Writes down counters that have changed.
    pub(super) fn count(&mut self, director: &mut Director) {
        let Some(file) = &mut self.counters else { return };
        let mut changes = director.take_counted();
        if let Some((Counted::Total, total)) = changes.first_mut() {
            total.taken[0] = self.counters_id.into();
        }
        if let Err(error) = file.write(&changes) {
            warn!(%error, "cannot keep the counters over a restart any longer");
            self.counters = None;
        }
    }

    /// Does a bounded piece of what need not be done at once; returns whether there is more.
    pub(super) fn go_on(&mut self, now: Instant, director: &Director) -> bool {
        let Some(journal) = &mut self.journal else { return false };
        match journal.go_on(director) {
            Ok(_) => journal.is_renewing(),
            Err(error) => {
                self.fail(now, &error);
                false
            }
        }
    }
}

/// Removes what a daemon left that is gone: pins, and so the XDP program, and files, that with the settings too. Returns
/// whether there was anything, and whether it was of the calling thread's network namespace.
///
/// # Errors
/// [`Failure::AnotherDaemon`] if a daemon has it.
pub fn detach(socket: &Path) -> Result<Detached, Failure> {
    let paths = Paths::beside(socket);
    let mut claim = match Claim::of(&paths.journal) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(Failure::AnotherDaemon(format!("{} is in use by a daemon", paths.journal.display())));
        }
        claim => claim.map_err(|error| Failure::new(format!("open {}", paths.journal.display()), error))?,
    };
    let found = claim.as_mut().map(Claim::read).transpose();
    let found = found.map_err(|error| Failure::new(format!("read {}", paths.journal.display()), error))?;
    let owner = found.and_then(|found| found.owner).as_deref().and_then(Owner::parse);
    let here = Owner::here(0, None).map_err(|error| Failure::new("look at the network namespace", error))?;
    if let Some(pins) = owner.as_ref().and_then(|owner| owner.pins.clone()) {
        let shown = pins.display().to_string();
        let removed = Pins::in_folder(pins).detach();
        removed.map_err(|error| Failure::new(format!("remove the pins in {shown}"), error))?;
    }
    for path in [&paths.counters, &paths.connections, &with_ending(socket, ".settings"), &paths.journal] {
        for path in [with_ending(path, ".new"), path.clone()] {
            remove(&path).map_err(|error| Failure::new(format!("remove {}", path.display()), error))?;
        }
    }
    // A daemon that was killed left its socket.
    if fs::symlink_metadata(socket).is_ok_and(|file| file.file_type().is_socket()) {
        refuse_if_used(socket)?;
        remove(socket).map_err(|error| Failure::new(format!("remove {}", socket.display()), error))?;
    }
    Ok(Detached { anything: claim.is_some(), elsewhere: owner.is_some_and(|owner| owner.home != here.home) })
}

/// What came of [`detach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detached {
    /// There was a state.
    pub anything: bool,
    /// It was of another network namespace, whose routing rules are still there.
    pub elsewhere: bool,
}
