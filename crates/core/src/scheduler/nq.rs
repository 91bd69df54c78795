//! nq: never queue.

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Scheduler, View, sed::delay};

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

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        let idle = view.usable().find(|(_, destination)| destination.active() == 0);
        idle.map(|(index, _)| index).or_else(|| view.least_weighted(delay))
    }
}
