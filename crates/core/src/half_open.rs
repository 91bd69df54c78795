//! Half-open connections: TCP before the handshake's end, SCTP after an INIT. A flood consists of them.
//!
//! Ours, not the kernel's: with a quota, each service has its half-open connections in a queue, and when there are as
//! many as the quota says, a new connection takes the place of the oldest. A client that answers the handshake is
//! through before it is the oldest: it has the time in which the flood fills the quota. An established connection is in
//! no queue, so none is ever taken.

use ipvs_flow::{EntryIndex, sctp, tcp};
use slab::Slab;

use crate::director::Director;
use crate::explain::Journal;
use crate::protocol::{SCTP, TCP};
use crate::service::ServiceIndex;
use crate::verdict::Eviction;

/// A service's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueIndex(u32);

/// For connections of destinations that belong to no service any longer.
pub(crate) const NO_SERVICE: QueueIndex = QueueIndex(0);

/// A place in a queue, by entry: the entry before, the entry after (index plus one, 0: none) and the queue (plus one,
/// 0: in none). An array, so that the memory of a large table is zero pages until it is used.
type Place = [u32; 3];
const BEFORE: usize = 0;
const AFTER: usize = 1;

/// Of a service that is gone, a queue lives until its last connection leaves it.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    /// Index plus one, 0: none.
    oldest: u32,
    newest: u32,
    len: u32,
    closed: bool,
}

/// All queues. Without a quota they stay empty, and take no memory by entry.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    quota: u32,
    places: Vec<Place>,
    queues: Slab<Queue>,
    places_before: Journal<Place>,
    queues_before: Journal<Queue>,
}

impl HalfOpen {
    /// For a table of `capacity` entries; a quota of 0 is none.
    pub(crate) fn new(quota: u32, capacity: u32) -> Self {
        let places = if quota > 0 { vec![[0; 3]; capacity as usize] } else { Vec::new() };
        let (places_before, queues_before) = Default::default();
        let mut this = Self { quota, places, queues: Slab::new(), places_before, queues_before };
        this.open();
        this
    }

    /// Whether half-open connections are in queues: with a quota.
    #[inline]
    pub(crate) fn are_queued(&self) -> bool {
        !self.places.is_empty()
    }

    /// A queue for a new service.
    pub(crate) fn open(&mut self) -> QueueIndex {
        QueueIndex(self.queues.insert(Queue::default()) as u32)
    }

    /// The service is gone.
    pub(crate) fn close(&mut self, index: QueueIndex) {
        let Some(queue) = self.queues.get_mut(index.0 as usize) else { return };
        queue.closed = true;
        if queue.len == 0 {
            self.queues.try_remove(index.0 as usize);
        }
    }

    /// Changes are to be taken back from now on.
    pub(crate) fn begin_trial(&mut self) {
        self.places_before.begin();
        self.queues_before.begin();
    }

    /// Takes back the changes of the trial.
    pub(crate) fn end_trial(&mut self) {
        for (index, before) in self.places_before.end() {
            if let Some(place) = self.places.get_mut(index as usize) {
                *place = before;
            }
        }
        for (index, before) in self.queues_before.end() {
            if let Some(queue) = self.queues.get_mut(index as usize) {
                *queue = before;
            }
        }
    }

    fn place_mut(&mut self, entry: u32) -> Option<&mut Place> {
        let place = self.places.get_mut(entry as usize)?;
        self.places_before.keep(entry, || *place);
        Some(place)
    }

    fn queue_mut(&mut self, index: u32) -> Option<&mut Queue> {
        let queue = self.queues.get_mut(index as usize)?;
        self.queues_before.keep(index, || *queue);
        Some(queue)
    }

    /// A connection has become half-open: the newest of its queue.
    fn enter(&mut self, entry: EntryIndex, index: QueueIndex) {
        self.leave(entry);
        if self.places.len() <= entry.0 as usize {
            return;
        }
        let number = entry.0 + 1;
        let Some(queue) = self.queue_mut(index.0) else { return };
        let before = core::mem::replace(&mut queue.newest, number);
        if before == 0 {
            queue.oldest = number;
        }
        queue.len += 1;
        if let Some(place) = self.place_mut(entry.0) {
            *place = [before, 0, index.0 + 1];
        }
        self.link(before, AFTER, number);
    }

    /// A connection is no longer half-open, or has ended.
    pub(crate) fn leave(&mut self, entry: EntryIndex) {
        let Some(place) = self.place_mut(entry.0) else { return };
        let [before, after, number] = core::mem::take(place);
        let Some(index) = number.checked_sub(1) else { return };
        self.link(before, AFTER, after);
        self.link(after, BEFORE, before);
        let Some(queue) = self.queue_mut(index) else { return };
        if before == 0 {
            queue.oldest = after;
        }
        if after == 0 {
            queue.newest = before;
        }
        queue.len = queue.len.saturating_sub(1);
        // In a trial it stays, to be filled again.
        if queue.len == 0 && queue.closed && !self.queues_before.is_open() {
            self.queues.try_remove(index as usize);
        }
    }

