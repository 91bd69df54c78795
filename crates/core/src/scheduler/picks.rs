//! What a scheduler will choose, worked out beforehand, that others can choose alike.

use std::net::{IpAddr, Ipv4Addr};

use ipvs_flow::pick::{MOST_SLOTS, Rule};

use crate::destination::DestinationIndex;
use crate::scheduler::{Flow, Scheduler, View};
use crate::time::Instant;

/// Choices by number of slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picks {
    pub(crate) rule: Rule,
    /// `None`: what is chosen there depends on more than the slot.
    pub(crate) slots: Vec<Option<DestinationIndex>>,
    /// For choices by load: the weights of the slots' destinations.
    pub(crate) weights: Vec<u32>,
    /// Where a sequence goes on after its last slot.
    pub(crate) restart: usize,
}

impl Picks {
    /// Choices by a hash.
    pub(super) fn table(rule: Rule, slots: impl IntoIterator<Item = Option<DestinationIndex>>) -> Self {
        Self { rule, slots: slots.into_iter().collect(), weights: Vec::new(), restart: 0 }
    }

    /// The sequence of a scheduler whose choices depend on nothing but those before; `None` if it is long, or there are none.
    pub(super) fn sequence<S: Scheduler + Clone + PartialEq>(scheduler: &S, view: View<'_>) -> Option<Self> {
        let mut state = scheduler.clone();
        let mut slots = vec![Some(state.schedule(view, &ANY)?)];
        // The first choice may come from a state that does not return.
        let first = state.clone();
        loop {
            let choice = state.schedule(view, &ANY)?;
            slots.push(Some(choice));
            if state == first {
                break;
            }
            if slots.len() >= MOST_SLOTS as usize {
                return None;
            }
        }
        Some(Self { rule: Rule::Sequence, slots, weights: Vec::new(), restart: 1 })
    }

    /// One destination for all.
    pub(super) fn only(choice: DestinationIndex) -> Self {
        Self { rule: Rule::Sequence, slots: vec![Some(choice)], weights: Vec::new(), restart: 0 }
    }
}

/// Brings a scheduler to where `choices` choices were made.
pub(crate) fn replay(scheduler: &mut dyn Scheduler, view: View<'_>, choices: usize) {
    for _ in 0..choices {
        let _ = scheduler.schedule(view, &ANY);
    }
}

/// For schedulers that look at none.
const ANY: Flow = Flow {
    now: Instant::from_nanos(0),
    source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    source_port: 0,
    destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    destination_port: 0,
};
