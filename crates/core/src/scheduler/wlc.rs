//! wlc: weighted least connection.

use crate::destination::DestinationIndex;
use crate::scheduler::least::WLC;
use crate::scheduler::{Flow, Picks, Scheduler, View};

/// The usable destination with the least overhead per weight.
#[derive(Debug)]
pub(crate) struct WeightedLeastConnection;

impl Scheduler for WeightedLeastConnection {
    fn name(&self) -> &'static str {
        "wlc"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        WLC.picks(view)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        WLC.choose(view)
    }
}
