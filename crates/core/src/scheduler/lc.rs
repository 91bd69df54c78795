//! lc: least connection.

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Scheduler, View, overhead};

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

    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        view.usable().min_by_key(|(_, destination)| overhead(destination)).map(|(index, _)| index)
    }
}
