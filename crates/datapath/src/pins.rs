//! What outlives the daemon in the kernel: links that keep the XDP program attached, and the maps that the next daemon takes over,
//! pinned in a folder of a BPF filesystem.
//!
//! | name | what |
//! |---|---|
//! | `native-INDEX`, `generic-INDEX`, `tc-INDEX` | the link to the interface with this index, attached in this mode |
//! | `connections` | the connection table |
//! | `traffic` | what the program counted |
//!
//! A new daemon makes maps and a program of its own, enters the connections that the old table holds, and then replaces the program
//! of each link: no packet meets an interface without a program, or a program whose table is not filled. So one need
//! not know what the old program was, but how to read its table, which says its version itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use aya::programs::links::{self, FdLink};
use aya::programs::loaded_programs;
use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};

use crate::Mode;
use crate::fast_path::{Previous, SharedMaps};

/// Where BPF filesystems are mounted by custom.
const CUSTOMARY: &str = "/sys/fs/bpf";

/// Magic number of BPF filesystems (BPF_FS_MAGIC in linux/magic.h).
const BPF_FS: u64 = 0xcafe_4a11;

/// Folder of all our pins in a BPF filesystem.
const FOLDER: &str = "ipvsd";

const CONNECTIONS: &str = "connections";
const TRAFFIC: &str = "traffic";
/// Ending of what takes a pin's place. (A dot would be refused.)
const NEW: &str = "-new";

/// The folder of one network namespace's pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    folder: PathBuf,
}

/// How long programs are waited for that somebody else may hold, too.
const LONGEST_END: Duration = Duration::from_secs(3);
/// Between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Waits until the kernel has these programs no more: it gives a program back once the link is detached.
fn wait_for_end(programs: &[u32]) {
    let start = Instant::now();
    let is_there = || loaded_programs().flatten().any(|program| programs.contains(&program.id()));
    while !programs.is_empty() && start.elapsed() < LONGEST_END && is_there() {
        thread::sleep(LOOK_AGAIN);
    }
}

/// A link that keeps a program attached.
#[derive(Debug)]
pub(crate) struct PinnedLink {
    /// Index of the interface.
    pub(crate) interface: u32,
    /// The mode in which it was attached.
    pub(crate) mode: Mode,
    /// The pin.
    pub(crate) path: PathBuf,
}

