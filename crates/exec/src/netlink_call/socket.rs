//! socket(AF_NETLINK, …, NETLINK_GENERIC): a real one, at a number in the window.

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

use super::Netlink;
use crate::daemon::held;
use crate::notification::{Notification, Outcome};
use crate::privilege::without_capabilities;
use crate::process::Thread;
use crate::supervisor::Supervisor;

/// In whose name sockets of privileged clients are made: the supervisor's own. Those of others are made in another
/// name, by which they are told apart later.
pub(super) fn privileged_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The name for sockets of clients without privilege whose user is the supervisor's: the overflow user, "nobody".
const NOBODY: u32 = 65534;

/// Makes the socket. The kernel does it, at a number of its choice, for another network namespace than the one that is
/// served, and when no number of the window is free: all families but IPVS are reached by that one, too.
pub(super) fn serve(supervisor: &Supervisor, netlink: &Netlink, notification: &Notification) -> Outcome {
    let thread = Thread::new(notification.thread);
    if !thread.namespace("net").is_ok_and(|network| supervisor.serves(network)) {
        return Outcome::Continue;
    }
    let Ok(descriptors) = thread.open() else { return Outcome::Continue };
    let kind = notification.arguments[1] as u32;
    let made = if supervisor.authority().is_held_by(thread) {
        make(kind)
    } else {
        let user = thread.status().and_then(|status| status.effective_user()).unwrap_or(NOBODY);
        let user = if user == privileged_user() { NOBODY } else { user };
        match without_capabilities(user, || make(kind)) {
            Ok(made) => made,
            Err(error) => return error.into(),
        }
    };
    let socket = match made {
        Ok(socket) => socket,
        Err(errno) => return std::io::Error::from(errno).into(),
    };
    if !supervisor.listener().is_waiting(notification) {
        return Outcome::Answered;
    }
    let close_on_exec = kind & SocketFlags::CLOEXEC.bits() != 0;
    let _placing = held(&netlink.placing);
    for number in netlink.window.numbers() {
        if !descriptors.is_free(number) {
            continue;
        }
        let outcome =
            supervisor.listener().answer_with_fd(notification, socket.as_fd(), number, close_on_exec);
        return match outcome {
            Ok(()) => Outcome::Answered,
            // The client lowered its limit of open files below the window.
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Outcome::Continue,
            Err(error) => error.into(),
        };
    }
    Outcome::Continue
}

/// `kind` is socket(2)'s second argument: type and flags, of which the kernel judges.
fn make(kind: u32) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::from_bits_retain(kind & !0xf) | SocketFlags::CLOEXEC;
    let kind = SocketType::from_raw(kind & 0xf);
    socket_with(AddressFamily::NETLINK, kind, flags, Some(netlink::GENERIC))
}
