//! FTP (RFC 959, RFC 2428): the commands that agree on data connections, as the kernel's helper understands them
//! (`conformance/experiments/ftp_lines.py`, `ftp_forms.py`).
//!
//! Active: the client names its end (PORT, EPRT), and the server comes. Passive: the client asks (PASV, EPSV), the server
//! names its end (227, 229), and the client comes; that it is the virtual address to which it comes is written into the
//! answer. An answer counts once for each question.
//!
//! With full NAT the client's end is one of the director's to the server (`ftp/local.rs`), and where the server is of the other family,
//! PASV is the server's EPSV, and PORT its EPRT (or the reverse).

mod local;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Expectation, Helper, Reading, Saying, Side, Take};

/// File transfer.
#[derive(Debug)]
pub(super) struct Ftp;

/// What the memory says: no question is open.
const NOTHING: u8 = 0;
/// PASV is open.
const PASSIVE: u8 = 1;
/// EPSV is open.
const EXTENDED: u8 = 2;
/// EPSV is open, for the client's PASV.
const EXTENDED_FOR_PASSIVE: u8 = 3;

impl Helper for Ftp {
    fn name(&self) -> &'static str {
        "ftp"
    }

    fn usual(&self) -> (u16, u16) {
        (6, 21)
    }

    fn read(&self, saying: &Saying<'_>, memory: &mut u8, take: &mut Take<'_>) -> Reading {
        match (saying.side, *memory) {
            (Side::Client, _) => command(saying, memory, take),
            (Side::Server, NOTHING) => Reading::Nothing,
            (Side::Server, question) => {
                let reading = answer(saying, question);
                if matches!(reading, Reading::Expect { .. }) {
                    *memory = NOTHING;
                }
                reading
            }
        }
    }
}

/// A line of the client's.
fn command(saying: &Saying<'_>, memory: &mut u8, take: &mut Take<'_>) -> Reading {
    let keep = local::kept(saying);
    let Some(verb) = saying.text.first_chunk::<4>() else { return more(saying, keep) };
    let mut text = Text { bytes: saying.text, at: 4, ended: saying.ended };
    let ipv4 = saying.client.0.is_ipv4();
    let end = match &verb.map(|byte| byte.to_ascii_uppercase()) {
        b"PASV" | b"EPSV" if !saying.ended => return more(saying, keep),
        b"PASV" if ipv4 && text.rest().trim_ascii().is_empty() => {
            *memory = if local::is_across(saying) { EXTENDED_FOR_PASSIVE } else { PASSIVE };
            return local::passive_question(saying);
        }
        b"EPSV" if matches!(text.rest().trim_ascii(), b"" | b"1" | b"2") => {
            *memory = EXTENDED;
            return local::extended_question(saying);
        }
        b"PORT" if ipv4 => text.address_behind_blanks(Text::six_numbers),
        b"EPRT" => text.address_behind_blanks(|text| text.extended(ipv4)),
        _ => return Reading::Nothing,
    };
    match end {
        // Without an address it names nobody.
        Ok((from, End { address: Some(address), port, behind })) => match saying.local {
            Some(local) => local::active(saying, local, (address, port), from..behind, take),
            None => Reading::Expect {
                expectation: Expectation::Server {
                    client: (address, port),
                    port_below: true,
                    local_port: None,
                },
                edit: None,
            },
        },
        Ok(_) | Err(Stop::Different) => Reading::Nothing,
        Err(Stop::Short) => more(saying, keep),
    }
}

/// A line of the server's, while that question is open.
fn answer(saying: &Saying<'_>, question: u8) -> Reading {
    let code: &[u8] = if question == PASSIVE { b"227 " } else { b"229 " };
    let start = saying.text.get(..4).unwrap_or(saying.text);
    if !code.starts_with(start) {
        return Reading::Nothing;
    }
    let mut text = Text { bytes: saying.text, at: 4, ended: saying.ended };
    let found = text.address_start(question == PASSIVE);
    let from = text.at.min(saying.text.len());
    let server_ipv4 = saying.local.unwrap_or(saying.virtual_end.0).is_ipv4();
    let end = match question {
        PASSIVE => found.and_then(|()| text.six_numbers()),
        _ => found.and_then(|()| text.extended(server_ipv4)),
    };
    // The code changes with the form.
    let keep = if question == EXTENDED_FOR_PASSIVE { 0 } else { from };
    let End { port, behind, .. } = match end {
        Ok(end) => end,
        Err(Stop::Short) => return more(saying, keep),
        Err(Stop::Different) => return Reading::Nothing,
    };
    let text = match (question, saying.virtual_end.0) {
        (EXTENDED, _) => format!("|||{port}|").into_bytes(),
        (PASSIVE, IpAddr::V4(address)) => six_numbers(address, port).into_bytes(),
        (EXTENDED_FOR_PASSIVE, IpAddr::V4(address)) => {
            let words = saying.text.get(3..from).unwrap_or_default();
            [b"227", words, six_numbers(address, port).as_bytes()].concat()
        }
        _ => return Reading::Nothing,
    };
    Reading::Expect { expectation: Expectation::Client { port }, edit: Some((keep..behind, text)) }
}

