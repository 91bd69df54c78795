//! The table as readers see it: looking up, listing.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;

use crate::{
    Address, EntryIndex, EntryRef, Key, TableHash,
    allocation::Allocation,
    chain::{Chain, Glimpse},
    directory::{self, Directory},
    key::client_hash,
    layout::{CapacityError, Layout},
    line::{Line, Memory},
    sync::Ordering,
};

/// First word of a table's memory: "IPV4", the layout's version in it.
const MAGIC: u32 = u32::from_be_bytes(*b"IPV4");
/// That of the version before, whose connections can be taken over.
const MAGIC_3: u32 = u32::from_be_bytes(*b"IPV3");

/// The connection table: a fixed number of connections in memory of any kind.
///
/// All methods take `&self`. Lookups take no lock and may run on other threads, in other programs even, beside a
/// writer; writers lock the hash line that they change.
#[derive(Debug)]
pub struct Table<M> {
    memory: M,
    layout: Layout,
    hash: TableHash,
}

/// A table in the heap.
#[cfg(feature = "alloc")]
pub type HeapTable = Table<Box<[Line]>>;

/// Memory that a table cannot live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// No table has such a capacity.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// There are fewer lines than the table needs.
    #[error("the memory is too short: the connection table needs {0} lines of 64 bytes")]
    TooShort(u32),
    /// The memory holds no table of this version.
    #[error("the memory holds no connection table, or one of another version")]
    NoTable,
    /// The table has another label than that of its owner.
    #[error("the memory holds the connections of another director")]
    Foreign,
}

#[cfg(feature = "alloc")]
impl HeapTable {
    /// A table for `capacity` connections, whose hash is keyed with `hash_key` (random, so that nobody outside can
    /// choose connections that meet in one chain).
    ///
    /// # Errors
    /// [`CapacityError`] unless `capacity` is between 1 and [`crate::MAX_CAPACITY`].
    pub fn allocate(capacity: u32, hash_key: [u64; 2]) -> Result<Self, CapacityError> {
        let layout = Layout::for_capacity(capacity)?;
        let memory: Box<[Line]> = (0..layout.lines()).map(|_| Line::zeroed()).collect();
        let table = Table { memory, layout, hash: TableHash::of(hash_key) };
        table.write_header(hash_key);
        Ok(table)
    }
}

impl<M: Memory> Table<M> {
    /// A new table for `capacity` connections over `memory`, which must be all zero and at least
    /// [`Layout::lines`] long.
    ///
    /// # Errors
    /// [`MemoryError::Capacity`] or [`MemoryError::TooShort`].
    pub fn over(memory: M, capacity: u32, hash_key: [u64; 2]) -> Result<Self, MemoryError> {
        let table = Self::checked(memory, Layout::for_capacity(capacity)?, hash_key)?;
        table.write_header(hash_key);
        Ok(table)
    }

    /// The table that another program made in `memory`.
    ///
    /// # Errors
    /// [`MemoryError::NoTable`] if there is none.
    pub fn attach(memory: M) -> Result<Self, MemoryError> {
        let header = memory.line(0).ok_or(MemoryError::NoTable)?;
        let mut words = [0; 6];
        for (to, from) in words.iter_mut().zip(header.first::<6>()) {
            // Acquire: the magic word is written last.
            *to = from.load(Ordering::Acquire);
        }
        let [magic, capacity, a, b, c, d] = words;
        let layout = match magic {
            MAGIC => Layout::for_capacity(capacity)?,
            MAGIC_3 => Layout::of_version_3(capacity)?,
            _ => return Err(MemoryError::NoTable),
        };
        let hash_key = [u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32];
        Self::checked(memory, layout, hash_key)
    }

    /// The table of which another program says that it lies in `memory`, with this layout and hash: for the XDP
    /// program, in which they are constants. Lines that are not there hold no connection.
    #[inline(always)]
    pub const fn known(memory: M, layout: Layout, hash: TableHash) -> Self {
        Table { memory, layout, hash }
    }

    fn checked(memory: M, layout: Layout, hash_key: [u64; 2]) -> Result<Self, MemoryError> {
        match memory.line(layout.lines() - 1) {
            Some(_) => Ok(Table { memory, layout, hash: TableHash::of(hash_key) }),
            None => Err(MemoryError::TooShort(layout.lines())),
        }
    }

