//! `-R`: command lines on standard input.

use std::io::{BufRead, BufReader};

use ipvs_core::Command;

use super::command_line::{Action, CommandLine};
use super::director_client::DirectorClient;
use super::error::UsageError;
use super::parse::parse;
use super::refusal::Operation;
use super::resolver::Resolver;
use super::run::{Failure, REFUSED, Streams, act};

/// Most commands that are given to the director at a time.
const BATCH: usize = 64;

/// Does the command lines on standard input, in order.
///
/// As the original: words are split at blanks; the word `ipvsadm` is skipped, and so are empty lines. What the director
/// refuses and later options that do not exist are reported and the next line follows; any other mistake, a listing
/// that fails, `-h` and `-v` end the run. The last line's exit code is the run's.
///
/// Commands of lines that lie ready are given to the director together, which saves waiting for each answer; nothing
/// is held back while input has to be waited for.
pub(super) fn restore(
    client: &mut dyn DirectorClient,
    resolver: &dyn Resolver,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    let Streams { input, output, errors } = streams;
    let mut input = BufReader::new(input);
    let mut exit_code = 0;
    let mut batch = Vec::new();
    let mut line = Vec::new();
    loop {
        if batch.len() >= BATCH || !input.buffer().contains(&b'\n') {
            exit_code = finish(&mut batch, client, exit_code, |failure| failure.report(*output, *errors))?;
        }
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
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
        let parsed = parse(&words, false, resolver);
        if let Ok(CommandLine { action: Action::Execute(command), .. }) = parsed {
            batch.push(command);
            continue;
        }
        finish(&mut batch, client, exit_code, |failure| failure.report(*output, *errors))?;
        let outcome = match parsed {
            Ok(CommandLine { action: Action::Restore, .. }) => return Err(UsageError::NoCommand.into()),
            Ok(CommandLine { action, .. }) if !action.needs_director() => {
                return act(action, client, resolver, *output);
            }
            Ok(CommandLine { action, .. }) => act(action, client, resolver, *output).map(drop),
            Err(error @ UsageError::Option(_)) => Err(error.into()),
            Err(error) => return Err(error.into()),
        };
        exit_code = judge(outcome, |failure| failure.report(*output, *errors))?;
    }
}

/// Gives the commands to the director. Returns the last one's exit code, `exit_code` if there are none.
fn finish(
    batch: &mut Vec<Command>,
    client: &mut dyn DirectorClient,
    mut exit_code: u8,
    mut report: impl FnMut(&Failure),
) -> Result<u8, Failure> {
    let commands = std::mem::take(batch);
    let operations: Vec<Operation> = commands.iter().map(Operation::of).collect();
    for (operation, outcome) in operations.into_iter().zip(client.execute_each(commands)) {
        let outcome = outcome.map(drop).map_err(|failure| Failure::of_command(operation, failure));
        exit_code = judge(outcome, &mut report)?;
    }
    Ok(exit_code)
}

/// The exit code of a line: a refusal is reported and the run goes on, any other failure ends it.
fn judge(outcome: Result<(), Failure>, mut report: impl FnMut(&Failure)) -> Result<u8, Failure> {
    match outcome {
        Ok(()) => Ok(0),
        Err(failure) if failure.exit_code == REFUSED => {
            report(&failure);
            Ok(REFUSED)
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{self, Read};
    use std::rc::Rc;

    use ipvs_core::Reply;

    use super::super::director_client::ClientFailure;
    use super::super::resolver::NumericResolver;
    use super::*;

    /// How many commands the director got, each time it got some.
    #[derive(Default)]
    struct Counting(Rc<RefCell<Vec<usize>>>);

    impl DirectorClient for Counting {
        fn execute(&mut self, _: Command) -> Result<Reply, ClientFailure> {
            Ok(Reply::Done)
        }

        fn execute_each(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, ClientFailure>> {
            if !commands.is_empty() {
                self.0.borrow_mut().push(commands.len());
            }
            commands.into_iter().map(|command| self.execute(command)).collect()
        }
    }

    /// Gives one piece of input at a time, and notes what the director had got when the next was asked for.
    struct Pieces {
        pieces: Vec<&'static str>,
        got: Rc<RefCell<Vec<usize>>>,
        noted: Vec<usize>,
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.noted.push(self.got.borrow().iter().sum());
            if self.pieces.is_empty() {
                return Ok(0);
            }
            let piece = self.pieces.remove(0).as_bytes();
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn lines_that_lie_ready_go_together_and_none_waits_for_the_next() {
        let mut client = Counting::default();
        let pieces = vec!["-A -t 10.0.0.1:1\n-A -t 10.0.0.1:2\n-A -t 10.0.", "0.1:3\n", "-A -t 10.0.0.1:4\n"];
        let mut pieces = Pieces { pieces, got: client.0.clone(), noted: Vec::new() };
        let mut input = BufReader::new(&mut pieces);
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut streams = Streams { input: &mut input, output: &mut output, errors: &mut errors };
        let Ok(0) = restore(&mut client, &NumericResolver, &mut streams) else { panic!("refused") };
        assert_eq!(*client.0.borrow(), [2, 1, 1]);
        assert_eq!(pieces.noted, [0, 2, 3, 4]);
    }
}