/// An end as in PORT and 227.
fn six_numbers(address: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

fn more(saying: &Saying<'_>, keep: usize) -> Reading {
    if saying.ended { Reading::Nothing } else { Reading::More { keep } }
}

/// Why an address cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// More of the line must come.
    Short,
    /// It is something else.
    Different,
}

/// An end of a data connection in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    /// None where the extended form leaves it out.
    address: Option<IpAddr>,
    port: u16,
    /// Behind its last byte.
    behind: usize,
}

/// A line being read.
#[derive(Clone, Copy, Debug)]
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    ended: bool,
}

impl<'a> Text<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The byte at the place, which stays there.
    fn peek(&self) -> Result<u8, Stop> {
        let end = if self.ended { Stop::Different } else { Stop::Short };
        self.bytes.get(self.at).copied().ok_or(end)
    }

    fn next(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn blanks(&mut self) -> Result<(), Stop> {
        while matches!(self.peek()?, b' ' | b'\t') {
            self.at += 1;
        }
        Ok(())
    }

    /// What `read` reads behind blanks, and where that begins.
    fn address_behind_blanks(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<End, Stop>,
    ) -> Result<(usize, End), Stop> {
        self.blanks()?;
        let from = self.at;
        Ok((from, read(self)?))
    }

    /// To where an answer's address begins: behind the first parentheses, or, as those are not always there, at the first
    /// digit. If the line so far has no such place, its end is it.
    fn address_start(&mut self, may_be_bare: bool) -> Result<(), Stop> {
        loop {
            match self.peek()? {
                b'(' => break,
                digit if may_be_bare && digit.is_ascii_digit() => return Ok(()),
                _ => self.at += 1,
            }
        }
        while self.peek()? == b'(' {
            self.at += 1;
        }
        Ok(())
    }

    /// A number up to `most`, with any zeros ahead of it, and the byte that ends it, which stays.
    fn number(&mut self, most: u32) -> Result<u32, Stop> {
        if !self.peek()?.is_ascii_digit() {
            return Err(Stop::Different);
        }
        let mut value = 0;
        while self.peek()?.is_ascii_digit() {
            value = value * 10 + u32::from(self.next()? - b'0');
            if value > most {
                return Err(Stop::Different);
            }
        }
        Ok(value)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.number(255).map(|value| value as u8)
    }

    fn exactly(&mut self, wanted: u8) -> Result<(), Stop> {
        if self.next()? == wanted { Ok(()) } else { Err(Stop::Different) }
    }

    /// Four numbers of an address and two of a port, as in PORT.
    fn six_numbers(&mut self) -> Result<End, Stop> {
        let mut numbers = [0; 6];
        for (place, number) in numbers.iter_mut().enumerate() {
            if place > 0 {
                self.exactly(b',')?;
            }
            *number = self.byte()?;
        }
        let [a, b, c, d, high, low] = numbers;
        let address = Some(Ipv4Addr::new(a, b, c, d).into());
        Ok(End { address, port: u16::from_be_bytes([high, low]), behind: self.at })
    }

    /// Family, address and port between delimiters, as in EPRT; family and address may be left out together.
    fn extended(&mut self, ipv4: bool) -> Result<End, Stop> {
        let delimiter = self.next()?;
        if !delimiter.is_ascii_graphic() || delimiter.is_ascii_digit() {
            return Err(Stop::Different);
        }
        let mut address = None;
        if self.peek()? == delimiter {
            self.at += 1;
            self.exactly(delimiter)?;
        } else {
            self.exactly(if ipv4 { b'1' } else { b'2' })?;
            self.exactly(delimiter)?;
            address = Some(if ipv4 { self.ipv4()?.into() } else { self.ipv6(delimiter)?.into() });
            self.exactly(delimiter)?;
        }
        let port = self.number(u32::from(u16::MAX))? as u16;
        self.exactly(delimiter)?;
        Ok(End { address, port, behind: self.at })
    }

    fn ipv4(&mut self) -> Result<Ipv4Addr, Stop> {
        let mut octets = [0; 4];
        for (place, octet) in octets.iter_mut().enumerate() {
            if place > 0 {
                self.exactly(b'.')?;
            }
            *octet = self.byte()?;
        }
        Ok(octets.into())
    }

    fn ipv6(&mut self, delimiter: u8) -> Result<Ipv6Addr, Stop> {
        let start = self.at;
        while self.peek()? != delimiter {
            if !self.peek()?.is_ascii_graphic() {
                return Err(Stop::Different);
            }
            self.at += 1;
        }
        let text = self.bytes.get(start..self.at).and_then(|bytes| core::str::from_utf8(bytes).ok());
        text.and_then(|text| text.parse().ok()).ok_or(Stop::Different)
    }
}

#[cfg(test)]
mod tests;
