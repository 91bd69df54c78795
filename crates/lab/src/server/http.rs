//! The HTTP/1.1 server: `GET /` answers the server's name, `GET /bytes/N` or `/bytes/N/SEED` N reproducible
//! pseudo-random bytes, `PUT` the length and SHA-256 of what arrived.

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::message::{Exchange, Head, Kind};
use crate::pattern;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// Whose answer it is, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    /// The server's name.
    pub(super) server: &'a str,
    /// The client as the server sees it.
    pub(super) client: IpAddr,
}

/// Serves connections until the process ends.
pub(super) fn serve(listener: &TcpListener, name: &str) {
    // A connection that was reset before it was accepted, or a lack of threads, is that client's failure alone: the
    // client counts it with its reason.
    for stream in listener.incoming().flatten() {
        let name = name.to_owned();
        let _ = std::thread::Builder::new().spawn(move || converse(stream, &name));
    }
}

fn converse(stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let ends = Ends { server: name, client: stream.peer_addr()?.ip() };
    let mut exchange = Exchange::new(stream);
    while let Some(head) = exchange.head(Kind::Request)? {
        answer(&mut exchange, &head, ends)?;
        if head.close {
            break;
        }
    }
    Ok(())
}

fn answer(exchange: &mut Exchange, head: &Head, ends: Ends<'_>) -> io::Result<()> {
    let mut hash = Sha256::new();
    if head.wants_continue {
        exchange.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    exchange.body(head.length, |block| hash.update(block))?;
    match (head.method.as_str(), head.target.strip_prefix("/bytes/")) {
        ("GET", Some(numbers)) => match parse_numbers(numbers) {
            Some((length, seed)) => {
                exchange.write(response("200 OK", ends, length, head.close).as_bytes())?;
                pattern::blocks(seed, length, |block| exchange.write(block))
            }
            None => {
                text(exchange, head, "400 Bad Request", ends, "use /bytes/LENGTH or /bytes/LENGTH/SEED\n")
            }
        },
        ("PUT" | "POST", _) => {
            text(exchange, head, "200 OK", ends, &format!("{} {}\n", head.length, pattern::hex(hash)))
        }
        _ => exchange.write(short(head, ends).as_bytes()),
    }
}

/// The whole answer to a request that moves no bytes.
pub(super) fn short(head: &Head, ends: Ends<'_>) -> String {
    let (status, body) = match (head.method.as_str(), head.target.as_str()) {
        ("GET", "/") => ("200 OK", format!("{}\n", ends.server)),
        ("GET", _) => ("404 Not Found", "there is / and /bytes/LENGTH\n".into()),
        _ => ("405 Method Not Allowed", "GET, PUT and POST only\n".into()),
    };
    response(status, ends, body.len() as u64, head.close) + &body
}

fn text(exchange: &mut Exchange, head: &Head, status: &str, ends: Ends<'_>, body: &str) -> io::Result<()> {
    exchange.write((response(status, ends, body.len() as u64, head.close) + body).as_bytes())
}

fn response(status: &str, Ends { server, client }: Ends<'_>, length: u64, close: bool) -> String {
    let connection = if close { "close" } else { "keep-alive" };
    format!(
        "HTTP/1.1 {status}\r\nServer: {server}\r\nClient: {client}\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n"
    )
}

fn parse_numbers(text: &str) -> Option<(u64, u64)> {
    match text.split_once('/') {
        Some((length, seed)) => Some((length.parse().ok()?, seed.parse().ok()?)),
        None => Some((text.parse().ok()?, 0)),
    }
}
