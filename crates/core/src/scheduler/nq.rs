//! nq: never queue.

use crate::destination::DestinationIndex;
use crate::scheduler::least::NQ;
use crate::scheduler::{Flow, Picks, Scheduler, View};

/// The first usable destination without active connections, else as sed.
#[derive(Debug)]
pub(crate) struct NeverQueue;

impl Scheduler for NeverQueue {
    fn name(&self) -> &'static str {
        "nq"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        NQ.picks(view)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        NQ.choose(view)
    }
}
