//! Why the daemon ended other than on request, and its exit codes.

use std::io;
use std::process::ExitCode;

/// Why the daemon did not start or could not go on: one line that names what offends and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Privileges are missing.
    #[error("not permitted to {0}: run as root or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK")]
    NotPermitted(String),
    /// Another daemon runs in this network namespace or has the control socket.
    #[error("{0}")]
    AnotherDaemon(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// What failed and why: a lack of privileges is told apart.
    pub(crate) fn new(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let (what, error) = (what.into(), error.into());
        if error.kind() == io::ErrorKind::PermissionDenied {
            Self::NotPermitted(what)
        } else {
            Self::Other(format!("cannot {what}: {error}"))
        }
    }

    /// The exit code, see `ipvsd run --help`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Other(_) => 1,
            Self::AnotherDaemon(_) => 3,
            Self::NotPermitted(_) => 4,
        })
    }
}
