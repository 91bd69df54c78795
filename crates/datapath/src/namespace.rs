//! Which network namespace the calling thread is in, and work in another one.

use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The network namespace's number: of no other namespace, past or to come, as long as the host runs. (Inode numbers are
/// used again.)
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] or so before Linux 5.14, which does not tell.
pub fn cookie() -> io::Result<u64> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes, which `cookie` has, and the length.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Does `work` in a new network namespace, which has no name and is there as long as a socket or an open file of it.
///
/// # Errors
/// What the kernel says, EPERM without CAP_SYS_ADMIN; and those of `work`.
pub(crate) fn in_new<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || {
            // SAFETY: nothing but the network namespace of this thread becomes another, no descriptor and no memory; the thread ends right after.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            work()
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_stays_the_same() {
        let cookie = super::cookie().unwrap();
        assert_ne!(cookie, 0);
        assert_eq!(super::cookie().unwrap(), cookie);
    }
}
