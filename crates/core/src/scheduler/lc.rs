//! lc: least connection.

use crate::destination::DestinationIndex;
use crate::scheduler::least::LC;
use crate::scheduler::{Flow, Picks, Scheduler, View};

/// The usable destination with the least overhead, whatever its weight.
#[derive(Debug)]
pub(crate) struct LeastConnection;

impl Scheduler for LeastConnection {
    fn name(&self) -> &'static str {
        "lc"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        LC.picks(view)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        LC.choose(view)
    }
}
