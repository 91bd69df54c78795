//! Who is at the other end of a control connection, and whether it may give commands.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

/// Number of the capability to administer networks (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// The process that listens at, or connected, the other end of a Unix socket; `None` if it lives in a process
/// namespace that is not seen from here.
pub(in crate::run) fn peer_process(socket: &OwnedFd) -> Option<i32> {
    getsockopt(socket, sockopt::PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
}

/// Whether the process that made this connection may give commands: it was root, or it has CAP_NET_ADMIN in our user
/// namespace.
///
/// The kernel vouches for the user id. For the capability we look at the process, and make sure by a pidfd that its
/// number was not passed on to another process meanwhile; before Linux 6.5, which has none of a peer, only root is
/// let in.
pub(super) fn is_privileged(socket: &OwnedFd) -> bool {
    let Ok(peer) = getsockopt(socket, sockopt::PeerCredentials) else { return false };
    if peer.uid() == 0 {
        return true;
    }
    let Ok(process) = getsockopt(socket, sockopt::PeerPidfd) else { return false };
    peer.pid() > 0 && has_net_admin(peer.pid()) && is_alive(&process)
}

/// Whether a process has the capability, effective, in our user namespace: a capability of another one, which anybody
/// can make, is worth nothing here.
fn has_net_admin(process: i32) -> bool {
    let namespace = |process: &str| {
        fs::metadata(format!("/proc/{process}/ns/user")).map(|file| (file.dev(), file.ino())).ok()
    };
    let ours = namespace("self");
    if ours.is_none() || ours != namespace(&process.to_string()) {
        return false;
    }
    let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) else { return false };
    effective_capabilities(&status).is_some_and(|set| set >> CAP_NET_ADMIN & 1 == 1)
}

/// The effective capabilities in the text of /proc/PID/status.
fn effective_capabilities(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// Whether the process still runs: a pidfd becomes readable when it ends.
fn is_alive(process: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_capabilities_of_a_status() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\nCapBnd:\t00\n";
        assert_eq!(effective_capabilities(status), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_capabilities("CapEff:\tnonsense\n"), None);
        assert_eq!(effective_capabilities(""), None);
    }
}
