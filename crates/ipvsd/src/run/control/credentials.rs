//! Who is at the other end of a control connection, and whether it may give commands.

use std::os::fd::{AsFd, OwnedFd};

use ipvs_exec::Authority;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

/// The process that listens at, or connected, the other end of a Unix socket; `None` if it lives in a process
/// namespace that is not seen from here.
pub(in crate::run) fn peer_process(socket: &OwnedFd) -> Option<i32> {
    getsockopt(socket, sockopt::PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
}

/// Whether the process that made this connection may give commands: it was root, or it has CAP_NET_ADMIN over the
/// daemon's network namespace, as the kernel asks of who sets its socket options: in the user namespace that owns it, or
/// one above. A capability of any other user namespace, which anybody can make, is worth nothing here.
///
/// The kernel vouches for the user id. For the capability we look at the process, and make sure by a pidfd that its
/// number was not passed on to another process meanwhile; before Linux 6.5, which has none of a peer, only root is
/// let in.
pub(super) fn is_privileged(socket: &OwnedFd, authority: &Authority) -> bool {
    let Ok(peer) = getsockopt(socket, sockopt::PeerCredentials) else { return false };
    if peer.uid() == 0 {
        return true;
    }
    let Ok(process) = getsockopt(socket, sockopt::PeerPidfd) else { return false };
    u32::try_from(peer.pid()).is_ok_and(|id| id > 0 && authority.is_held_by_process(id)) && is_alive(&process)
}

/// Whether the process still runs: a pidfd becomes readable when it ends.
fn is_alive(process: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}
