//! The client's side: one command, its request and its answers.

use ipvs_core::{Command, Info, Reply, Timeouts};

use crate::errno::Errno;

use super::FAMILY_ID;
use super::attribute::{Policy, Table, Writer};
use super::connection::read_connection;
use super::destination::{Settings, read_destination_info, write_destination, write_destination_id};
use super::dropped::read_drop;
use super::explain::{read_step, write_question};
use super::family::{GET_FAMILY, read_family, write_get_family};
use super::mark::{read_mark, write_mark};
use super::message::{Header, Message, Messages};
use super::number::{attribute, command, flag, info, kind};
use super::pool::{read_pool_info, write_pool};
use super::service::{read_service_info, write_service};
use super::setting::{read_setting, read_totals, write_setting};
use super::sync_daemon::{read_sync_daemon, write_start, write_stop};

/// An answer that is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unintelligible answer: {0}")]
pub struct ProtocolError(pub(super) &'static str);

/// What an [`Exchange`] waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another datagram.
    Wait,
    /// Nothing: this is the outcome.
    Done(Result<Reply, Errno>),
}

/// One command on its way: send [`request`](Self::request), give every datagram received to
/// [`receive`](Self::receive) until it is done.
///
/// A listing is asked for as a whole: cursor and limit of the command are ignored, and the reply's `next` is `None`.
/// What the messages do not carry reads as 0: the number of services in [`Info`], of destinations in a service.
#[derive(Debug)]
pub struct Exchange {
    command: Command,
    sequence: u32,
    reply: Reply,
}

impl Exchange {
    /// An exchange of `command`; answers are recognised by `sequence`.
    pub fn new(command: Command, sequence: u32) -> Self {
        let reply = match command {
            Command::ListServices { .. } => Reply::Services { items: Vec::new(), next: None },
            Command::ListDestinations { .. } => Reply::Destinations { items: Vec::new(), next: None },
            Command::ListConnections { .. } => Reply::Connections { items: Vec::new(), next: None },
            Command::GetSysctl(_) | Command::ListSysctls => Reply::Sysctls(Vec::new()),
            Command::ListDrops => Reply::Drops(Vec::new()),
            Command::Explain(_) => Reply::Explanation(Vec::new()),
            Command::ListSyncDaemons => Reply::SyncDaemons(Vec::new()),
            Command::ListMarks { .. } => Reply::Marks { items: Vec::new(), next: None },
            Command::ListPools { .. } => Reply::Pools { items: Vec::new(), next: None },
            _ => Reply::Done,
        };
        Self { command, sequence, reply }
    }

