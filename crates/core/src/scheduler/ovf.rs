//! ovf: overflow.

use core::cmp::Reverse;

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Scheduler, View};

/// The greatest weight among the usable destinations with no more active connections than weight.
#[derive(Debug)]
pub(crate) struct Overflow;

impl Scheduler for Overflow {
    fn name(&self) -> &'static str {
        "ovf"
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(Self)
    }

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        view.usable()
            .filter(|(_, destination)| destination.active() <= destination.config.weight.unsigned_abs())
            .min_by_key(|(_, destination)| Reverse(destination.config.weight))
            .map(|(index, _)| index)
    }
}