    /// The one that has been half-open longest, if the queue holds as many as the quota says.
    fn surplus(&self, index: QueueIndex) -> Option<EntryIndex> {
        let queue = self.queues.get(index.0 as usize)?;
        let full = self.quota > 0 && queue.len >= self.quota;
        if full { queue.oldest.checked_sub(1).map(EntryIndex) } else { None }
    }

    fn link(&mut self, number: u32, to: usize, value: u32) {
        if let Some(index) = number.checked_sub(1)
            && let Some(place) = self.place_mut(index)
        {
            place[to] = value;
        }
    }
}

/// Whether a connection in this state is half-open: those that `drop_entry` takes without a draw.
pub(crate) fn is_half_open(protocol: u8, state: u8) -> bool {
    match protocol {
        TCP => matches!(tcp::State::from_number(state), Some(tcp::State::SynRecv | tcp::State::SynAck)),
        SCTP => matches!(sctp::State::from_number(state), Some(sctp::State::Init1 | sctp::State::Init)),
        _ => false,
    }
}

impl Director {
    /// Notes that a connection went from one state to another.
    #[inline]
    pub(crate) fn follow_handshake(&mut self, entry: EntryIndex, protocol: u8, before: u8, after: u8) {
        if self.connections.half_open.are_queued() {
            self.queue_or_not(entry, protocol, before, after);
        }
    }

    fn queue_or_not(&mut self, entry: EntryIndex, protocol: u8, before: u8, after: u8) {
        match (is_half_open(protocol, before), is_half_open(protocol, after)) {
            (false, true) => {
                let queue = self.queue_of(entry);
                self.connections.half_open.enter(entry, queue);
            }
            (true, false) => self.connections.half_open.leave(entry),
            _ => {}
        }
    }

    /// Puts a connection of a former run among the half-open ones, if it is one, as the newest.
    pub(crate) fn reenter_handshake(&mut self, entry: EntryIndex, protocol: u8, state: u8) {
        if is_half_open(protocol, state) {
            let queue = self.queue_of(entry);
            self.connections.half_open.enter(entry, queue);
        }
    }

    fn queue_of(&self, entry: EntryIndex) -> QueueIndex {
        let destination = self.connections.destination_of(entry);
        let destination = destination.and_then(|index| self.destinations.get(index));
        let service = destination.and_then(|destination| self.services.get(destination.service?));
        service.map_or(NO_SERVICE, |service| service.half_open)
    }

    /// Before a connection to `service` begins: one at its quota loses the oldest half-open one.
    pub(crate) fn keep_quota(&mut self, service: ServiceIndex) {
        if !self.connections.half_open.are_queued() {
            return;
        }
        let queue = self.services.get(service).map_or(NO_SERVICE, |service| service.half_open);
        if let Some(oldest) = self.connections.half_open.surplus(queue) {
            self.evict(oldest, Eviction::HalfOpenQuota);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_whoever_left_between() {
        let mut half_open = HalfOpen::new(3, 10);
        let [queue, other] = [half_open.open(), half_open.open()];
        half_open.enter(EntryIndex(8), other);
        (0..6).for_each(|entry| half_open.enter(EntryIndex(entry), queue));
        for entry in [0, 3, 5, 5, 9] {
            half_open.leave(EntryIndex(entry));
        }
        half_open.enter(EntryIndex(3), queue);
        // Who enters again is the newest.
        half_open.enter(EntryIndex(1), queue);
        half_open.enter(EntryIndex(10), queue); // there is no such entry
        let mut order = Vec::new();
        while let Some(EntryIndex(oldest)) = half_open.surplus(queue) {
            order.push(oldest);
            half_open.leave(EntryIndex(oldest));
        }
        assert_eq!(order, [2, 4], "then it is below its quota");
        assert_eq!(half_open.surplus(other), None);
    }

    #[test]
    fn a_queue_outlives_its_service_while_it_is_not_empty() {
        let mut half_open = HalfOpen::new(1, 10);
        let [queue, empty] = [half_open.open(), half_open.open()];
        half_open.enter(EntryIndex(1), queue);
        half_open.close(queue);
        half_open.close(empty);
        assert_eq!(half_open.queues.len(), 2, "it and that of no service");
        half_open.leave(EntryIndex(1));
        assert_eq!(half_open.queues.len(), 1);
    }

    #[test]
    fn without_a_quota_there_is_nothing() {
        let mut half_open = HalfOpen::new(0, 10);
        let queue = half_open.open();
        half_open.enter(EntryIndex(1), queue);
        assert_eq!(half_open.surplus(queue), None);
        assert!(half_open.places.is_empty());
    }
}