    fn write_header(&self, hash_key: [u64; 2]) {
        let Some(header) = self.memory.line(0) else { return };
        let [a, b] = hash_key;
        let words = [self.layout.capacity, a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]
            .into_iter()
            .enumerate();
        for (position, value) in words {
            if let Some(word) = header.first::<6>().get(position + 1) {
                word.store(value, Ordering::Relaxed);
            }
        }
        directory::word(header).store(Directory::first(self.layout).to_word(), Ordering::Relaxed);
        header.word::<0>().store(MAGIC, Ordering::Release);
    }

    /// The connection that a packet from the client belongs to, or the template with this key.
    #[inline]
    pub fn find_in(&self, key: &Key) -> Option<EntryIndex> {
        self.lookup_in(key).map(|(index, _)| index)
    }

    /// As [`Table::find_in`], with the connection itself: as long as [`EntryRef::is_current`] holds, what is read from
    /// it is that connection's, whatever other threads do.
    #[inline]
    pub fn lookup_in(&self, key: &Key) -> Option<(EntryIndex, EntryRef<'_>)> {
        self.chain(key)?.find(|entry| is_of(entry, key))
    }

    /// As [`Table::lookup_in`], in one walk over at most `LINES` lines.
    #[inline(always)]
    pub fn glimpse_in<const LINES: u32>(&self, key: &Key) -> Glimpse<'_> {
        let words = key.to_words();
        let Some(chain) = self.chain(key) else { return Glimpse::Unknown };
        chain.glimpse::<LINES>(|entry| entry.has_key(&words))
    }

    /// As [`Table::find_out`], in one walk over at most `LINES` lines.
    #[inline(always)]
    pub fn glimpse_out<const LINES: u32>(
        &self,
        ipv6: bool,
        protocol: u8,
        client: Address,
        client_port: u16,
        mut accept: impl FnMut(&EntryRef<'_>) -> bool,
    ) -> Glimpse<'_> {
        let key = client_side(ipv6, protocol, client, client_port);
        let words = key.to_words();
        let Some(chain) = self.chain(&key) else { return Glimpse::Unknown };
        chain.glimpse::<LINES>(|entry| entry.has_client(&words) && accept(entry) && entry.is_current())
    }

    /// The connection that a packet to the client belongs to: among the connections of this client port, the first that
    /// `accept` takes. It compares the packet's source with the destination's address and
    /// [`EntryRef::destination_port`]. Templates are left out.
    #[inline]
    pub fn find_out(
        &self,
        ipv6: bool,
        protocol: u8,
        client: Address,
        client_port: u16,
        mut accept: impl FnMut(EntryRef<'_>) -> bool,
    ) -> Option<EntryIndex> {
        let key = client_side(ipv6, protocol, client, client_port);
        let accept = |entry: &EntryRef<'_>| is_to(entry, &key) && accept(*entry) && entry.is_current();
        self.chain(&key)?.find(accept).map(|(index, _)| index)
    }

    /// The connection in an entry; `None` if it is free.
    #[inline]
    pub fn entry(&self, index: EntryIndex) -> Option<EntryRef<'_>> {
        if index.0 >= self.layout.capacity {
            return None;
        }
        EntryRef::new(self.entry_line(index)?)
    }

    /// Connections in the table, templates included.
    pub fn len(&self) -> u32 {
        self.allocation().map_or(0, |allocation| allocation.len())
    }

    /// Whether the table holds no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table's memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The memory, without the table.
    pub fn into_memory(self) -> M {
        self.memory
    }

    /// A number that says whose table it is; 0 until it is set.
    pub fn label(&self) -> u64 {
        let word = |number: usize| {
            let word = self.memory.line(0).and_then(|header| header.first::<8>().get(number));
            u64::from(word.map_or(0, |word| word.load(Ordering::Relaxed)))
        };
        word(6) | word(7) << 32
    }

    /// Sets what [`Table::label`] tells.
    pub fn set_label(&self, label: u64) {
        if let Some(header) = self.memory.line(0) {
            header.word::<6>().store(label as u32, Ordering::Relaxed);
            header.word::<7>().store((label >> 32) as u32, Ordering::Relaxed);
        }
    }

    /// Most connections that the table holds.
    pub fn capacity(&self) -> u32 {
        self.layout.capacity
    }

    /// Its hash.
    pub fn table_hash(&self) -> TableHash {
        self.hash
    }

    /// Where the parts of the table lie.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Entries from this index on were never used.
    pub fn extent(&self) -> u32 {
        self.allocation().map_or(0, |allocation| allocation.entry_mark())
    }

    /// The connections in entries `position` and up, by index. A listing in pages goes on from [`Entries::position`];
    /// connections that come and go meanwhile may be missed, others appear once.
    pub fn entries_from(&self, position: u32) -> Entries<'_, M> {
        self.entries_between(position, self.layout.capacity)
    }

    /// The connections in entries `position` up to but not including `end`, by index: a caller that must not look at
    /// too many entries at a time, free ones included, sets an end.
    pub fn entries_between(&self, position: u32, end: u32) -> Entries<'_, M> {
        Entries { table: self, position, end: end.min(self.extent()) }
    }

    /// The connection that was in entry `index` when its version was `version`: whoever found it was told both. See
    /// [`EntryRef::is_current`].
    #[inline(always)]
    pub fn visit(&self, index: EntryIndex, version: u32) -> Option<EntryRef<'_>> {
        Some(EntryRef::at(self.entry_line(index)?, version))
    }

    #[inline(always)]
    pub(crate) fn entry_line(&self, index: EntryIndex) -> Option<&Line> {
        self.memory.line(self.layout.entries_start().checked_add(index.0)?)
    }

    #[inline(always)]
    pub(crate) fn chain(&self, key: &Key) -> Option<Chain<'_, M>> {
        Chain::of(&self.memory, self.layout, self.hash(key))
    }

    #[inline(always)]
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        client_hash(self.hash, key.ipv6, key.protocol, key.client, key.client_port)
    }

    pub(crate) fn allocation(&self) -> Option<Allocation<'_, M>> {
        Some(Allocation { memory: &self.memory, layout: self.layout, header: self.memory.line(1)? })
    }
}

