//! Reads recordings: the format is told in `record/lib.sh`.

/// One command line with what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The words after `ipvsadm`.
    pub(crate) words: Vec<String>,
    pub(crate) input: String,
    pub(crate) outcome: Outcome,
}

/// What a command line printed, and its exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) output: String,
    pub(crate) errors: String,
    pub(crate) exit_code: u8,
}

/// All command lines of a recording.
pub(crate) fn parse(text: &str) -> Vec<Recorded> {
    let mut all = Vec::new();
    // Words may hold carriage returns and the like: only '\n' ends a line.
    for line in text.split('\n') {
        if let Some(command) = line.strip_prefix("$ ipvsadm") {
            let command = command.strip_suffix("   => ok").unwrap_or(command);
            all.push(Recorded { words: split_words(command), ..Recorded::default() });
        } else if let Some(last) = all.last_mut() {
            if let Some(text) = line.strip_prefix("  i| ") {
                last.input += &format!("{text}\n");
            } else if let Some(text) = line.strip_prefix("  o| ") {
                last.outcome.output += &format!("{text}\n");
            } else if let Some(text) = line.strip_prefix("  e| ") {
                last.outcome.errors += &format!("{text}\n");
            } else if let Some(code) = line.strip_prefix("  rc=") {
                last.outcome.exit_code = code.parse().expect("an exit code");
            }
        }
    }
    all
}

/// Undoes the quoting: blanks separate words, quotes keep what is between them.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("a closing quote"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start_matches(' ');
    }
    words
}
