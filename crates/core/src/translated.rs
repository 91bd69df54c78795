//! Connections of full NAT in the table: each has a *reply entry* beside its own, by which the answers of its server find it.
//!
//! The connection is keyed as every other: client to virtual address. Answers come to a local address and port, which the lookup for
//! answers takes for the client's side; so the reply entry has these in the client's place, and the server in that of the virtual
//! address. What would be a connection's destination is the connection's entry; the word beside the connection is the reply entry's
//! index plus one, and what would stand there (who controls the connection) stands beside the reply entry. It has no timer, no state and
//! no counts: it comes and goes with its connection.

use ipvs_flow::{Address, EntryIndex, EntryRef, InsertError, Key, NewConnection, Tick};

use crate::command::ForwardingMethod;
use crate::connections::{Connections, flag};
use crate::local_pool::{End, Pools, Way};
use crate::memory::ConnectionTable;

/// A new reply entry, until its connection has one.
const NO_CONNECTION: u32 = u32::MAX;

/// Why a connection and its reply entry could not be entered.
pub(crate) enum PairError {
    /// The connection, by itself.
    Connection(InsertError),
    /// The reply entry: with another local port it may succeed, unless the table is full.
    Reply(InsertError),
}

/// Whether an entry is a reply entry, and no connection.
#[inline]
pub(crate) fn is_reply(entry: &EntryRef<'_>) -> bool {
    entry.flags() & flag::REPLY != 0
}

/// The reply entry of a connection, if it has one.
pub(crate) fn reply_of(table: &ConnectionTable, connection: EntryIndex) -> Option<EntryIndex> {
    let flags = table.entry(connection)?.flags();
    if flags & (flag::TRANSLATED | flag::REPLY) != flag::TRANSLATED {
        return None;
    }
    table.beside(connection)?.checked_sub(1).map(EntryIndex)
}

/// The local address and port of a connection, from a table that may be another director's, whatever stands there.
pub(crate) fn local_in(table: &ConnectionTable, connection: EntryIndex) -> Option<End> {
    let reply = table.entry(reply_of(table, connection)?)?;
    let key = reply.key();
    (is_reply(&reply) && reply.destination() == connection.0)
        .then(|| (key.client.to_ip(key.ipv6), key.client_port))
}

impl Connections {
    /// Enters a connection that goes from `local` to `server`, and its reply entry, and starts its timer. The port was taken from
    /// the pool before; it is given back when the connection ends.
    pub(crate) fn insert_translated(
        &mut self,
        now: Tick,
        new: &NewConnection,
        local: End,
        server: End,
    ) -> Result<EntryIndex, PairError> {
        let reply = self.insert_reply(now, new.key.protocol, local, server).map_err(PairError::Reply)?;
        match self.insert(now, new) {
            Ok(index) => {
                self.pair(index, reply);
                Ok(index)
            }
            Err(error) => {
                self.table.remove(reply);
                Err(PairError::Connection(error))
            }
        }
    }

    /// Enters the reply entry of a connection that another table held.
    pub(crate) fn take_over_reply(
        &mut self,
        connection: EntryIndex,
        local: End,
        server: End,
    ) -> Result<(), InsertError> {
        let Some(entry) = self.table.entry(connection) else { return Ok(()) };
        let reply = self.insert_reply(entry.last_seen(), entry.key().protocol, local, server)?;
        self.pair(connection, reply);
        Ok(())
    }

    fn insert_reply(
        &mut self,
        now: Tick,
        protocol: u8,
        local: End,
        server: End,
    ) -> Result<EntryIndex, InsertError> {
        let new = NewConnection {
            key: Key {
                ipv6: local.0.is_ipv6(),
                template: false,
                protocol,
                client: Address::from(local.0),
                client_port: local.1,
                virtual_address: Address::from(server.0),
                virtual_port: server.1,
            },
            destination: NO_CONNECTION,
            destination_port: server.1,
            flags: u16::from(ForwardingMethod::FULL_NAT.0) | flag::TRANSLATED | flag::REPLY,
            state: 0,
            timeout: 0,
        };
        self.table.insert(&new, now)
    }

    fn pair(&mut self, connection: EntryIndex, reply: EntryIndex) {
        if let Some(entry) = self.table.change(reply) {
            entry.set_destination(connection.0);
        }
        self.table.set_beside(connection, reply.0 + 1);
    }

    /// The connection that an entry found for an answer stands for: itself, or that of a reply entry.
    pub(crate) fn answered(&self, found: EntryIndex) -> Option<EntryIndex> {
        let entry = self.table.entry(found)?;
        if !is_reply(&entry) {
            return Some(found);
        }
        let connection = EntryIndex(entry.destination());
        (reply_of(&self.table, connection) == Some(found)).then_some(connection)
    }

    /// From where a connection's packets come to its server, with full NAT.
    pub(crate) fn local_of(&self, connection: EntryIndex) -> Option<End> {
        local_in(&self.table, connection)
    }
}

/// Takes out the reply entry of a connection that is being removed, and gives its port back.
pub(crate) fn release_reply(
    table: &ConnectionTable,
    pools: &mut Pools,
    connection: EntryIndex,
    reply: EntryIndex,
) {
    table.set_beside(connection, 0);
    table.set_beside(reply, 0);
    let Some(entry) = table.entry(reply).filter(is_reply) else { return };
    let key = entry.key();
    let way = Way {
        protocol: key.protocol,
        local: key.client.to_ip(key.ipv6),
        server: (key.virtual_address.to_ip(key.ipv6), key.virtual_port),
    };
    table.remove(reply);
    pools.give_back(way, key.client_port);
}
