//! The director behind the control socket.

use std::path::PathBuf;

use ipvs_abi::ipvsadm::{ClientFailure, DirectorClient};
use ipvs_core::{Command, Reply};

use crate::control_client::{ClientError, ControlClient};

/// Connects at the first command and keeps the connection.
#[derive(Debug)]
pub(super) struct SocketClient {
    path: PathBuf,
    connection: Option<ControlClient>,
}

impl SocketClient {
    /// A client of the daemon whose control socket is at `path`.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, connection: None }
    }

    fn request(&mut self, command: Command) -> Result<Reply, ClientError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(ControlClient::connect(&self.path)?),
        };
        connection.request(command)
    }
}

impl DirectorClient for SocketClient {
    fn execute(&mut self, command: Command) -> Result<Reply, ClientFailure> {
        self.request(command).map_err(|error| match error {
            ClientError::Refused(errno) => ClientFailure::Refused(errno),
            ClientError::Connect { .. } => ClientFailure::Unreachable(format!(
                "ipvsadm: {error}; start it with `ipvsd run', or name its socket with --socket or IPVSD_SOCKET \
                 (see ipvsadm --help-ipvsd)"
            )),
            error => ClientFailure::Unreachable(format!("ipvsadm: {error}")),
        })
    }
}
