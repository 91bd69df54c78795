//! One HTTP request on a TCP connection of its own.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::LIMIT;
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

/// The name of the server that answered `/`, which is also the body.
pub(super) fn name(head: Head, body: &[u8]) -> io::Result<String> {
    if body.trim_ascii() == head.server.as_bytes() {
        Ok(head.server)
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

/// Asks for `/` on a new connection: the name of the server.
pub(crate) fn get_name(from: SocketAddr, to: SocketAddr) -> io::Result<String> {
    let mut exchange = connect(from, to, LIMIT)?;
    exchange.write(request(to, true).as_bytes())?;
    let head = response(&mut exchange)?;
    let mut body = Vec::new();
    exchange.body(head.length, |block| body.extend_from_slice(block))?;
    let name = name(head, &body)?;
    // The server closes first; the connection is over when its end has been seen.
    match exchange.head(Kind::Response)? {
        None => Ok(name),
        Some(_) => Err(io::Error::other("more than one answer to one request")),
    }
}
