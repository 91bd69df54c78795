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

    /// Has the director do several commands, one after the other; their outcomes in the same order. None of them is a
    /// listing.
    fn execute_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientFailure>> {
        commands.into_iter().map(|command| self.execute(command)).collect()
    }

    /// Asks the director several things, the answers in the same order. Listings may be first pages.
    fn ask_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientFailure>> {
        commands.into_iter().map(|command| self.execute(command)).collect()
    }
}
