//! What the binaries `ipvsd` and `ipvsadm` are made of: the daemon, and the client of its control socket.

#![deny(unsafe_code)]

pub mod control_client;
pub mod ipvsadm;
pub mod logging;
pub mod run;
