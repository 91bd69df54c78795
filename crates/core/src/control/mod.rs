//! The control plane: [`Director::execute`]. Checks come in the kernel's order (spec sections 2.4 and 3.5, confirmed
//! on the reference kernel); a command that is refused changes nothing.

mod connections;
mod destinations;
mod listing;
mod marks;
mod pools;
mod services;
mod settings;
#[cfg(test)]
mod tests;
mod timeouts;

pub(crate) use destinations::interests as destination_interests;
pub(crate) use services::bound as readied;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::{Command, Reply, ServiceId};
use crate::director::Director;
use crate::error::Error;
use crate::host::Host;
use crate::time::Instant;

impl Director {
    /// Does a command.
    ///
    /// # Errors
    /// Why it was refused; then nothing has changed.
    pub fn execute(&mut self, now: Instant, host: &dyn Host, command: Command) -> Result<Reply, Error> {
        self.collect_for(&command);
        let concerned = self.withdraw_for(&command);
        let outcome = self.carry_out(now, host, command);
        if let Some(service) = concerned {
            self.publish_later(&service);
        }
        outcome
    }

    fn carry_out(&mut self, now: Instant, host: &dyn Host, command: Command) -> Result<Reply, Error> {
        match command {
            Command::AddService(id, config) => self.add_service(now, canonical(id), config),
            Command::EditService(id, config) => self.edit_service(now, canonical(id), config),
            Command::DeleteService(id) => self.delete_service(now, canonical(id)),
            Command::Flush => self.flush(now),
            Command::Zero(id) => self.zero(id.map(canonical)),
            Command::AddDestination(service, id, config) => {
                self.add_destination(host, canonical(service), id, config)
            }
            Command::EditDestination(service, id, config) => {
                self.edit_destination(canonical(service), id, config)
            }
            Command::EditKernelDestination(service, id, config) => {
                self.edit_kernel_destination(canonical(service), id, config)
            }
            Command::DeleteDestination(service, id) => self.delete_destination(now, canonical(service), id),
            Command::SetTimeouts(timeouts) => self.set_timeouts(timeouts),
            Command::GetTimeouts => Ok(Reply::Timeouts(self.timeouts.shown())),
            Command::GetInfo => Ok(self.info()),
            Command::GetStats => Ok(self.total_stats()),
            Command::GetSysctl(sysctl) => Ok(self.list_sysctls(Some(sysctl))),
            Command::ListDrops => Ok(self.list_drops()),
            Command::ListSysctls => Ok(self.list_sysctls(None)),
            Command::SetSysctl(sysctl, values) => self.set_sysctl(sysctl, &values),
            Command::StartSyncDaemon(role, config) => self.start_sync_daemon(host, role, config),
            Command::StopSyncDaemon(role) => self.stop_sync_daemon(role),
            Command::ListSyncDaemons => Ok(self.list_sync_daemons()),
            Command::AddMark(rule) => self.add_mark(rule),
            Command::DeleteMark(rule) => self.delete_mark(rule),
            Command::ListMarks { cursor, limit } => Ok(self.list_marks(cursor, limit)),
            Command::AddPool(name, addresses) => self.add_pool(host, name, &addresses),
            Command::DeletePool(name, addresses) => self.delete_pool(name, &addresses),
            Command::ListPools { cursor, limit } => Ok(self.list_pools(cursor, limit)),
            Command::Explain(question) => self.explain(now, host, &question),
            Command::GetService(id) => self.service(canonical(id)),
            Command::ListServices { cursor, limit } => Ok(self.list_services(cursor, limit)),
            Command::ListDestinations { service, cursor, limit } => {
                self.list_destinations(canonical(service), cursor, limit)
            }
            Command::ListConnections { cursor, limit } => Ok(self.list_connections(now, cursor, limit)),
        }
    }
}

/// A service with mark 0 is, in the kernel, the TCP service for all ports of the unspecified address (seen: it can be
/// added as one and asked for as the other).
fn canonical(id: ServiceId) -> ServiceId {
    match id {
        ServiceId::Mark { ipv6, mark: 0 } => {
            let address: IpAddr =
                if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            ServiceId::Address { protocol: 6, address, port: 0 }
        }
        other => other,
    }
}
