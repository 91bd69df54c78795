//! What a daemon leaves in the network namespace that was killed, but for pins.

use std::io;

use crate::{filter, host_port};

/// Removes the routing rules and the filters of a daemon that is gone from the calling thread's network namespace; its devices went
/// with it.
///
/// # Errors
/// If rtnetlink fails.
pub fn remove_leftovers() -> io::Result<()> {
    filter::all()?.into_iter().for_each(filter::Filter::remove);
    host_port::remove_leftovers()
}
