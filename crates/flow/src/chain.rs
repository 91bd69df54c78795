//! Chains: a hash line and the overflow lines behind it.
//!
//! A slot holds an entry's index plus one in its low bits and a tag from the hash in the rest; 0 is an empty slot. The
//! slots of a chain have no holes: the first empty one ends it, and a removal moves the last into the gap. The control
//! word of a hash line holds the writers' lock, a count of such moves, and the number plus one of the next line; an
//! overflow line's holds the latter only.
//!
//! Readers take no lock. Orderings: a writer fills an entry, then stores its slot with Release; a reader loads slots
//! with Acquire and so sees the entry filled. A slot that moves may slip past a reader that goes the other way; it then
//! finds the lock taken before or the count of moves changed after its walk, and walks again. Whether the chain is still that
//! of its hash it asks, too (`directory.rs`).

use core::iter::successors;

use crate::{
    EntryIndex, EntryRef, Gap,
    directory::{self, Directory},
    layout::{HEADER_LINES, Layout},
    line::{Line, Memory},
    sync::{AtomicU32, Ordering, fence, load_contended, load_traced, lock_taken, lock_to_release, spin_loop},
};

/// Most lines of a chain, its hash line among them: 960 connections of one client port and protocol.
pub(crate) const CHAIN_LINES: u32 = 64;
/// Control word: number plus one of the next line, 0 at the end.
pub(crate) const NEXT: u32 = (1 << 23) - 1;
/// Control word of a hash line: a writer is at work.
pub(crate) const LOCK: u32 = 1 << 23;
/// Control word of a hash line: one move in the count of moves, the eight bits on top.
const MOVE: u32 = 1 << 24;
const MOVES: u32 = 0xff << 24;
/// Walks of a reader that writers keep disturbing, before it gives up.
const WALKS: u32 = if cfg!(loom) { 6 } else { 16 };

/// A chain of a table.
pub(crate) struct Chain<'t, M> {
    memory: &'t M,
    layout: Layout,
    directory: &'t AtomicU32,
    head: &'t Line,
    /// The head's number in the memory.
    number: u32,
    hash: u64,
}

/// Where a chain ends: its last line, the slots used there, the line before it, and how many lines there are.
pub(crate) struct End<'t> {
    pub(crate) line: &'t Line,
    pub(crate) used: usize,
    pub(crate) before: Option<&'t Line>,
    pub(crate) lines: u32,
}

/// What a bounded lookup found.
#[derive(Clone, Copy, Debug)]
pub enum Glimpse<'t> {
    /// The connection.
    Found(EntryIndex, EntryRef<'t>),
    /// There is none: certain.
    Absent,
    /// The chain is longer than was looked at, or a writer was at work.
    Unknown,
}

/// How a walk along a chain ended.
enum Walk<'t> {
    Found(EntryIndex, EntryRef<'t>),
    /// At the chain's end.
    Ended,
    /// Before it.
    Cut,
}

impl<'t, M: Memory> Chain<'t, M> {
    /// The chain of `hash`.
    #[inline(always)]
    pub(crate) fn of(memory: &'t M, layout: Layout, hash: u64) -> Option<Self> {
        let directory = directory::word(memory.line(0)?);
        // Acquire: a line of which the word tells has its slots.
        let number = Self::number(load_traced(directory, Ordering::Acquire), hash);
        Some(Chain { memory, layout, directory, head: memory.line(number)?, number, hash })
    }

    /// The chain of the hash line of that number, whatever connections are in it.
    pub(crate) fn at(memory: &'t M, layout: Layout, number: u32) -> Option<Self> {
        let directory = directory::word(memory.line(0)?);
        Some(Chain { memory, layout, directory, head: memory.line(number)?, number, hash: 0 })
    }

    #[inline(always)]
    fn number(directory: u32, hash: u64) -> u32 {
        HEADER_LINES + Directory::from_word(directory).line_of(hash as u32)
    }

    /// Whether the chain is that of its hash. Who asks behind an Acquire that saw its connections taken out sees the directory
    /// that was written before; with the lock the answer stays. Who has no lock asks before the second look at the control word: were
    /// the lines joined and split again, the word is as it was, but what was counted before it was written shows.
    #[inline(always)]
    pub(crate) fn is_current(&self) -> bool {
        self.number == Self::number(load_traced(self.directory, Ordering::Acquire), self.hash)
    }

    /// Where it lies: chains are locked in the order of these.
    pub(crate) fn position(&self) -> u32 {
        self.number
    }

    /// The hash's top bits. The line's number is of its low bits: they are independent.
    #[inline(always)]
    fn tag(&self) -> u32 {
        (self.hash >> 32) as u32 >> self.layout.index_bits << self.layout.index_bits
    }

    /// Begins to read the hash line. The load is Acquire: no compiler leaves it out.
    #[inline(always)]
    pub(crate) fn begin_to_read(&self) {
        let _ = self.head.control().load(Ordering::Acquire);
    }

