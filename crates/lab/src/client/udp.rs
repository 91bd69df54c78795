//! One datagram and its echo, both in fragments if they exceed the MTU.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::{Answer, LIMIT};

/// Sends a datagram from `from` and returns who echoed it. It is sent once: a lost datagram
/// is a failed request. It has at least `size` bytes, each of which the echo must have.
pub(super) fn echo(from: SocketAddr, to: SocketAddr, index: usize, size: usize) -> io::Result<Answer> {
    let socket = UdpSocket::bind(from)?;
    // Answers from any other address than the one asked are refused by the system.
    socket.connect(to)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut question = format!("request {index}");
    while question.len() < size {
        question.push_str(&format!(" {}", question.len()));
    }
    socket.send(question.as_bytes())?;
    let mut answer = vec![0; 65536];
    let size = socket.recv(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..size]);
    let mut words = answer.splitn(3, ' ');
    match (words.next(), words.next().map(str::parse), words.next()) {
        (Some(server), Some(Ok(client)), Some(echo)) if echo == question => {
            Ok(Answer { server: server.to_owned(), client })
        }
        _ => Err(io::Error::other(format!("echo {answer:?} instead of {question:?}"))),
    }
}
