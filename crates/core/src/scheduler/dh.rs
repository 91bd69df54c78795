//! dh: destination hashing.

use ipvs_flow::pick::Rule;

use crate::destination::DestinationIndex;
use crate::error::Error;
use crate::scheduler::hash::{BUCKETS, bucket, fold};
use crate::scheduler::{Change, Flow, Picks, Scheduler, View};

/// One destination per hash of the packet's destination address (for mark services in front of caches).
#[derive(Clone, Debug, Default)]
pub(crate) struct DestinationHashing {
    /// Filled by going round the list, weights ignored; empty without destinations.
    table: Vec<DestinationIndex>,
}

impl DestinationHashing {
    fn fill(&mut self, view: View<'_>) {
        self.table.clear();
        self.table.extend(view.list.iter().cycle().take(BUCKETS));
    }

    fn usable(&self, view: View<'_>, bucket: usize) -> Option<DestinationIndex> {
        let index = *self.table.get(bucket)?;
        view.destinations.get(index).filter(|it| it.available && it.usable()).map(|_| index)
    }
}

impl Scheduler for DestinationHashing {
    fn name(&self) -> &'static str {
        "dh"
    }

    fn bind(&mut self, view: View<'_>) -> Result<(), Error> {
        self.fill(view);
        Ok(())
    }

    fn changed(&mut self, view: View<'_>, change: Change) {
        if !matches!(change, Change::Edited) {
            self.fill(view);
        }
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        Some(Picks::table(Rule::Destination, (0..BUCKETS).map(|bucket| self.usable(view, bucket))))
    }

    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex> {
        self.usable(view, bucket(fold(flow.destination)))
    }
}
