//! The system calls that no library offers in a safe form. All `unsafe` code of this crate is here.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{
    SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_ID_VALID, SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND, c_ulong, c_void, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp,
    sock_filter, sock_fprog, socklen_t,
};

/// Commands of an nsfs file (linux/nsfs.h); none has a structure as argument.
const NS_GET_USERNS: c_ulong = 0xb701;
const NS_GET_PARENT: c_ulong = 0xb702;
const NS_GET_OWNER_UID: c_ulong = 0xb704;

/// Option of a socket: the cookie of its network namespace (asm/socket.h, the generic numbering).
pub(crate) const SO_NETNS_COOKIE: c_int = 71;

fn outcome(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Installs a seccomp filter for this thread and all that come of it; returns its listener.
pub(crate) fn install_filter(program: &[sock_filter], flags: c_ulong) -> io::Result<OwnedFd> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `length` instructions from the slice, and writes nothing.
    let fd = outcome(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    let fd = c_int::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: with SECCOMP_FILTER_FLAG_NEW_LISTENER the result is a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the kernel has the action "user notification" at all.
pub(crate) fn has_user_notification() -> bool {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads the four bytes of `action`.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// The next notification; waits for it.
pub(crate) fn receive_notification(listener: BorrowedFd<'_>) -> io::Result<seccomp_notif> {
    // Larger than today's structure: a later kernel writes its own size. It must be zero.
    let mut buffer = [0u64; 64];
    const { assert!(size_of::<seccomp_notif>() <= 512) };
    // SAFETY: the buffer is aligned for, and larger than, what the kernel writes.
    outcome(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_RECV, buffer.as_mut_ptr())
    }))?;
    // SAFETY: the structure holds integers only, for which every bit pattern is valid; the buffer is large enough.
    Ok(unsafe { buffer.as_ptr().cast::<seccomp_notif>().read() })
}

/// Answers a notification.
pub(crate) fn send_response(listener: BorrowedFd<'_>, response: &mut seccomp_notif_resp) -> io::Result<()> {
    // SAFETY: the kernel reads one structure.
    outcome(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SEND, &raw mut *response)
    }))
    .map(drop)
}

/// Whether the thread that a notification is about still waits for its answer.
pub(crate) fn is_notification_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads the eight bytes of `id`.
    unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Puts a descriptor into the process that a notification is about.
pub(crate) fn add_fd(listener: BorrowedFd<'_>, request: &seccomp_notif_addfd) -> io::Result<()> {
    // SAFETY: the kernel reads one structure.
    outcome(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_ADDFD, &raw const *request)
    }))
    .map(drop)
}

/// A socket option that is an integer of 4 or 8 bytes.
fn socket_option<T: Default>(socket: impl AsFd, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `value`; T is i32 or u64 (see the callers), for which every
    // bit pattern is valid.
    outcome(i64::from(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw mut value).cast::<c_void>(),
            &raw mut length,
        )
    }))?;
    Ok(value)
}

/// An integer option of a socket.
pub(crate) fn integer_option(socket: impl AsFd, level: c_int, name: c_int) -> io::Result<i32> {
    socket_option(socket, level, name)
}

/// The cookie of a socket's network namespace: unique while the machine runs.
pub(crate) fn netns_cookie(socket: impl AsFd) -> io::Result<u64> {
    socket_option(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE)
}

/// The user namespace that owns the namespace of an nsfs file.
pub(crate) fn owning_user_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    namespace_of(namespace, NS_GET_USERNS)
}

/// The parent of a user namespace; EPERM for one that is not seen from here.
pub(crate) fn parent_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    namespace_of(namespace, NS_GET_PARENT)
}

fn namespace_of(namespace: BorrowedFd<'_>, command: c_ulong) -> io::Result<OwnedFd> {
    // SAFETY: these commands take no argument.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), command) };
    outcome(i64::from(fd))?;
    // SAFETY: the result is a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user who made a user namespace.
pub(crate) fn owner_of_user_namespace(namespace: BorrowedFd<'_>) -> io::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the kernel writes one uid_t.
    outcome(i64::from(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) }))?;
    Ok(uid)
}

