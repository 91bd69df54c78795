//! Taking records out, before what they say is no longer true for anybody; and what they noted.

use core::ops::Deref;

use super::{BACK, Bucket, EMPTY, MOST, PHASE, RECORDS, SPOILT, VALID, WRITE, WRITING};
use crate::{
    Connection, EntryIndex, EntryRef, Memory, Table, Tick,
    sync::{Ordering, fence, load_traced},
};

/// A connection that is being changed: once this goes, the flow cache has nothing of what was.
#[derive(Debug)]
pub struct Change<'t, M: Memory> {
    table: &'t Table<M>,
    index: EntryIndex,
    entry: EntryRef<'t>,
}

impl<'t, M: Memory> Deref for Change<'t, M> {
    type Target = EntryRef<'t>;

    fn deref(&self) -> &EntryRef<'t> {
        &self.entry
    }
}

impl<M: Memory> Drop for Change<'_, M> {
    fn drop(&mut self) {
        self.table.forget(self.index, &self.entry);
    }
}

impl<M: Memory> Table<M> {
    /// The connection in an entry, to change it; `None` if it is free.
    pub fn change(&self, index: EntryIndex) -> Option<Change<'_, M>> {
        self.entry(index).map(|entry| Change { table: self, index, entry })
    }

    /// Takes a connection out of the flow cache, after it was changed.
    #[inline(always)]
    pub fn forget(&self, index: EntryIndex, entry: &EntryRef<'_>) {
        if !self.has_cache() {
            return;
        }
        // The other fence is in `remember`. In the XDP program a change is a locked instruction, which is a fence.
        fence(Ordering::SeqCst);
        if entry.status().is_cached()
            && let Some(buckets) = self.buckets(self.hash(&entry.key()))
        {
            self.clear(buckets, index, entry);
        }
    }

    /// The connection in an entry, with what the flow cache noted of it; `None` if the entry is free, or the connection went meanwhile.
    pub fn snapshot(&self, index: EntryIndex) -> Option<Connection> {
        let entry = self.entry(index)?;
        self.last_seen(index, &entry);
        let packets_in = self.packets_in(index, &entry);
        entry.snapshot().map(|connection| Connection { packets_in, ..connection })
    }

    /// When a connection's latest packet came, by what its entry says, or the flow cache where that is later. The entry knows of it
    /// from then on.
    pub fn last_seen(&self, index: EntryIndex, entry: &EntryRef<'_>) -> Tick {
        self.records_of(index, entry, |bucket, place| {
            entry.touch_late(Tick(bucket.seen(place).load(Ordering::Relaxed)));
        });
        entry.last_seen()
    }

    /// When a connection expires, unless another packet comes, as [`Table::last_seen`].
    pub fn deadline(&self, index: EntryIndex, entry: &EntryRef<'_>) -> Tick {
        self.last_seen(index, entry).after(entry.timeout())
    }

    /// Packets from the client of a connection, modulo 2^32, with those that the flow cache counted.
    pub fn packets_in(&self, index: EntryIndex, entry: &EntryRef<'_>) -> u32 {
        let mut packets = entry.packets_in();
        self.records_of(index, entry, |bucket, place| {
            packets = packets.wrapping_add(bucket.packets(place).load(Ordering::Relaxed) & MOST);
        });
        packets
    }

    /// The valid records of a connection.
    fn records_of(&self, index: EntryIndex, entry: &EntryRef<'_>, mut each: impl FnMut(Bucket<'_>, usize)) {
        if !entry.status().is_cached() {
            return;
        }
        let Some(buckets) = self.buckets(self.hash(&entry.key())) else { return };
        for bucket in buckets {
            for place in 0..RECORDS {
                let info = bucket.info(place).load(Ordering::Acquire);
                if info & PHASE == VALID && bucket.index(place).load(Ordering::Relaxed) == index.0 {
                    each(bucket, place);
                }
            }
        }
    }

    /// Takes a connection's records out of its buckets, and notes in the entry what they had noted. What else they said of it:
    /// [`BACK`], or 0.
    #[inline(always)]
    pub(super) fn clear(&self, buckets: [Bucket<'_>; 2], index: EntryIndex, entry: &EntryRef<'_>) -> u32 {
        let mut facts = 0;
        for bucket in buckets {
            for place in 0..RECORDS {
                let Some(info) = valid(bucket, place) else { continue };
                if load_traced(bucket.index(place), Ordering::Relaxed) == index.0 {
                    facts |= info & BACK;
                    take_out(bucket, place, info, Some(entry));
                }
            }
        }
        facts
    }

    /// Empties both buckets of a hash line that connections have left, once the directory says so.
    pub(crate) fn empty_buckets(&self, line: u32) {
        if !self.has_cache() {
            return;
        }
        // The other fence is in `remember`.
        fence(Ordering::SeqCst);
        for bucket in [0, 1].into_iter().filter_map(|half| self.bucket_of(line, half)) {
            for place in 0..RECORDS {
                let Some(info) = valid(bucket, place) else { continue };
                let index = EntryIndex(load_traced(bucket.index(place), Ordering::Relaxed));
                // It is there: who removes a connection takes its record out first.
                take_out(bucket, place, info, self.entry(index).as_ref());
            }
        }
    }
}

/// The first word of a record if that is valid. One that is being written will not become valid: whose it is cannot be told yet.
#[inline(always)]
fn valid(bucket: Bucket<'_>, place: usize) -> Option<u32> {
    let word = bucket.info(place);
    let mut info = load_traced(word, Ordering::Acquire);
    if info & PHASE == WRITING {
        let spoilt = info & !PHASE | SPOILT;
        // It may have become valid in this very moment. Who began since has seen why this is called.
        info = word.compare_exchange(info, spoilt, Ordering::Relaxed, Ordering::Acquire).err()?;
    }
    (info & PHASE == VALID).then_some(info)
}

/// Takes a valid record out, unless another one did, and notes in the entry what it had noted.
#[inline(always)]
fn take_out(bucket: Bucket<'_>, place: usize, info: u32, entry: Option<&EntryRef<'_>>) {
    let seen = Tick(load_traced(bucket.seen(place), Ordering::Relaxed));
    let packets = load_traced(bucket.packets(place), Ordering::Relaxed) & MOST;
    if let Some(entry) = entry {
        // Before the record goes: in between the connection would seem to have expired.
        entry.touch_late(seen);
    }
    let empty = info & !(WRITE - 1) | EMPTY;
    let taken = bucket.info(place).compare_exchange(info, empty, Ordering::AcqRel, Ordering::Relaxed);
    if let Some(entry) = entry
        && taken.is_ok()
    {
        entry.add_packets_in(packets);
    }
}
