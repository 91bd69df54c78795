//! Counters of dropped packets by reason.

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