/// Whether an entry is of this connection. In a function of its own, so that walking over what has another tag stays short.
#[inline(never)]
fn is_of(entry: &EntryRef<'_>, key: &Key) -> bool {
    entry.has_key(&key.to_words())
}

/// Whether an entry is of this client. As [`is_of`].
#[inline(never)]
fn is_to(entry: &EntryRef<'_>, key: &Key) -> bool {
    entry.has_client(&key.to_words())
}

/// A key of which only the client's side counts.
#[inline(always)]
fn client_side(ipv6: bool, protocol: u8, client: Address, client_port: u16) -> Key {
    let virtual_address = Address::unspecified(ipv6);
    Key { ipv6, template: false, protocol, client, client_port, virtual_address, virtual_port: 0 }
}

/// The connections in a range of entries.
#[derive(Debug)]
pub struct Entries<'t, M> {
    table: &'t Table<M>,
    position: u32,
    end: u32,
}

impl<M> Entries<'_, M> {
    /// The next entry that the iterator will look at: where another one goes on.
    pub fn position(&self) -> u32 {
        self.position
    }
}

impl<M: Memory> Iterator for Entries<'_, M> {
    type Item = EntryIndex;

    fn next(&mut self) -> Option<EntryIndex> {
        while self.position < self.end {
            let index = EntryIndex(self.position);
            self.position += 1;
            if self.table.entry(index).is_some() {
                return Some(index);
            }
        }
        None
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests {
    use super::*;
    use crate::directory::tests::{insert, key};

    /// As it was written before there were flow caches: fewer hash lines, and the words beside at the end.
    #[test]
    fn a_table_of_version_3_is_read_as_it_was_written() {
        let layout = Layout::of_version_3(13_000).unwrap();
        assert!(layout.hash_mask < Layout::for_capacity(13_000).unwrap().hash_mask);
        let memory: Box<[Line]> = (0..layout.lines_with_words_beside()).map(|_| Line::zeroed()).collect();
        let old = Table { memory, layout, hash: TableHash::of([3, 4]) };
        old.write_header([3, 4]);
        let indices: alloc::vec::Vec<_> = (0..13_000).map(|number| insert(&old, key(number))).collect();
        old.set_beside(indices[12_999], 7);
        let memory = old.into_memory();
        memory[0].word::<0>().store(MAGIC_3, Ordering::Relaxed);
        let table = Table::attach(memory).unwrap();
        for (number, index) in (0..).zip(&indices) {
            assert_eq!(table.find_in(&key(number)), Some(*index));
        }
        assert_eq!(table.beside(indices[12_999]), Some(7));
        assert!(!table.has_cache() && table.snapshot(indices[0]).is_some());
    }
}
