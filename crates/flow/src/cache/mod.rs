//! The flow cache: what a packet that changes nothing needs of its connection, in one place that its hash tells. Without it such a
//! packet waits for memory twice, for the hash line and then for the entry that this names; with it once.
//!
//! To each hash line belong two buckets of four records, each bucket two cache lines that lie together: keys in the first, the rest in
//! the second. A connection's record is in the bucket that its hash tells, or, if that is full, in the other one of the line; who changes
//! the connection looks in both. A record is a copy; the entry remains the connection. Only the time of the latest packet and a count of packets are
//! noted in the record first, and reach the entry when somebody asks ([`Table::last_seen`]) or the record goes. Of connections
//! of IPv4 over TCP and UDP, not of templates, nor of full NAT; where the memory ends before, there is no cache.
//!
//! | bits of a record's first word | content |
//! |---|---|
//! | 0–1 | phase: empty, being written, valid, being written and no longer true |
//! | 2 | the connection is UDP's, not TCP's |
//! | 3 | a packet from its server is no client's of another connection |
//! | 4–11 | of the flags METHOD and NO_OUTPUT |
//! | 12–18 | state |
//! | 19–31 | counts those who wrote it |
//!
//! **Nothing stale.** Who writes a record ([`Table::remember`]) first sets the connection's mark [`Status::is_cached`], then takes an empty
//! record, fills it, and only then looks at the connection once more: if it is as it was, the record becomes valid. Who changes the
//! connection looks at the mark afterwards, and if it is set takes the record out ([`Table::forget`]), or spoils one that is being written.
//! Both have a fence between their write and their look, so one of them sees the other. When lines are split or joined the buckets of
//! the line that loses connections are emptied after the directory's word; who writes a record looks at that word, too, and before it
//! looks at the connection. What a record noted of the time is in the entry before the record goes. `tests/loom/cache.rs` has models.

mod activity;
mod forget;
mod recall;
mod remember;

pub use forget::Change;
pub use recall::{Ipv4End, Recalled, other_bucket};
pub use remember::Known;

use crate::{
    Memory, Table,
    directory::{self, Directory},
    flag::{METHOD, NO_OUTPUT},
    line::Line,
    sync::{AtomicU32, Ordering, load_traced},
};

/// Records of a bucket. (Fewer for the model checker, which tries what each of them may hold.)
const RECORDS: usize = if cfg!(loom) { 2 } else { 4 };
/// Lines of the buckets of one hash line.
pub(crate) const LINES_PER_HASH_LINE: u32 = 4;

/// Phases of a record.
const EMPTY: u32 = 0;
const WRITING: u32 = 1;
const VALID: u32 = 2;
const SPOILT: u32 = 3;
const PHASE: u32 = 3;

const DATAGRAMS: u32 = 1 << 2;
const BACK: u32 = 1 << 3;
const FLAGS_SHIFT: u32 = 4;
/// Flags that a record has; a connection with others, but for INACTIVE, has no record.
const FLAGS: u16 = METHOD | NO_OUTPUT;
const STATE_SHIFT: u32 = 12;
/// One in the count of those who wrote.
const WRITE: u32 = 1 << 19;

/// Most packets that a record counts.
const MOST: u32 = 0xffff;

/// One of the two buckets of a hash line: a place of the flow cache.
#[derive(Clone, Copy, Debug)]
pub struct Bucket<'t> {
    /// Four words each: state, clients, virtual addresses, ports.
    keys: &'t Line,
    /// Four words each: destination and its port, time of the latest packet, packets and timeouts' number, entry.
    rest: &'t Line,
}

impl<'t> Bucket<'t> {
    #[inline(always)]
    fn word(line: &'t Line, group: usize, place: usize) -> &'t AtomicU32 {
        line.at(group * RECORDS + (place & (RECORDS - 1)))
    }

    #[inline(always)]
    fn info(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.keys, 0, place)
    }

    #[inline(always)]
    fn client(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.keys, 1, place)
    }

    #[inline(always)]
    fn virtual_address(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.keys, 2, place)
    }

    /// The client's, above it the virtual one, as in an entry.
    #[inline(always)]
    fn ports(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.keys, 3, place)
    }

    /// The destination's index, above it its port.
    #[inline(always)]
    fn destination(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.rest, 0, place)
    }

    #[inline(always)]
    fn seen(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.rest, 1, place)
    }

    /// Packets from the client, above them the number of the timeouts.
    #[inline(always)]
    fn packets(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.rest, 2, place)
    }

    #[inline(always)]
    fn index(self, place: usize) -> &'t AtomicU32 {
        Self::word(self.rest, 3, place)
    }
}

impl<M: Memory> Table<M> {
    /// Whether there is a cache.
    #[inline(always)]
    pub(crate) fn has_cache(&self) -> bool {
        self.bucket_of(0, 0).is_some()
    }

    /// The buckets that may have a hash's connections: its own, and the other one of its line. `None` if there is no cache.
    #[inline(always)]
    fn buckets(&self, hash: u64) -> Option<[Bucket<'_>; 2]> {
        self.buckets_of(self.directory()?.line_of(hash as u32), half(hash))
    }

    /// The same, of a hash whose line is known.
    #[inline(always)]
    fn buckets_of(&self, line: u32, half: u32) -> Option<[Bucket<'_>; 2]> {
        Some([self.bucket_of(line, half)?, self.bucket_of(line, half ^ 1)?])
    }

    /// The number of the bucket of a hash.
    #[inline(always)]
    fn bucket_number(&self, hash: u64) -> Option<u32> {
        Some((self.directory()?.line_of(hash as u32) << 1) | half(hash))
    }

    #[inline(always)]
    fn bucket_of(&self, line: u32, half: u32) -> Option<Bucket<'_>> {
        let first = self.layout().cache_start + line * LINES_PER_HASH_LINE + half * 2;
        Some(Bucket { keys: self.memory().line(first)?, rest: self.memory().line(first + 1)? })
    }

    #[inline(always)]
    fn directory(&self) -> Option<Directory> {
        let word = directory::word(self.memory().line(0)?);
        Some(Directory::from_word(load_traced(word, Ordering::Acquire)))
    }
}

/// Which of its line's buckets is that of a hash. (The line's number is of the low bits, tags are of the top ones.)
#[inline(always)]
const fn half(hash: u64) -> u32 {
    (hash >> 32) as u32 & 1
}
