//! sed: shortest expected delay.

use crate::destination::{Destination, DestinationIndex};
use crate::scheduler::{Flow, Scheduler, View};

/// The usable destination with the least (active connections + 1) per weight.
#[derive(Debug)]
pub(crate) struct ShortestExpectedDelay;

/// The load with the new connection added: only active ones count.
pub(super) fn delay(destination: &Destination) -> u64 {
    u64::from(destination.active()) + 1
}

impl Scheduler for ShortestExpectedDelay {
    fn name(&self) -> &'static str {
        "sed"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        view.least_weighted(delay)
    }
}
