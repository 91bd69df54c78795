//! Content from the daemon.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipvs_abi::errno::Errno;
use ipvs_abi::sysctl;
use ipvs_client::{ClientError, ControlClient};
use ipvs_core::{Command, Reply, Sysctl};

use super::name::Name;
use super::proc_texts;
use super::provider::Provider;

/// How long a daemon may be away, to be restarted say, before files give EIO, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether it is back.
const RETRY: Duration = Duration::from_millis(50);

/// The daemon at a control socket. Connections are kept and used again.
#[derive(Debug)]
pub struct Daemon {
    socket: PathBuf,
    patience: Duration,
    idle: Mutex<Vec<ControlClient>>,
}

impl Daemon {
    /// The daemon that listens, or will listen, at `socket`.
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket, patience: PATIENCE, idle: Mutex::new(Vec::new()) }
    }

    /// Lets it be away for that long.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Does `job` with a connection, again with a new one if that was lost: no request here does harm when repeated.
    fn with<T>(&self, mut job: impl FnMut(&mut ControlClient) -> Result<T, ClientError>) -> Result<T, Errno> {
        let deadline = Instant::now() + self.patience;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let kept = idle.is_some();
            let outcome = match idle.map_or_else(|| ControlClient::connect(&self.socket), Ok) {
                Ok(mut client) => {
                    let outcome = job(&mut client);
                    if matches!(outcome, Ok(_) | Err(ClientError::Refused(_))) {
                        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
                    }
                    outcome
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(content) => return Ok(content),
                Err(ClientError::Refused(errno)) => return Err(errno),
                // It may have been closed long ago, by a daemon that has a successor now.
                Err(_) if kept => {}
                Err(ClientError::Connect { .. } | ClientError::Closed) if Instant::now() < deadline => {
                    thread::sleep(RETRY);
                }
                Err(_) => return Err(Errno::EIO),
            }
        }
    }
}

impl Provider for Daemon {
    fn read(&self, name: Name) -> Result<Vec<u8>, Errno> {
        self.with(|client| match name {
            Name::Table(file) => {
                proc_texts::read(file, &mut |command| client.request(command)).map(String::into_bytes)
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

    fn write(&self, setting: Sysctl, text: &[u8]) -> Result<(), Errno> {
        let values = sysctl::parse(setting, text)?;
        self.with(|client| client.request(Command::SetSysctl(setting, values.clone())).map(drop))
    }
}
