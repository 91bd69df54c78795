//! Inserting connections without waiting, for the XDP program: into entries that the daemon has set aside, at places that are
//! free already. What does not succeed at once is the daemon's.

use crate::{EntryIndex, Key, NewConnection, Table, Tick, chain::Chain, entry, line::Memory};

/// Where in a chain a connection can be put: number of a line, and of a slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap(u32, u32);

impl Gap {
    pub(crate) const fn new(line: u32, slot: u32) -> Self {
        Self(line, slot)
    }

    pub(crate) const fn line(self) -> u32 {
        self.0
    }

    pub(crate) const fn position(self) -> usize {
        self.1 as usize & 15
    }

    /// Both numbers as one.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        (self.0 as u64) << 4 | self.1 as u64
    }

    /// The gap of [`Gap::to_word`].
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self((word >> 4) as u32, word as u32 & 15)
    }
}

impl<M: Memory> Table<M> {
    /// Sets an entry aside for [`Table::fill`]. It holds no connection; [`Table::give_back`] undoes it.
    pub fn set_aside(&self) -> Option<EntryIndex> {
        let (index, _) = self.allocation()?.take_entry()?;
        self.keep_up();
        Some(EntryIndex(index))
    }

    /// Gives back an entry that was set aside and not filled.
    pub fn give_back(&self, index: EntryIndex) {
        if let Some(allocation) = self.allocation() {
            allocation.give_entry(index.0);
        }
    }

    /// What the chain of a key is found by.
    #[inline(always)]
    pub fn hash_of(&self, key: &Key) -> u64 {
        self.hash(key)
    }

    /// Locks the chain, if it is free. While it is locked it remains that of the hash.
    #[inline(always)]
    pub fn try_lock(&self, hash: u64) -> bool {
        self.chain_at(hash).is_some_and(|chain| chain.try_lock())
    }

    /// Takes back [`Table::try_lock`].
    #[inline(always)]
    pub fn unlock(&self, hash: u64) {
        if let Some(chain) = self.chain_at(hash) {
            chain.unlock();
        }
    }

    /// Where the connection of `key` can be put; `None` if it exists, or there is no room in the chain's lines, or there are
    /// more than `LINES` of them. Needs the lock.
    #[inline(always)]
    pub fn gap<const LINES: u32>(&self, hash: u64, key: &Key) -> Option<Gap> {
        let words = key.to_words();
        self.chain_at(hash)?.gap::<LINES>(|entry| entry.has_key(&words))
    }

    /// Fills an entry that was set aside, and puts it into a gap. Needs the lock. Returns the entry's version.
    #[inline(always)]
    pub fn fill(
        &self,
        hash: u64,
        gap: Gap,
        index: EntryIndex,
        new: &NewConnection,
        now: Tick,
    ) -> Option<u32> {
        let chain = self.chain_at(hash)?;
        let version = entry::write(self.entry_line(index)?, new, now);
        // The gap is there: it was found under the same lock.
        chain.put(gap, index.0).then_some(version)
    }

    /// All of it: for the side that sets aside, and for tests.
    pub fn insert_at_once<const LINES: u32>(
        &self,
        index: EntryIndex,
        new: &NewConnection,
        now: Tick,
    ) -> bool {
        let hash = self.hash_of(&new.key);
        if !self.try_lock(hash) {
            return false;
        }
        let gap = self.gap::<LINES>(hash, &new.key);
        let filled = gap.and_then(|gap| self.fill(hash, gap, index, new, now));
        self.unlock(hash);
        filled.is_some()
    }

    #[inline(always)]
    fn chain_at(&self, hash: u64) -> Option<Chain<'_, M>> {
        Chain::of(self.memory(), self.layout(), hash)
    }
}
