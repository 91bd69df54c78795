//! What is open.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{FileHandle, FileType, INodeNo};
use ipvs_abi::errno::Errno;
use ipvs_core::Sysctl;

use super::name::Name;
use super::provider::Provider;
use super::writing::is_ignored_at;

/// An open file or directory.
#[derive(Debug)]
pub(super) enum Handle {
    /// A table, with the text that is being read.
    Table(Name, Mutex<Option<Arc<Vec<u8>>>>),
    /// A setting; for one that is open for appending, how many bytes were.
    Setting(Sysctl, Option<Mutex<u64>>),
    /// A directory as it was when it was opened.
    Directory(Vec<(INodeNo, FileType, OsString)>),
}

impl Handle {
    /// An open file.
    pub(super) fn file(name: Name, appends: bool) -> Self {
        match name {
            Name::Table(_) => Self::Table(name, Mutex::default()),
            Name::Setting(setting) => Self::Setting(setting, appends.then(Mutex::default)),
        }
    }

    /// Up to `size` bytes from `offset` on.
    ///
    /// A table is made anew by a read from its beginning, and read on unchanged. A setting has nothing but at offset 0.
    pub(super) fn read(&self, offset: u64, size: u32, provider: &dyn Provider) -> Result<Vec<u8>, Errno> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = |text: &[u8]| {
            let rest = text.get(start..).unwrap_or_default();
            rest.get(..size as usize).unwrap_or(rest).to_vec()
        };
        match self {
            Self::Table(name, text) => {
                let kept = lock(text).clone().filter(|_| offset != 0);
                let text = match kept {
                    Some(text) => text,
                    None => lock(text).insert(Arc::new(provider.read(*name)?)).clone(),
                };
                Ok(part(&text))
            }
            Self::Setting(..) if offset != 0 => Ok(Vec::new()),
            Self::Setting(setting, _) => Ok(part(&provider.read(Name::Setting(*setting))?)),
            Self::Directory(_) => Err(Errno(21)),
        }
    }

    /// Writes `text` at `offset`; how much of it counts as written.
    pub(super) fn write(&self, offset: u64, text: &[u8], provider: &dyn Provider) -> Result<usize, Errno> {
        let Self::Setting(setting, appended) = self else { return Err(Errno::EIO) };
        // The kernel places what is appended behind a size that it makes up; here it counts from 0 as in procfs.
        let offset = appended.as_ref().map_or(offset, |appended| *lock(appended));
        let written = if is_ignored_at(offset) { text.len() } else { provider.write(*setting, text)? };
        if let Some(appended) = appended {
            *lock(appended) += written as u64;
        }
        Ok(written)
    }
}

/// All that is open, by number.
#[derive(Debug, Default)]
pub(super) struct Handles {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Handle>>>,
}

impl Handles {
    /// Numbers `handle`.
    pub(super) fn insert(&self, handle: Handle) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(number, Arc::new(handle));
        FileHandle(number)
    }

    /// What has that number.
    pub(super) fn get(&self, number: FileHandle) -> Option<Arc<Handle>> {
        lock(&self.open).get(&number.0).cloned()
    }

    /// It is closed.
    pub(super) fn remove(&self, number: FileHandle) {
        lock(&self.open).remove(&number.0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
