//! A client's flow through both directors, and its record in the flow cache.

use std::net::SocketAddr;

use ipvs_core::{ForwardingMethod, ServiceId};
use ipvs_flow::{Address, Key, Recalled, Table};

use super::pair::Pair;
use super::sent::{ACK, CLIENT, SYN, Sent, plain};
use crate::director::end;
use crate::topology::{SERVER, VIP};

/// A client's flow to a service with one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) protocol: u8,
    pub(super) client: SocketAddr,
    pub(super) at: SocketAddr,
    pub(super) server: SocketAddr,
}

impl Flow {
    /// From the client's port to port 80, which is 8080 at the server.
    pub(super) fn new(protocol: u8, port: u16) -> Self {
        Self { protocol, client: end(CLIENT, port), at: end(VIP, 80), server: end(SERVER, 8080) }
    }

    pub(super) fn out(&self, flags: u8) -> Sent {
        plain(self.protocol, self.client, self.at, flags)
    }

    pub(super) fn back(&self, flags: u8) -> Sent {
        plain(self.protocol, self.server, self.client, flags)
    }

    pub(super) fn key(&self) -> Key {
        Key {
            ipv6: self.client.is_ipv6(),
            template: false,
            protocol: self.protocol,
            client: Address::from(self.client.ip()),
            client_port: self.client.port(),
            virtual_address: Address::from(self.at.ip()),
            virtual_port: self.at.port(),
        }
    }

    /// The service that masquerades.
    pub(super) fn serve(&self, pair: &mut Pair) -> ServiceId {
        pair.serve(self.protocol, self.at, self.server, ForwardingMethod::MASQUERADE)
    }

    /// Begins, until a record knows both ways.
    pub(super) fn begin(&self, pair: &mut Pair) {
        for (is_back, flags) in [(false, SYN), (true, SYN | ACK), (false, ACK), (true, ACK)] {
            pair.send(&if is_back { self.back(flags) } else { self.out(flags) });
        }
        self.goes_on(pair);
    }

    /// Both ways go by the record.
    pub(super) fn goes_on(&self, pair: &mut Pair) {
        assert!(self.is_recorded(pair), "{self:?}");
        assert!(pair.goes_by_record(&self.out(ACK), &self.key()), "{self:?}");
        assert!(pair.goes_by_record(&self.back(ACK), &self.key()), "{self:?}");
    }

    /// Whether the flow cache has a record of it.
    pub(super) fn is_recorded(&self, pair: &Pair) -> bool {
        self.in_record(pair, |_| ()).is_some()
    }

    pub(super) fn in_record<T>(&self, pair: &Pair, look: impl FnOnce(&Recalled<'_>) -> T) -> Option<T> {
        let table = Table::attach(pair.one_table.as_ref()).unwrap();
        let Key { client, client_port, virtual_address, virtual_port, .. } = self.key();
        let [client, to] = [(client, client_port), (virtual_address, virtual_port)]
            .map(|(address, port)| (address.words()[3], port));
        let buckets = table.buckets_of_client(self.protocol, client)?;
        let record =
            buckets.into_iter().find_map(|bucket| bucket.recall_in(self.protocol, client, to, |it| it));
        record.as_ref().map(look)
    }
}
