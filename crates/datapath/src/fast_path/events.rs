//! What the XDP program tells of entries: a ring of each processor.

use ipvs_core::FastPathEvent;
use ipvs_flow::{Line, RING_LINES, Ring};

use crate::shared_memory::SharedMemory;

/// The rings, read in turn.
#[derive(Debug)]
pub(super) struct Events {
    lines: SharedMemory<Line>,
    rings: u32,
    /// The one that is read.
    at: u32,
}

impl Events {
    pub(super) fn new(lines: SharedMemory<Line>) -> Self {
        let rings = u32::try_from(lines.as_ref().len()).unwrap_or(0) / RING_LINES;
        Self { lines, rings, at: 0 }
    }

    /// The next one; those of one processor in their order. `None`: all rings are empty.
    pub(super) fn next(&mut self) -> Option<FastPathEvent> {
        let lines = self.lines.as_ref();
        for _ in 0..self.rings {
            if let Some(number) = Ring::at(&lines, self.at * RING_LINES).pop() {
                return Some(FastPathEvent::from_number(number));
            }
            self.at = (self.at + 1) % self.rings;
        }
        None
    }
}
