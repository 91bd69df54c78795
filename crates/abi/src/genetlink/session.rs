//! The server's side of one socket: requests in, commands out, answers back, in bounded steps.

use ipvs_core::{Command, Error, Reply};

use crate::errno::Errno;
use crate::sockopt::Reading;

use super::FAMILY_ID;
use super::family::write_family;
use super::message::{Header, Messages};
use super::number::{attribute, command, flag};
use super::reply::{encode_acknowledgement, encode_done, encode_error, encode_reply};
use super::request::{Action, Listing, decode_request};
use super::sockopt::{SocketOption, write_page};

/// Longest request datagram that needs to be taken, bytes. Every request of IPVS is far shorter; several may be packed.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Items of one dump page, so that one answer datagram stays below 32 KiB and one step costs little.
const PAGE: usize = 64;

/// Pools of one dump page: each has up to 128 addresses.
const POOLS: usize = 8;

/// One client's conversation. Takes a datagram when idle; each [`step`](Self::step) then does one request or one page
/// of a dump, so a client can neither make the server work nor make it store more than that at a time.
#[derive(Debug, Default)]
pub struct Session {
    /// Messages not yet looked at: the rest of the last datagram, from `offset`.
    datagram: Vec<u8>,
    offset: usize,
    dump: Option<Dump>,
    /// A socket option being read.
    reading: Option<(Header, Reading)>,
}

/// A dump under way.
#[derive(Debug)]
struct Dump {
    header: Header,
    listing: Listing,
    cursor: u64,
}

impl Session {
    /// A conversation that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything that was asked is answered, so that the next datagram may be given.
    pub fn is_idle(&self) -> bool {
        self.dump.is_none() && self.reading.is_none() && self.offset >= self.datagram.len()
    }

    /// Takes a datagram. What the last one still asked is forgotten: ask [`is_idle`](Self::is_idle) first.
    pub fn receive(&mut self, datagram: &[u8]) {
        self.dump = None;
        self.reading = None;
        self.offset = 0;
        self.datagram.clear();
        self.datagram.extend_from_slice(datagram);
    }

    /// Does the next request, or the next page of a dump, and gives each answer datagram to `send`.
    ///
    /// `privileged`: whether the client has CAP_NET_ADMIN; without it only GETFAMILY is answered.
    pub fn step(
        &mut self,
        privileged: bool,
        execute: &mut dyn FnMut(Command) -> Result<Reply, Error>,
        send: &mut dyn FnMut(Vec<u8>),
    ) {
        if let Some(dump) = &mut self.dump {
            if dump.page(execute, send) {
                self.dump = None;
            }
            return;
        }
        if let Some((header, reading)) = &mut self.reading {
            let mut out = Vec::new();
            // Only a first page can fail.
            if write_option_page(&mut out, *header, reading, execute).unwrap_or(true) {
                self.reading = None;
            }
            send(out);
            return;
        }
        let mut messages = Messages::new(self.datagram.get(self.offset..).unwrap_or_default());
        let Some(message) = messages.next() else {
            self.offset = self.datagram.len();
            return;
        };
        self.offset = self.datagram.len() - messages.remaining();
        let header = Header { flags: 0, ..message.header };
        let mut out = Vec::new();
        let mut acknowledged = message.header.has(flag::ACK);
        let outcome = decode_request(&message, privileged).and_then(|action| {
            match action {
                Action::Nothing => {}
                Action::DescribeFamily => write_family(&mut out, header),
                Action::Execute(command) => encode_reply(&mut out, header, &execute(command)?),
                Action::RefuseAfter(service, errno) => {
                    execute(Command::GetService(service))?;
                    return Err(errno);
                }
                Action::Option(SocketOption::Set(change)) => change.apply(execute)?,
                Action::Option(SocketOption::Get(mut reading)) => {
                    let header = Header { flags: flag::MULTI, ..header };
                    acknowledged = false;
                    if !write_option_page(&mut out, header, &mut reading, execute)? {
                        self.reading = Some((header, reading));
                    }
                }
                Action::Dump(listing) => {
                    acknowledged = false;
                    let header = Header { flags: flag::MULTI, ..header };
                    self.dump = Some(Dump { header, listing, cursor: 0 });
                }
            }
            Ok(())
        });
        if !out.is_empty() {
            send(core::mem::take(&mut out));
        }
        match outcome {
            Err(errno) => encode_error(&mut out, &message, errno),
            Ok(()) if acknowledged => encode_acknowledgement(&mut out, &message),
            Ok(()) => {}
        }
        if !out.is_empty() {
            send(out);
        }
    }
}

/// Appends the next piece of a socket option, and DONE after the last; returns whether it was that.
fn write_option_page(
    out: &mut Vec<u8>,
    header: Header,
    reading: &mut Reading,
    execute: &mut dyn FnMut(Command) -> Result<Reply, Error>,
) -> Result<bool, Errno> {
    let page = reading.page(execute)?;
    Header { kind: FAMILY_ID, ..header }.write_generic(out, command::SOCKOPT, 1, |writer| {
        writer.nest(attribute::SOCKOPT, |nest| write_page(nest, &page));
    });
    if page.last.is_some() {
        encode_done(out, header);
    }
    Ok(page.last.is_some())
}

impl Dump {
    /// Sends the next page; returns whether it was the last.
    fn page(
        &mut self,
        execute: &mut dyn FnMut(Command) -> Result<Reply, Error>,
        send: &mut dyn FnMut(Vec<u8>),
    ) -> bool {
        let (cursor, limit) = (self.cursor, PAGE);
        let mut out = Vec::new();
        let command = match self.listing {
            Listing::Services => Some(Command::ListServices { cursor, limit }),
            Listing::Destinations(service) => Some(Command::ListDestinations { service, cursor, limit }),
            Listing::Connections => Some(Command::ListConnections { cursor, limit }),
            Listing::Marks => Some(Command::ListMarks { cursor, limit }),
            Listing::Pools => Some(Command::ListPools { cursor, limit: POOLS }),
            Listing::Sysctls => Some(Command::ListSysctls),
            Listing::Drops => Some(Command::ListDrops),
            Listing::SyncDaemons => Some(Command::ListSyncDaemons),
            Listing::Families => {
                write_family(&mut out, self.header);
                None
            }
            Listing::Nothing => None,
        };
        // An error (the service is gone) ends the dump as if nothing more had been there.
        let reply = command.and_then(|command| execute(command).ok());
        let next = match &reply {
            Some(
                Reply::Services { next, .. }
                | Reply::Destinations { next, .. }
                | Reply::Connections { next, .. }
                | Reply::Marks { next, .. }
                | Reply::Pools { next, .. },
            ) => *next,
            _ => None,
        };
        if let Some(reply) = &reply {
            encode_reply(&mut out, self.header, reply);
        }
        match next {
            Some(next) => self.cursor = next,
            None => encode_done(&mut out, self.header),
        }
        if !out.is_empty() {
            send(out);
        }
        next.is_none()
    }
}
