//! `ipvsd bench`: what a director does from end to end, beside what else could be in its place.
//!
//! ```text
//! client ── c0 ══ d0 ── director ── d1 ══ s0 ── server
//! frames made                          frames counted
//! ```
//!
//! Each [path](Path) has three network namespaces of its own. Frames are made by an XDP program that the kernel runs with
//! "live frames" (BPF_PROG_TEST_RUN), and counted and dropped by another one at the server; generator, director and sink
//! share one processor, so that the rate says what all of it costs. All paths are measured in turn, round by round.

#![forbid(unsafe_code)]

mod address;
mod balancer;
mod build;
mod bulk;
mod choice;
mod connections;
mod crowd;
mod flows;
mod kernel;
mod latency;
mod limit;
mod memory;
mod method;
mod options;
mod path;
mod peer;
mod processors;
mod queues;
mod ratios;
mod report;
mod road;
mod row;
mod run;
mod service;
mod statistics;
mod storm;
mod table;
mod traffic;

pub use choice::names;
pub use ipvs_lab::Error;
pub use kernel::KernelIpvs;
pub use options::Options;
pub use path::Path;
pub use ratios::Ratios;
pub use report::Report;
pub use row::{Measure, Outcome, Row};
pub use run::run;
pub use statistics::{Percentiles, Spread};
