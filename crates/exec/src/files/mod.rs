//! The files that kernel IPVS shows, for a command and its children: /proc/net/ip_vs* and /proc/sys/net/ipv4/vs.
//!
//! A private mount namespace holds two FUSE filesystems, which a process outside of it serves:
//!
//! | place | what is there |
//! |---|---|
//! | /proc/tty/ldisc, an empty directory on every kernel | the first filesystem: ip_vs*, and a symbolic link to the real file for each name of /proc/self/net |
//! | /proc/net, a symbolic link to self/net | a symbolic link to the above, mounted over it |
//! | /proc/sys/net/ipv4 | a small directory with each real entry bind-mounted, as sysctl(8) refuses symbolic links there |
//! | /proc/sys/net/ipv4/vs | the second filesystem: the settings |
//!
//! The order of things: [`Channels::open`] before the processes part; [`mount`] in the one that becomes the command;
//! once that has succeeded, [`serve`] in the other. The mounts end with the last process in the namespace, and
//! serving ends with the mounts.

mod attributes;
mod caller;
mod channels;
mod covering;
mod daemon;
mod directory;
mod handle;
mod mounting;
mod name;
mod permission;
mod processors;
mod provider;
mod real_net;
mod server;
mod waiting;
mod writing;

pub use channels::Channels;
pub use daemon::Daemon;
pub use ipvs_abi::proc::File;
pub use mounting::{Error, mount};
pub use name::Name;
pub use processors::possible_processors;
pub use provider::Provider;
pub use server::{Server, serve};
