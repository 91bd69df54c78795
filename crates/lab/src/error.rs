//! What can go wrong in a lab, in one line each, with the remedy where there is one.

use std::fmt::Display;

/// Why a lab could not be built or finished. A failed request is no error: it is counted in the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not make network namespaces.
    #[error(
        "making network namespaces needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN): run this as root, for example with sudo"
    )]
    NotPermitted,
    /// The options do not fit together.
    #[error("{0}")]
    Options(String),
    /// A step of the set-up failed.
    #[error("cannot {doing}: {reason}")]
    Setup {
        /// What was being done, as the object of "cannot".
        doing: String,
        /// What the system answered.
        reason: String,
    },
    /// The daemon did not start, or ended too early.
    #[error("{reason}\nlast lines of the daemon's log:\n{log}")]
    Daemon {
        /// What was seen.
        reason: String,
        /// The end of its log.
        log: String,
    },
    /// A control command failed.
    #[error("`{command}` failed ({status}): {message}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// SIGINT or SIGTERM arrived; everything has been cleaned up.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// A failed set-up step: "cannot `doing`: `reason`".
    pub fn setup(doing: impl Into<String>, reason: impl Display) -> Self {
        Self::Setup { doing: doing.into(), reason: reason.to_string() }
    }
}
