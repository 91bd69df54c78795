//! Where the streams of clients begin, by connection: from the server's SYN on, so a flood of SYNs that nobody answers makes none.
//! A connection taken over from a former run has none; after its handshake it needs none.

use std::collections::HashMap;

use ipvs_flow::EntryIndex;

use super::numbers::Beginning;
use crate::explain::Journal;

/// The beginnings of all connections with a PROXY header.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    of: HashMap<EntryIndex, Beginning>,
    /// Those before a trial, `None` where there was none.
    before: Journal<Option<Beginning>>,
}

impl Beginnings {
    /// From now on changes are noted.
    pub(crate) fn begin_trial(&mut self) {
        self.before.begin();
    }

    /// Everything is as it was before the trial.
    pub(crate) fn end_trial(&mut self) {
        for (connection, beginning) in self.before.end() {
            match beginning {
                Some(beginning) => self.of.insert(EntryIndex(connection), beginning),
                None => self.of.remove(&EntryIndex(connection)),
            };
        }
    }

    pub(super) fn get(&self, connection: EntryIndex) -> Option<Beginning> {
        self.of.get(&connection).copied()
    }

    pub(super) fn set(&mut self, connection: EntryIndex, beginning: Beginning) {
        let old = self.of.insert(connection, beginning);
        self.before.keep(connection.0, || old);
    }

    /// The connection has ended.
    pub(crate) fn forget(&mut self, connection: EntryIndex) {
        let old = self.of.remove(&connection);
        self.before.keep(connection.0, || old);
    }

    /// The connections that have one.
    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = EntryIndex> {
        self.of.keys().copied()
    }
}
