//! How a command line fails: what is printed and with which exit code.

use core::fmt;

use super::arguments::BadOption;
use super::option::{CommandName, OptionName};
use super::usage::TRY_HELP;

/// Why a command line makes no sense. Displayed as the original's message, without the final newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UsageError {
    /// The first option is no command.
    NoCommand,
    /// popt refused a later word.
    Option(BadOption),
    /// A message of its own.
    Message(String),
}

impl UsageError {
    /// The exit code.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::NoCommand | Self::Option(_) => 255,
            Self::Message(_) => 2,
        }
    }

    /// An option given twice.
    pub(super) fn multiple(option: OptionName) -> Self {
        Self::Message(format!("multiple '{}' options specified", option.name()))
    }

    /// An option that the command needs and lacks.
    pub(super) fn missing(option: OptionName, command: CommandName) -> Self {
        let (option, command) = (option.name(), command.name());
        Self::Message(format!("You need to supply the '{option}' option for the '{command}' command"))
    }

    /// An option that does not go with the command.
    pub(super) fn illegal(option: OptionName, command: CommandName) -> Self {
        let (option, command) = (option.name(), command.name());
        Self::Message(format!("Illegal '{option}' option with the '{command}' command"))
    }

    /// Two options of which a command takes only one.
    pub(super) fn conflict(option: OptionName, other: OptionName, command: CommandName) -> Self {
        let (option, other, command) = (option.name(), other.name(), command.name());
        Self::Message(format!(
            "The option '{option}' conflicts with the '{other}' option in the '{command}' command"
        ))
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCommand => f.write_str(TRY_HELP),
            Self::Option(BadOption { word, reason }) => write!(f, "{word}: {reason}"),
            Self::Message(text) => f.write_str(text),
        }
    }
}

impl From<&str> for UsageError {
    fn from(text: &str) -> Self {
        Self::Message(text.to_owned())
    }
}

impl From<String> for UsageError {
    fn from(text: String) -> Self {
        Self::Message(text)
    }
}

impl From<BadOption> for UsageError {
    fn from(bad: BadOption) -> Self {
        Self::Option(bad)
    }
}
