//! One HTTP request on a TCP connection of its own.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{Answer, LIMIT};
use crate::message::{Exchange, Head, Kind};

/// Opens a connection from `from` on which no wait for bytes may take longer than `limit`.
pub(super) fn connect(from: SocketAddr, to: SocketAddr, limit: Duration) -> io::Result<Exchange> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), LIMIT)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(Exchange::new(stream))
}

/// The head of the next response, which must be 200.
pub(super) fn response(exchange: &mut Exchange) -> io::Result<Head> {
    match exchange.head(Kind::Response)? {
        Some(head) => successful(head),
        None => Err(io::Error::other("the connection was closed without an answer")),
    }
}

/// The head of a response that must be 200.
pub(super) fn successful(head: Head) -> io::Result<Head> {
    if head.status == 200 { Ok(head) } else { Err(io::Error::other(format!("HTTP status {}", head.status))) }
}

/// The request for `/`, the `last` of its connection or not.
pub(super) fn request(to: SocketAddr, last: bool) -> String {
    let connection = if last { "close" } else { "keep-alive" };
    format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: {connection}\r\n\r\n")
}

/// Who sent a response.
pub(super) fn sender(head: Head) -> io::Result<Answer> {
    let client = head.client.ok_or_else(|| io::Error::other("an answer that does not say to whom"))?;
    Ok(Answer { server: head.server, client })
}

/// Who answered `/`: the server's name is also the body.
pub(super) fn named(head: Head, body: &[u8]) -> io::Result<Answer> {
    if body.trim_ascii() == head.server.as_bytes() {
        sender(head)
    } else {
        Err(io::Error::other("the body of the answer is not its server's"))
    }
}

/// Asks for `/` on a connection that stays open.
pub(super) fn ask(exchange: &mut Exchange, to: SocketAddr) -> io::Result<()> {
    exchange.write(request(to, false).as_bytes())?;
    let head = response(exchange)?;
    exchange.body(head.length, |_| {})
}

/// Asks for `/` on a new connection.
pub(crate) fn get(from: SocketAddr, to: SocketAddr) -> io::Result<Answer> {
    let mut exchange = connect(from, to, LIMIT)?;
    exchange.write(request(to, true).as_bytes())?;
    let head = response(&mut exchange)?;
    let mut body = Vec::new();
    exchange.body(head.length, |block| body.extend_from_slice(block))?;
    let answer = named(head, &body)?;
    // The server closes first; the connection is over when its end has been seen.
    match exchange.head(Kind::Response)? {
        None => Ok(answer),
        Some(_) => Err(io::Error::other("more than one answer to one request")),
    }
}
