//! getsockopt: what is read, page by page.

use ipvs_core::{Command, Error, Info, MarkTarget, Reply, ServiceId, SyncRole};

use crate::errno::Errno;

use super::layout::{self, Fields};
use super::number::get;

/// Entries of one page.
const PAGE: usize = 64;

/// A get under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    what: What,
    /// Bytes of the caller's buffer.
    length: u32,
    /// Where the next page goes.
    offset: u32,
    /// How many entries may come yet.
    room: u32,
    /// Where the listing goes on.
    cursor: u64,
    /// Whether a page was read.
    begun: bool,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Version,
    Info,
    Services,
    /// With the caller's bytes, of which some stay.
    Service(ServiceId, Vec<u8>),
    Destinations(ServiceId),
    Timeouts,
    Daemons,
}

/// A piece of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where `data` goes in the caller's buffer.
    pub offset: u32,
    /// What is written there; may be empty. What no page covers stays as it is.
    pub data: Vec<u8>,
    /// With the last page: the length to give back.
    pub last: Option<u32>,
}

impl Reading {
    /// Decodes a get that [`check`](super::check) let pass: the buffer is of `length` bytes and begins with `head`.
    ///
    /// # Errors
    /// EINVAL for an option that cannot be read, or a number of entries that does not match the length.
    pub fn new(number: u32, length: u32, head: &[u8]) -> Result<Self, Errno> {
        let fields = Fields(head);
        let service = || {
            let (protocol, address, port) = (fields.u16(0), fields.address(4), fields.be16(8));
            layout::service_id(MarkTarget { protocol, address, port }, fields.u32(12))
        };
        let count = |offset, head: usize, entry: usize| {
            let count = fields.u32(offset);
            let wanted = entry as u64 * u64::from(count) + head as u64;
            if wanted == u64::from(length) { Ok((head as u32, count)) } else { Err(Errno::EINVAL) }
        };
        let (what, (offset, room)) = match number {
            get::VERSION => (What::Version, (0, 0)),
            get::INFO => (What::Info, (0, 0)),
            get::SERVICES => (What::Services, count(0, layout::SERVICES_HEAD, layout::SERVICE_ENTRY)?),
            get::SERVICE => (What::Service(service(), head.to_vec()), (0, 0)),
            get::DESTS => (
                What::Destinations(service()),
                count(16, layout::DESTINATIONS_HEAD, layout::DESTINATION_ENTRY)?,
            ),
            get::TIMEOUT => (What::Timeouts, (0, 0)),
            get::DAEMON => (What::Daemons, (0, 0)),
            _ => return Err(Errno::EINVAL),
        };
        Ok(Self { what, length, offset, room, cursor: 0, begun: false })
    }

    /// Reads the next page, a bounded piece of work. If the service of a listing goes meanwhile, the listing ends.
    ///
    /// # Errors
    /// The errno to give, only for the first page.
    pub fn page(&mut self, execute: &mut dyn FnMut(Command) -> Result<Reply, Error>) -> Result<Page, Errno> {
        let (cursor, limit) = (self.cursor, PAGE);
        let command = match self.what {
            What::Version | What::Info => Command::GetInfo,
            What::Services => Command::ListServices { cursor, limit },
            What::Service(service, _) => Command::GetService(service),
            What::Destinations(service) => Command::ListDestinations { service, cursor, limit },
            What::Timeouts => Command::GetTimeouts,
            What::Daemons => Command::ListSyncDaemons,
        };
        let reply = match execute(command) {
            Err(error) if !self.begun => return Err(error.into()),
            reply => reply.unwrap_or(Reply::Done),
        };
        self.begun = true;
        let (offset, mut data, mut length) = (self.offset, Vec::new(), self.length);
        let mut more = None;
        match (&self.what, reply) {
            (What::Version, Reply::Info(info)) => {
                data = version(&info).into_bytes();
                data.push(0);
                length = u32::try_from(data.len()).unwrap_or(u32::MAX);
            }
            (_, Reply::Info(Info { version, table_size, services })) => {
                data.extend([version, table_size, services].into_iter().flat_map(u32::to_ne_bytes));
            }
            (What::Service(_, given), Reply::Service(info)) => {
                layout::write_service_entry(&mut data, &info);
                layout::keep_unwritten(&mut data, given, &info.scheduler);
            }
            (_, Reply::Timeouts(timeouts)) => layout::write_timeouts(&mut data, timeouts),
            (_, Reply::SyncDaemons(daemons)) => {
                for role in [SyncRole::Master, SyncRole::Backup] {
                    let daemon = daemons.iter().find(|(it, _)| *it == role);
                    layout::write_daemon(&mut data, daemon.map(|(role, config)| (role.number(), config)));
                }
            }
            (_, Reply::Services { items, next }) => {
                // Only IPv4 can be told.
                let shown = items.iter().filter(|info| !info.id.is_ipv6()).take(self.room as usize);
                for info in shown {
                    layout::write_service_entry(&mut data, info);
                    self.room -= 1;
                }
                more = next;
            }
            (_, Reply::Destinations { items, next }) => {
                let shown = items.iter().filter(|info| info.id.address.is_ipv4()).take(self.room as usize);
                for info in shown {
                    layout::write_destination_entry(&mut data, info);
                    self.room -= 1;
                }
                more = next;
            }
            _ => {}
        }
        self.offset = offset.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        let last = match more.filter(|_| self.room > 0) {
            Some(next) => {
                self.cursor = next;
                None
            }
            None => Some(length),
        };
        Ok(Page { offset, data, last })
    }
}

/// The version's text.
fn version(info: &Info) -> String {
    let [_, major, minor, patch] = info.version.to_be_bytes();
    format!("IP Virtual Server version {major}.{minor}.{patch} (size={})", info.table_size)
}
