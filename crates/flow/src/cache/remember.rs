//! Writing records: what the XDP program does when a packet that changed nothing went the long way.

use ipvs_wire::protocol::{TCP, UDP};

use super::{
    BACK, Bucket, DATAGRAMS, EMPTY, FLAGS, FLAGS_SHIFT, PHASE, RECORDS, STATE_SHIFT, VALID, WRITE, WRITING,
    half,
};
use crate::{
    EntryIndex, EntryRef, Memory, Table,
    flag::INACTIVE,
    key::is_ipv4_connection,
    sync::{Ordering, fence, load_contended, store_contended},
};

/// What the XDP program knows of a connection beside the entry.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The timeout of its state, in ticks, and the number of the timeouts that this is one of: read before the timeout was.
    pub timeout: u32,
    /// See `timeout`.
    pub timeouts: u32,
    /// A packet from its server has come, and is no client's of another connection.
    pub back: bool,
}

impl<M: Memory> Table<M> {
    /// Puts a connection into the flow cache, if it can be there and has a free place. Whether it did.
    #[inline(always)]
    pub fn remember(&self, index: EntryIndex, entry: &EntryRef<'_>, known: &Known) -> bool {
        self.try_remember(index, entry, known).is_some()
    }

    #[inline(always)]
    fn try_remember(&self, index: EntryIndex, entry: &EntryRef<'_>, known: &Known) -> Option<()> {
        let status = entry.status();
        let (destination, protocol) = (entry.destination(), entry.protocol());
        let other = status.flags() & !(FLAGS | INACTIVE);
        if other != 0
            || status.unsettled() != 0
            || destination > 0xffff
            || !is_ipv4_connection(entry.word_9())
        {
            return None;
        }
        let datagrams = match protocol {
            TCP => 0,
            UDP => DATAGRAMS,
            _ => return None,
        };
        let key = entry.key();
        let hash = self.hash(&key);
        let line = self.directory()?.line_of(hash as u32);
        let buckets = self.buckets_of(line, half(hash))?;
        let mut back = if known.back { BACK } else { 0 };
        // A record that it has says too little, or is of other timeouts, or can count no more packets.
        if status.is_cached() {
            back |= self.clear(buckets, index, entry);
        }
        let (bucket, place) = buckets.into_iter().find_map(|bucket| Some((bucket, bucket.empty_place()?)))?;
        // From here on who changes the connection looks for its record.
        let status = entry.set_cached(status)?;
        let writing = begin(bucket, place)?;
        let [.., client, _, _, _, virtual_address, ports, _] = key.to_words();
        bucket.client(place).store(client, Ordering::Relaxed);
        bucket.virtual_address(place).store(virtual_address, Ordering::Relaxed);
        bucket.ports(place).store(ports, Ordering::Relaxed);
        let to = destination | u32::from(entry.destination_port()) << 16;
        bucket.destination(place).store(to, Ordering::Relaxed);
        bucket.seen(place).store(entry.last_seen().0, Ordering::Relaxed);
        bucket.packets(place).store(known.timeouts << 16, Ordering::Relaxed);
        bucket.index(place).store(index.0, Ordering::Relaxed);
        // Whoever changes the connection now sees what we wrote, or we see the change: the other fence is in `forget`. (In the XDP program
        // taking the record, a locked instruction, is the fence.)
        fence(Ordering::SeqCst);
        let stays = self.directory().is_some_and(|it| it.line_of(hash as u32) == line);
        // The connection after the directory: was the line split and joined again meanwhile, who changed the connection in between
        // looked for its record elsewhere, and so we see the change.
        fence(Ordering::SeqCst);
        let unchanged = stays
            && entry.status() == status
            && entry.destination() == destination
            && entry.timeout() == known.timeout
            && entry.is_current();
        let facts = back | datagrams | u32::from(status.flags() & FLAGS) << FLAGS_SHIFT;
        let state = u32::from(status.state()) << STATE_SHIFT;
        let info = bucket.info(place);
        let valid = writing & !PHASE | VALID | facts | state;
        // Release: who sees a valid record sees its words.
        if unchanged && info.compare_exchange(writing, valid, Ordering::Release, Ordering::Relaxed).is_ok() {
            return Some(());
        }
        // Spoilt or not, it is ours.
        store_contended(info, writing & !PHASE | EMPTY, Ordering::Release);
        None
    }
}

impl Bucket<'_> {
    /// Where it has an empty record.
    #[inline(always)]
    fn empty_place(self) -> Option<usize> {
        (0..RECORDS).find(|place| load_contended(self.info(*place)) & PHASE == EMPTY)
    }
}

/// Takes an empty record: its first word from then on, which holds nothing but phase and count.
#[inline(always)]
fn begin(bucket: Bucket<'_>, place: usize) -> Option<u32> {
    let info = bucket.info(place);
    let empty = load_contended(info);
    let writing = (empty & !(WRITE - 1)).wrapping_add(WRITE) | WRITING;
    if empty & PHASE != EMPTY {
        return None;
    }
    info.compare_exchange(empty, writing, Ordering::SeqCst, Ordering::Relaxed).ok()?;
    // Who sees a word of ours sees that it is being written.
    fence(Ordering::Release);
    Some(writing)
}
