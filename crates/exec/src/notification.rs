//! The listener of a filter: calls that wait for an answer, and the answers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ipvs_abi::errno::Errno;
use libc::{
    SECCOMP_ADDFD_FLAG_SEND, SECCOMP_ADDFD_FLAG_SETFD, SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SECCOMP_USER_NOTIF_FLAG_CONTINUE, c_long, seccomp_notif_addfd,
    seccomp_notif_resp,
};

use crate::filter::{Interfaces, program};
use crate::syscall;

/// A system call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// Names this call while it waits.
    pub(crate) id: u64,
    /// The thread that made it; 0 if it is not seen from the supervisor's process namespace.
    pub(crate) thread: u32,
    /// Its number.
    pub(crate) number: c_long,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It returns this.
    Value(usize),
    /// It fails with this.
    Error(Errno),
    /// The kernel does it, as if nobody had looked.
    Continue,
    /// It has been answered already.
    Answered,
}

impl From<io::Error> for Outcome {
    fn from(error: io::Error) -> Self {
        Self::Error(error.raw_os_error().map_or(Errno::EIO, Errno))
    }
}

/// The listener's end of a filter.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Installs the filter of these interfaces for this thread and all that it starts.
    ///
    /// A call that has been received cannot be interrupted by signals other than fatal ones: otherwise it would be
    /// begun again after it took effect.
    pub(crate) fn install(interfaces: Interfaces) -> io::Result<Self> {
        let flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        syscall::install_filter(&program(interfaces), flags).map(Self)
    }

    /// The next call; waits for one.
    ///
    /// # Errors
    /// ENOENT if the caller died before; EINTR.
    pub(crate) fn receive(&self) -> io::Result<Notification> {
        let notification = syscall::receive_notification(self.0.as_fd())?;
        Ok(Notification {
            id: notification.id,
            thread: notification.pid,
            number: c_long::from(notification.data.nr),
            arguments: notification.data.args,
        })
    }

    /// Whether the caller still waits: after anything was opened by its thread id, this says that the id was not
    /// passed on meanwhile.
    pub(crate) fn is_waiting(&self, notification: &Notification) -> bool {
        syscall::is_notification_valid(self.0.as_fd(), notification.id)
    }

    /// Answers a call. Nobody is told if the caller is gone.
    pub(crate) fn answer(&self, notification: &Notification, outcome: Outcome) {
        let mut response = seccomp_notif_resp { id: notification.id, val: 0, error: 0, flags: 0 };
        match outcome {
            Outcome::Value(value) => response.val = i64::try_from(value).unwrap_or(i64::MAX),
            Outcome::Error(errno) => response.error = errno.0.saturating_neg(),
            Outcome::Continue => response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Outcome::Answered => return,
        }
        // It fails if the caller has been killed.
        let _ = syscall::send_response(self.0.as_fd(), &mut response);
    }

    /// Gives the caller a descriptor with this number, which replaces what has it, and that number as the answer.
    pub(crate) fn answer_with_fd(
        &self,
        notification: &Notification,
        fd: BorrowedFd<'_>,
        number: u32,
        close_on_exec: bool,
    ) -> io::Result<()> {
        let request = seccomp_notif_addfd {
            id: notification.id,
            flags: (SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND) as u32,
            srcfd: fd.as_raw_fd().unsigned_abs(),
            newfd: number,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.unsigned_abs() } else { 0 },
        };
        syscall::add_fd(self.0.as_fd(), &request)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}
