//! What the director's refusals are called: by operation and error number.

use ipvs_core::{Command, PoolName};

use crate::errno::Errno;

/// What was asked when the director refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    AddService,
    EditService,
    /// Delete, zero or get a service.
    FindService,
    /// With the pool that it was to have.
    AddDestination(Option<PoolName>),
    /// Edit or delete a destination, with the pool that it was to have.
    FindDestination(Option<PoolName>),
    StartSyncDaemon,
    StopSyncDaemon,
    Other,
}

impl Operation {
    /// The operation that `command` is.
    pub(super) const fn of(command: &Command) -> Self {
        match command {
            Command::AddService(..) => Self::AddService,
            Command::EditService(..) => Self::EditService,
            Command::DeleteService(_) | Command::Zero(_) | Command::GetService(_) => Self::FindService,
            Command::AddDestination(.., config) => Self::AddDestination(config.local_pool),
            Command::EditDestination(.., config) => Self::FindDestination(config.local_pool),
            Command::DeleteDestination(..) => Self::FindDestination(None),
            Command::StartSyncDaemon(..) => Self::StartSyncDaemon,
            Command::StopSyncDaemon(_) => Self::StopSyncDaemon,
            _ => Self::Other,
        }
    }

    /// The original's text for `errno`, else the C library's.
    pub(super) fn refusal(self, errno: Errno) -> String {
        if let Some(text) = self.refusal_of_full_nat(errno) {
            return text;
        }
        let special = match (self, errno) {
            (Self::AddService, Errno::EEXIST) => "Service already exists",
            (Self::AddService | Self::EditService, Errno::ENOENT) => {
                "Scheduler or persistence engine not found"
            }
            (Self::EditService | Self::FindService, Errno::ESRCH) => "No such service",
            (Self::AddDestination(_) | Self::FindDestination(_), Errno::ESRCH) => "Service not defined",
            (Self::AddDestination(_), Errno::EEXIST) => "Destination already exists",
            (Self::FindDestination(_), Errno::ENOENT) => "No such destination",
            (Self::StartSyncDaemon, Errno::EEXIST) => "Daemon has already run",
            (Self::StopSyncDaemon, Errno::ESRCH) => "No daemon is running",
            (_, Errno::EPERM) => "Permission denied (you must be root)",
            (_, Errno::EINVAL) => {
                "Invalid operation.  Possibly wrong module version, address not unicast, ..."
            }
            (_, Errno::ENOPROTOOPT) => "Protocol not available",
            (_, Errno::ENOMEM) => "Memory allocation problem",
            (_, Errno::EOPNOTSUPP) => "Operation not supported with IPv6",
            (_, Errno::EAFNOSUPPORT) => "Operation not supported with specified address family",
            (_, Errno::EMSGSIZE) => "Module is wrong version",
            _ => return errno.to_string(),
        };
        special.to_owned()
    }

    /// What only destinations with a pool, and services beside pools, are refused for.
    fn refusal_of_full_nat(self, errno: Errno) -> Option<String> {
        if let (Self::AddService, Errno::EADDRINUSE) = (self, errno) {
            return Some(
                "The address is of a pool of local addresses: take it out with `ipvsd pool del`, or choose another one".to_owned(),
            );
        }
        if let (Self::EditService, Errno::EBUSY) = (self, errno) {
            return Some(
                "The service has servers by full NAT, which goes without one-packet scheduling (no -o)"
                    .to_owned(),
            );
        }
        let (Self::AddDestination(Some(pool)) | Self::FindDestination(Some(pool))) = self else {
            return None;
        };
        Some(match errno {
            Errno::ENXIO => {
                format!(
                    "No such pool of local addresses: make it first, with `ipvsd pool add {pool} ADDRESS...`"
                )
            }
            Errno::EAFNOSUPPORT => format!(
                "The pool '{pool}' has no address of the server's family: add one with `ipvsd pool add {pool} ADDRESS`"
            ),
            Errno::EOPNOTSUPP => {
                "Full NAT is not possible for services with one-packet scheduling (no -o)".to_owned()
            }
            _ => return None,
        })
    }
}
