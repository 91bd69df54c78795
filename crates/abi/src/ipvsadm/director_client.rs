//! How commands reach the director.

use ipvs_core::{Command, Reply};

use crate::errno::Errno;

/// Why the director did not do a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFailure {
    /// It refused.
    Refused(Errno),
    /// It could not be asked: why, for the user.
    Unreachable(String),
}

/// Executes commands: over the control socket in the program, by a director in memory in tests.
pub trait DirectorClient {
    /// Has the director do `command`. Listings may come page by page.
    ///
    /// # Errors
    /// Refused, or not reached.
    fn execute(&mut self, command: Command) -> Result<Reply, ClientFailure>;
}
