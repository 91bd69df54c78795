//! Content from the daemon.

use std::path::Path;
use std::time::Duration;

use ipvs_abi::errno::Errno;
use ipvs_abi::{proc, sysctl};
use ipvs_client::{ClientError, ControlClient};
use ipvs_core::{Command, Reply, Sysctl};

use super::name::Name;
use super::processors::possible_processors;
use super::provider::Provider;
use crate::daemon::{self, CallError};

/// The daemon at a control socket. While it is away, to be restarted say, calls wait for it a few seconds; then files give
/// EIO.
#[derive(Debug)]
pub struct Daemon(daemon::Daemon);

impl Daemon {
    /// The daemon that listens, or will listen, at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self(daemon::Daemon::new(socket))
    }

    /// The same, which may be away for `patience`.
    pub fn with_patience(socket: &Path, patience: Duration) -> Self {
        Self(daemon::Daemon::with_patience(socket, patience))
    }

    /// Does `job`, again if its connection is lost: no request here does harm when repeated.
    fn with<T>(&self, job: impl FnMut(&mut ControlClient) -> Result<T, ClientError>) -> Result<T, Errno> {
        self.0.call(true, &|| true, job).map_err(|error| match error {
            CallError::Refused(errno) => errno,
            CallError::Absent | CallError::Unwanted | CallError::Unknown => Errno::EIO,
        })
    }
}

impl Provider for Daemon {
    fn read(&self, name: Name) -> Result<Vec<u8>, Errno> {
        self.with(|client| match name {
            Name::Table(file) => {
                proc::read(file, possible_processors(), &mut |command| client.request(command))
            }
            Name::Setting(setting) => match client.request(Command::GetSysctl(setting))? {
                Reply::Sysctls(values) => Ok(values
                    .iter()
                    .filter(|(each, _)| *each == setting)
                    .map(|(each, values)| sysctl::format(*each, values))
                    .collect::<String>()
                    .into_bytes()),
                _ => Err(ClientError::Refused(Errno::EIO)),
            },
        })
    }

    fn write(&self, setting: Sysctl, text: &[u8]) -> Result<usize, Errno> {
        sysctl::write(setting, text, |values| {
            self.with(|client| client.request(Command::SetSysctl(setting, values.clone())).map(drop))
        })
    }
}
