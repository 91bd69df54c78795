//! The supervisor as a process: how it parts from the program, and how the two begin together.
//!
//! The program's process forks it off before it installs the filter (so the supervisor itself is not filtered), asks
//! what it can do, and gives it the filter's listener. It is no child of the program's, has no terminal and none of its
//! open files, and ignores the signals that are meant for the program.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::Signal;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::files::{self, Channels};
use crate::notification::Listener;
use crate::supervisor::{self, Preparation};
use crate::syscall::{self, Fork};

/// What ps(1) shows, and after it the daemon's socket.
const TITLE: &[u8] = b"ipvsd-exec ";

/// Signals that end or stop programs, sent to all processes of a terminal or a service: meant for the program. The
/// supervisor must be there while the program cleans up.
const IGNORED: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGPIPE,
    Signal::SIGALRM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// The supervisor, seen from the program's process.
#[derive(Debug)]
pub(crate) struct Supervision {
    channel: OwnedFd,
    /// Its process.
    pub(crate) process: Pid,
    /// Whether it can serve generic netlink.
    pub(crate) netlink: bool,
}

/// First byte of the supervisor's messages.
const READY: u8 = b'R';
const FAILED: u8 = b'F';

impl Supervision {
    /// Starts a supervisor that answers by the daemon's socket at the absolute path `socket`.
    pub(crate) fn start(socket: &Path) -> io::Result<Self> {
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let several = || io::Error::other("this process has more than one thread");
        match syscall::fork()?.ok_or_else(several)? {
            Fork::Child => {
                drop(here);
                // Once more, so that it is nobody's child who would have to wait for it, and leads no session.
                let outcome = setsid().map_err(io::Error::from).and_then(|_| syscall::fork());
                if let Ok(Some(Fork::Child)) = outcome {
                    run(socket, there);
                }
                syscall::exit(0)
            }
            Fork::Parent(child) => {
                drop(there);
                // The first of the two ends at once.
                let child = Pid::from_raw(child.as_raw());
                while waitpid(child, WaitOptions::empty()).is_err_and(|e| e == rustix::io::Errno::INTR) {}
                Self::greet(here)
            }
        }
    }

    fn greet(channel: OwnedFd) -> io::Result<Self> {
        let mut buffer = [0; 512];
        let (length, _) = recv(&channel, &mut buffer, RecvFlags::empty())?;
        match buffer.get(..length).unwrap_or_default() {
            [READY, netlink, p0, p1, p2, p3] => {
                let process = Pid::from_raw(i32::from_ne_bytes([*p0, *p1, *p2, *p3]));
                let process = process.ok_or_else(|| io::Error::other("it has no process id here"))?;
                Ok(Self { channel, process, netlink: *netlink != 0 })
            }
            [FAILED, text @ ..] => Err(io::Error::other(String::from_utf8_lossy(text).into_owned())),
            _ => Err(io::Error::other("it ended at once")),
        }
    }

    /// Gives it the listener, and the files' channels if there are files, and waits until it serves both.
    pub(crate) fn hand_over(&self, listener: &Listener, files: Option<Channels>) -> io::Result<()> {
        let mut fds = vec![listener.as_fd()];
        if let Some(Channels { tables, settings }) = &files {
            fds.extend([tables.as_fd(), settings.as_fd()]);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&self.channel, &[io::IoSlice::new(&[READY])], &mut control, SendFlags::NOSIGNAL)?;
        match recv(&self.channel, &mut [0u8; 1], RecvFlags::empty())? {
            (1, _) => Ok(()),
            _ => Err(io::Error::other("it ended at once")),
        }
    }
}

/// The supervisor's whole life; `channel` leads to the program's process until that executes the program.
fn run(socket: &Path, channel: OwnedFd) {
    let prepared = part(socket, &channel).and_then(|()| Preparation::new(socket));
    let greeting = match &prepared {
        Ok(preparation) => {
            let process = rustix::process::getpid().as_raw_nonzero().get();
            [&[READY, preparation.has_netlink().into()][..], &process.to_ne_bytes()].concat()
        }
        Err(error) => [&[FAILED], error.to_string().as_bytes()].concat(),
    };
    if send(&channel, &greeting, SendFlags::NOSIGNAL).is_err() {
        return;
    }
    let (Ok(preparation), Some((listener, channels))) = (prepared, receive(&channel)) else { return };
    // The threads that serve files end with their namespace, or with this process.
    let served = channels.map(|channels| files::serve(channels, Arc::new(files::Daemon::new(socket))));
    if served.is_none_or(|served| served.is_ok()) && send(&channel, &[READY], SendFlags::NOSIGNAL).is_ok() {
        drop(channel);
        supervisor::serve(preparation, listener);
    }
}

/// Parts from everything that was the program's.
fn part(socket: &Path, channel: &OwnedFd) -> io::Result<()> {
    for signal in IGNORED {
        syscall::ignore_signal(signal)?;
    }
    let nothing = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    drop(nothing);
    syscall::close_all_from(3, channel.as_fd())?;
    std::env::set_current_dir("/")?;
    syscall::overwrite_command_line(&[TITLE, socket.as_os_str().as_bytes()].concat());
    rustix::thread::set_name(c"ipvsd-exec")?;
    Ok(())
}

/// The listener and the files' channels, unless the program's process has ended instead.
fn receive(channel: &OwnedFd) -> Option<(Listener, Option<Channels>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8; 1];
    let mut slices = [io::IoSliceMut::new(&mut byte)];
    recvmsg(channel, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    })?;
    let listener = fds.next().map(Listener::from)?;
    Some((listener, fds.next().zip(fds.next()).map(|(tables, settings)| Channels { tables, settings })))
}
