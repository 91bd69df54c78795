//! What the director's refusals are called: by operation and error number.

use ipvs_core::Command;

use crate::errno::Errno;

/// What was asked when the director refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    AddService,
    EditService,
    /// Delete, zero or get a service.
    FindService,
    AddDestination,
    /// Edit or delete a destination.
    FindDestination,
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
            Command::AddDestination(..) => Self::AddDestination,
            Command::EditDestination(..) | Command::DeleteDestination(..) => Self::FindDestination,
            Command::StartSyncDaemon(..) => Self::StartSyncDaemon,
            Command::StopSyncDaemon(_) => Self::StopSyncDaemon,
            _ => Self::Other,
        }
    }

    /// The original's text for `errno`, else the C library's.
    pub(super) fn refusal(self, errno: Errno) -> String {
        let special = match (self, errno) {
            (Self::AddService, Errno::EEXIST) => "Service already exists",
            (Self::AddService | Self::EditService, Errno::ENOENT) => {
                "Scheduler or persistence engine not found"
            }
            (Self::EditService | Self::FindService, Errno::ESRCH) => "No such service",
            (Self::AddDestination | Self::FindDestination, Errno::ESRCH) => "Service not defined",
            (Self::AddDestination, Errno::EEXIST) => "Destination already exists",
            (Self::FindDestination, Errno::ENOENT) => "No such destination",
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
}
