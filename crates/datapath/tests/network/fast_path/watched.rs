//! Memory of a connection table that a test keeps an eye on.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipvs_core::{Config, Director, Instant, TableMemory};
use ipvs_flow::{Connection, EntryIndex, Key, Line, Table, Tick, flag::REPLY};

/// Most connections.
pub(super) const CAPACITY: u32 = 512;

/// Memory that the test keeps an eye on.
#[derive(Clone)]
pub(super) struct Watched(Arc<dyn AsRef<[Line]> + Send + Sync>);

impl AsRef<[Line]> for Watched {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

struct Lines(Box<[Line]>);

impl AsRef<[Line]> for Lines {
    fn as_ref(&self) -> &[Line] {
        &self.0
    }
}

struct Mapped(&'static [Line]);

impl AsRef<[Line]> for Mapped {
    fn as_ref(&self) -> &[Line] {
        self.0
    }
}

struct Unboxed(Box<dyn AsRef<[Line]> + Send + Sync>);

impl AsRef<[Line]> for Unboxed {
    fn as_ref(&self) -> &[Line] {
        (*self.0).as_ref()
    }
}

pub(super) fn watched(memory: TableMemory) -> Watched {
    match memory {
        TableMemory::Heap(lines) => Watched(Arc::new(Lines(lines))),
        TableMemory::Mapped(lines) => Watched(Arc::new(Mapped(lines))),
        TableMemory::Shared(lines) => Watched(Arc::new(Unboxed(lines))),
    }
}

impl Watched {
    pub(super) fn director(&self, config: Config, now: Instant) -> Director {
        Director::in_memory(config, now, TableMemory::Shared(Box::new(self.clone()))).unwrap()
    }

    /// All connections but for when their latest packets came, which differs by the time between two runs, and for where they
    /// lie: the program takes entries that were set aside. Each must be found by its key.
    pub(super) fn connections(&self) -> BTreeMap<String, String> {
        let table = Table::attach(self.as_ref()).unwrap();
        let describe = |index| {
            let entry = table.entry(index).unwrap();
            let connection = Connection { last_seen: Tick(0), ..table.snapshot(index).unwrap() };
            assert_eq!(table.find_in(&connection.key), Some(index), "{connection:?}");
            let key = format!("{:?}", connection.key);
            // Of a reply entry it is the connection's entry.
            if connection.flags & REPLY != 0 {
                let of = table.entry(EntryIndex(connection.destination)).unwrap().key();
                return (key, format!("{:?} of {of:?}", Connection { destination: 0, ..connection }));
            }
            (key, format!("{connection:?}, mark {}", entry.status().unsettled()))
        };
        let connections: BTreeMap<String, String> = table.entries_from(0).map(describe).collect();
        assert_eq!(connections.len(), table.entries_from(0).count(), "two of one key");
        connections
    }

    /// Packets from clients that only records of the flow cache have counted.
    pub(super) fn noted(&self) -> u32 {
        let table = Table::attach(self.as_ref()).unwrap();
        let noted = |index| {
            let entry = table.entry(index).unwrap();
            table.packets_in(index, &entry).wrapping_sub(entry.packets_in())
        };
        table.entries_from(0).map(noted).sum()
    }

    /// Gives a connection another timeout behind the flow cache's back; the one before.
    pub(super) fn exchange_timeout(&self, of: &Key, timeout: u32) -> u32 {
        let table = Table::attach(self.as_ref()).unwrap();
        let (_, entry) = table.lookup_in(of).expect("a connection");
        let before = entry.timeout();
        entry.follow_state(entry.state(), |_| timeout);
        before
    }
}
