//! What the binaries `ipvsd` and `ipvsadm` share: the client of the control socket.

#![deny(unsafe_code)]

pub mod control_client;
