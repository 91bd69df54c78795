//! The socket file, and accepting connections on it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

use super::peer_process;
use crate::run::Failure;

/// Connections that may wait to be accepted; the kernel's net.core.somaxconn may lower it.
const BACKLOG: i32 = 1024;

/// The listening socket. Its file is removed when dropped, unless it has become another's.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of our file.
    identity: (u64, u64),
}

impl Listener {
    /// Listens at `path`. A socket file that nobody listens at is replaced.
    ///
    /// Everybody may connect: who may not give commands is told so, as the kernel would, by EPERM.
    ///
    /// # Errors
    /// [`Failure::AnotherDaemon`] if somebody listens there.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Other(format!(
                "cannot make the control socket {shown}: its directory does not exist; make it, or choose another with --socket"
            )),
            _ => Failure::new(format!("make the control socket {shown}"), error),
        };
        match fs::symlink_metadata(path) {
            Ok(file) if !file.file_type().is_socket() => {
                return Err(Failure::Other(format!(
                    "{shown} exists and is not a socket: remove it, or choose another with --socket"
                )));
            }
            Ok(_) => refuse_if_used(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Made under another name and renamed: a client finds either nothing or a socket that it may connect to.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let make = || -> io::Result<(OwnedFd, (u64, u64))> {
            let address = SocketAddrUnix::new(&temporary)?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            bind(&socket, &address)?;
            fs::set_permissions(&temporary, fs::Permissions::from_mode(0o666))?;
            listen(&socket, BACKLOG)?;
            let file = fs::symlink_metadata(&temporary)?;
            fs::rename(&temporary, path)?;
            Ok((socket, (file.dev(), file.ino())))
        };
        let (socket, identity) = make().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failed(error)
        })?;
        Ok(Self { socket, path: path.to_owned(), identity })
    }

    /// The next connection; `None` if there is none now.
    pub(super) fn accept(&self) -> rustix::io::Result<Option<OwnedFd>> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// Refuses if somebody listens at `path`.
pub(in crate::run) fn refuse_if_used(path: &Path) -> Result<(), Failure> {
    let probe = || -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        match connect(&socket, &SocketAddrUnix::new(path)?) {
            // Its queue is full: somebody is there.
            Ok(()) | Err(Errno::AGAIN) => Ok(socket),
            Err(errno) => Err(errno),
        }
    };
    match probe() {
        Ok(socket) => {
            let holder = peer_process(&socket).map_or_else(String::new, |pid| format!(" by process {pid}"));
            Err(Failure::AnotherDaemon(format!(
                "the control socket {} is in use{holder}: another daemon has it; choose another with --socket",
                path.display()
            )))
        }
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        Err(errno) => {
            Err(Failure::new(format!("replace the socket {}, which was there before", path.display()), errno))
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}
