//! One datagram and its echo, both in fragments if they exceed the MTU.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::{Answer, LIMIT};
use crate::message::uninterrupted;

/// Links of different MTUs on one path, at most: the client learns of one with each refusal.
const REFUSALS: usize = 4;

/// Sends a datagram from `from` and returns who echoed it. It is sent once: a lost datagram is a failed request. Only one that an
/// ICMP error says to be too large for the path (a tunnel) is sent again: the system now makes fragments that fit. It has at
/// least `size` bytes, each of which the echo must have.
pub(super) fn echo(from: SocketAddr, to: SocketAddr, index: usize, size: usize) -> io::Result<Answer> {
    let socket = UdpSocket::bind(from)?;
    // Answers from any other address than the one asked are refused by the system.
    socket.connect(to)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut question = format!("request {index}");
    while question.len() < size {
        question.push_str(&format!(" {}", question.len()));
    }
    let mut answer = vec![0; 65536];
    let mut ask =
        || socket.send(question.as_bytes()).and_then(|_| uninterrupted(|| socket.recv(&mut answer)));
    let mut asked = ask();
    for _ in 0..REFUSALS {
        if asked.as_ref().is_err_and(is_too_large) {
            asked = ask();
        }
    }
    let size = asked?;
    let answer = String::from_utf8_lossy(&answer[..size]);
    let mut words = answer.splitn(3, ' ');
    match (words.next(), words.next().map(str::parse), words.next()) {
        (Some(server), Some(Ok(client)), Some(echo)) if echo == question => {
            Ok(Answer { server: server.to_owned(), client })
        }
        _ => Err(io::Error::other(format!("echo {answer:?} instead of {question:?}"))),
    }
}

/// Whether a router or a tunnel refused what was sent for its size.
fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}
