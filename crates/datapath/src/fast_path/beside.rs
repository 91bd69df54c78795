//! The director's side of the fast path.

use std::sync::Arc;

use ipvs_core::{Counters, FastPath, SharedLines};
use ipvs_flow::{Line, way};

use super::SharedMemory;
use super::events::Events;
use super::traffic::Traffic;

/// What the director asks of the XDP program, by their common memory.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) traffic: Traffic,
    pub(super) ways: Arc<SharedMemory<Line>>,
    pub(super) loads: Arc<SharedMemory<Line>>,
    pub(super) events: Events,
}

impl FastPath for Beside {
    fn take(&mut self, destination: u32) -> Counters {
        self.traffic.take(destination)
    }

    fn revoke(&mut self, destination: u32) {
        if let Some(line) = (*self.ways).as_ref().get(destination as usize) {
            way::clear(line);
        }
    }

    fn next_shortened(&mut self) -> Option<u32> {
        self.events.next()
    }

    fn loads(&self) -> Option<SharedLines> {
        Some(self.loads.clone())
    }
}
