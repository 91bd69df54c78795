//! fo: failover.

use core::cmp::Reverse;

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Picks, Scheduler, View};

/// The usable destination with the greatest weight.
#[derive(Debug)]
pub(crate) struct Failover;

impl Scheduler for Failover {
    fn name(&self) -> &'static str {
        "fo"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        greatest(view).map(Picks::only)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        greatest(view)
    }
}

fn greatest(view: View<'_>) -> Option<DestinationIndex> {
    view.usable().min_by_key(|(_, destination)| Reverse(destination.config.weight)).map(|(index, _)| index)
}
