//! `ipvsadm` for ipvsd.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ipvsd::ipvsadm::main(std::env::args_os().skip(1)).into()
}
