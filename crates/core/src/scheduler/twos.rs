//! twos: power of two random choices.

use crate::destination::DestinationIndex;
use crate::random::Random;
use crate::scheduler::least::WLC;
use crate::scheduler::{Flow, Scheduler, View};

/// The less loaded of two destinations drawn at random by weight.
#[derive(Clone, Debug)]
pub(crate) struct PowerOfTwo {
    random: Random,
}

impl PowerOfTwo {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }
}

impl Scheduler for PowerOfTwo {
    fn name(&self) -> &'static str {
        "twos"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    /// Draws from 0 to the sum of the weights, both included, and takes the first at which the weights add up to the
    /// draw; the second draw wins only with strictly less overhead per weight.
    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        let weight = |it: &crate::destination::Destination| u64::from(it.config.weight.unsigned_abs());
        let sum: u64 = view.usable().map(|(_, it)| weight(it)).sum();
        let draws = [self.random.below(sum + 1), self.random.below(sum + 1)];
        let [first, second] = draws.map(|draw| {
            let mut reached = 0;
            view.usable().find(|(_, it)| {
                reached += weight(it);
                draw <= reached
            })
        });
        let (first, second) = (first?, second?);
        let better = WLC.share(second.1).is_below(WLC.share(first.1));
        Some(if better { second.0 } else { first.0 })
    }
}
