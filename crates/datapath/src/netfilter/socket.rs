//! A socket of nfnetlink.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::{Socket as Plain, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::net::{RecvFlags, SendFlags};

use super::message::{Messages, messages};

/// Longest answer to a request.
const ANSWER: usize = 8192;

/// A socket that does not block.
#[derive(Debug)]
pub(super) struct Socket(Plain);

impl Socket {
    /// Opens it, in the network namespace of the calling thread; `room` bytes wait to be read at most.
    pub(super) fn open(room: usize) -> io::Result<Self> {
        let mut socket = Plain::new(NETLINK_NETFILTER)?;
        // Less room is a full queue sooner, no error.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, room);
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Sends messages, whose answers nobody waits for.
    pub(super) fn send(&self, messages: &Messages) -> io::Result<()> {
        rustix::net::send(&self.0, messages.bytes(), SendFlags::empty())?;
        Ok(())
    }

    /// Sends messages of which one asks for an answer, and reads the answers, which are there when the call that sends
    /// returns.
    ///
    /// # Errors
    /// The first error that the kernel answers, whichever message it is about.
    pub(super) fn request(&self, request: &Messages) -> io::Result<()> {
        self.send(request)?;
        let mut refusal = None;
        let mut answer = [0; ANSWER];
        let mut confirmed = false;
        while let Some(bytes) = self.receive(&mut answer)? {
            for errno in messages(bytes).filter_map(|answer| {
                confirmed |= answer.sequence == request.asking();
                answer.errno()
            }) {
                refusal = refusal.or((errno != 0).then(|| io::Error::from_raw_os_error(errno)));
            }
        }
        match refusal {
            Some(error) => Err(error),
            None if confirmed => Ok(()),
            None => Err(io::Error::other("the kernel did not answer")),
        }
    }

    /// Reads a datagram; `None` if there is none.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        match rustix::net::recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((len, _)) => Ok(buffer.get(..len)),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
