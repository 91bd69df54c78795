//! One daemon per network namespace.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use super::Failure;
use super::control::peer_process;

/// Name of the abstract Unix socket that a daemon holds. Abstract names belong to the network namespace and vanish with
/// their owner, so this lock is exactly per namespace and never stale.
const NAME: &[u8] = b"ipvsd";

/// The right to be the daemon of this network namespace, until dropped.
#[derive(Debug)]
pub(super) struct Instance {
    _socket: OwnedFd,
}

impl Instance {
    /// Claims the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Failure::AnotherDaemon`] if it is taken.
    pub(super) fn claim() -> Result<Self, Failure> {
        let failed = |errno: Errno| Failure::new("claim the network namespace", errno);
        let open = || socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let address = SocketAddrUnix::new_abstract_name(NAME).map_err(failed)?;
        let socket = open().map_err(failed)?;
        match bind(&socket, &address) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => {
                let other = open().ok().filter(|probe| connect(probe, &address).is_ok());
                let process = other.and_then(|probe| peer_process(&probe));
                let holder = process.map_or_else(String::new, |pid| format!(" (process {pid})"));
                return Err(Failure::AnotherDaemon(format!(
                    "another ipvsd{holder} runs in this network namespace: stop it first, or name another namespace with --netns"
                )));
            }
            Err(errno) => return Err(failed(errno)),
        }
        // Listening lets the next one ask who we are; nobody is ever accepted.
        listen(&socket, 1).map_err(failed)?;
        Ok(Self { _socket: socket })
    }
}
