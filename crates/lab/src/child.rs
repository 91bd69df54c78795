//! Child processes that end with the lab, however it ends.

#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// Starts `command`.
///
/// Must be called from a thread that outlives the child: the kernel ends the child with that thread.
///
/// # Errors
/// The system's, if it cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    // A group of its own: Ctrl-C reaches the lab alone, which then stops its children in order.
    command.process_group(0);
    let lab = getpid();
    // SAFETY: the closure only makes system calls that are safe between fork and exec: it allocates nothing and takes no
    // lock.
    unsafe { command.pre_exec(move || end_with(lab)) };
    command.spawn()
}

/// Has the kernel send SIGTERM to this process when the lab dies, however it dies.
fn end_with(lab: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // The lab may have died before the request.
    if getppid() == Some(lab) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}
