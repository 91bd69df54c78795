//! Requests, as the server sees them.

use ipvs_core::{Command, ServiceId, Timeouts};

use crate::errno::Errno;

use super::attribute::{Policy, Table};
use super::destination::{read_destination, read_destination_id};
use super::explain::read_question;
use super::family;
use super::mark::read_mark;
use super::message::Message;
use super::number::{attribute, command, flag, kind};
use super::pool::read_pool;
use super::service::read_service;
use super::setting;
use super::sockopt::{self, SocketOption};
use super::sync_daemon;
use super::{FAMILY_ID, family::GET_FAMILY};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: acknowledged if it asks for that (control messages, messages without the REQUEST flag).
    Nothing,
    /// A description of the family.
    DescribeFamily,
    /// Execute this command and answer with its reply.
    Execute(Command),
    /// Refuse: with ESRCH if there is no such service, else with this errno. (The kernel looks for the service before
    /// it looks into the destination.)
    RefuseAfter(ServiceId, Errno),
    /// A socket option (ours).
    Option(SocketOption),
    /// Dump this.
    Dump(Listing),
}

/// What is dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All services.
    Services,
    /// The destinations of a service; nothing if it does not exist.
    Destinations(ServiceId),
    /// All connections (ours).
    Connections,
    /// All settings (ours).
    Sysctls,
    /// Dropped packets by reason (ours).
    Drops,
    /// The rules that give packets their firewall marks (ours).
    Marks,
    /// The pools of local addresses (ours).
    Pools,
    /// The synchronisation daemons that run.
    SyncDaemons,
    /// The family's description.
    Families,
    /// Nothing: the destinations of a service that was not named properly.
    Nothing,
}

/// Decodes a request of a client that has CAP_NET_ADMIN, or not.
///
/// # Errors
/// The errno that the kernel answers with, checks made in the kernel's order.
pub fn decode_request(message: &Message<'_>, privileged: bool) -> Result<Action, Errno> {
    let header = &message.header;
    if !header.has(flag::REQUEST) || header.kind < kind::FIRST_FAMILY {
        return Ok(Action::Nothing);
    }
    if header.kind != FAMILY_ID && header.kind != kind::NLCTRL {
        return Err(Errno::ENOENT);
    }
    let (command, attributes) = message.generic().ok_or(Errno::EINVAL)?;
    let dump = header.has(flag::DUMP);
    if header.kind == kind::NLCTRL {
        return match command {
            GET_FAMILY if dump => Ok(Action::Dump(Listing::Families)),
            GET_FAMILY => family::read_get_family(attributes).map(|()| Action::DescribeFamily),
            _ => Err(Errno::EOPNOTSUPP),
        };
    }
    if !family::exists(command) {
        return Err(Errno::EOPNOTSUPP);
    }
    if !privileged {
        return Err(Errno::EPERM);
    }
    if !family::answers(command, dump) {
        return Err(Errno::EOPNOTSUPP);
    }
    if dump { Ok(Action::Dump(decode_dump(command, attributes))) } else { decode_do(command, attributes) }
}

/// Policy of the attributes at the top level.
fn policy(kind: u16) -> Policy {
    match kind {
        attribute::SERVICE | attribute::DEST | attribute::DAEMON => Policy::Nested,
        attribute::TIMEOUT_TCP..=attribute::TIMEOUT_UDP => Policy::AtLeast(4),
        _ => Policy::Any,
    }
}

/// A dump never fails on its attributes: it is empty instead.
fn decode_dump(command: u8, attributes: &[u8]) -> Listing {
    match command {
        command::GET_SERVICE => Listing::Services,
        command::GET_CONNECTION => Listing::Connections,
        command::GET_SYSCTL => Listing::Sysctls,
        command::GET_DROP => Listing::Drops,
        command::GET_MARK => Listing::Marks,
        command::GET_POOL => Listing::Pools,
        command::GET_DAEMON => Listing::SyncDaemons,
        command::GET_DEST => Table::<7>::parse(attributes, policy)
            .and_then(|table| read_service(table.get(attribute::SERVICE)))
            .map_or(Listing::Nothing, |service| Listing::Destinations(service.id)),
        _ => Listing::Nothing,
    }
}

fn decode_do(command: u8, attributes: &[u8]) -> Result<Action, Errno> {
    let table = Table::<{ attribute::END }>::parse(attributes, policy)?;
    let service = || read_service(table.get(attribute::SERVICE));
    let destination = table.get(attribute::DEST);
    let command = match command {
        command::NEW_SERVICE => service().and_then(|s| Ok(Command::AddService(s.id, s.config()?)))?,
        command::SET_SERVICE => service().and_then(|s| Ok(Command::EditService(s.id, s.config()?)))?,
        command::DEL_SERVICE => Command::DeleteService(service()?.id),
        command::GET_SERVICE => Command::GetService(service()?.id),
        command::NEW_DEST | command::SET_DEST | command::DEL_DEST => {
            let service = service()?.id;
            let decoded = match command {
                command::NEW_DEST => read_destination(destination, service.is_ipv6())
                    .map(|(id, given)| Command::AddDestination(service, id, given.config)),
                command::SET_DEST => read_destination(destination, service.is_ipv6()).map(|(id, given)| {
                    match given.of_kernel {
                        true => Command::EditKernelDestination(service, id, given.config),
                        false => Command::EditDestination(service, id, given.config),
                    }
                }),
                _ => read_destination_id(destination, service.is_ipv6())
                    .map(|id| Command::DeleteDestination(service, id)),
            };
            return Ok(decoded.map_or_else(|errno| Action::RefuseAfter(service, errno), Action::Execute));
        }
        command::SET_CONFIG => {
            let seconds = |kind| table.u32(kind).unwrap_or(0) as i32;
            Command::SetTimeouts(Timeouts {
                tcp: seconds(attribute::TIMEOUT_TCP),
                tcp_fin: seconds(attribute::TIMEOUT_TCP_FIN),
                udp: seconds(attribute::TIMEOUT_UDP),
            })
        }
        command::GET_CONFIG => Command::GetTimeouts,
        command::GET_INFO => Command::GetInfo,
        command::ZERO if table.get(attribute::SERVICE).is_none() => Command::Zero(None),
        command::ZERO => Command::Zero(Some(service()?.id)),
        command::FLUSH => Command::Flush,
        command::NEW_DAEMON => sync_daemon::read_start(table.get(attribute::DAEMON))?,
        command::DEL_DAEMON => sync_daemon::read_stop(table.get(attribute::DAEMON))?,
        command::GET_SYSCTL => setting::read_get(table.get(attribute::SYSCTL))?,
        command::SET_SYSCTL => setting::read_set(table.get(attribute::SYSCTL))?,
        command::SOCKOPT => {
            return sockopt::read_request(table.get(attribute::SOCKOPT)).map(Action::Option);
        }
        command::GET_STATS => Command::GetStats,
        command::EXPLAIN => Command::Explain(read_question(table.get(attribute::QUESTION))?),
        command::NEW_MARK => Command::AddMark(read_mark(table.get(attribute::MARK))?),
        command::DEL_MARK => Command::DeleteMark(read_mark(table.get(attribute::MARK))?),
        command::NEW_POOL | command::DEL_POOL => {
            let (name, addresses) = read_pool(table.get(attribute::POOL))?;
            match command {
                command::NEW_POOL => Command::AddPool(name, addresses),
                _ => Command::DeletePool(name, addresses),
            }
        }
        _ => return Err(Errno::EOPNOTSUPP),
    };
    Ok(Action::Execute(command))
}
