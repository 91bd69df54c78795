//! ipvsadm: its command line, messages, exit codes and output, as Debian's ipvsadm 1.31 has them.
//!
//! [`understand`] turns words into a [`CommandLine`], [`run`] does it through a [`DirectorClient`]; names come from a
//! [`Resolver`]. Nothing here does I/O of its own. The rules were found by trying the original on the reference kernel:
//! `tests/ipvsadm/` has what it answered, line by line.
//!
//! The grammar is that of the popt library, which the original uses.

mod address;
mod arguments;
mod command_line;
mod director_client;
mod error;
mod inet_aton;
mod listing;
mod names;
mod number;
mod option;
mod order;
mod output;
mod parse;
mod refusal;
mod resolver;
mod restore;
mod rules;
mod run;
mod scheduler_flags;
mod server_arguments;
mod service_arguments;
mod sync_arguments;
mod usage;

pub use command_line::{Action, Columns, CommandLine, Listing, Subject};
pub use director_client::{ClientFailure, DirectorClient};
pub use resolver::{NumericResolver, Resolver};
pub use run::{Failure, Streams, run, understand};
