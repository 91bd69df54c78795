//! Inserting, removing and moving connections.

use crate::{
    EntryIndex, EntryRef, Key, NewConnection, Table, Tick,
    chain::{CHAIN_LINES, Chain, End},
    entry,
    line::{Line, Memory, SLOTS},
};

/// Why a connection cannot be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The table holds as many connections as it can.
    #[error("the connection table is full")]
    TableFull,
    /// Too many connections have this client address, port and protocol.
    #[error("too many connections of one client address and port")]
    ChainFull,
    /// There is a connection with this key.
    #[error("the connection exists")]
    Exists,
}

/// Why a connection's client port cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RehashError {
    /// The entry is free.
    #[error("there is no such connection")]
    NotFound,
    /// Too many connections have the new client address, port and protocol.
    #[error("too many connections of one client address and port")]
    ChainFull,
    /// There is a connection with the new key.
    #[error("the connection exists")]
    Exists,
}

impl<M: Memory> Table<M> {
    /// Inserts a connection whose latest packet came at `now`.
    ///
    /// # Errors
    /// [`InsertError`]; the table is unchanged then.
    pub fn insert(&self, new: &NewConnection, now: Tick) -> Result<EntryIndex, InsertError> {
        let chain = self.locked_chain(&new.key).ok_or(InsertError::TableFull)?;
        let result = self.insert_locked(&chain, new, now);
        chain.unlock();
        self.keep_up();
        result
    }

    fn insert_locked(
        &self,
        chain: &Chain<'_, M>,
        new: &NewConnection,
        now: Tick,
    ) -> Result<EntryIndex, InsertError> {
        let words = new.key.to_words();
        if chain.holds(&words) {
            return Err(InsertError::Exists);
        }
        let allocation = self.allocation().ok_or(InsertError::TableFull)?;
        let end = chain.end();
        if !has_room(&end) {
            return Err(InsertError::ChainFull);
        }
        let (index, line) = allocation.take_entry().ok_or(InsertError::TableFull)?;
        let Ok(fresh) = self.fresh_line(&end) else {
            allocation.give_entry(index);
            return Err(InsertError::ChainFull);
        };
        entry::write(line, new, now);
        chain.append(&end, chain.slot(index), fresh);
        Ok(EntryIndex(index))
    }

    /// Enters a connection that no lookup shall find, as [`Table::unhook`] leaves it.
    ///
    /// # Errors
    /// [`InsertError::TableFull`].
    pub fn insert_unhooked(&self, new: &NewConnection, now: Tick) -> Result<EntryIndex, InsertError> {
        let taken = self.allocation().and_then(|allocation| allocation.take_entry());
        let (index, line) = taken.ok_or(InsertError::TableFull)?;
        entry::write(line, new, now);
        Ok(EntryIndex(index))
    }

    /// Removes the connection in an entry. `false`: there is none (or another thread is just changing its client port).
    pub fn remove(&self, index: EntryIndex) -> bool {
        let Some(line) = self.entry_line(index) else { return false };
        while let Some(entry) = self.entry(index) {
            let Some(chain) = self.locked_chain(&entry.key()) else { return false };
            // Before we had the lock another writer may have removed the connection or changed its port.
            let current = entry.is_current();
            if current {
                self.retire(line, index, &entry);
                self.take_out(&chain, index);
            }
            chain.unlock();
            if current {
                if let Some(allocation) = self.allocation() {
                    allocation.give_entry(index.0);
                }
                self.keep_down();
                return true;
            }
        }
        false
    }

    /// Takes a connection out of the hash but leaves it in its entry, virtual and destination port set to 65535 (so the kernel
    /// shows a template that is no longer valid): no lookup finds it any more, listings and [`Table::remove`] do.
    /// `false`: there is none.
    pub fn unhook(&self, index: EntryIndex) -> bool {
        let Some(line) = self.entry_line(index) else { return false };
        while let Some(entry) = self.entry(index) {
            let Some(chain) = self.locked_chain(&entry.key()) else { return false };
            // As in `remove`.
            let current = entry.is_current();
            if current {
                self.retire(line, index, &entry);
                self.take_out(&chain, index);
                entry::write_service_ports(line, u16::MAX);
                entry::publish(line);
            }
            chain.unlock();
            if current {
                return true;
            }
        }
        false
    }

