//! Project tasks, run as `cargo xtask TASK`.
#![forbid(unsafe_code)]

mod bench;
mod bench_control;
mod build_xdp;
mod conformance;
mod workspace;
mod xdp_provenance;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Project tasks of ipvsd.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the XDP object that is committed, or check that it is what its source builds to.
    BuildXdp(build_xdp::Arguments),
    /// Compare ipvsd with recordings of the kernel's IPVS, or make the recordings.
    Conformance(conformance::Arguments),
    /// Measure the engine alone: time, instructions and allocations per packet, bytes per connection.
    Bench(bench::Arguments),
    /// Measure control at size: restoring, listing and changing many services.
    BenchControl(bench_control::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::BuildXdp(arguments) => build_xdp::run(&arguments),
        Task::Conformance(arguments) => conformance::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::BenchControl(arguments) => bench_control::run(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
