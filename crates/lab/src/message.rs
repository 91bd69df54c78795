//! HTTP/1.1 messages with Content-Length bodies on a TCP stream, as far as the lab's ends speak it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};

use crate::pattern::BLOCK;

/// Longest head (start line and fields) that is accepted.
const MAX_HEAD: usize = 16 * 1024;

/// What a head says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Method of a request; empty in a response.
    pub(crate) method: String,
    /// Target of a request; empty in a response.
    pub(crate) target: String,
    /// Status code of a response; 0 in a request.
    pub(crate) status: u16,
    /// Content-Length; 0 when absent.
    pub(crate) length: u64,
    /// `Connection: close`.
    pub(crate) close: bool,
    /// `Expect: 100-continue`.
    pub(crate) wants_continue: bool,
    /// The Server field: the server's name.
    pub(crate) server: String,
    /// The Client field: whom the server saw asking.
    pub(crate) client: Option<IpAddr>,
}

/// Which kind of head is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// What has been read of a stream and not been used yet.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Vec<u8>);

impl Ahead {
    /// More of the stream.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Whether all has been used.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a head; none if it is not complete yet.
    pub(crate) fn head(&mut self, kind: Kind) -> io::Result<Option<Head>> {
        match parse(kind, &self.0)? {
            Some((head, size)) => {
                self.0.drain(..size);
                Ok(Some(head))
            }
            None if self.0.len() > MAX_HEAD => Err(invalid("head too long")),
            None => Ok(None),
        }
    }

    /// Takes a body of `length` bytes; none if it is not complete yet.
    pub(crate) fn body(&mut self, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok()?;
        (self.0.len() >= length).then(|| self.0.drain(..length).collect())
    }
}

/// A TCP stream with what has been read ahead of it.
pub(crate) struct Exchange {
    stream: TcpStream,
    ahead: Ahead,
}

impl Exchange {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Ahead::default() }
    }

    /// Reads a head; none at an orderly end of the stream before its first byte.
    pub(crate) fn head(&mut self, kind: Kind) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = self.ahead.head(kind)? {
                return Ok(Some(head));
            }
            let mut block = [0; 4096];
            match uninterrupted(|| self.stream.read(&mut block))? {
                0 if self.ahead.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                size => self.ahead.extend(&block[..size]),
            }
        }
    }

    /// Reads a body of `length` bytes, block by block.
    pub(crate) fn body(&mut self, length: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let ahead = &mut self.ahead.0;
        let have = usize::try_from(length).unwrap_or(usize::MAX).min(ahead.len());
        each(&ahead[..have]);
        ahead.drain(..have);
        let mut left = length - have as u64;
        let mut block = vec![0; BLOCK];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            match uninterrupted(|| self.stream.read(&mut block[..wanted]))? {
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("the stream ended {left} bytes early"),
                    ));
                }
                size => {
                    each(&block[..size]);
                    left -= size as u64;
                }
            }
        }
        Ok(())
    }

    /// Writes bytes of a head or body.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

/// Waits again where a wait was interrupted: a process that was stopped, or frozen with its machine, comes back with EINTR from one with
/// a limit (signal(7)).
pub(crate) fn uninterrupted<T>(mut wait: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match wait() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn parse(kind: Kind, bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = Head::default();
    let (size, fields): (usize, &[httparse::Header<'_>]) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut fields);
            let httparse::Status::Complete(size) = request.parse(bytes).map_err(invalid)? else {
                return Ok(None);
            };
            head.method = request.method.unwrap_or_default().to_owned();
            head.target = request.path.unwrap_or_default().to_owned();
            (size, request.headers)
        }
        Kind::Response => {
            let mut response = httparse::Response::new(&mut fields);
            let httparse::Status::Complete(size) = response.parse(bytes).map_err(invalid)? else {
                return Ok(None);
            };
            head.status = response.code.unwrap_or_default();
            (size, response.headers)
        }
    };
    for field in fields {
        let value = std::str::from_utf8(field.value).map_err(invalid)?.trim();
        match field.name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.parse().map_err(invalid)?,
            "connection" => head.close = value.eq_ignore_ascii_case("close"),
            "expect" => head.wants_continue = value.eq_ignore_ascii_case("100-continue"),
            "server" => head.server = value.to_owned(),
            "client" => head.client = value.parse().ok(),
            "transfer-encoding" => {
                return Err(invalid("a transfer encoding, but only Content-Length is understood"));
            }
            _ => {}
        }
    }
    Ok(Some((head, size)))
}

fn invalid(reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP as expected: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_goes_on_after_the_process_was_stopped() {
        let mut stopped = true;
        let wait =
            || if std::mem::take(&mut stopped) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(3) };
        assert_eq!(uninterrupted(wait).unwrap(), 3);
        assert!(uninterrupted::<()>(|| Err(io::ErrorKind::TimedOut.into())).is_err());
    }

    #[test]
    fn a_head_is_complete_or_waited_for() {
        let bytes = b"PUT /x HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        assert_eq!(parse(Kind::Request, &bytes[..30]).unwrap(), None);
        let (head, size) = parse(Kind::Request, bytes).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), head.length, head.close),
            ("PUT", "/x", 5, true)
        );
        assert_eq!(&bytes[size..], b"hello");
        assert!(parse(Kind::Response, bytes).is_err());
    }
}
