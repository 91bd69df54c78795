//! The kernel's notifications of changes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::request::messages;

/// Multicast groups of rtnetlink: links, neighbours, and addresses, routes and rules of both families.
const GROUPS: [u32; 8] = [1, 3, 5, 7, 8, 9, 11, 19];

/// What the monitor heard.
#[derive(Debug)]
pub(crate) enum Change {
    /// One object changed.
    Message(Box<RouteNetlinkMessage>),
    /// Messages were lost: everything may have changed.
    Lost,
}

/// A socket that hears of changes.
#[derive(Debug)]
pub(crate) struct Monitor {
    socket: Socket,
}

impl Monitor {
    /// Opens the socket, in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        // Room for a few thousand messages: a flush of a large table comes in one go.
        let _ = socket.set_rx_buf_sz(4 << 20);
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Appends what is to be heard now, at most about `limit` messages.
    pub(crate) fn read(&mut self, limit: usize, changes: &mut Vec<Change>) {
        while changes.len() < limit {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => {
                    changes.extend(messages(&bytes).filter_map(|message| match message.payload {
                        NetlinkPayload::InnerMessage(message) => Some(Change::Message(Box::new(message))),
                        _ => None,
                    }))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: the buffer overflowed.
                Err(_) => {
                    changes.push(Change::Lost);
                    return;
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
