//! Entering a network namespace.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

use super::Failure;

/// Where `ip netns` keeps its namespaces.
const NAMED: &str = "/run/netns";

/// Moves the calling thread, and threads it makes from now on, into the network namespace `name`: one of `ip netns`,
/// or a path if it has a slash.
///
/// # Errors
/// A [`Failure`] that says what to do.
pub(super) fn enter(name: &str) -> Result<(), Failure> {
    let path = if name.contains('/') { PathBuf::from(name) } else { Path::new(NAMED).join(name) };
    let file = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::Other(format!(
            "no network namespace {name} ({} does not exist): see `ip netns list`, or make it by `ip netns add {name}`",
            path.display()
        )),
        _ => Failure::new(format!("open {}", path.display()), error),
    })?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|errno| match errno {
        rustix::io::Errno::INVAL => Failure::Other(format!("{} is not a network namespace", path.display())),
        _ => Failure::new(format!("enter network namespace {name}"), errno),
    })
}
