//! Counters of dropped packets by reason.

use crate::command::{DropCount, Reply};
use crate::director::Director;
use crate::verdict::Reason;

/// One counter for each [`Reason`].
#[derive(Clone, Debug)]
pub(crate) struct Drops([u64; Reason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([0; Reason::ALL.len()])
    }
}

impl Drops {
    pub(crate) fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.0.iter().copied())
    }
}

impl Director {
    /// Every reason with its counter.
    pub(crate) fn list_drops(&self) -> Reply {
        let count = |(reason, packets): (Reason, u64)| DropCount {
            by: "director".to_owned(),
            reason: reason.name().to_owned(),
            packets,
            active: false,
        };
        Reply::Drops(self.drops().map(count).collect())
    }
}
