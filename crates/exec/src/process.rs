//! The thread that made a call: its descriptors, namespaces and credentials, as they are while it waits.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustix::thread::{CapabilitySet, capabilities};

/// PIDFD_THREAD (Linux 6.9): the number may be that of any thread.
const PIDFD_THREAD: u32 = 0o200;

/// A namespace, as its nsfs file's device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceId(u64, u64);

impl NamespaceId {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// A thread by its id. What it says holds for the caller only as long as the notification is valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread(u32);

impl Thread {
    pub(crate) const fn new(id: u32) -> Self {
        Self(id)
    }

    fn pid(self) -> io::Result<Pid> {
        i32::try_from(self.0).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A handle of it, by which its descriptors are reached. Before Linux 6.9 it is one of its process, whose
    /// descriptors are the same but for programs that part them between threads.
    pub(crate) fn open(self) -> io::Result<Descriptors> {
        let id = self.pid()?;
        let handle = match pidfd_open(id, PidfdFlags::from_bits_retain(PIDFD_THREAD)) {
            Err(rustix::io::Errno::INVAL) => {
                let process = self.status()?.number("Tgid:")?;
                pidfd_open(Self(process).pid()?, PidfdFlags::empty())
            }
            outcome => outcome,
        }?;
        Ok(Descriptors(handle))
    }

    /// Whether it has CAP_NET_ADMIN, effective, in its user namespace.
    pub(crate) fn has_net_admin(self) -> bool {
        self.pid()
            .and_then(|id| Ok(capabilities(Some(id))?))
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
    }

    /// Its user or network namespace ("user", "net").
    pub(crate) fn namespace(self, kind: &str) -> io::Result<NamespaceId> {
        fs::metadata(format!("/proc/{}/ns/{kind}", self.0)).map(|file| NamespaceId::of(&file))
    }

    /// Text of its status file.
    pub(crate) fn status(self) -> io::Result<Status> {
        fs::read_to_string(format!("/proc/{}/status", self.0)).map(Status)
    }
}

/// A status file of /proc.
#[derive(Clone, Debug)]
pub(crate) struct Status(String);

impl Status {
    fn words<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").split_ascii_whitespace()
    }

    fn number(&self, name: &str) -> io::Result<u32> {
        self.words(name)
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The effective user id.
    pub(crate) fn effective_user(&self) -> io::Result<u32> {
        self.words("Uid:")
            .nth(1)
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The process id as the process itself sees it.
    pub(crate) fn own_process_id(&self) -> io::Result<u32> {
        self.words("NStgid:")
            .last()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// A thread's open descriptors.
#[derive(Debug)]
pub(crate) struct Descriptors(OwnedFd);

impl Descriptors {
    /// A duplicate of one.
    ///
    /// # Errors
    /// EBADF if there is none with this number.
    pub(crate) fn duplicate(&self, number: u32) -> io::Result<OwnedFd> {
        let number = i32::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
        Ok(pidfd_getfd(&self.0, number, PidfdGetfdFlags::empty())?)
    }

    /// Whether a number is free.
    pub(crate) fn is_free(&self, number: u32) -> bool {
        self.duplicate(number).is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_status() {
        let text = "Name:\tUid: 7\nTgid:\t42\nUid:\t1000\t1001\t1002\t1003\nNStgid:\t42\t2\n";
        let status = Status(text.into());
        assert_eq!(status.number("Tgid:").ok(), Some(42));
        assert_eq!(status.effective_user().ok(), Some(1001));
        assert_eq!(status.own_process_id().ok(), Some(2));
        let nothing = Status(String::new());
        assert!(nothing.effective_user().is_err() && nothing.own_process_id().is_err());
    }

    #[test]
    fn finds_descriptors_of_a_thread_and_free_numbers() {
        let descriptors = Thread::new(std::process::id()).open().unwrap();
        assert!(descriptors.duplicate(0).is_ok());
        assert!(descriptors.is_free(100_000) && !descriptors.is_free(0));
        assert!(Thread::new(0).open().is_err());
    }
}
