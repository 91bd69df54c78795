//! The usable destination with the least load per weight, the first of equals: lc, wlc, sed, nq, and those that fall back to wlc.

use ipvs_flow::least::{Measure, Share, least};
use ipvs_flow::pick::{MOST_CANDIDATES, Rule};

use crate::destination::{Destination, DestinationIndex};
use crate::scheduler::{Picks, View};

/// How destinations are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Least {
    measure: Measure,
    weighted: bool,
}

/// lc: weights only say which destinations are usable.
pub(super) const LC: Least = Least { measure: Measure::Overhead, weighted: false };
pub(super) const WLC: Least = Least { measure: Measure::Overhead, weighted: true };
pub(super) const SED: Least = Least { measure: Measure::Delay, weighted: true };
pub(super) const NQ: Least = Least { measure: Measure::Queue, weighted: true };

impl Least {
    /// What of a destination is compared.
    pub(super) fn share(self, destination: &Destination) -> Share {
        Share { load: self.measure.of(destination.load.get()), weight: self.weight(destination) }
    }

    fn weight(self, destination: &Destination) -> u32 {
        if self.weighted { destination.config.weight.unsigned_abs() } else { 1 }
    }

    /// The choice now.
    pub(super) fn choose(self, view: View<'_>) -> Option<DestinationIndex> {
        least(view.usable().map(|(index, destination)| (index, self.share(destination))))
    }

    /// What to choose from at any time; `None` if that are too many, or none.
    pub(super) fn picks(self, view: View<'_>) -> Option<Picks> {
        let candidates = view.usable().map(|(index, destination)| (Some(index), self.weight(destination)));
        let (slots, weights): (Vec<_>, Vec<_>) = candidates.unzip();
        let fits = (1..=MOST_CANDIDATES as usize).contains(&slots.len());
        fits.then_some(Picks { rule: Rule::Least(self.measure), slots, weights, restart: 0 })
    }
}
