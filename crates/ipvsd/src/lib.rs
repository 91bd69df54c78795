//! What the binaries `ipvsd` and `ipvsadm` are made of.

#![deny(unsafe_code)]

pub mod ipvsadm;
pub mod logging;
pub mod run;