    /// Changes the client port of the connection in an entry, and so its place in the hash. Other threads do not find
    /// the connection for a moment meanwhile.
    ///
    /// # Errors
    /// [`RehashError`]; the connection is unchanged then.
    pub fn set_client_port(&self, index: EntryIndex, port: u16) -> Result<(), RehashError> {
        while let Some(entry) = self.entry(index) {
            let key = entry.key();
            if key.client_port == port && entry.is_current() {
                return Ok(());
            }
            let new = Key { client_port: port, ..key };
            let Some((from, to)) = self.chain(&key).zip(self.chain(&new)) else { break };
            // Two writers that lock two lines each take them in the order of their numbers.
            let (a, b) = (from.position(), to.position());
            let (first, second) = if a < b { (&from, Some(&to)) } else { (&to, (a > b).then_some(&from)) };
            first.lock();
            if let Some(second) = second {
                second.lock();
            }
            // As in `remove` and `locked_chain`.
            let current = entry.is_current() && from.is_current() && to.is_current();
            let result = current.then(|| match a == b {
                true => self.retag(index, &entry, &new, &from, &to),
                false => self.rehash(index, &entry, &new, &from, &to),
            });
            if let Some(second) = second {
                second.unlock();
            }
            first.unlock();
            if let Some(result) = result {
                return result;
            }
        }
        Err(RehashError::NotFound)
    }

    /// Gives a connection its new key within its chain.
    fn retag(
        &self,
        index: EntryIndex,
        entry: &EntryRef<'_>,
        new: &Key,
        from: &Chain<'_, M>,
        to: &Chain<'_, M>,
    ) -> Result<(), RehashError> {
        let line = self.entry_line(index).ok_or(RehashError::NotFound)?;
        if to.holds(&new.to_words()) {
            return Err(RehashError::Exists);
        }
        self.retire(line, index, entry);
        entry::write_client_port(line, new.client_port);
        entry::publish(line);
        from.replace(from.slot(index.0), to.slot(index.0));
        Ok(())
    }

    /// Moves a connection to the chain of its new key.
    fn rehash(
        &self,
        index: EntryIndex,
        entry: &EntryRef<'_>,
        new: &Key,
        from: &Chain<'_, M>,
        to: &Chain<'_, M>,
    ) -> Result<(), RehashError> {
        let line = self.entry_line(index).ok_or(RehashError::NotFound)?;
        if to.holds(&new.to_words()) {
            return Err(RehashError::Exists);
        }
        let end = to.end();
        if !has_room(&end) {
            return Err(RehashError::ChainFull);
        }
        let fresh = self.fresh_line(&end).map_err(|NoLine| RehashError::ChainFull)?;
        self.retire(line, index, entry);
        self.take_out(from, index);
        entry::write_client_port(line, new.client_port);
        entry::publish(line);
        to.append(&end, to.slot(index.0), fresh);
        Ok(())
    }

    /// Makes an entry unreadable, and its connection forgotten. Needs the lock.
    fn retire(&self, line: &Line, index: EntryIndex, entry: &EntryRef<'_>) {
        entry::retire(line);
        self.forget(index, entry);
    }

    /// The chain of a key, locked.
    #[inline(always)]
    fn locked_chain(&self, key: &Key) -> Option<Chain<'_, M>> {
        loop {
            let chain = self.chain(key)?;
            chain.lock();
            // It may have been split before we had the lock.
            if chain.is_current() {
                return Some(chain);
            }
            chain.unlock();
        }
    }

    /// Appends a slot to a chain whose lock is held. `false`: an overflow line is missing.
    pub(crate) fn append(&self, chain: &Chain<'_, M>, slot: u32) -> bool {
        let end = chain.end();
        let fresh = self.fresh_line(&end);
        fresh.map(|fresh| chain.append(&end, slot, fresh)).is_ok()
    }

    fn take_out(&self, chain: &Chain<'_, M>, index: EntryIndex) {
        self.take_out_slot(chain, chain.slot(index.0));
    }

    /// Takes a slot out of a chain whose lock is held.
    pub(crate) fn take_out_slot(&self, chain: &Chain<'_, M>, slot: u32) {
        if let Some(number) = chain.take_out(slot)
            && let Some(allocation) = self.allocation()
        {
            allocation.give_overflow(number);
        }
    }

    /// The overflow line that a slot appended at `end` needs, if it needs one
    fn fresh_line(&self, end: &End<'_>) -> Result<Option<(u32, &Line)>, NoLine> {
        if end.used < SLOTS {
            return Ok(None);
        }
        let allocation = self.allocation().ok_or(NoLine)?;
        allocation.take_overflow().map(Some).ok_or(NoLine)
    }
}

/// No overflow line is free. `Layout` provides enough of them; only writers that hold some for a moment can cause it.
struct NoLine;

/// Whether a chain that ends so takes another slot.
fn has_room(end: &End<'_>) -> bool {
    end.used < SLOTS || end.lines < CHAIN_LINES
}
