//! What the XDP program counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ipvs_core::Counters as Counted;

use crate::shared_memory::{Cells, SharedMemory};

/// Counters of one destination on one processor, as the program has them: packets and bytes in, packets and bytes out, connections.
/// They only grow, so a reader that remembers loses nothing and counts nothing twice.
pub(crate) type Counters = Cells;

fn read(cells: &Counters) -> [u64; 5] {
    std::array::from_fn(|place| cells.0[place].load(Ordering::Relaxed))
}

/// Packets of both directions.
pub(crate) fn packets(cells: &Counters) -> u64 {
    let [packets_in, _, packets_out, ..] = read(cells);
    packets_in.wrapping_add(packets_out)
}

/// Connections.
pub(super) fn begun(cells: &Counters) -> u64 {
    let [.., connections] = read(cells);
    connections
}

/// Sums over all processors for a destination, of counters for `destinations` of them on each processor.
pub(super) fn sums(counters: &[Counters], destinations: usize, destination: u32) -> [u64; 5] {
    let mut sum = [0u64; 5];
    for cells in counters.iter().skip(destination as usize).step_by(destinations) {
        for (sum, value) in sum.iter_mut().zip(read(cells)) {
            *sum = sum.wrapping_add(value);
        }
    }
    sum
}

/// What was counted between two readings.
pub(super) fn difference(now: [u64; 5], before: [u64; 5]) -> Counted {
    let [packets_in, bytes_in, packets_out, bytes_out, connections] =
        std::array::from_fn(|place| now[place].wrapping_sub(before[place]));
    Counted { connections, packets_in, packets_out, bytes_in, bytes_out }
}

/// All counters, and how much of them was taken over.
#[derive(Debug)]
pub(super) struct Traffic {
    counters: Arc<SharedMemory<Counters>>,
    /// Sums over all processors as they were taken last, by destination.
    taken: Vec<[u64; 5]>,
}

impl Traffic {
    /// Of `destinations` destinations.
    pub(super) fn new(counters: Arc<SharedMemory<Counters>>, destinations: u32) -> Self {
        Self { counters, taken: vec![[0; 5]; destinations as usize] }
    }

    /// What was counted at a destination since the last call.
    pub(super) fn take(&mut self, destination: u32) -> Counted {
        let stride = self.taken.len();
        let Some(taken) = self.taken.get_mut(destination as usize) else { return Counted::default() };
        let sum = sums((*self.counters).as_ref(), stride, destination);
        difference(sum, std::mem::replace(taken, sum))
    }

    /// What was counted there up to the last [`Traffic::take`].
    pub(super) fn taken(&self, destination: u32) -> [u64; 5] {
        self.taken.get(destination as usize).copied().unwrap_or_default()
    }
}
