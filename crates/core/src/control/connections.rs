//! Listing connections.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipvs_flow::{EntryIndex, EntryRef, Tick, seconds};

use crate::command::{ConnectionInfo, Reply};
use crate::connections::tick;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::time::Instant;
use crate::translated::is_reply;
use crate::{persistence, protocol};

/// At most this many entries of the table are looked at for one page, free ones included.
const WINDOW: u32 = 1 << 16;

impl Director {
    /// A page of connections, by their place in the table.
    pub(super) fn list_connections(&self, now: Instant, cursor: u64, limit: usize) -> Reply {
        let table = &self.connections.table;
        let start = u32::try_from(cursor).unwrap_or(u32::MAX);
        let end = start.saturating_add(WINDOW).min(table.capacity());
        let mut entries = table.entries_between(start, end);
        let items: Vec<_> = entries
            .by_ref()
            .filter_map(|index| self.connection_info(tick(now), index, &table.entry(index)?))
            .take(limit)
            .collect();
        let next = if items.len() == limit { entries.position() } else { end };
        Reply::Connections { items, next: (next < table.capacity()).then_some(u64::from(next)) }
    }

    fn connection_info(&self, now: Tick, index: EntryIndex, entry: &EntryRef<'_>) -> Option<ConnectionInfo> {
        let connection = entry.snapshot().filter(|_| !is_reply(entry))?;
        let key = connection.key;
        let server = match self.destinations.get(DestinationIndex(connection.destination)) {
            Some(destination) => destination.id.address,
            // Past its service: it has none.
            None if key.ipv6 => Ipv6Addr::UNSPECIFIED.into(),
            None => Ipv4Addr::UNSPECIFIED.into(),
        };
        let of_engine = if key.template { self.connections.template_data.shown(index) } else { None };
        let (client, engine) = match of_engine {
            Some((network, engine)) => (network, Some(engine)),
            None => (key.client.to_ip(key.ipv6), None),
        };
        Some(ConnectionInfo {
            protocol: key.protocol,
            client,
            client_port: key.client_port,
            virtual_address: key.virtual_address.to_ip(key.ipv6),
            virtual_port: key.virtual_port,
            destination: server,
            destination_port: connection.destination_port,
            state: match key.template {
                true => persistence::state_name(connection.state),
                false => protocol::state_name(key.protocol, connection.state),
            },
            expires: seconds(now.until(self.connections.table.deadline(index, entry))),
            engine,
            local: self.connections.local_of(index),
        })
    }
}
