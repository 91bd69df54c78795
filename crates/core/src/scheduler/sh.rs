//! sh: source hashing.

use ipvs_flow::pick::Rule;

use crate::command::ServiceFlags;
use crate::destination::DestinationIndex;
use crate::error::Error;
use crate::scheduler::hash::{BUCKETS, bucket, fold};
use crate::scheduler::{Change, Flow, Picks, Scheduler, View};

/// One destination per hash of the client's address, with the flag sh-port of its port as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceHashing {
    /// Filled by going round the list, each destination taking as many buckets in a row as its weight, at least one;
    /// empty without destinations.
    table: Vec<DestinationIndex>,
}

impl SourceHashing {
    fn fill(&mut self, view: View<'_>) {
        self.table.clear();
        let round = view.list.iter().cycle().flat_map(|index| {
            let weight = view.destinations.get(*index).map_or(1, |it| it.config.weight.max(1));
            std::iter::repeat_n(*index, weight.unsigned_abs() as usize)
        });
        self.table.extend(round.take(BUCKETS));
    }

    fn usable(&self, view: View<'_>, bucket: usize) -> Option<DestinationIndex> {
        let index = *self.table.get(bucket)?;
        view.destinations.get(index).filter(|it| it.usable()).map(|_| index)
    }
}

impl Scheduler for SourceHashing {
    fn name(&self) -> &'static str {
        "sh"
    }

    fn bind(&mut self, view: View<'_>) -> Result<(), Error> {
        self.fill(view);
        Ok(())
    }

    fn changed(&mut self, view: View<'_>, _change: Change) {
        self.fill(view);
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        let rule = Rule::Source { port: view.flags.contains(ServiceFlags::SCHED2) };
        Some(Picks::table(rule, (0..BUCKETS).map(|bucket| self.choose(view, bucket))))
    }

    fn schedule(&mut self, view: View<'_>, flow: &Flow) -> Option<DestinationIndex> {
        let port = if view.flags.contains(ServiceFlags::SCHED2) { flow.source_port } else { 0 };
        let value = fold(flow.source).wrapping_add(u32::from(port));
        self.choose(view, bucket(value))
    }
}

impl SourceHashing {
    fn choose(&self, view: View<'_>, first: usize) -> Option<DestinationIndex> {
        let own = self.usable(view, first);
        if own.is_some() || !view.flags.contains(ServiceFlags::SCHED1) {
            return own;
        }
        // sh-fallback goes on from the bucket's number twice over: the offset holds it and is added to it again.
        (0..BUCKETS).find_map(|offset| {
            let rolled = (offset + first) % BUCKETS;
            self.usable(view, (rolled + first) % BUCKETS)
        })
    }
}
