//! A mount namespace of one's own, with the files in it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount_change,
};
use rustix::process::{getegid, geteuid};

use super::channels::Channels;
use super::covering::{self, Covering};

/// Why the files cannot be there. The text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// /dev/fuse cannot be opened.
    #[error("/dev/fuse: {0} ({remedy})", remedy = device_remedy(.0))]
    Device(io::Error),
    /// A mount cannot be made.
    #[error("{what}: {source}{remedy}", remedy = mount_remedy(.source))]
    Mount {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// No directory for the filesystem behind /proc/net.
    #[error("no empty directory in /proc to put the files in")]
    NoPlace,
}

fn device_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run as root, or `chmod 666 /dev/fuse`, or allow the device to the container"
        }
        _ => "`modprobe fuse`; in a container, add the device: `--device /dev/fuse`",
    }
}

fn mount_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            " (mounting needs CAP_SYS_ADMIN: run as root or in a user namespace of your own, `unshare -Urn`)"
        }
        _ => "",
    }
}

impl Error {
    /// For `map_err`: what was tried, by its name.
    pub(super) fn at(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Mount { what, source: errno.into() }
    }
}

/// Moves the calling thread into a mount namespace of its own, with the files in place. To be called in the process that
/// becomes the command, before it has other threads.
///
/// Mounts made outside still arrive inside (`ip netns add`, say); those made inside stay there. A network namespace
/// entered later has the /proc/net/ip_vs* of this one and a /proc/sys/net/ipv4 of its own, without `vs`.
///
/// # Errors
/// Why not. The thread may then be in the new namespace, where nothing has changed.
pub fn mount(channels: &Channels) -> Result<(), Error> {
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|errno| Error::Mount { what: "a mount namespace", source: errno.into() })?;
    let subtree = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", subtree).map_err(Error::at("mount propagation"))?;
    let tables = fuse(&channels.tables)?;
    let settings = fuse(&channels.settings)?;
    let mut covering = Covering::default();
    covering::net(&mut covering, &tables)?;
    covering::settings(&mut covering, &settings)?;
    covering.keep();
    Ok(())
}

/// The attributes of all mounts here.
pub(super) const ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A FUSE filesystem that the holder of `channel` will serve, mounted nowhere yet.
fn fuse(channel: &OwnedFd) -> Result<OwnedFd, Error> {
    use std::os::fd::AsRawFd;
    let make = || {
        let fs = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&fs, "source", "ipvsd")?;
        // As text, which kernels before 6.10 want.
        fsconfig_set_string(&fs, "fd", channel.as_raw_fd().to_string())?;
        fsconfig_set_string(&fs, "rootmode", "40555")?;
        fsconfig_set_string(&fs, "user_id", geteuid().as_raw().to_string())?;
        fsconfig_set_string(&fs, "group_id", getegid().as_raw().to_string())?;
        fsconfig_set_flag(&fs, "allow_other")?;
        detached(&fs)
    };
    make().map_err(Error::at("a FUSE filesystem"))
}

/// A filesystem in memory whose root has the mode 0555, mounted nowhere yet.
pub(super) fn memory() -> rustix::io::Result<OwnedFd> {
    let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, "source", "ipvsd")?;
    fsconfig_set_string(&fs, "mode", "555")?;
    detached(&fs)
}

fn detached(fs: impl AsFd) -> rustix::io::Result<OwnedFd> {
    fsconfig_create(fs.as_fd())?;
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, ATTRIBUTES)
}
