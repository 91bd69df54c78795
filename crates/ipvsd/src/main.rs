//! The binary `ipvsd`.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod exec;
mod explain;
mod lab;
mod lines;
mod mark;
mod pool;
mod show;
mod stop;
mod sysctl;

use std::process::ExitCode;

use clap::Parser;
use ipvsd::logging::{self, LogFormat};
use ipvsd::run;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Run(arguments) => {
            let format = arguments.log();
            logging::start(format);
            let options = match arguments.options() {
                Ok(options) => options,
                Err(error) => {
                    eprintln!("ipvsd: --attach: {error}");
                    return ExitCode::from(2);
                }
            };
            match run::run(options) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    // Said even if the filter keeps errors back.
                    match format {
                        LogFormat::Text => eprintln!("ipvsd: {failure}"),
                        LogFormat::Json => tracing::error!("{failure}"),
                    }
                    failure.exit_code()
                }
            }
        }
        cli::Command::Bench(arguments) => bench::bench(&arguments),
        cli::Command::Exec(arguments) => exec::exec(arguments),
        cli::Command::Explain(arguments) => explain::explain(&arguments),
        cli::Command::Lab(arguments) => lab::lab(&arguments),
        cli::Command::Mark(arguments) => mark::mark(&arguments),
        cli::Command::Pool(arguments) => pool::pool(&arguments),
        cli::Command::Show(arguments) => show::show(&arguments),
        cli::Command::Stop(arguments) => stop::stop(&arguments),
        cli::Command::Sysctl(arguments) => sysctl::sysctl(&arguments),
        cli::Command::Version => {
            println!("ipvsd {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}
