//! Words of a command line to options, by the rules of the popt library that the original uses.

use super::option::{Argument, Meaning, OptionRow, TABLE};

/// Why a word is no option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadOption {
    /// The word as given, except that a missing argument names the option alone.
    pub(super) word: String,
    /// What is wrong with it, in popt's words.
    pub(super) reason: &'static str,
}

/// An option with its argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) meaning: Meaning,
    pub(super) argument: Option<String>,
    /// The last word it took.
    pub(super) word: String,
}

/// The options of a command line, one after the other; words that are none are kept for later.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    words: std::slice::Iter<'a, String>,
    /// The word of short options being read, with what remains of it.
    cluster: Option<(&'a str, &'a str)>,
    only_words: bool,
    extensions: bool,
    leftover: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    /// Reads `words` (the program's name not among them); `extensions`: with the options that are ours alone.
    pub(super) fn new(words: &'a [String], extensions: bool) -> Self {
        Self { words: words.iter(), cluster: None, only_words: false, extensions, leftover: Vec::new() }
    }

    /// The next option.
    pub(super) fn next_option(&mut self) -> Option<Result<Given, BadOption>> {
        loop {
            if let Some((word, rest)) = self.cluster.take() {
                let mut letters = rest.chars();
                if let Some(letter) = letters.next() {
                    return Some(self.short(word, letter, letters.as_str()));
                }
            }
            let word = self.words.next()?;
            if self.only_words || !word.starts_with('-') || word == "-" {
                self.leftover.push(word);
            } else if word == "--" {
                self.only_words = true;
            } else if let Some(long) = word.strip_prefix("--") {
                return Some(self.long(word, long));
            } else {
                self.cluster = word.strip_prefix('-').map(|rest| (word.as_str(), rest));
            }
        }
    }

    /// The words that were no options so far.
    pub(super) fn leftover(&self) -> &[&'a str] {
        &self.leftover
    }

    fn find(&self, wanted: impl Fn(&OptionRow) -> bool) -> Option<&'static OptionRow> {
        TABLE.iter().find(|row| wanted(row) && (self.extensions || row.is_restorable()))
    }

    fn long(&mut self, word: &str, text: &str) -> Result<Given, BadOption> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let bad = |reason| BadOption { word: word.to_owned(), reason };
        let row = self.find(|row| row.long == name).ok_or_else(|| bad("unknown option"))?;
        if row.argument == Argument::None && value.is_some() {
            return Err(bad("option does not take an argument"));
        }
        self.argument(row, word, value)
    }

    fn short(&mut self, word: &'a str, letter: char, rest: &'a str) -> Result<Given, BadOption> {
        let bad = || BadOption { word: word.to_owned(), reason: "unknown option" };
        let row = self.find(|row| row.short == Some(letter)).ok_or_else(bad)?;
        if row.argument == Argument::None && rest.starts_with('=') {
            return Err(BadOption { reason: "option does not take an argument", ..bad() });
        }
        if row.argument == Argument::None || rest.is_empty() {
            self.cluster = Some((word, rest));
            return self.argument(row, word, None);
        }
        self.argument(row, word, Some(rest.strip_prefix('=').unwrap_or(rest)))
    }

    fn argument(&mut self, row: &OptionRow, word: &str, value: Option<&str>) -> Result<Given, BadOption> {
        let next_is_argument = || self.words.as_slice().first().is_some_and(|next| !next.starts_with('-'));
        let (argument, word) = match (row.argument, value) {
            (Argument::None, _) => (None, word),
            (_, Some(value)) => (Some(value.to_owned()), word),
            (Argument::Optional, None) if !next_is_argument() => (None, word),
            (_, None) => match self.words.next() {
                Some(next) => (Some(next.clone()), next.as_str()),
                None => return Err(BadOption { word: word.to_owned(), reason: "missing argument" }),
            },
        };
        Ok(Given { meaning: row.meaning, argument, word: word.to_owned() })
    }
}
