//! What a daemon that is gone shared with its XDP program, which may go on forwarding by it.

use std::io;
use std::sync::Arc;

use aya::maps::MapData;
use ipvs_core::{Counters as Counted, TableMemory};
use ipvs_flow::Line;

use super::traffic::{Counters, begun, difference, sums};
use crate::shared_memory::SharedMemory;

/// Connections and counters of the former run.
#[derive(Debug)]
pub struct Previous {
    connections: Arc<SharedMemory<Line>>,
    counters: SharedMemory<Counters>,
    len: u32,
    counters_id: u32,
}

/// The same memory once more.
struct Lines(Arc<SharedMemory<Line>>);

impl AsRef<[Line]> for Lines {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

impl Previous {
    /// Maps the memory of both maps.
    pub(crate) fn of(connections: &MapData, traffic: &MapData) -> io::Result<Self> {
        let info = |map: &MapData| map.info().map_err(io::Error::other);
        let (lines, cells) = (info(connections)?, info(traffic)?);
        let connections = SharedMemory::<Line>::map(connections, lines.max_entries())?;
        Ok(Self {
            connections: Arc::new(connections),
            counters: SharedMemory::map(traffic, cells.max_entries())?,
            len: cells.max_entries(),
            counters_id: cells.id(),
        })
    }

    /// The memory of its connection table.
    pub fn connections(&self) -> TableMemory {
        TableMemory::Shared(Box::new(Lines(self.connections.clone())))
    }

    /// How many connections its program has begun.
    pub fn begun(&self) -> u64 {
        self.counters.as_ref().iter().map(begun).fold(0, u64::wrapping_add)
    }

    /// The kernel's number of the counters, by which one knows whether what was [taken](ipvs_core::FastPath::taken) was
    /// taken from them.
    pub fn counters_id(&self) -> u32 {
        self.counters_id
    }

    /// What was counted at a destination since `taken`.
    pub fn counted_since(&self, destination: u32, taken: [u64; 5]) -> Counted {
        let processors = super::processors();
        let destinations = (self.len / processors).max(1);
        if destination >= destinations {
            return Counted::default();
        }
        difference(sums(self.counters.as_ref(), destinations as usize, destination), taken)
    }
}
