//! sed: shortest expected delay.

use crate::destination::DestinationIndex;
use crate::scheduler::least::SED;
use crate::scheduler::{Flow, Picks, Scheduler, View};

/// The usable destination with the least (active connections + 1) per weight.
#[derive(Debug)]
pub(crate) struct ShortestExpectedDelay;

impl Scheduler for ShortestExpectedDelay {
    fn name(&self) -> &'static str {
        "sed"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        SED.picks(view)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        SED.choose(view)
    }
}