    /// The request datagram.
    pub fn request(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, if self.is_dump() { flag::DUMP } else { flag::ACK });
        out
    }

    /// Appends the request as a message that asks for no acknowledgement: only a refusal is answered. For commands that
    /// have no reply, several in a datagram; an acknowledged request after them tells that they are done.
    pub fn write_unacknowledged(&self, out: &mut Vec<u8>) {
        self.write(out, 0);
    }

    /// The sequence number by which answers are recognised.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    fn write(&self, out: &mut Vec<u8>, flags: u16) {
        let flags = flag::REQUEST | flags;
        Header { kind: FAMILY_ID, flags, sequence: self.sequence, port: 0 }.write_generic(
            out,
            number_of(&self.command),
            1,
            |writer| write_attributes(writer, &self.command),
        );
    }

    fn is_dump(&self) -> bool {
        matches!(
            self.command,
            Command::ListServices { .. }
                | Command::ListDestinations { .. }
                | Command::ListConnections { .. }
                | Command::ListSysctls
                | Command::ListDrops
                | Command::ListSyncDaemons
                | Command::ListMarks { .. }
                | Command::ListPools { .. }
        )
    }

    /// Takes a datagram of answers. Those of other exchanges are skipped.
    ///
    /// # Errors
    /// [`ProtocolError`] if an answer makes no sense; the exchange is over then.
    pub fn receive(&mut self, datagram: &[u8]) -> Result<Progress, ProtocolError> {
        let sequence = self.sequence;
        for message in Messages::new(datagram).filter(|message| message.header.sequence == sequence) {
            match message.header.kind {
                kind::ERROR => {
                    let code = message.payload.first_chunk().ok_or(ProtocolError("short error"))?;
                    return Ok(Progress::Done(match i32::from_ne_bytes(*code) {
                        0 => Ok(self.take()),
                        code => Err(Errno(code.saturating_neg())),
                    }));
                }
                kind::DONE => return Ok(Progress::Done(Ok(self.take()))),
                FAMILY_ID => self.take_in(&message)?,
                _ => return Err(ProtocolError("message of another family")),
            }
        }
        Ok(Progress::Wait)
    }

    fn take(&mut self) -> Reply {
        core::mem::replace(&mut self.reply, Reply::Done)
    }

    fn take_in(&mut self, message: &Message<'_>) -> Result<(), ProtocolError> {
        let (_, attributes) = message.generic().ok_or(ProtocolError("short message"))?;
        let table = Table::<{ attribute::END }>::parse(attributes, |_| Policy::Any)
            .map_err(|_| ProtocolError("attributes"))?;
        let nest = |kind| table.get(kind).ok_or(ProtocolError("attribute missing"));
        let ipv6 = matches!(&self.command, Command::ListDestinations { service, .. } if service.is_ipv6());
        match (&self.command, &mut self.reply) {
            (_, Reply::Services { items, .. }) => items.push(
                read_service_info(nest(attribute::SERVICE)?).map_err(|_| ProtocolError("bad service"))?,
            ),
            (_, Reply::Destinations { items, .. }) => items.push(
                read_destination_info(nest(attribute::DEST)?, ipv6)
                    .map_err(|_| ProtocolError("bad destination"))?,
            ),
            (_, Reply::Connections { items, .. }) => items
                .push(read_connection(nest(attribute::CONNECTION)?).ok_or(ProtocolError("bad connection"))?),
            (_, Reply::Drops(items)) => {
                items.push(read_drop(nest(attribute::DROP)?).ok_or(ProtocolError("bad reason"))?)
            }
            (_, Reply::Explanation(steps)) => {
                steps.push(read_step(nest(attribute::STEP)?).ok_or(ProtocolError("bad step"))?)
            }
            (_, Reply::Sysctls(items)) => items.extend(read_setting(nest(attribute::SYSCTL)?)),
            (_, Reply::SyncDaemons(items)) => {
                items.push(read_sync_daemon(nest(attribute::DAEMON)?).ok_or(ProtocolError("bad daemon"))?)
            }
            (_, Reply::Marks { items, .. }) => {
                let rule = read_mark(Some(nest(attribute::MARK)?));
                items.push(rule.map_err(|_| ProtocolError("bad mark rule"))?);
            }
            (_, Reply::Pools { items, .. }) => {
                items.push(read_pool_info(nest(attribute::POOL)?).ok_or(ProtocolError("bad pool"))?);
            }
            (Command::GetStats, reply) => {
                let totals = read_totals(nest(attribute::STATS)?).ok_or(ProtocolError("bad counters"))?;
                *reply = Reply::Stats(Box::new(totals));
            }
            (Command::GetService(_), reply) => {
                let service = read_service_info(nest(attribute::SERVICE)?);
                *reply = Reply::Service(Box::new(service.map_err(|_| ProtocolError("bad service"))?));
            }
            (Command::GetTimeouts, reply) => {
                let seconds = |kind| table.u32(kind).map_or(0, |value| value as i32);
                *reply = Reply::Timeouts(Timeouts {
                    tcp: seconds(attribute::TIMEOUT_TCP),
                    tcp_fin: seconds(attribute::TIMEOUT_TCP_FIN),
                    udp: seconds(attribute::TIMEOUT_UDP),
                });
            }
            (Command::GetInfo, reply) => {
                *reply = Reply::Info(Info {
                    version: table.u32(info::VERSION).ok_or(ProtocolError("no version"))?,
                    table_size: table.u32(info::CONN_TAB_SIZE).unwrap_or(0),
                    services: 0,
                });
            }
            _ => return Err(ProtocolError("answer to a command that has none")),
        }
        Ok(())
    }
}

/// The refusals in a datagram of answers: sequence number and errno of each.
pub fn refusals(datagram: &[u8]) -> impl Iterator<Item = (u32, Errno)> {
    Messages::new(datagram).filter(|message| message.header.kind == kind::ERROR).filter_map(|message| {
        let code = i32::from_ne_bytes(*message.payload.first_chunk()?);
        (code != 0).then_some((message.header.sequence, Errno(code.saturating_neg())))
    })
}

/// The datagram that asks for the family's id, answered by one that [`decode_family`] reads and an acknowledgement.
pub fn encode_get_family(sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    Header { kind: kind::NLCTRL, flags: flag::REQUEST | flag::ACK, sequence, port: 0 }.write_generic(
        &mut out,
        GET_FAMILY,
        1,
        write_get_family,
    );
    out
}

/// The family's id in an answer to [`encode_get_family`].
pub fn decode_family(message: &Message<'_>) -> Option<u16> {
    (message.header.kind == kind::NLCTRL).then(|| read_family(message.generic()?.1))?
}

