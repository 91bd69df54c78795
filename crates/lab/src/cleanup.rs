//! The run directory of a lab, and the removal of what a killed lab left behind.
//!
//! Namespaces and the daemon end with the lab's process, whatever ends it; only names in the file system can stay: a
//! directory `/run/ipvsd-lab-PID` and links in `/run/netns`. A lock in the directory, held as long as the lab lives,
//! tells living labs from dead ones.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, namespace};

const PREFIX: &str = "ipvsd-lab-";
const PARENT: &str = "/run";

/// A lab's directory for socket, log and lock; removed when dropped.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    name: String,
    _lock: File,
}

impl RunDirectory {
    /// Makes `/run/ipvsd-lab-PID`.
    ///
    /// # Errors
    /// [`Error`], if `/run` refuses.
    pub fn create() -> Result<Self, Error> {
        let name = format!("{PREFIX}{}", std::process::id());
        let path = Path::new(PARENT).join(&name);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Error::NotPermitted,
            _ => Error::setup(format!("make {}", path.display()), error),
        };
        // The process that had this number before is dead, so what bears it is stale.
        remove(&name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Self { path, name, _lock: lock })
    }

    /// `ipvsd-lab-PID`, also the beginning of the namespaces' names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes what labs that no longer live left behind, and returns their names.
///
/// # Errors
/// [`Error::Setup`] if `/run` cannot be read.
pub fn clean() -> Result<Vec<String>, Error> {
    let entries = std::fs::read_dir(PARENT).map_err(|error| Error::setup(format!("read {PARENT}"), error))?;
    let mut removed = Vec::new();
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if name.starts_with(PREFIX) && is_dead(&name) {
            remove(&name);
            removed.push(name);
        }
    }
    removed.sort();
    Ok(removed)
}

fn is_dead(name: &str) -> bool {
    match File::open(Path::new(PARENT).join(name).join("lock")) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        // A lab that is just being made has no lock yet, but its process lives.
        Err(_) => name.strip_prefix(PREFIX).is_some_and(|pid| !Path::new("/proc").join(pid).exists()),
    }
}

fn remove(name: &str) {
    let _ = std::fs::remove_dir_all(Path::new(PARENT).join(name));
    let links = std::fs::read_dir(namespace::DIRECTORY).into_iter().flatten().flatten();
    for link in links {
        let owned = link
            .file_name()
            .to_str()
            .and_then(|link| link.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('-'));
        if owned && link.path().is_symlink() {
            let _ = std::fs::remove_file(link.path());
        }
    }
}
