//! Network namespaces that live as long as their owner.
//!
//! The namespace is held by a file descriptor only; `/run/netns/NAME` is a symbolic link to that descriptor in /proc.
//! So `ip netns exec NAME` and `ipvsd run --netns NAME` find it, and however this process ends, the kernel removes the
//! namespace with everything in it: at worst a dangling link stays, which `ipvsd lab --clean` takes away
//! if a lab left it.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::Error;

/// Where iproute2 looks for named network namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A network namespace, removed when dropped (once no thread or process is in it).
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
    link: PathBuf,
}

impl Namespace {
    /// Makes an empty namespace that `ip netns exec NAME` can enter.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotPermitted`] without root's rights.
    pub fn create(name: String) -> Result<Self, Error> {
        Self::named(name, empty()?)
    }

    /// As [`create`](Self::create), named `BEGINNING-NUMBER` by its number in the kernel. No other namespace that lives has that
    /// number, so the name is free: whatever bears it was left by one that is gone. Process numbers would not do: PID namespaces
    /// that share `/run` have the same ones.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn numbered(beginning: &str) -> Result<Self, Error> {
        let file = empty()?;
        let number =
            file.metadata().map_err(|error| Error::setup("number a network namespace", error))?.ino();
        let name = format!("{beginning}-{number}");
        let left = PathBuf::from(DIRECTORY).join(&name);
        if left.is_symlink() {
            std::fs::remove_file(&left)
                .map_err(|error| Error::setup(format!("remove the stale link {}", left.display()), error))?;
        }
        Self::named(name, file)
    }

    fn named(name: String, file: File) -> Result<Self, Error> {
        let link = PathBuf::from(DIRECTORY).join(&name);
        let target = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        std::fs::create_dir_all(DIRECTORY)
            .and_then(|()| std::os::unix::fs::symlink(target, &link))
            .map_err(|error| Error::setup(format!("name the network namespace {}", link.display()), error))?;
        Ok(Self { name, file, link })
    }

    /// Its name under `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For netlink's IFLA_NET_NS_FD.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs `work` on a thread inside the namespace and waits for it. Threads and sockets that `work` makes belong to
    /// the namespace.
    ///
    /// # Errors
    /// [`Error`], if it cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let enter = || move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network));
        on_thread(|| enter().map(|()| work()))
            .and_then(|result| Ok(result?))
            .map_err(|error| Error::setup(format!("enter the network namespace {}", self.name), error))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; `--clean` removes dangling links.
        let _ = std::fs::remove_file(&self.link);
    }
}

/// A namespace without a name.
fn empty() -> Result<File, Error> {
    on_thread(|| {
        // SAFETY: NEWNET alone is given: no file descriptor table or other resource that safe code relies on is unshared; the thread
        // ends right after.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
        File::open("/proc/thread-self/ns/net")
    })
    .and_then(|file| file)
    .map_err(|error| match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::PERM) => Error::NotPermitted,
        _ => Error::setup("make a network namespace", error),
    })
}

/// Runs `work` on a thread of its own, so that this thread stays in its namespace; panics are passed on.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, work)?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}
