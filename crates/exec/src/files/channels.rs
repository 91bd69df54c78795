//! The ends of the two FUSE connections that the serving process keeps.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};

use super::mounting::Error;

/// Two open files of /dev/fuse: one for each filesystem. They are close-on-exec, so the command does not get them.
#[derive(Debug)]
pub struct Channels {
    /// For the directory behind /proc/net.
    pub tables: OwnedFd,
    /// For /proc/sys/net/ipv4/vs.
    pub settings: OwnedFd,
}

impl Channels {
    /// Opens both. This must happen in the user namespace in which [`super::mount`] will run.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn open() -> Result<Self, Error> {
        let device = || {
            open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| Error::Device(errno.into()))
        };
        Ok(Self { tables: device()?, settings: device()? })
    }
}
