//! What the XDP program counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ipvs_core::{Counters as Counted, FastPath};
use ipvs_flow::{Line, way};

use crate::shared_memory::{Cells, SharedMemory};

/// Counters of one destination on one processor, as the program has them: packets and bytes in, packets and bytes out.
/// They only grow, so a reader that remembers loses nothing and counts nothing twice.
pub(crate) type Counters = Cells;

fn read(cells: &Counters) -> [u64; 4] {
    std::array::from_fn(|place| cells.0[place].load(Ordering::Relaxed))
}

/// Packets of both directions.
pub(crate) fn packets(cells: &Counters) -> u64 {
    let [packets_in, _, packets_out, _] = read(cells);
    packets_in.wrapping_add(packets_out)
}

/// Sums over all processors for a destination, of counters for `destinations` of them on each processor.
pub(super) fn sums(counters: &[Counters], destinations: usize, destination: u32) -> [u64; 4] {
    let mut sum = [0u64; 4];
    for cells in counters.iter().skip(destination as usize).step_by(destinations) {
        for (sum, value) in sum.iter_mut().zip(read(cells)) {
            *sum = sum.wrapping_add(value);
        }
    }
    sum
}

/// What was counted between two readings.
pub(super) fn difference(now: [u64; 4], before: [u64; 4]) -> Counted {
    let [packets_in, bytes_in, packets_out, bytes_out] =
        std::array::from_fn(|place| now[place].wrapping_sub(before[place]));
    Counted { connections: 0, packets_in, packets_out, bytes_in, bytes_out }
}

/// The director's side of the fast path.
#[derive(Debug)]
pub(super) struct Traffic {
    counters: Arc<SharedMemory<Counters>>,
    ways: Arc<SharedMemory<Line>>,
    /// Sums over all processors as they were taken last, by destination.
    taken: Vec<[u64; 4]>,
}

impl Traffic {
    /// Of `destinations` destinations.
    pub(super) fn new(
        counters: Arc<SharedMemory<Counters>>,
        ways: Arc<SharedMemory<Line>>,
        destinations: u32,
    ) -> Self {
        Self { counters, ways, taken: vec![[0; 4]; destinations as usize] }
    }
}

impl FastPath for Traffic {
    fn take(&mut self, destination: u32) -> Counted {
        let stride = self.taken.len();
        let Some(taken) = self.taken.get_mut(destination as usize) else { return Counted::default() };
        let sum = sums((*self.counters).as_ref(), stride, destination);
        difference(sum, std::mem::replace(taken, sum))
    }

    fn taken(&self, destination: u32) -> [u64; 4] {
        self.taken.get(destination as usize).copied().unwrap_or_default()
    }

    fn revoke(&mut self, destination: u32) {
        if let Some(line) = (*self.ways).as_ref().get(destination as usize) {
            way::clear(line);
        }
    }
}
