//! Requests to the kernel and their answers, one at a time.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// The kernel answers before the call that sends returns. Who waits so long would wait for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A socket for requests to the kernel, in the network namespace of the calling thread.
pub(super) fn connected(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(LONGEST_WAIT))?;
    Ok(socket)
}

/// The next datagram from the kernel.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] if none comes.
pub(super) fn receive(socket: &Socket) -> io::Result<Vec<u8>> {
    socket.recv_from_full().map(|(bytes, _)| bytes).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "netlink: the kernel gave no answer")
        }
        _ => error,
    })
}

/// A socket for requests.
#[derive(Debug)]
pub(crate) struct Requests {
    socket: Socket,
    sequence: u32,
}

impl Requests {
    /// Opens the socket, in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: connected(NETLINK_ROUTE)?, sequence: 0 })
    }

    /// All objects of a kind.
    pub(crate) fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.exchange(message, NLM_F_DUMP)
    }

    /// One object.
    pub(crate) fn get(&mut self, message: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
        Ok(self.exchange(message, 0)?.pop())
    }

    /// Changes something; `flags` as NLM_F_CREATE.
    pub(crate) fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK | flags).map(drop)
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let single = flags & (NLM_F_DUMP | NLM_F_ACK) == 0;
        let mut answers = Vec::new();
        loop {
            let bytes = receive(&self.socket)?;
            if let Some(end) = read_answers(&bytes, self.sequence, single, &mut answers) {
                return end.map(|()| answers);
            }
        }
    }
}

/// Adds what a datagram answers to the request of that number, which is a `single` object or several. How the exchange ends, `None` if
/// more is to come.
fn read_answers(
    bytes: &[u8],
    sequence: u32,
    single: bool,
    answers: &mut Vec<RouteNetlinkMessage>,
) -> Option<io::Result<()>> {
    for message in messages(bytes).filter(|message| message.header.sequence_number == sequence) {
        match message.payload {
            NetlinkPayload::Done(_) => return Some(Ok(())),
            NetlinkPayload::Error(error) => {
                return Some(if error.code.is_none() { Ok(()) } else { Err(error.to_io()) });
            }
            NetlinkPayload::InnerMessage(answer) => {
                answers.push(answer);
                if single {
                    return Some(Ok(()));
                }
            }
            _ => {}
        }
    }
    // It is the answer, though the parser does not understand it: none follows.
    let is_answer = bytes.get(8..12) == Some(&sequence.to_ne_bytes()[..]);
    (single && is_answer).then(|| {
        Err(io::Error::new(io::ErrorKind::InvalidData, "rtnetlink: an answer that is not understood"))
    })
}

/// The messages in a datagram from the kernel; those that this version of the parser does not understand are left out.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> + '_ {
    std::iter::from_fn(move || {
        loop {
            let length =
                bytes.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_ne_bytes)? as usize;
            let message = bytes.get(..length).filter(|message| message.len() >= 16)?;
            // Messages are padded to four bytes.
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
                return Some(message);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_answered_does_not_wait_for_ever() {
        let socket = connected(NETLINK_ROUTE).unwrap();
        assert_eq!(receive(&socket).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_is_not_understood_is_an_answer() {
        // A route, but for all of its header (RTM_NEWROUTE).
        let answer = |sequence: u8| [20, 0, 0, 0, 24, 0, 0, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        let mut answers = Vec::new();
        let mut end = |sequence, single| read_answers(&answer(sequence), 7, single, &mut answers);
        assert_eq!(end(7, true).unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
        // More follow of several; and this is another request's.
        assert!(end(7, false).is_none() && end(6, true).is_none());
        assert!(answers.is_empty());
    }
}
