//! Puts the filesystems over /proc/net and /proc/sys/net/ipv4/vs, which the kernel lets nobody make entries in.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, mknodat, open, statat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_remount, move_mount, open_tree, unmount,
};

use super::mounting::{Error, memory};

/// The directories of /proc that may hold the one behind /proc/net, if they are empty. It cannot be below
/// /proc/sys/net, which is another directory in each network namespace.
const PLACES: [&str; 4] = ["tty/ldisc", "driver", "fs", "bus"];

const NET: &str = "/proc/net";
const IPV4: &str = "/proc/sys/net/ipv4";
const SETTINGS: &str = "/proc/sys/net/ipv4/vs";

/// What has been covered, uncovered again unless it is to be kept.
#[derive(Debug, Default)]
pub(super) struct Covering(Vec<String>);

impl Covering {
    /// Lets what has been covered stay so.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }

    /// Mounts `tree` on `path`, which may itself be a symbolic link.
    fn attach(&mut self, tree: &OwnedFd, path: &str) -> rustix::io::Result<()> {
        move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        self.0.push(path.to_owned());
        Ok(())
    }

    /// Unmounts the latest.
    fn detach(&mut self) {
        if let Some(path) = self.0.pop() {
            // Nothing to be done if it fails; the namespace has one more mount then.
            let _ = unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
    }
}

impl Drop for Covering {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            self.detach();
        }
    }
}

/// Lets /proc/net lead to the root of `tables`.
pub(super) fn net(covering: &mut Covering, tables: &OwnedFd) -> Result<(), Error> {
    let place = PLACES.into_iter().find(|place| is_empty(&format!("/proc/{place}"))).ok_or(Error::NoPlace)?;
    let path = format!("/proc/{place}");
    let mut cover = || {
        // A symbolic link needs a filesystem to be in; once mounted over /proc/net, it needs no path any more.
        covering.attach(&memory()?, &path)?;
        let link = link_in(&path, place);
        covering.detach();
        covering.attach(tables, &path)?;
        covering.attach(&link?, NET)
    };
    cover().map_err(Error::at(NET))
}

/// A clone of a new symbolic link to `target` in `directory`.
fn link_in(directory: &str, target: &str) -> rustix::io::Result<OwnedFd> {
    let path = format!("{directory}/net");
    symlinkat(target, CWD, &path)?;
    clone(CWD, path.as_str())
}

fn is_empty(path: &str) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// A copy of the mount at `path`, whose last component may be a symbolic link itself.
fn clone(directory: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(directory, path, flags)
}

/// Lets /proc/sys/net/ipv4/vs be the root of `settings`.
pub(super) fn settings(covering: &mut Covering, settings: &OwnedFd) -> Result<(), Error> {
    let mut cover = || {
        if fs::exists(SETTINGS).unwrap_or(false) {
            // The kernel has IPVS itself.
            return covering.attach(settings, SETTINGS);
        }
        let real = open(IPV4, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        covering.attach(&memory()?, IPV4)?;
        let own = open(IPV4, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // The kernel lists a directory of settings by name, a filesystem in memory what came last first.
        for (name, kind) in entries(&real)?.into_iter().rev() {
            if name.as_bytes() == VS {
                mkdirat(&own, "vs", Mode::from_raw_mode(0o555))?;
                continue;
            }
            match show(&real, &name, kind, &own) {
                // Gone since it was listed.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        move_mount(settings, "", &own, "vs", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        mount_remount(IPV4, MountFlags::BIND | MountFlags::RDONLY | NO_PROGRAMS, "")
    };
    cover().map_err(Error::at(SETTINGS))
}

/// [`super::mounting::ATTRIBUTES`] in the older form.
const NO_PROGRAMS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

const VS: &[u8] = b"vs";

/// What is in a directory, and `vs`, by name.
fn entries(directory: &OwnedFd) -> rustix::io::Result<BTreeMap<CString, FileType>> {
    let mut entries = BTreeMap::from([(CString::from(c"vs"), FileType::Directory)]);
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.insert(entry.file_name().into(), entry.file_type());
        }
    }
    Ok(entries)
}

/// Shows `name` of the directory `real` in the directory `own` too.
fn show(real: &OwnedFd, name: &CString, kind: FileType, own: &OwnedFd) -> rustix::io::Result<()> {
    let tree = clone(real, name.as_c_str())?;
    let kind = match kind {
        FileType::Unknown => {
            FileType::from_raw_mode(statat(real, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
        }
        known => known,
    };
    match kind {
        FileType::Directory => mkdirat(own, name.as_c_str(), Mode::empty())?,
        _ => mknodat(own, name.as_c_str(), FileType::RegularFile, Mode::empty(), 0)?,
    }
    move_mount(&tree, "", own, name.as_c_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}
