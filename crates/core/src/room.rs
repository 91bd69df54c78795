//! Room in a full connection table: a new connection takes the place of a half-open one, never of an established one.
//!
//! Ours: the kernel allocates until memory is out. A hand goes round the table, from entry to entry. What takes an
//! entry that fell free just behind it is met again only after a whole round, so in a flood the oldest goes first.

use ipvs_flow::EntryIndex;

use crate::director::Director;
use crate::half_open::is_half_open;
use crate::translated::is_reply;
use crate::verdict::Eviction;

/// At most so many entries are looked at for one new connection, 8 KiB in a row: in a table without half-open
/// connections that is what each drop costs more. A longer run of established ones costs the new connection its place;
/// the next one finds the hand further on.
const LOOKED_AT: u32 = 128;

impl Director {
    /// Connections that had to go for new ones, by reason.
    pub fn evictions(&self) -> impl Iterator<Item = (Eviction, u64)> + '_ {
        Eviction::ALL.into_iter().zip(self.evictions)
    }

    /// Before a connection to a service, which may be persistent, begins, and its template is looked up: one may go with the last
    /// connection that it controls.
    pub(crate) fn make_room(&mut self, persistent: bool, one_packet: bool) {
        // With full NAT a connection has two.
        let entries = if self.connections.pools.is_empty() { 1 } else { 2 };
        self.make_room_for(u32::from(!one_packet) * entries + u32::from(persistent));
    }

    /// Makes room for so many entries.
    #[inline]
    pub(crate) fn make_room_for(&mut self, needed: u32) {
        if self.is_short_of(needed) {
            self.evict_for(needed);
        }
    }

    fn is_short_of(&self, needed: u32) -> bool {
        self.connections.table.len() + needed > self.connections.table.capacity()
    }

    #[cold]
    fn evict_for(&mut self, needed: u32) {
        let (capacity, mut looked_at) = (self.connections.table.capacity(), 0);
        while self.is_short_of(needed) && looked_at < LOOKED_AT.min(capacity) {
            looked_at += 1;
            let entry = EntryIndex(self.hand % capacity);
            self.hand = (self.hand + 1) % capacity;
            let is_half_open = |it: ipvs_flow::EntryRef<'_>| is_half_open(it.key().protocol, it.state());
            if self
                .connections
                .table
                .entry(entry)
                .is_some_and(|it| !it.is_template() && !is_reply(&it) && is_half_open(it))
            {
                self.evict(entry, Eviction::TableFull);
            }
        }
    }

    pub(crate) fn evict(&mut self, entry: EntryIndex, reason: Eviction) {
        self.note(|it| it.describe_eviction(entry, reason));
        self.connections.end(&mut self.destinations, entry);
        self.evictions[reason as usize] += 1;
    }
}
