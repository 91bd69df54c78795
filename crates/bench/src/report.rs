//! The outcome of a run.

use serde::Serialize;

use crate::kernel::KernelIpvs;
use crate::ratios::Ratios;
use crate::row::{Outcome, Row};

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// Processors that the run could use.
    pub processors: u32,
    /// Load average of the last minute, before the run and after it: with other work on the machine figures are worse, and
    /// ratios less certain.
    pub load_average: [f64; 2],
    /// How often each row was measured.
    pub rounds: usize,
    /// How long each value was measured, in seconds.
    pub seconds: f64,
    /// Time of the whole run, in seconds.
    pub elapsed_seconds: f64,
    /// What the kernel's IPVS is taken to do.
    pub kernel_ipvs: KernelIpvs,
    /// One for each measure of each path.
    pub rows: Vec<Row>,
    /// Ours against others, and new connections a second.
    pub ratios: Ratios,
    /// The same of packets by processor time: nearly the same on a quiet machine, and of use on a busy one.
    pub ratios_at_work: Ratios,
}

impl Report {
    /// Whether every row could be measured, but for what is not there.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.outcome != Outcome::Failed)
    }
}
