//! The binary `ipvsd`.

#![forbid(unsafe_code)]

mod cli;
mod lab;

use std::process::ExitCode;

use clap::Parser;
use ipvsd::{logging, run};

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Run(arguments) => {
            logging::start(arguments.log());
            match run::run(arguments.options()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    tracing::error!("{failure}");
                    failure.exit_code()
                }
            }
        }
        cli::Command::Lab(arguments) => lab::lab(&arguments),
        cli::Command::Version => {
            println!("ipvsd {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}
