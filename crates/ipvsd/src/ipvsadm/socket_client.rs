//! The director behind the control socket.

use std::path::PathBuf;

use ipvs_abi::ipvsadm::{ClientFailure, DirectorClient};
use ipvs_core::{Command, Reply};

use ipvs_client::{ClientError, ControlClient};

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

    fn connection(&mut self) -> Result<&mut ControlClient, ClientFailure> {
        Ok(match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(ControlClient::connect(&self.path).map_err(failure)?),
        })
    }

    /// What `request` makes of the commands on the connection.
    fn each(
        &mut self,
        commands: Vec<Command>,
        request: impl Fn(&mut ControlClient, Vec<Command>) -> Vec<Result<Reply, ClientError>>,
    ) -> Vec<Result<Reply, ClientFailure>> {
        match self.connection() {
            Ok(connection) => {
                request(connection, commands).into_iter().map(|outcome| outcome.map_err(failure)).collect()
            }
            Err(failure) => commands.iter().map(|_| Err(failure.clone())).collect(),
        }
    }
}

impl DirectorClient for SocketClient {
    fn execute(&mut self, command: Command) -> Result<Reply, ClientFailure> {
        self.connection()?.request(command).map_err(failure)
    }

    fn execute_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientFailure>> {
        self.each(commands, ControlClient::request_each)
    }

    fn ask_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientFailure>> {
        self.each(commands, ControlClient::ask_each)
    }
}

/// What to tell the user.
fn failure(error: ClientError) -> ClientFailure {
    match error {
        ClientError::Refused(errno) => ClientFailure::Refused(errno),
        ClientError::Connect { .. } => ClientFailure::Unreachable(format!(
            "ipvsadm: {error}; start it with `ipvsd run`, or name its socket with --socket or IPVSD_SOCKET \
             (see ipvsadm --help-ipvsd)"
        )),
        error => ClientFailure::Unreachable(format!("ipvsadm: {error}")),
    }
}
