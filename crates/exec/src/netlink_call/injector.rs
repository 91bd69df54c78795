//! The socket from which answers come, and answers that do not fit a client's queue yet.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use ipvs_abi::errno::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname, recv, sendto,
    socket_with,
};

use crate::daemon::held;

/// Most bytes that wait for one client.
const MOST_WAITING: usize = 64 << 20;

/// Most sockets for which something waits. Of those that were closed nothing is heard, so the eldest goes.
const MOST_SOCKETS: usize = 256;

/// Sends to clients' sockets.
#[derive(Debug)]
pub(super) struct Injector {
    socket: OwnedFd,
    port: u32,
    waiting: Mutex<Waiting>,
}

/// What waits, by the cookie of the socket for which it does.
#[derive(Debug, Default)]
struct Waiting {
    sockets: HashMap<u64, Queue>,
    clock: u64,
}

#[derive(Debug)]
struct Queue {
    port: u32,
    datagrams: VecDeque<Vec<u8>>,
    /// When it was last looked at, by [`Waiting::clock`].
    touched: u64,
}

impl Injector {
    /// In the network namespace of this thread.
    ///
    /// # Errors
    /// EPERM if sending to other sockets is not permitted here: it takes CAP_NET_ADMIN.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::GENERIC))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        let own = SocketAddrNetlink::try_from(getsockname(&socket)?)?;
        // To itself: permitted, or not.
        sendto(&socket, &[0; 16], SendFlags::DONTWAIT, &own)?;
        recv(&socket, &mut [0u8; 16], RecvFlags::DONTWAIT)?;
        Ok(Self { socket, port: own.pid(), waiting: Mutex::default() })
    }

    /// The port id that clients see as the sender's.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Sends datagrams to the socket of this cookie, which has this port id; keeps what does not fit for later.
    ///
    /// # Errors
    /// ENOBUFS if too much waits for it already; nothing was sent then.
    pub(super) fn push(&self, cookie: u64, port: u32, datagrams: Vec<Vec<u8>>) -> Result<(), Errno> {
        let mut waiting = held(&self.waiting);
        let new: usize = datagrams.iter().map(Vec::len).sum();
        let queue = waiting.touch(cookie, port);
        let old: usize = queue.datagrams.iter().map(Vec::len).sum();
        if old > 0 && old + new > MOST_WAITING {
            return Err(ENOBUFS);
        }
        queue.datagrams.extend(datagrams);
        waiting.flush(cookie, &self.socket);
        Ok(())
    }

    /// Sends what waits for a socket, as much as fits; returns whether some is left.
    pub(super) fn flush(&self, cookie: u64) -> bool {
        held(&self.waiting).flush(cookie, &self.socket)
    }
}

/// No space for what the socket would have to hold.
const ENOBUFS: Errno = Errno(libc::ENOBUFS);

impl Waiting {
    fn touch(&mut self, cookie: u64, port: u32) -> &mut Queue {
        self.clock += 1;
        if self.sockets.len() >= MOST_SOCKETS && !self.sockets.contains_key(&cookie) {
            let eldest =
                self.sockets.iter().min_by_key(|(_, queue)| queue.touched).map(|(cookie, _)| *cookie);
            if let Some(eldest) = eldest {
                self.sockets.remove(&eldest);
            }
        }
        let queue =
            self.sockets.entry(cookie).or_insert(Queue { port, datagrams: VecDeque::new(), touched: 0 });
        queue.touched = self.clock;
        queue
    }

    fn flush(&mut self, cookie: u64, socket: &OwnedFd) -> bool {
        let Some(queue) = self.sockets.get_mut(&cookie) else { return false };
        let client = SocketAddrNetlink::new(queue.port, 0);
        while let Some(datagram) = queue.datagrams.front() {
            match sendto(socket, datagram, SendFlags::DONTWAIT, &client) {
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return true,
                // Sent, or the client has closed its socket.
                _ => drop(queue.datagrams.pop_front()),
            }
        }
        self.sockets.remove(&cookie);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> (OwnedFd, u32) {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::GENERIC),
        )
        .unwrap();
        bind(&socket, &SocketAddrNetlink::new(0, 0)).unwrap();
        let port = SocketAddrNetlink::try_from(getsockname(&socket).unwrap()).unwrap().pid();
        (socket, port)
    }

    #[test]
    fn what_does_not_fit_comes_later_and_in_order() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: run it by sudo");
        let injector = Injector::open().unwrap();
        let (socket, port) = client();
        let datagrams: Vec<Vec<u8>> = (0..2000u32).map(|number| number.to_ne_bytes().repeat(200)).collect();
        injector.push(1, port, datagrams.clone()).unwrap();
        assert!(injector.flush(1), "that is more than a queue holds");
        // Of a socket that is gone nobody takes anything, and nothing is kept.
        let (gone, gone_port) = client();
        drop(gone);
        injector.push(2, gone_port, vec![vec![0; 16]]).unwrap();
        assert_eq!(held(&injector.waiting).sockets.len(), 1);
        let mut buffer = [0; 1000];
        for expected in &datagrams {
            let (length, _) = recv(&socket, &mut buffer, RecvFlags::DONTWAIT).unwrap();
            assert_eq!(&buffer[..length], &expected[..]);
            injector.flush(1);
        }
        assert!(!injector.flush(1) && held(&injector.waiting).sockets.is_empty());
        assert_eq!(recv(&socket, &mut buffer, RecvFlags::DONTWAIT), Err(rustix::io::Errno::AGAIN));
    }

    #[test]
    fn too_much_is_refused_and_the_eldest_socket_is_forgotten() {
        let injector = Injector::open().unwrap();
        let (_socket, port) = client();
        injector.push(0, port, vec![vec![0; 100_000]; 600]).unwrap();
        assert_eq!(injector.push(0, port, vec![vec![0; 100_000]; 200]), Err(ENOBUFS));
        // Not even what is small fits the queue now, so each of these waits.
        let filler = Injector::open().unwrap();
        filler.push(0, port, vec![vec![0; 16]; 2000]).unwrap();
        assert!(filler.flush(0));
        for cookie in 1..=MOST_SOCKETS as u64 {
            injector.push(cookie, port, vec![vec![0; 16]]).unwrap();
        }
        let waiting = held(&injector.waiting);
        assert_eq!(waiting.sockets.len(), MOST_SOCKETS);
        assert!(!waiting.sockets.contains_key(&0));
    }
}
