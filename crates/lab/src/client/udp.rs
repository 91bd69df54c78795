//! One datagram and its echo.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::LIMIT;

/// Sends a datagram from `from` and returns the name of the server that echoed it. It is sent once: a lost datagram
/// is a failed request.
pub(super) fn echo(from: SocketAddr, to: SocketAddr, index: usize) -> io::Result<String> {
    let socket = UdpSocket::bind(from)?;
    // Answers from any other address than the one asked are refused by the system.
    socket.connect(to)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let question = format!("request {index}");
    socket.send(question.as_bytes())?;
    let mut answer = [0; 256];
    let size = socket.recv(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..size]);
    match answer.split_once(' ') {
        Some((name, echo)) if echo == question => Ok(name.to_owned()),
        _ => Err(io::Error::other(format!("echo {answer:?} instead of {question:?}"))),
    }
}
