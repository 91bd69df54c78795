//! wrr: weighted round robin.

use crate::destination::DestinationIndex;
use crate::error::Error;
use crate::scheduler::{Change, Flow, Picks, Scheduler, View, gcd};

/// Rounds over the list at a falling level: each round takes those whose weight reaches the level.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WeightedRoundRobin {
    /// Position of the destination chosen last; `None`: the head of the list.
    last: Option<usize>,
    /// The current level.
    level: i64,
    /// The highest level.
    highest: i64,
    /// What the level falls by: the greatest common divisor of the weights.
    step: i64,
}

impl WeightedRoundRobin {
    fn measure(&mut self, view: View<'_>) {
        let weights = view.iter().map(|(_, destination)| destination.config.weight.unsigned_abs());
        let (mut divisor, mut greatest) = (0, 0);
        for weight in weights.filter(|weight| *weight > 0) {
            divisor = gcd(divisor, weight);
            greatest = greatest.max(weight);
        }
        self.step = i64::from(divisor.max(1));
        self.highest = i64::from(greatest) - (self.step - 1);
    }

    /// All servers were tried and none was usable. Seen on the reference: a walk that began behind a destination at
    /// the lowest level comes back to where it began, all others end at the head and the highest level.
    fn exhausted(&mut self) {
        if self.highest > 0 && (self.last.is_none() || self.level > self.step) {
            self.last = None;
            self.level = self.highest;
        }
    }
}

impl Scheduler for WeightedRoundRobin {
    fn name(&self) -> &'static str {
        "wrr"
    }

    fn bind(&mut self, view: View<'_>) -> Result<(), Error> {
        self.measure(view);
        self.level = self.highest;
        self.last = None;
        Ok(())
    }

    /// Any change sends the pointer to the head; the level stays as far as it can.
    fn changed(&mut self, view: View<'_>, _change: Change) {
        self.measure(view);
        self.last = None;
        if self.level > self.highest || self.level == 0 {
            self.level = self.highest;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        Picks::sequence(self, view)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        // Levels that none can reach are passed over: else weights like 65535 cost as many rounds.
        let reachable = view.usable().map(|(_, destination)| i64::from(destination.config.weight)).max();
        let Some(reachable) = reachable else {
            self.exhausted();
            return None;
        };
        let mut position = self.last.map_or(0, |last| last + 1);
        loop {
            while let Some((index, destination)) = view.at(position) {
                if !destination.overloaded && i64::from(destination.config.weight) >= self.level {
                    self.last = Some(position);
                    return Some(index);
                }
                position += 1;
            }
            self.level -= self.step;
            if self.level <= 0 {
                self.level = self.highest;
            }
            if self.level > reachable {
                self.level -= (self.level - reachable + self.step - 1) / self.step * self.step;
            }
            position = 0;
        }
    }
}