    /// The first connection of the chain's tag that `accept` takes.
    ///
    /// `None` is certain for the thread that writes. Another thread may also get it while writers kept changing the
    /// chain through all of its walks.
    #[inline(always)]
    pub(crate) fn find(
        self,
        mut accept: impl FnMut(&EntryRef<'t>) -> bool,
    ) -> Option<(EntryIndex, EntryRef<'t>)> {
        match self.glimpse::<CHAIN_LINES>(&mut accept) {
            Glimpse::Found(index, entry) => Some((index, entry)),
            Glimpse::Absent => None,
            Glimpse::Unknown => Self::find_disturbed(self.memory, self.layout, self.hash, accept),
        }
    }

    /// The same, after a walk that a writer disturbed.
    #[cold]
    #[inline(never)]
    fn find_disturbed(
        memory: &'t M,
        layout: Layout,
        hash: u64,
        mut accept: impl FnMut(&EntryRef<'t>) -> bool,
    ) -> Option<(EntryIndex, EntryRef<'t>)> {
        for _ in 1..WALKS {
            spin_loop();
            // The chain may have become another.
            match Self::of(memory, layout, hash)?.glimpse::<CHAIN_LINES>(&mut accept) {
                Glimpse::Found(index, entry) => return Some((index, entry)),
                Glimpse::Absent => return None,
                Glimpse::Unknown => {}
            }
        }
        None
    }

    /// As [`Chain::find`], in one walk over at most `LINES` lines, that it may stand in the XDP program.
    #[inline(always)]
    pub(crate) fn glimpse<const LINES: u32>(
        &self,
        mut accept: impl FnMut(&EntryRef<'t>) -> bool,
    ) -> Glimpse<'t> {
        // Acquire: an unlocked control word shows all that its writer did.
        let before = self.head.control().load(Ordering::Acquire);
        match self.walk::<LINES>(before, &mut accept) {
            Walk::Found(index, entry) => Glimpse::Found(index, entry),
            Walk::Cut => Glimpse::Unknown,
            Walk::Ended => {
                // If the walk met a moved slot, this fence and the writer's let us see its count of moves.
                fence(Ordering::Acquire);
                let current = self.is_current();
                let after = self.head.control().load(Ordering::Relaxed);
                let undisturbed = before & LOCK == 0 && (before ^ after) & MOVES == 0;
                if undisturbed && current { Glimpse::Absent } else { Glimpse::Unknown }
            }
        }
    }

    #[inline(always)]
    fn walk<const LINES: u32>(
        &self,
        control: u32,
        accept: &mut impl FnMut(&EntryRef<'t>) -> bool,
    ) -> Walk<'t> {
        let mut line = self.head;
        let mut control = control;
        for number in 1..=LINES {
            for slot in line.slots() {
                let slot = slot.load(Ordering::Acquire);
                if slot == 0 {
                    return Walk::Ended;
                }
                if let Some(index) = self.index_in(slot)
                    && let Some(entry) = self.entry(index)
                    && accept(&entry)
                {
                    return Walk::Found(EntryIndex(index), entry);
                }
            }
            if number == LINES && control & NEXT != 0 {
                break;
            }
            let Some(next) = self.overflow(control) else { return Walk::Ended };
            line = next;
            control = line.control().load(Ordering::Acquire);
        }
        Walk::Cut
    }

    /// The index in a slot that has the chain's tag.
    #[inline(always)]
    fn index_in(&self, slot: u32) -> Option<u32> {
        // With another tag, bits above the index remain; with no index (0), all are set.
        let index = (slot ^ self.tag()).wrapping_sub(1);
        (index < (1 << self.layout.index_bits) - 1).then_some(index)
    }

    #[inline(always)]
    fn entry(&self, index: u32) -> Option<EntryRef<'t>> {
        EntryRef::new(self.memory.line(self.layout.entries_start() + index)?)
    }

    #[inline(always)]
    fn overflow(&self, control: u32) -> Option<&'t Line> {
        self.memory.line(self.layout.overflow_start() + (control & NEXT).checked_sub(1)?)
    }

    /// The slot value of entry `index`.
    #[inline(always)]
    pub(crate) fn slot(&self, index: u32) -> u32 {
        self.tag() | (index + 1)
    }

