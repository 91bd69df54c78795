//! Which options a command needs and which it may have.

use super::error::UsageError;
use super::option::{CommandName, OptionName, OptionSet};

/// The options that `command` needs, and those it may have besides.
const fn rules(command: CommandName) -> (OptionSet, OptionSet) {
    use OptionName as O;
    let (must, may): (&[O], &[O]) = match command {
        CommandName::AddService | CommandName::EditService => (
            &[O::ServiceAddress],
            &[O::Scheduler, O::Persistent, O::Netmask, O::Ops, O::PersistenceEngine, O::SchedFlags],
        ),
        CommandName::DeleteService => (&[O::ServiceAddress], &[]),
        CommandName::AddServer | CommandName::EditServer => (
            &[O::ServiceAddress, O::RealServer],
            &[
                O::ForwardingMethod,
                O::Weight,
                O::UpperThreshold,
                O::LowerThreshold,
                O::TunType,
                O::TunPort,
                O::TunNocsum,
                O::TunCsum,
                O::TunRemcsum,
            ],
        ),
        CommandName::DeleteServer => (&[O::ServiceAddress, O::RealServer], &[]),
        CommandName::List => (
            &[],
            &[
                O::Numeric,
                O::Connection,
                O::ServiceAddress,
                O::Timeout,
                O::Daemon,
                O::Stats,
                O::Rate,
                O::Thresholds,
                O::PersistentConn,
                O::NoSort,
                O::SyncId,
                O::Exact,
                O::TunInfo,
            ],
        ),
        CommandName::StartDaemon => {
            (&[], &[O::McastInterface, O::SyncId, O::McastGroup, O::McastPort, O::McastTtl, O::SyncMaxlen])
        }
        CommandName::StopDaemon => (&[], &[O::SyncId]),
        CommandName::Save => (&[], &[O::Numeric]),
        CommandName::Zero => (&[], &[O::ServiceAddress]),
        CommandName::Flush
        | CommandName::Set
        | CommandName::Restore
        | CommandName::Help
        | CommandName::Version
        | CommandName::HelpIpvsd => (&[], &[]),
    };
    (OptionSet::of(must), OptionSet::of(may))
}

/// Checks `given` against the command, in the original's order: the first option that is missing or illegal decides.
pub(super) fn check(command: CommandName, given: OptionSet) -> Result<(), UsageError> {
    let (must, may) = rules(command);
    for option in OptionName::ALL {
        if given.contains(option) {
            if !must.contains(option) && !may.contains(option) {
                return Err(UsageError::illegal(option, command));
            }
        } else if must.contains(option) {
            return Err(UsageError::missing(option, command));
        }
    }
    Ok(())
}
