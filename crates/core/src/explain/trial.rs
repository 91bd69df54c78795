//! A trial: a packet goes the way of every other, and then the director is what it was.
//!
//! What decides, and what a packet changes of it:
//! * the connection table: copies of the lines that it reads ([`super::Copies`]), which are thrown away;
//! * what lies beside it by entry or destination (who controls whom, half-open connections, data of templates, loads):
//!   changed and put back ([`super::Journal`]);
//! * schedulers: asked by a copy of what concerns the packet (`Scheduler::fork`), or for the next choice that they share with the fast path;
//! * single values and small tables (the defence's counter, buckets of errors, ...): saved as a whole here.
//!
//! Timers and counters decide nothing about a packet: they stand still.

use ipvs_flow::Wheel;

use crate::connections::tick;
use crate::defence::Defence;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::drops::Drops;
use crate::error_limits::ErrorBuckets;
use crate::explain::Step;
use crate::forward::tunnel_path::TunnelPaths;
use crate::scheduler::Flow;
use crate::service::ServiceIndex;
use crate::time::Instant;
use crate::verdict::Eviction;

/// What is noted while a packet is tried.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// What was decided so far, in order.
    pub(super) steps: Vec<Step>,
    /// The packet's firewall mark, in place of that of the rules.
    pub(super) mark: Option<u32>,
}

/// What is put back after a trial.
#[derive(Debug)]
pub(super) struct Aside {
    wheel: Wheel,
    hand: u32,
    evictions: [u64; Eviction::ALL.len()],
    drops: Drops,
    defence: Defence,
    error_buckets: ErrorBuckets,
    own_error: Option<DestinationIndex>,
    tunnel_paths: TunnelPaths,
    unsettled: usize,
    reads_payload: bool,
}

impl Director {
    /// Whatever is done from now on is taken back by [`Director::end_trial`].
    pub(super) fn begin_trial(&mut self, now: Instant, mark: Option<u32>) -> Aside {
        self.trial = Some(Trial { steps: Vec::new(), mark });
        self.destinations.begin_trial();
        Aside {
            wheel: self.connections.begin_trial(tick(now)),
            hand: self.hand,
            evictions: self.evictions,
            drops: self.drops.clone(),
            defence: self.defence.clone(),
            error_buckets: self.error_buckets.clone(),
            own_error: self.own_error,
            tunnel_paths: self.tunnel_paths.clone(),
            unsettled: self.unsettled.len(),
            reads_payload: self.connections.reads_payload,
        }
    }

    /// Everything is as it was before the trial; returns what was noted.
    pub(super) fn end_trial(&mut self, aside: Aside) -> Vec<Step> {
        self.connections.end_trial(aside.wheel);
        self.destinations.end_trial();
        self.hand = aside.hand;
        self.evictions = aside.evictions;
        self.drops = aside.drops;
        self.defence = aside.defence;
        self.error_buckets = aside.error_buckets;
        self.own_error = aside.own_error;
        self.tunnel_paths = aside.tunnel_paths;
        self.unsettled.truncate(aside.unsettled);
        self.connections.reads_payload = aside.reads_payload;
        self.trial.take().map(|trial| trial.steps).unwrap_or_default()
    }

    /// Notes what was decided, if this packet is being explained.
    #[inline]
    pub(crate) fn note(&mut self, step: impl FnOnce(&Self) -> Step) {
        if self.trial.is_some() {
            self.keep_note(step);
        }
    }

    #[cold]
    fn keep_note(&mut self, step: impl FnOnce(&Self) -> Step) {
        let step = step(self);
        if let Some(trial) = &mut self.trial {
            trial.steps.push(step);
        }
    }

    /// What a service's scheduler would choose. A packet asks at most once.
    #[cold]
    pub(crate) fn try_choice(&mut self, service: ServiceIndex, flow: &Flow) -> Option<DestinationIndex> {
        let chosen = match self.shared_choice(service) {
            None => self.services.get(service)?.try_schedule(&self.destinations, &self.sysctls, flow),
            shared => shared,
        };
        let steps = self.describe_choice(service, chosen);
        if let Some(trial) = &mut self.trial {
            trial.steps.extend(steps);
        }
        chosen
    }

    /// The firewall mark that the packet in question is to have, in place of any other.
    pub(crate) fn mark_in_question(&self) -> Option<u32> {
        self.trial.as_ref().and_then(|trial| trial.mark)
    }
}
