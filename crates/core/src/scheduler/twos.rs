//! twos: power of two random choices.

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Scheduler, View, overhead};

/// The less loaded of two destinations drawn at random by weight.
#[derive(Debug)]
pub(crate) struct PowerOfTwo {
    /// State of the generator.
    random: u64,
}

impl PowerOfTwo {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: seed }
    }

    /// A number below `bound`, by SplitMix64 and multiplication.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    }
}

impl Scheduler for PowerOfTwo {
    fn name(&self) -> &'static str {
        "twos"
    }

    /// Draws from 0 to the sum of the weights, both included, and takes the first at which the weights add up to the
    /// draw; the second draw wins only with strictly less overhead per weight.
    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        let weight = |it: &crate::destination::Destination| u64::from(it.config.weight.unsigned_abs());
        let sum: u64 = view.usable().map(|(_, it)| weight(it)).sum();
        let draws = [self.below(sum + 1), self.below(sum + 1)];
        let [first, second] = draws.map(|draw| {
            let mut reached = 0;
            view.usable().find(|(_, it)| {
                reached += weight(it);
                draw <= reached
            })
        });
        let (first, second) = (first?, second?);
        let load = |it| u128::from(overhead(it));
        let better =
            load(second.1) * u128::from(weight(first.1)) < load(first.1) * u128::from(weight(second.1));
        Some(if better { second.0 } else { first.0 })
    }
}
