//! wlc: weighted least connection.

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Scheduler, View, overhead};

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

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        view.least_weighted(overhead)
    }
}
