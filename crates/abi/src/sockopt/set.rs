//! setsockopt: bytes to commands.

use ipvs_core::{Command, Error, Reply, ServiceId};

use crate::errno::Errno;

use super::layout::{self, ServiceUser, read_daemon, read_daemon_state, read_destination, read_timeouts};
use super::number::set;

/// What a set asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Execute this.
    Execute(Command),
    /// Execute this if the service exists, and has this protocol (a mark service is found with any).
    OnService(ServiceId, u16, Command),
}

impl Change {
    /// Does it.
    ///
    /// # Errors
    /// Why not.
    pub fn apply(self, execute: &mut dyn FnMut(Command) -> Result<Reply, Error>) -> Result<(), Error> {
        let command = match self {
            Self::Execute(command) => command,
            Self::OnService(id, protocol, command) => {
                let has = match (id, execute(Command::GetService(id))?) {
                    (ServiceId::Mark { .. }, Reply::Service(info)) => info.target.protocol,
                    _ => protocol,
                };
                if has != protocol {
                    return Err(Error::NoSuchService);
                }
                command
            }
        };
        execute(command).map(drop)
    }
}

/// TCP, UDP and SCTP.
const PROTOCOLS: [u16; 3] = [6, 17, 132];

/// Decodes the bytes of a set that [`check`](super::check) let pass.
///
/// # Errors
/// EINVAL and EFAULT, checks made in the kernel's order.
pub fn decode_set(number: u32, data: &[u8]) -> Result<Change, Errno> {
    match number {
        set::STARTDAEMON => {
            let config = read_daemon(data).ok_or(Errno::EINVAL)?;
            return Ok(Change::Execute(Command::StartSyncDaemon(read_daemon_state(data), config)));
        }
        set::STOPDAEMON => return Ok(Change::Execute(Command::StopSyncDaemon(read_daemon_state(data)))),
        set::FLUSH => return Ok(Change::Execute(Command::Flush)),
        set::TIMEOUT => return Ok(Change::Execute(Command::SetTimeouts(read_timeouts(data)))),
        set::ADD | set::EDIT | set::DEL | set::ADDDEST | set::DELDEST | set::EDITDEST | set::ZERO => {}
        _ => return Err(Errno::EINVAL),
    }
    let service = ServiceUser::read(data);
    let target = service.target;
    if number == set::ZERO && service.mark == 0 && target.address.is_unspecified() && target.port == 0 {
        return Ok(Change::Execute(Command::Zero(None)));
    }
    if matches!(number, set::ADD | set::EDIT) && service.scheduler.is_none() {
        return Err(Errno::EINVAL);
    }
    // Of a mark service too, and with this errno.
    if !PROTOCOLS.contains(&target.protocol) {
        return Err(Errno::EFAULT);
    }
    let id = service.id();
    let destination = || read_destination(data.get(layout::SERVICE..).unwrap_or_default());
    let command = match number {
        set::ADD => {
            return Ok(Change::Execute(Command::AddService(id, service.config().ok_or(Errno::EINVAL)?)));
        }
        set::EDIT => Command::EditService(id, service.config().ok_or(Errno::EINVAL)?),
        set::DEL => Command::DeleteService(id),
        set::ZERO => Command::Zero(Some(id)),
        set::ADDDEST => {
            let (destination, config) = destination();
            Command::AddDestination(id, destination, config)
        }
        set::EDITDEST => {
            let (destination, config) = destination();
            Command::EditKernelDestination(id, destination, config)
        }
        _ => Command::DeleteDestination(id, destination().0),
    };
    Ok(Change::OnService(id, target.protocol, command))
}
