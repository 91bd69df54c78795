//! The director's side of the fast path.

use std::sync::Arc;

use ipvs_core::{Choices, Counters, FastPath, FastPathEvent, SharedLines};
use ipvs_flow::{Line, way};

use super::events::Events;
use super::grants::Grants;
use super::picks::Picks;
use super::traffic::Traffic;
use crate::shared_memory::SharedMemory;

/// What the director asks of the XDP program, by their common memory.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) traffic: Traffic,
    pub(super) ways: Arc<SharedMemory<Line>>,
    pub(super) loads: Arc<SharedMemory<Line>>,
    pub(super) events: Events,
    pub(super) picks: Picks,
    pub(super) grants: Grants,
}

impl FastPath for Beside {
    fn take(&mut self, destination: u32) -> Counters {
        self.traffic.take(destination)
    }

    fn taken(&self, destination: u32) -> [u64; 5] {
        self.traffic.taken(destination)
    }

    fn revoke(&mut self, destination: u32) {
        if let Some(line) = (*self.ways).as_ref().get(destination as usize) {
            way::clear(line);
        }
    }

    fn next_event(&mut self) -> Option<FastPathEvent> {
        self.events.next()
    }

    fn publish(&mut self, service: u32, choices: &Choices) -> bool {
        self.picks.publish(service, choices)
    }

    fn withdraw(&mut self, service: u32) -> u32 {
        self.picks.withdraw(service)
    }

    fn make_choice(&mut self, service: u32) -> Option<u32> {
        self.picks.make_choice(service)
    }

    fn next_choice(&self, service: u32) -> Option<u32> {
        self.picks.next_choice(service)
    }

    fn wanted_entries(&mut self) -> u32 {
        self.grants.wanted()
    }

    fn set_aside(&mut self, entry: u32) -> bool {
        self.grants.put(entry)
    }

    fn loads(&self) -> Option<SharedLines> {
        Some(self.loads.clone())
    }
}
