//! Doing what a command line asks for: commands to the director, output, exit code.

use std::io::{self, BufRead, Write};

use ipvs_core::Command;

use super::command_line::{Action, CommandLine, SyncRole};
use super::director_client::{ClientFailure, DirectorClient};
use super::error::UsageError;
use super::listing;
use super::parse::parse;
use super::refusal::Operation;
use super::resolver::Resolver;
use super::usage;

/// The exit code when the director refused a command.
const REFUSED: u8 = 255;

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
    fn of_command(operation: Operation, failure: ClientFailure) -> Self {
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
        Action::Restore => restore(client, resolver, streams),
        action => act(action, client, resolver, streams.output),
    };
    let outcome = outcome.and_then(|code| {
        streams.output.flush()?;
        Ok(code)
    });
    outcome.unwrap_or_else(|failure| {
        report(&failure, streams);
        failure.exit_code
    })
}

fn report(failure: &Failure, streams: &mut Streams<'_>) {
    // Where standard error is closed there is nobody to tell.
    let _ = streams.output.flush();
    let _ = writeln!(streams.errors, "{}", failure.message);
}

fn act(
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
        Action::StartDaemon(SyncRole::Master | SyncRole::Backup) => {
            let message = "ipvsadm: this ipvsd has no sync daemon".to_owned();
            return Err(Failure { message, exit_code: REFUSED });
        }
        Action::StopDaemon(_) => {
            return Err(Failure { message: "No daemon is running".to_owned(), exit_code: REFUSED });
        }
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

/// Does the command lines on standard input, one by one.
///
/// As the original: words are split at blanks; the word `ipvsadm` is skipped, and so are empty lines. What the director
/// refuses and later options that do not exist are reported and the next line follows; any other mistake, a listing
/// that fails, `-h` and `-v` end the run. The last line's exit code is the run's.
fn restore(
    client: &mut dyn DirectorClient,
    resolver: &dyn Resolver,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    let mut exit_code = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if streams.input.read_until(b'\n', &mut line)? == 0 {
            return Ok(exit_code);
        }
        let text = String::from_utf8_lossy(&line);
        let words: Vec<String> = text
            .split([' ', '\t', '\r', '\n'])
            .filter(|word| !word.is_empty() && *word != "ipvsadm")
            .map(str::to_owned)
            .collect();
        if words.is_empty() {
            continue;
        }
        let outcome = match parse(&words, false, resolver) {
            Ok(CommandLine { action: Action::Restore, .. }) => return Err(UsageError::NoCommand.into()),
            Ok(CommandLine { action, .. }) if !action.needs_director() => {
                return act(action, client, resolver, streams.output);
            }
            Ok(CommandLine { action, .. }) => act(action, client, resolver, streams.output).map(drop),
            Err(error @ UsageError::Option(_)) => Err(error.into()),
            Err(error) => return Err(error.into()),
        };
        exit_code = match outcome {
            Ok(()) => 0,
            Err(failure) if failure.exit_code == REFUSED => {
                report(&failure, streams);
                REFUSED
            }
            Err(failure) => return Err(failure),
        };
    }
}
