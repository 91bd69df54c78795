//! Epoll, with numbers as tokens.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// Most events taken at a time.
const EVENTS: usize = 128;

/// An epoll instance and the tokens that it reported last.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    tokens: Vec<u64>,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Something can be read (or the other end is gone).
    Readable,
    /// Something can be written.
    Writable,
}

impl Readiness {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Readable => epoll::EventFlags::IN,
            Self::Writable => epoll::EventFlags::OUT,
        }
    }
}

impl Poller {
    pub(super) fn new() -> rustix::io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, tokens: Vec::with_capacity(EVENTS) })
    }

    /// Watches `fd`, level-triggered, until it is closed.
    pub(super) fn add(&self, fd: impl AsFd, token: u64, readiness: Readiness) -> rustix::io::Result<()> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), readiness.flags())
    }

    /// Watches `fd` for something else from now on.
    pub(super) fn modify(&self, fd: impl AsFd, token: u64, readiness: Readiness) -> rustix::io::Result<()> {
        epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), readiness.flags())
    }

    /// Stops watching `fd`.
    pub(super) fn remove(&self, fd: impl AsFd) -> rustix::io::Result<()> {
        epoll::delete(&self.epoll, fd)
    }

    /// Waits at most `timeout` and returns the tokens of what is ready; nothing if a signal came.
    pub(super) fn wait(&mut self, timeout: Duration) -> rustix::io::Result<&[u64]> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        self.tokens.clear();
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((events, _)) => self.tokens.extend(events.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(&self.tokens)
    }
}
