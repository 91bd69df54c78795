//! Looking ahead: what the lookups of several packets will read is read for all of them first.
//!
//! With many connections a lookup waits twice for memory: for the hash line, then for the entry. Loads that do not depend on
//! each other wait together, so a burst of packets costs little more than one of them. It is but reading: a lookup that
//! was not expected finds the same.

use crate::{
    Address, Ipv4End, Table,
    chain::Chain,
    key::{client_hash, client_hash_of_ipv4},
    layout::HEADER_LINES,
    line::Memory,
    sync::Ordering,
};

/// Where the connections of a client's port are found in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u64);

impl<M: Memory> Table<M> {
    /// Where the connections of a client's port are found. Reads nothing of the table.
    #[inline(always)]
    pub fn place(&self, ipv6: bool, protocol: u8, client: Address, client_port: u16) -> Place {
        Place(client_hash(self.table_hash(), ipv6, protocol, client, client_port))
    }

    /// Reads what lookups at these places will read: the hash lines, then the entries that these lead to by their tags.
    #[inline]
    pub fn read_ahead(&self, places: &[Place]) {
        // No line of a chain: its control word alone, on which the next load does not depend.
        places.iter().for_each(|place| self.glimpse_at::<0>(*place));
        places.iter().for_each(|place| self.glimpse_at::<1>(*place));
    }

    /// Begins to read what the lookup of a packet of IPv4 as one from this client will read first.
    #[inline(always)]
    pub fn begin_lookup(&self, protocol: u8, client: Ipv4End) {
        let hash = client_hash_of_ipv4(self.table_hash(), protocol, client);
        if let Some(chain) = Chain::of(self.memory(), self.layout(), hash) {
            chain.begin_to_read();
        }
    }

    /// Begins to read the hash line of a bucket of the flow cache: what [`Table::begin_lookup`] begins to read for the clients whose
    /// bucket it [is](Table::bucket_of_client).
    #[inline(always)]
    pub fn begin_lookup_by_bucket(&self, bucket: u32) {
        if let Some(line) = self.memory().line(HEADER_LINES + (bucket >> 1)) {
            // No compiler leaves an Acquire load out.
            let _ = line.first::<1>()[0].load(Ordering::Acquire);
        }
    }

    /// Walks over at most `LINES` lines of a chain. The loads are Acquire: no compiler leaves them out.
    #[inline(always)]
    fn glimpse_at<const LINES: u32>(&self, place: Place) {
        if let Some(chain) = Chain::of(self.memory(), self.layout(), place.0) {
            let _ = chain.glimpse::<LINES>(|_| false);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use std::{cell::RefCell, collections::BTreeSet, vec::Vec};

    use super::*;
    use crate::{Key, Layout, Line, NewConnection, Tick};

    /// Lines that note which of them are asked for.
    struct Noting {
        lines: Vec<Line>,
        asked: RefCell<BTreeSet<u32>>,
    }

    impl Memory for Noting {
        fn line(&self, number: u32) -> Option<&Line> {
            self.asked.borrow_mut().insert(number);
            self.lines.get(number as usize)
        }
    }

    fn key(client_port: u16) -> Key {
        Key {
            ipv6: false,
            template: false,
            protocol: 6,
            client: Address::from([10, 0, 0, 1]),
            client_port,
            virtual_address: Address::from([10, 0, 0, 2]),
            virtual_port: 80,
        }
    }

    #[test]
    fn what_lookups_ask_for_was_read_before() {
        let lines = Layout::for_capacity(1000).unwrap().lines();
        let lines = (0..lines).map(|_| Line::zeroed()).collect();
        let table = Table::over(Noting { lines, asked: RefCell::default() }, 1000, [1, 2]).unwrap();
        for client_port in 0..500 {
            let new = NewConnection {
                key: key(client_port),
                destination: 0,
                destination_port: 80,
                flags: 0,
                state: 0,
                timeout: 1,
            };
            table.insert(&new, Tick(0)).unwrap();
        }
        let take = || std::mem::take(&mut *table.memory().asked.borrow_mut());
        // The second half has no connection: hash lines alone.
        let places: Vec<Place> = (0..1000)
            .map(|client_port| {
                let key = key(client_port);
                table.place(key.ipv6, key.protocol, key.client, key.client_port)
            })
            .collect();
        take();
        for (client_port, place) in (0..1000).zip(places) {
            table.read_ahead(&[place]);
            let read = take();
            assert_eq!(table.find_in(&key(client_port)).is_some(), client_port < 500);
            let asked = take();
            assert!(asked.len() > usize::from(client_port < 500));
            // Few chains of a half-full table have a second line.
            assert!(asked.is_subset(&read), "port {client_port}: {asked:?} of {read:?}");
        }
    }
}