fn number_of(command: &Command) -> u8 {
    match command {
        Command::AddService(..) => command::NEW_SERVICE,
        Command::EditService(..) => command::SET_SERVICE,
        Command::DeleteService(_) => command::DEL_SERVICE,
        Command::Flush => command::FLUSH,
        Command::Zero(_) => command::ZERO,
        Command::AddDestination(..) => command::NEW_DEST,
        Command::EditDestination(..) | Command::EditKernelDestination(..) => command::SET_DEST,
        Command::DeleteDestination(..) => command::DEL_DEST,
        Command::SetTimeouts(_) => command::SET_CONFIG,
        Command::GetTimeouts => command::GET_CONFIG,
        Command::GetInfo => command::GET_INFO,
        Command::GetService(_) | Command::ListServices { .. } => command::GET_SERVICE,
        Command::ListDestinations { .. } => command::GET_DEST,
        Command::ListConnections { .. } => command::GET_CONNECTION,
        Command::GetStats => command::GET_STATS,
        Command::ListDrops => command::GET_DROP,
        Command::Explain(_) => command::EXPLAIN,
        Command::GetSysctl(_) | Command::ListSysctls => command::GET_SYSCTL,
        Command::SetSysctl(..) => command::SET_SYSCTL,
        Command::StartSyncDaemon(..) => command::NEW_DAEMON,
        Command::StopSyncDaemon(_) => command::DEL_DAEMON,
        Command::ListSyncDaemons => command::GET_DAEMON,
        Command::AddMark(_) => command::NEW_MARK,
        Command::DeleteMark(_) => command::DEL_MARK,
        Command::ListMarks { .. } => command::GET_MARK,
        Command::AddPool(..) => command::NEW_POOL,
        Command::DeletePool(..) => command::DEL_POOL,
        Command::ListPools { .. } => command::GET_POOL,
    }
}

fn write_attributes(writer: &mut Writer<'_>, command: &Command) {
    match command {
        Command::AddService(id, config) | Command::EditService(id, config) => {
            writer.nest(attribute::SERVICE, |inner| write_service(inner, id, Some(config)));
        }
        Command::DeleteService(id)
        | Command::GetService(id)
        | Command::Zero(Some(id))
        | Command::ListDestinations { service: id, .. } => {
            writer.nest(attribute::SERVICE, |inner| write_service(inner, id, None));
        }
        Command::AddDestination(service, id, config)
        | Command::EditDestination(service, id, config)
        | Command::EditKernelDestination(service, id, config) => {
            let of_kernel = matches!(command, Command::EditKernelDestination(..));
            let settings = Settings { config: *config, of_kernel };
            writer.nest(attribute::SERVICE, |inner| write_service(inner, service, None));
            writer.nest(attribute::DEST, |inner| write_destination(inner, id, &settings));
        }
        Command::DeleteDestination(service, id) => {
            writer.nest(attribute::SERVICE, |inner| write_service(inner, service, None));
            writer.nest(attribute::DEST, |inner| write_destination_id(inner, id));
        }
        Command::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
            writer.u32(attribute::TIMEOUT_TCP, *tcp as u32);
            writer.u32(attribute::TIMEOUT_TCP_FIN, *tcp_fin as u32);
            writer.u32(attribute::TIMEOUT_UDP, *udp as u32);
        }
        Command::GetSysctl(sysctl) => {
            writer.nest(attribute::SYSCTL, |inner| write_setting(inner, *sysctl, None));
        }
        Command::SetSysctl(sysctl, values) => {
            writer.nest(attribute::SYSCTL, |inner| write_setting(inner, *sysctl, Some(values)));
        }
        Command::StartSyncDaemon(state, config) => {
            writer.nest(attribute::DAEMON, |inner| write_start(inner, *state, config));
        }
        Command::StopSyncDaemon(state) => {
            writer.nest(attribute::DAEMON, |inner| write_stop(inner, *state));
        }
        Command::Explain(question) => {
            writer.nest(attribute::QUESTION, |inner| write_question(inner, question));
        }
        Command::AddMark(rule) | Command::DeleteMark(rule) => {
            writer.nest(attribute::MARK, |inner| write_mark(inner, rule));
        }
        Command::AddPool(name, addresses) | Command::DeletePool(name, addresses) => {
            writer.nest(attribute::POOL, |inner| write_pool(inner, name, addresses));
        }
        Command::Flush
        | Command::GetStats
        | Command::ListSysctls
        | Command::ListDrops
        | Command::ListSyncDaemons
        | Command::ListMarks { .. }
        | Command::ListPools { .. }
        | Command::Zero(None)
        | Command::GetTimeouts
        | Command::GetInfo
        | Command::ListServices { .. }
        | Command::ListConnections { .. } => {}
    }
}
