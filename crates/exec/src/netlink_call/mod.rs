//! Calls on generic netlink sockets.
//!
//! Clients get real sockets of the kernel, so everything about them but IPVS is the kernel's: other families, options,
//! readiness. A request for IPVS is taken out of a send and its answers put into the socket's queue by a socket of the
//! supervisor's; when the client receives one of those, it is told that the kernel sent it.

mod answers;
mod injector;
mod message_header;
mod receive;
mod request;
mod send;
mod socket;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{bind, getsockname};

use crate::memory::Memory;
use crate::notification::{Notification, Outcome};
use crate::process::Thread;
use crate::supervisor::Supervisor;
use crate::syscall;
use crate::window::Window;
use injector::Injector;

/// What the supervisor has for netlink.
#[derive(Debug)]
pub(crate) struct Netlink {
    window: Window,
    injector: Injector,
    /// Held while a number is looked for and taken.
    placing: Mutex<()>,
}

impl Netlink {
    /// # Errors
    /// EPERM without CAP_NET_ADMIN over the network namespace, EMFILE if there is no room for a window.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            window: Window::for_this_process().ok_or(io::Error::from_raw_os_error(libc::EMFILE))?,
            injector: Injector::open()?,
            placing: Mutex::default(),
        })
    }
}

/// Answers a call on a descriptor in the window, or one that makes such a socket.
pub(crate) fn serve(supervisor: &Supervisor, netlink: &Netlink, notification: &Notification) -> Outcome {
    if notification.number == libc::SYS_socket {
        return socket::serve(supervisor, netlink, notification);
    }
    let Some(client) = Client::find(supervisor, netlink, notification) else { return Outcome::Continue };
    match notification.number {
        libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg | libc::SYS_write | libc::SYS_writev => {
            send::serve(&client)
        }
        _ => receive::serve(&client),
    }
}

/// The one who called, and the socket on which.
struct Client<'a> {
    supervisor: &'a Supervisor,
    netlink: &'a Netlink,
    notification: &'a Notification,
    thread: Thread,
    memory: Memory,
    /// A duplicate of the socket.
    socket: OwnedFd,
    /// Its cookie: unlike its port id, no other ever has it.
    cookie: u64,
}

impl<'a> Client<'a> {
    /// `None` if the descriptor is no generic netlink socket of the namespace that is served.
    fn find(
        supervisor: &'a Supervisor,
        netlink: &'a Netlink,
        notification: &'a Notification,
    ) -> Option<Self> {
        let thread = Thread::new(notification.thread);
        let socket = thread.open().and_then(|fds| fds.duplicate(notification.arguments[0] as u32)).ok()?;
        let option = |name| syscall::integer_option(&socket, libc::SOL_SOCKET, name).ok();
        let is_generic = option(libc::SO_DOMAIN)? == libc::AF_NETLINK
            && option(libc::SO_PROTOCOL)? == libc::NETLINK_GENERIC;
        if !is_generic || supervisor.daemon_of(&socket).is_none() {
            return None;
        }
        let cookie = rustix::net::sockopt::socket_cookie(&socket).ok()?;
        let memory = Memory::of(notification.thread);
        Some(Self { supervisor, netlink, notification, thread, memory, socket, cookie })
    }

    /// Whether the client still waits.
    fn is_waiting(&self) -> bool {
        self.supervisor.listener().is_waiting(self.notification)
    }

    /// The socket's port id. One that has none gets what the kernel would choose at its first send: the number of the
    /// process, or else any.
    fn port(&self) -> io::Result<u32> {
        let port = || -> io::Result<u32> {
            Ok(SocketAddrNetlink::try_from(getsockname(&self.socket)?).map_or(0, |address| address.pid()))
        };
        let bound = port()?;
        if bound != 0 {
            return Ok(bound);
        }
        let process = self.thread.status().and_then(|status| status.own_process_id()).unwrap_or(0);
        if bind(&self.socket, &SocketAddrNetlink::new(process, 0)).is_err() {
            // Taken; or another thread was faster, which the next look tells.
            let _ = bind(&self.socket, &SocketAddrNetlink::new(0, 0));
        }
        port()
    }

    /// Whether the client may give commands: like the kernel's netlink we ask that the one who opened the socket could,
    /// too, lest a privileged program be led to write into a socket that it was handed.
    fn is_privileged(&self) -> bool {
        self.supervisor.authority().is_held_by(self.thread)
            && rustix::fs::fstat(&self.socket).is_ok_and(|file| file.st_uid == socket::privileged_user())
    }
}
