//! The process beside the programs: answers their calls until the last of them has ended.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ipvs_abi::errno::Errno;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::daemon::Daemon;
use crate::netlink_call::{self, Netlink};
use crate::notification::{Listener, Notification, Outcome};
use crate::privilege::Authority;
use crate::process::NamespaceId;
use crate::sockopt_call;
use crate::syscall;

/// Threads that wait for calls while others are served.
const IDLE: usize = 2;

/// Threads in all: as many calls can wait for the daemon at once.
const MOST: usize = 64;

/// What can be had ready before there is a filter.
#[derive(Debug)]
pub(crate) struct Preparation {
    network: Network,
    authority: Authority,
    netlink: io::Result<Netlink>,
    daemon: Daemon,
}

/// The network namespace that is served: the one in which this process was started.
#[derive(Debug)]
struct Network {
    cookie: u64,
    id: NamespaceId,
}

impl Preparation {
    pub(crate) fn new(socket: &Path) -> io::Result<Self> {
        let probe = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self {
            network: Network {
                cookie: syscall::netns_cookie(&probe)?,
                id: NamespaceId::of(&fs::metadata("/proc/self/ns/net")?),
            },
            authority: Authority::over_own_network()?,
            netlink: Netlink::new(),
            daemon: Daemon::new(socket),
        })
    }

    /// Whether answers can be put into the netlink sockets of clients.
    pub(crate) fn has_netlink(&self) -> bool {
        self.netlink.is_ok()
    }
}

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Supervisor {
    listener: Listener,
    network: Network,
    authority: Authority,
    netlink: Option<Netlink>,
    daemon: Daemon,
    idle: AtomicUsize,
    threads: AtomicUsize,
}

impl Supervisor {
    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Over the network namespace that is served.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The daemon to which a socket's calls go: by its network namespace, which need not be the caller's. `None`: they
    /// go to the kernel.
    pub(crate) fn daemon_of(&self, socket: impl AsFd) -> Option<&Daemon> {
        syscall::netns_cookie(socket)
            .is_ok_and(|cookie| cookie == self.network.cookie)
            .then_some(&self.daemon)
    }

    /// Whether sockets that are made in this network namespace are served.
    pub(crate) fn serves(&self, network: NamespaceId) -> bool {
        network == self.network.id
    }

    fn dispatch(&self, notification: &Notification) -> Outcome {
        match (notification.number, &self.netlink) {
            // A caller who is not seen from here (of a process namespace outside ours) cannot be served.
            _ if notification.thread == 0 => Outcome::Continue,
            (libc::SYS_setsockopt | libc::SYS_getsockopt, _) => sockopt_call::serve(self, notification),
            (_, Some(netlink)) => netlink_call::serve(self, netlink, notification),
            _ => Outcome::Continue,
        }
    }

    /// One thread's work: calls, one after the other, as long as threads are wanted.
    fn work(self: &Arc<Self>) {
        loop {
            let before = self.idle.fetch_add(1, Ordering::Relaxed);
            if before >= 2 * IDLE {
                self.idle.fetch_sub(1, Ordering::Relaxed);
                self.threads.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            let received = self.listener.receive();
            if self.idle.fetch_sub(1, Ordering::Relaxed) <= IDLE / 2 {
                self.add_thread();
            }
            match received {
                Ok(notification) => {
                    // A mistake of ours must not leave a program waiting for ever.
                    let outcome = catch_unwind(AssertUnwindSafe(|| self.dispatch(&notification)));
                    self.listener.answer(&notification, outcome.unwrap_or(Outcome::Error(Errno::EIO)));
                }
                // The caller died before it was looked at; or all have, and the process is about to end.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => thread::yield_now(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn add_thread(self: &Arc<Self>) {
        if self.threads.fetch_add(1, Ordering::Relaxed) < MOST {
            let shared = Arc::clone(self);
            if thread::Builder::new().name("ipvsd-exec".into()).spawn(move || shared.work()).is_ok() {
                return;
            }
        }
        self.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers calls until nobody can make any.
pub(crate) fn serve(preparation: Preparation, listener: Listener) {
    let Preparation { network, authority, netlink, daemon } = preparation;
    let supervisor = Arc::new(Supervisor {
        listener,
        network,
        authority,
        netlink: netlink.ok(),
        daemon,
        idle: AtomicUsize::new(0),
        threads: AtomicUsize::new(0),
    });
    for _ in 0..IDLE {
        supervisor.add_thread();
    }
    loop {
        let mut fds = [PollFd::new(&supervisor.listener, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => return,
            _ => {}
        }
    }
}