impl PinnedLink {
    /// Opens it; the pin stays.
    pub(crate) fn open(&self) -> Result<FdLink, links::LinkError> {
        links::PinnedLink::from_pin(&self.path).map(FdLink::from)
    }
}

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// Not a BPF filesystem.
    #[error(
        "{} is not in a BPF filesystem: mount one there by `mount -t bpf bpf {}`, or name another folder by --pin",
        .0.display(), .0.display()
    )]
    NotBpf(PathBuf),
    /// Mounting failed.
    #[error("no BPF filesystem is mounted at {} and mounting one failed ({source})", path.display())]
    Mount {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot use {} ({source})", path.display())]
    Io {
        /// What was used.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Pins {
    /// Those of the namespace with this number, in the BPF filesystem at `root`, or the customary one: that is mounted if it is
    /// not there and `mount` allows it. `None`: not mounted, and it need not be.
    ///
    /// # Errors
    /// [`PinsError`].
    pub fn of(root: Option<&Path>, namespace: u64, mount: bool) -> Result<Option<Self>, PinsError> {
        let path = root.unwrap_or(Path::new(CUSTOMARY));
        if !is_bpf(path) {
            match root {
                Some(root) => return Err(PinsError::NotBpf(root.to_owned())),
                None if !mount => return Ok(None),
                None => mount_bpf(path)?,
            }
        }
        Ok(Some(Self::in_folder(path.join(FOLDER).join(format!("netns-{namespace:x}")))))
    }

    /// Those in this very folder.
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, for root alone.
    pub(crate) fn make(&self) -> Result<(), PinsError> {
        fs::create_dir_all(&self.folder).map_err(|source| PinsError::Io { path: self.folder.clone(), source })
    }

    /// Removes all pins, and so detaches what nobody else holds; the kernel does so a little later.
    ///
    /// # Errors
    /// Those of removing; a folder that is not there is none.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                // The last one of all namespaces takes the common folder with it.
                if let Some(common) = self.folder.parent() {
                    let _ = fs::remove_dir(common);
                }
                Ok(())
            }
        }
    }

    /// The same, and waits until the kernel has done it.
    ///
    /// # Errors
    /// As [`Pins::remove`].
    pub fn detach(&self) -> io::Result<()> {
        let program = |link: &PinnedLink| Some(link.open().ok()?.info().ok()?.program_id());
        let programs: Vec<u32> = self.links().iter().filter_map(program).collect();
        self.remove()?;
        wait_for_end(&programs);
        Ok(())
    }

    /// What the former run left, if it left all of it.
    pub(crate) fn previous(&self) -> io::Result<Option<Previous>> {
        let map = |name| {
            let path = self.folder.join(name);
            match path.exists() {
                true => MapData::from_pin(path).map(Some).map_err(io::Error::other),
                false => Ok(None),
            }
        };
        match (map(CONNECTIONS)?, map(TRAFFIC)?) {
            (Some(connections), Some(traffic)) => Previous::of(&connections, &traffic).map(Some),
            _ => Ok(None),
        }
    }

    /// Puts maps in the place of those of the former run.
    pub(crate) fn keep_maps(&self, maps: &SharedMaps) -> io::Result<()> {
        for (map, name) in [(&maps.connections, CONNECTIONS), (&maps.traffic, TRAFFIC)] {
            let new = self.folder.join(format!("{name}{NEW}"));
            // What a daemon left that was killed here.
            if new.exists() {
                fs::remove_file(&new)?;
            }
            map.pin(&new).map_err(io::Error::other)?;
            fs::rename(&new, self.folder.join(name))?;
        }
        Ok(())
    }

    /// The pinned links.
    pub(crate) fn links(&self) -> Vec<PinnedLink> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let links = entries.filter_map(Result::ok).filter_map(|entry| {
            let name = entry.file_name();
            let (mode, index) = name.to_str()?.split_once('-')?;
            let mode = match mode {
                "native" => Mode::Native,
                "generic" => Mode::Generic,
                "tc" => Mode::Tc,
                _ => return None,
            };
            Some(PinnedLink { interface: index.parse().ok()?, mode, path: entry.path() })
        });
        links.collect()
    }

    /// Pins a link.
    pub(crate) fn keep_link(&self, link: FdLink, interface: u32, mode: Mode) -> io::Result<()> {
        let path = self.folder.join(match mode {
            Mode::Native => format!("native-{interface}"),
            Mode::Generic => format!("generic-{interface}"),
            Mode::Tc => format!("tc-{interface}"),
        });
        if path.exists() {
            fs::remove_file(&path)?;
        }
        link.pin(path).map(drop).map_err(io::Error::other)
    }
}

fn is_bpf(path: &Path) -> bool {
    statfs(path).is_ok_and(|it| it.f_type as u64 == BPF_FS)
}

fn mount_bpf(path: &Path) -> Result<(), PinsError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("bpf", path, "bpf", flags, Some(c"mode=700"))
        .map_err(|errno| PinsError::Mount { path: path.to_owned(), source: errno.into() })?;
    tracing::info!(path = %path.display(), "mounted a BPF filesystem");
    if !is_hosts_mounts() {
        tracing::warn!(
            "this process has mounts of its own, as `ip netns exec` gives it: what is pinned ends with them; use \
             `ipvsd run --netns NAME`"
        );
    }
    Ok(())
}

/// Whether the mounts of this process are those of the first process that it sees.
fn is_hosts_mounts() -> bool {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    of("self") == of("1")
}
