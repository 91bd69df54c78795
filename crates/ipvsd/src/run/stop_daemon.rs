//! Ending a daemon from outside.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Failure;
use super::control::peer_process;
use super::namespace;

/// What came of [`stop_daemon`].
#[derive(Debug)]
pub enum Stopped {
    /// A daemon has ended; this was its network namespace.
    Process(File),
    /// None has the socket.
    Nobody,
}

/// Ends the daemon that listens at `socket` and waits until it has ended, however long that takes.
///
/// # Errors
/// [`Failure`], if it may not be signalled or cannot be seen.
pub fn stop_daemon(socket: &Path) -> Result<Stopped, Failure> {
    let shown = socket.display();
    let failed = |errno: Errno| Failure::new(format!("reach the daemon at {shown}"), errno);
    let flags = SocketFlags::CLOEXEC;
    let probe: OwnedFd =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(failed)?;
    match connect(&probe, &SocketAddrUnix::new(socket).map_err(failed)?) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(Stopped::Nobody),
        Err(errno) => return Err(failed(errno)),
    }
    let process = peer_process(&probe).and_then(Pid::from_raw).ok_or_else(|| {
        Failure::Other(format!(
            "the daemon at {shown} is in a process namespace that is not seen from here: stop it there"
        ))
    })?;
    let handle = match pidfd_open(process, PidfdFlags::empty()) {
        // It has just ended.
        Err(Errno::SRCH) => return Ok(Stopped::Nobody),
        handle => handle.map_err(failed)?,
    };
    let id = process.as_raw_nonzero();
    let network = File::open(format!("/proc/{id}/ns/net"))
        .map_err(|error| Failure::new(format!("look at process {id}"), error))?;
    pidfd_send_signal(&handle, Signal::TERM)
        .map_err(|errno| Failure::new(format!("end process {id}"), errno))?;
    let mut fds = [PollFd::new(&handle, PollFlags::IN)];
    while let Err(errno) = poll(&mut fds, None) {
        if errno != Errno::INTR {
            return Err(failed(errno));
        }
    }
    Ok(Stopped::Process(network))
}

/// Moves the calling thread into the network namespace that is named, else into `other`, else nowhere.
///
/// # Errors
/// [`Failure`] that says what to do.
pub fn enter(name: Option<&str>, other: Option<File>) -> Result<(), Failure> {
    match (name, other) {
        (Some(name), _) => namespace::enter(name),
        (None, Some(file)) => move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| Failure::new("enter the daemon's network namespace", errno)),
        (None, None) => Ok(()),
    }
}
