//! With full NAT, the ports of the local address to which servers will come, taken while a helper reads that they will.

use ipvs_flow::tcp::State;
use ipvs_flow::{Address, EntryIndex, EntryRef};

use super::Expectation;
use super::expected::Awaited;
use crate::connections::flag;
use crate::forward::Ends;
use crate::local_pool::{End, Pools, Way};
use crate::memory::ConnectionTable;
use crate::translated::{is_reply, local_in};

/// So many ports are tried for one to which no other data connection of the server is expected.
const TRIES: u32 = 8;

/// The table and the ports that its connections have.
pub(super) struct LocalPorts<'c> {
    pub(super) table: &'c ConnectionTable,
    pub(super) pools: &'c mut Pools,
}

impl LocalPorts<'_> {
    /// Takes a port of a control connection's local address, to which the server will come in the place of `port` of the client.
    /// If there is a data connection with that port of the client's, its port.
    pub(super) fn take(&mut self, control: EntryIndex, ends: &Ends, port: u16) -> Option<u16> {
        let (local, _) = ends.local?;
        let expectation =
            Expectation::Server { client: (ends.client.0, port), port_below: true, local_port: None };
        let key = self.table.entry(control)?.key();
        let awaited = Awaited::of(key, ends, &expectation)?;
        if let Some((index, entry)) = self.table.lookup_in(&awaited.key)
            && !may_be_replaced(&entry)
        {
            let (address, port) = local_in(self.table, index)?;
            return (entry.destination() == ends.destination.0 && address == local).then_some(port);
        }
        let server = (ends.server_address, awaited.destination_port);
        let way = Way { protocol: key.protocol, local, server };
        for _ in 0..TRIES {
            let port = self.pools.take_at(way)?;
            // The server may come from any port.
            if waiting_at(self.table, key.protocol, (local, port), ends.server_address.into()).is_none() {
                return Some(port);
            }
            self.pools.give_back(way, port);
        }
        None
    }
}

/// Whether another data connection may take the place of one: nothing has come by it yet, or it has ended.
pub(super) fn may_be_replaced(entry: &EntryRef<'_>) -> bool {
    let ended = matches!(State::from_number(entry.state()), Some(State::TimeWait | State::Close));
    ended || entry.flags() & flag::WAITS != 0
}

/// The reply entry of a data connection with which `server` is expected at that local address and port, from any port.
pub(super) fn waiting_at(
    table: &ConnectionTable,
    protocol: u8,
    local: End,
    server: Address,
) -> Option<EntryIndex> {
    table.find_out(local.0.is_ipv6(), protocol, Address::from(local.0), local.1, |entry| {
        let connection = || table.entry(EntryIndex(entry.destination()));
        is_reply(&entry)
            && entry.key().virtual_address == server
            && connection().is_some_and(|it| it.flags() & flag::ANY_SERVER_PORT != 0)
    })
}
