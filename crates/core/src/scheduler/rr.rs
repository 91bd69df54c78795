//! rr: round robin.

use crate::destination::DestinationIndex;
use crate::scheduler::{Change, Flow, Picks, Scheduler, View};

/// Each usable destination in turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RoundRobin {
    /// Position of the destination chosen last; `None`: the head of the list, before the first.
    last: Option<usize>,
}

impl Scheduler for RoundRobin {
    fn name(&self) -> &'static str {
        "rr"
    }

    /// The pointer stays with its destination; if that is removed it moves to the one before.
    fn changed(&mut self, _view: View<'_>, change: Change) {
        match change {
            Change::Added => self.last = self.last.map(|last| last + 1),
            Change::Edited => {}
            Change::Removed { position } => {
                if let Some(last) = self.last
                    && position <= last
                {
                    self.last = last.checked_sub(1);
                }
            }
        }
    }

    fn fork(&self, _flow: &Flow) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    fn picks(&self, view: View<'_>) -> Option<Picks> {
        Picks::sequence(self, view)
    }

    /// The next usable one after the pointer, going round once and coming to the last chosen one last.
    fn schedule(&mut self, view: View<'_>, _flow: &Flow) -> Option<DestinationIndex> {
        let length = view.list.len();
        let mut position = self.last.map_or(0, |last| last + 1);
        for _ in 0..length {
            if position >= length {
                position = 0;
            }
            if let Some((index, destination)) = view.at(position)
                && destination.usable()
            {
                self.last = Some(position);
                return Some(index);
            }
            position += 1;
        }
        None
    }
}
