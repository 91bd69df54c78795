//! The files of the real /proc/net, which symbolic links lead to.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fuser::INodeNo;

use super::caller::Caller;

/// The first inode number of a link.
const FIRST: u64 = 1 << 16;

/// The links that were asked for, numbered as they come. There are no more than names in /proc/net.
#[derive(Debug, Default)]
pub(super) struct RealNet(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    numbers: HashMap<OsString, u64>,
    names: Vec<OsString>,
}

impl RealNet {
    /// The link for `name`, if the network namespace of `caller` has that file.
    pub(super) fn find(&self, caller: Caller, name: &OsStr) -> Option<INodeNo> {
        fs::symlink_metadata(directory(caller).join(name)).ok()?;
        Some(self.number(name))
    }

    /// The links for all files in the network namespace of `caller`.
    pub(super) fn list(&self, caller: Caller) -> Vec<(INodeNo, OsString)> {
        let entries = fs::read_dir(directory(caller)).into_iter().flatten().flatten();
        entries.map(|entry| (self.number(&entry.file_name()), entry.file_name())).collect()
    }

    /// Where a link leads.
    pub(super) fn target(&self, inode: INodeNo) -> Option<PathBuf> {
        let position = usize::try_from(inode.0.checked_sub(FIRST)?).ok()?;
        self.lock().names.get(position).map(|name| Path::new("/proc/self/net").join(name))
    }

    fn number(&self, name: &OsStr) -> INodeNo {
        let mut numbered = self.lock();
        let Numbered { numbers, names } = &mut *numbered;
        INodeNo(*numbers.entry(name.to_owned()).or_insert_with(|| {
            names.push(name.to_owned());
            FIRST + names.len() as u64 - 1
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller's /proc/net; this process's own if the caller cannot be seen.
fn directory(caller: Caller) -> PathBuf {
    let theirs = PathBuf::from(format!("/proc/{}/net", caller.thread));
    if caller.thread != 0 && theirs.exists() { theirs } else { PathBuf::from("/proc/self/net") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_one_number_each() {
        let net = RealNet::default();
        let caller = Caller { uid: 0, thread: 0 };
        let tcp = net.find(caller, OsStr::new("tcp")).expect("every kernel has /proc/net/tcp");
        let listed = net.list(caller);
        assert!(listed.contains(&(tcp, OsString::from("tcp"))));
        assert_eq!(net.target(tcp), Some(PathBuf::from("/proc/self/net/tcp")));
        assert_eq!(net.find(caller, OsStr::new("no_such_file")), None);
        assert_eq!(net.target(INodeNo(3)), None);
        assert_eq!(net.target(INodeNo(FIRST + listed.len() as u64)), None);
    }
}
