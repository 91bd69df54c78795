//! IPVS interfaces as bytes and text, both ways and without I/O: the one command set of `ipvs-core`, spoken as the
//! kernel's generic netlink messages and as ipvsadm's command line.
#![forbid(unsafe_code)]

pub mod errno;
pub mod genetlink;
pub mod ipvsadm;
pub mod mark;
pub mod pool;
pub mod proc;
pub mod sockopt;
pub mod sysctl;
