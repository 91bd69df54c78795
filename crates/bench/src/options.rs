//! What a run is to measure, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use crate::kernel::KernelIpvs;

/// Everything that describes a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often each row is measured.
    pub rounds: usize,
    /// How long one value is measured.
    pub time: Duration,
    /// Only the rows that the ratios need.
    pub quick: bool,
    /// Only rows of these names, or whose names begin with them; empty: all.
    pub only: Vec<String>,
    /// A storm of changes beside the load, of that length in each round.
    pub storm: Option<Duration>,
    /// What the kernel's IPVS is taken to do.
    pub kernel_ipvs: KernelIpvs,
    /// The `ipvsd` executable.
    pub ipvsd: PathBuf,
}