    /// The lines of the chain. Needs the lock.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'t Line> {
        successors(Some(self.head), |line| self.overflow(load_contended(line.control())))
    }

    /// The slots in use. Needs the lock.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        let slots = self.lines().flat_map(|line| line.slots());
        slots.map(|slot| slot.load(Ordering::Relaxed)).take_while(|slot| *slot != 0)
    }

    /// The entry that a slot of any tag points to.
    pub(crate) fn entry_of(&self, slot: u32) -> Option<EntryRef<'t>> {
        self.entry((slot & ((1 << self.layout.index_bits) - 1)).checked_sub(1)?)
    }

    /// Takes the writers' lock.
    pub(crate) fn lock(&self) {
        // Acquire: we see what the former holder did; `unlock`'s Release is the other half.
        while self.head.control().fetch_or(LOCK, Ordering::Acquire) & LOCK != 0 {
            spin_loop();
        }
        lock_taken();
    }

    /// Takes the writers' lock if it is free, and the chain that of its hash.
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> bool {
        // Acquire: as in `lock`.
        if self.head.control().fetch_or(LOCK, Ordering::Acquire) & LOCK != 0 {
            return false;
        }
        lock_taken();
        let current = self.is_current();
        if !current {
            self.unlock();
        }
        current
    }

    /// Where another slot can be put without a new line; `None` if there is no such place in the first `LINES` lines, or a
    /// connection before it is the `same`. Needs the lock.
    #[inline(always)]
    pub(crate) fn gap<const LINES: u32>(&self, mut same: impl FnMut(&EntryRef<'t>) -> bool) -> Option<Gap> {
        let (mut line, mut number) = (self.head, self.number);
        for _ in 0..LINES {
            for (position, slot) in line.slots().iter().enumerate() {
                let slot = slot.load(Ordering::Acquire);
                if slot == 0 {
                    return Some(Gap::new(number, position as u32));
                }
                if let Some(index) = self.index_in(slot)
                    && let Some(entry) = self.entry(index)
                    && same(&entry)
                {
                    return None;
                }
            }
            let next = (load_contended(line.control()) & NEXT).checked_sub(1)?;
            number = self.layout.overflow_start() + next;
            line = self.memory.line(number)?;
        }
        None
    }

    /// Puts a slot for entry `index` in a gap. Needs the lock, since before the gap was found.
    #[inline(always)]
    pub(crate) fn put(&self, gap: Gap, index: u32) -> bool {
        let place = self.memory.line(gap.line()).and_then(|line| line.slots().get(gap.position()));
        let Some(place) = place else { return false };
        // Release: who sees the slot sees the entry that it points to.
        place.store(self.slot(index), Ordering::Release);
        true
    }

    /// Releases the writers' lock.
    #[inline(always)]
    pub(crate) fn unlock(&self) {
        lock_to_release();
        self.head.control().fetch_and(!LOCK, Ordering::Release);
    }

    /// The end of the chain. Needs the lock.
    #[inline]
    pub(crate) fn end(&self) -> End<'t> {
        let mut end = End { line: self.head, used: 0, before: None, lines: 0 };
        for line in self.lines() {
            end = End { line, used: 0, before: (end.lines > 0).then_some(end.line), lines: end.lines + 1 };
        }
        end.used = end.line.slots().iter().take_while(|slot| slot.load(Ordering::Relaxed) != 0).count();
        end
    }

    /// Appends a slot at `end`, in the overflow line `fresh` (its number and the line) if the last line is full. Needs
    /// the lock.
    pub(crate) fn append(&self, end: &End<'t>, value: u32, fresh: Option<(u32, &'t Line)>) {
        let (line, position) = match fresh {
            Some((_, line)) => (line, 0),
            None => (end.line, end.used),
        };
        if let Some(slot) = line.slots().get(position) {
            // Release: who sees the slot sees the entry that it points to.
            slot.store(value, Ordering::Release);
        }
        if let Some((number, _)) = fresh {
            // Release: who goes to the line sees its slot. It was the last line: there was no next one.
            end.line.control().fetch_or(number + 1, Ordering::Release);
        }
    }

    /// Takes a slot out of the chain; the last one moves into its place. Returns the number of the overflow line that
    /// fell free, if one did. Needs the lock.
    pub(crate) fn take_out(&self, value: u32) -> Option<u32> {
        let gap = self.slot_with(value)?;
        let end = self.end();
        let last = end.line.slots().get(end.used.checked_sub(1)?)?;
        if !core::ptr::eq(gap, last) {
            self.count_move();
            gap.store(last.load(Ordering::Relaxed), Ordering::Release);
        }
        last.store(0, Ordering::Release);
        let control = end.before.filter(|_| end.used == 1)?.control();
        (control.fetch_and(!NEXT, Ordering::Release) & NEXT).checked_sub(1)
    }

    /// Counts a move, of any number of slots, before it is made. Needs the lock.
    pub(crate) fn count_move(&self) {
        // Who sees the move sees the count, by the fence; the other half is in `glimpse`.
        self.head.control().fetch_add(MOVE, Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// Puts `new` in the place of a slot. Needs the lock.
    pub(crate) fn replace(&self, value: u32, new: u32) {
        if let Some(slot) = self.slot_with(value) {
            // Release: who sees the slot sees the entry as it is now.
            slot.store(new, Ordering::Release);
        }
    }

    /// Whether the chain holds a connection with the key of `words`. Needs the lock.
    #[inline(always)]
    pub(crate) fn holds(&self, words: &[u32; 10]) -> bool {
        let control = load_contended(self.head.control());
        matches!(self.walk::<CHAIN_LINES>(control, &mut |entry| entry.has_key(words)), Walk::Found(..))
    }

    fn slot_with(&self, value: u32) -> Option<&'t crate::sync::AtomicU32> {
        let mut line = self.head;
        for _ in 0..CHAIN_LINES {
            if let Some(slot) = line.slots().iter().find(|slot| slot.load(Ordering::Relaxed) == value) {
                return Some(slot);
            }
            line = self.overflow(load_contended(line.control()))?;
        }
        None
    }
}