/// What [`receive_message`] got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// recvmsg's result: the bytes received, or with MSG_TRUNC the datagram's length.
    pub(crate) length: usize,
    /// Bytes of the sender's address.
    pub(crate) name_length: usize,
    /// Bytes of control messages.
    pub(crate) control_length: usize,
    /// msg_flags.
    pub(crate) flags: c_int,
}

/// recvmsg(2) into plain buffers.
pub(crate) fn receive_message(
    socket: BorrowedFd<'_>,
    data: &mut [u8],
    name: &mut [u8; 12],
    control: &mut [u64],
    flags: c_int,
) -> io::Result<Received> {
    let mut vector = libc::iovec { iov_base: data.as_mut_ptr().cast::<c_void>(), iov_len: data.len() };
    // SAFETY: a msghdr of zeros is a valid, empty one.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = name.as_mut_ptr().cast::<c_void>();
    header.msg_namelen = 12;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast::<c_void>();
    header.msg_controllen = size_of_val(control);
    // SAFETY: every pointer of the header leads to a buffer of the length beside it, exclusively borrowed.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let length = outcome(length as i64)?;
    Ok(Received {
        length: usize::try_from(length).unwrap_or(0),
        name_length: (header.msg_namelen as usize).min(12),
        control_length: header.msg_controllen.min(size_of_val(control)),
        flags: header.msg_flags,
    })
}

/// What [`fork`] returns in which process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The one that called, and the new one's id.
    Parent(nix::unistd::Pid),
}

/// Copies the process; `None` with more than one thread, whose locks the copy would inherit locked.
pub(crate) fn fork() -> io::Result<Option<Fork>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Ok(None);
    }
    // SAFETY: there is one thread only, so no lock of the allocator or of the standard library is held by another.
    Ok(Some(match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Fork::Child,
        nix::unistd::ForkResult::Parent { child } => Fork::Parent(child),
    }))
}

/// Closes every descriptor from `first` on except `kept`.
pub(crate) fn close_all_from(first: u32, kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = kept.as_raw_fd().unsigned_abs();
    let below = (kept > first).then(|| (first, kept - 1));
    let above = (first.max(kept.saturating_add(1)), u32::MAX);
    for (from, to) in below.into_iter().chain([above]) {
        // SAFETY: called once, right after the fork: no object that this process goes on using holds a descriptor of
        // this range (see the caller).
        outcome(unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) })?;
    }
    Ok(())
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: nix::sys::signal::Signal) -> io::Result<()> {
    set_signal(signal, nix::sys::signal::SigHandler::SigIgn)
}

/// Gives a signal its default effect.
pub(crate) fn default_signal(signal: nix::sys::signal::Signal) -> io::Result<()> {
    set_signal(signal, nix::sys::signal::SigHandler::SigDfl)
}

fn set_signal(signal: nix::sys::signal::Signal, handler: nix::sys::signal::SigHandler) -> io::Result<()> {
    // SAFETY: no handler function is installed, so no code of ours can run in a signal handler.
    unsafe { nix::sys::signal::signal(signal, handler) }?;
    Ok(())
}

/// Overwrites the memory of the command line, which ps(1) shows, by `title` as far as it fits.
///
/// For a process that has been forked and never looks at its arguments again.
pub(crate) fn overwrite_command_line(title: &[u8]) {
    let Some((start, end)) = command_line_place() else { return };
    let Some(room) = end.checked_sub(start).filter(|room| *room > 0) else { return };
    let start = std::ptr::with_exposed_provenance_mut::<u8>(start);
    let used = title.len().min(room - 1);
    // SAFETY: the kernel says that the arguments lie from `start` to `end`, writable memory of the initial stack. Rust
    // code holds no reference into it: the standard library copies an argument when it is asked for one. `used` is
    // less than the room.
    unsafe {
        std::ptr::write_bytes(start, 0, room);
        std::ptr::copy_nonoverlapping(title.as_ptr(), start, used);
    }
}

/// Start and end of the arguments in memory: fields 48 and 49 of /proc/self/stat.
fn command_line_place() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses that may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(45);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    Some((start, end))
}

/// Ends the process at once: nothing that was inherited from the one it was forked from is flushed or called.
pub(crate) fn exit(code: c_int) -> ! {
    // SAFETY: it takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}
