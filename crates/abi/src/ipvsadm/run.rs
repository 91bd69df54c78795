//! Doing what a command line asks for: commands to the director, output, exit code.

use std::io::{self, BufRead, Write};

use ipvs_core::Command;

use super::command_line::{Action, CommandLine};
use super::director_client::{ClientFailure, DirectorClient};
use super::error::UsageError;
use super::listing;
use super::parse::parse;
use super::refusal::Operation;
use super::resolver::Resolver;
use super::restore;
use super::usage;

/// The exit code when the director refused a command.
pub(super) const REFUSED: u8 = 255;

/// The exit code when a listing failed.
const LISTING_FAILED: u8 = 1;

/// The exit code when the director cannot be reached.
const UNREACHABLE: u8 = 2;

/// What a run prints and with which code it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For standard error, without the final newline.
    pub message: String,
    /// The exit code.
    pub exit_code: u8,
}

impl Failure {
    /// A command that failed.
    pub(super) fn of_command(operation: Operation, failure: ClientFailure) -> Self {
        Self::new(operation, failure, REFUSED)
    }

    /// A listing that failed.
    pub(super) fn of_listing(operation: Operation, failure: ClientFailure) -> Self {
        Self::new(operation, failure, LISTING_FAILED)
    }

    fn new(operation: Operation, failure: ClientFailure, exit_code: u8) -> Self {
        match failure {
            ClientFailure::Refused(errno) => Self { message: operation.refusal(errno), exit_code },
            ClientFailure::Unreachable(message) => Self { message, exit_code: UNREACHABLE },
        }
    }

    /// Prints the message, after all that was printed before.
    pub(super) fn report(&self, output: &mut dyn Write, errors: &mut dyn Write) {
        // Where standard error is closed there is nobody to tell.
        let _ = output.flush();
        let _ = writeln!(errors, "{}", self.message);
    }

    /// An answer of the wrong kind.
    pub(super) fn unintelligible() -> Self {
        Self { message: "ipvsadm: ipvsd gave an unexpected answer".to_owned(), exit_code: UNREACHABLE }
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self { message: error.to_string(), exit_code: error.exit_code() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { message: format!("ipvsadm: {error}"), exit_code: LISTING_FAILED }
    }
}

/// What a run reads and writes.
pub struct Streams<'a> {
    /// Standard input, read by `-R`.
    pub input: &'a mut dyn BufRead,
    /// Standard output.
    pub output: &'a mut dyn Write,
    /// Standard error.
    pub errors: &'a mut dyn Write,
}

/// Understands the words of a command line, the program's name not among them.
///
/// # Errors
/// What to print and the exit code, exactly as ipvsadm 1.31.
pub fn understand(words: &[String], resolver: &dyn Resolver) -> Result<CommandLine, Failure> {
    Ok(parse(words, true, resolver)?)
}

/// Does what a command line asks for; returns the exit code.
///
/// `client` is used only if [`Action::needs_director`].
pub fn run(
    action: Action,
    client: &mut dyn DirectorClient,
    resolver: &dyn Resolver,
    streams: &mut Streams<'_>,
) -> u8 {
    let outcome = match action {
        Action::Restore => restore::restore(client, resolver, streams),
        action => act(action, client, resolver, streams.output),
    };
    let outcome = outcome.and_then(|code| {
        streams.output.flush()?;
        Ok(code)
    });
    outcome.unwrap_or_else(|failure| {
        failure.report(streams.output, streams.errors);
        failure.exit_code
    })
}

pub(super) fn act(
    action: Action,
    client: &mut dyn DirectorClient,
    resolver: &dyn Resolver,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    match action {
        Action::Help => out.write_all(usage::HELP.as_bytes())?,
        Action::Version => out.write_all(usage::VERSION.as_bytes())?,
        Action::HelpIpvsd => out.write_all(usage::HELP_IPVSD.as_bytes())?,
        Action::Execute(command) => execute(command, client)?,
        Action::List(listing) => listing::list(&listing, client, resolver, out)?,
        Action::Save { numeric } => listing::save(numeric, client, resolver, out)?,
        Action::Restore => return Err(UsageError::NoCommand.into()),
    }
    Ok(0)
}

fn execute(command: Command, client: &mut dyn DirectorClient) -> Result<(), Failure> {
    let operation = Operation::of(&command);
    match client.execute(command) {
        Ok(_) => Ok(()),
        Err(failure) => Err(Failure::of_command(operation, failure)),
    }
}
