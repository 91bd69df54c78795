//! The connections: the shared table, and the wheel that ends them.

use ipvs_flow::{EntryIndex, InsertError, NewConnection, Tick, Wheel, nanos};

use std::time::Duration;

use crate::destination::{Bound, DestinationIndex, Destinations};
use crate::memory::ConnectionTable;
use crate::time::Instant;

/// Connection flags: the kernel's bits (spec section 2.6), as far as they are kept in the table's 16.
pub(crate) mod flag {
    /// Forwarding method.
    pub(crate) const METHOD: u16 = 0x0007;
    /// The server's packets do not pass here.
    pub(crate) const NO_OUTPUT: u16 = 0x0080;
    /// Counted as inactive.
    pub(crate) const INACTIVE: u16 = 0x0100;
}

/// The connection table with its expiry.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) table: ConnectionTable,
    wheel: Wheel,
    /// When [`Connections::expire`] was last called.
    visited: Instant,
}

/// At most this many timers are looked at in one call of [`Connections::expire`], so that packets never wait long.
const EXPIRY_BUDGET: u32 = 4096;

impl Connections {
    pub(crate) fn new(table: ConnectionTable, now: Instant) -> Self {
        let wheel = Wheel::new(table.capacity(), tick(now));
        Self { table, wheel, visited: now }
    }

    /// Enters a connection and starts its timer.
    pub(crate) fn insert(&mut self, now: Tick, new: &NewConnection) -> Result<EntryIndex, InsertError> {
        let index = self.table.insert(new, now)?;
        self.wheel.schedule(index, now.after(new.timeout));
        Ok(index)
    }

    /// Restarts the timer with `timeout` ticks. The wheel is told only when the end comes nearer; else it finds out
    /// from the entry when it gets there.
    pub(crate) fn restart(&mut self, index: EntryIndex, now: Tick, timeout: u32) {
        let Some(entry) = self.table.entry(index) else { return };
        let shorter = timeout < entry.timeout();
        entry.set_timeout(timeout);
        entry.touch(now);
        if shorter {
            self.wheel.schedule(index, now.after(timeout));
        }
    }

    /// Ends one connection now.
    pub(crate) fn remove(&mut self, destinations: &mut Destinations, index: EntryIndex) {
        self.wheel.cancel(index);
        Self::release(&self.table, destinations, index);
    }

    /// Ends those whose time has come, at most [`EXPIRY_BUDGET`] of them.
    pub(crate) fn expire(&mut self, destinations: &mut Destinations, now: Instant) {
        self.visited = now;
        let (table, now) = (&self.table, tick(now));
        self.wheel.advance(now, EXPIRY_BUDGET, |index| {
            let entry = table.entry(index)?;
            // A fast path's clock may be ahead of `now`.
            if !now.reached(entry.deadline()) {
                return Some(entry.deadline());
            }
            Self::release(table, destinations, index);
            None
        });
    }

    /// When [`Connections::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let visited = tick(self.visited);
        let wait = visited.until(self.wheel.next_due(visited)?);
        Some(self.visited + Duration::from_nanos(nanos(wait)))
    }

    fn release(table: &ConnectionTable, destinations: &mut Destinations, index: EntryIndex) {
        let Some(entry) = table.entry(index) else { return };
        let (destination, flags) = (DestinationIndex(entry.destination()), entry.flags());
        if table.remove(index) {
            let bound = if flags & flag::INACTIVE == 0 { Bound::Active } else { Bound::Inactive };
            destinations.unbind(destination, bound);
        }
    }
}

/// The tick of an instant.
pub(crate) fn tick(now: Instant) -> Tick {
    Tick::from_nanos(now.as_nanos())
}
