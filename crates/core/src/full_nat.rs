//! Full NAT: a local address and port for each new connection, and what follows when an address is no longer used.

use std::net::IpAddr;

use ipvs_flow::{EntryIndex, InsertError, NewConnection};

use crate::connections::tick;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::interest::Interest;
use crate::local_pool::{End, Pools, Way};
use crate::protocol;
use crate::schedule::Refusal;
use crate::time::Instant;
use crate::translated::PairError;

/// So many local ports are tried for a connection if they have too many connections to be told apart quickly: as many as a
/// line of the table holds, of different servers.
const TRIES: u32 = 8;

impl Director {
    /// Enters a new connection by full NAT, from a local address and port that no other has towards its server.
    #[inline(never)] // other methods' way stays short
    pub(crate) fn enter_translated(
        &mut self,
        now: Instant,
        new: &NewConnection,
    ) -> Result<EntryIndex, Refusal> {
        let destination = self.destinations.get(DestinationIndex(new.destination));
        let destination = destination.ok_or(Refusal::NoDestination)?;
        let pool = destination.config.local_pool.ok_or(Refusal::PoolExhausted)?;
        let server = (destination.id.address, new.destination_port);
        let protocol = new.key.protocol;
        self.enter_with(now, new, server, |pools| pools.take(pool, protocol, server))
    }

    /// Enters a new connection by full NAT from this very local address, and a port that no other has towards its server.
    pub(crate) fn enter_translated_at(
        &mut self,
        now: Instant,
        new: &NewConnection,
        local: IpAddr,
        server: End,
    ) -> Option<EntryIndex> {
        let way = Way { protocol: new.key.protocol, local, server };
        self.enter_with(now, new, server, |pools| Some((local, pools.take_at(way)?))).ok()
    }

    /// Enters a new connection by full NAT from a local address and port that was taken, and is given back if that fails.
    pub(crate) fn enter_translated_from(
        &mut self,
        now: Instant,
        new: &NewConnection,
        local: End,
        server: End,
    ) -> Option<EntryIndex> {
        let entered = self.connections.insert_translated(tick(now), new, local, server).ok();
        if entered.is_none() {
            let way = Way { protocol: new.key.protocol, local: local.0, server };
            self.connections.pools.give_back(way, local.1);
        }
        entered
    }

    /// Enters a new connection by full NAT from the local address and port that `take` takes.
    fn enter_with(
        &mut self,
        now: Instant,
        new: &NewConnection,
        server: End,
        mut take: impl FnMut(&mut Pools) -> Option<End>,
    ) -> Result<EntryIndex, Refusal> {
        let protocol = new.key.protocol;
        let mut refusal = Refusal::PoolExhausted;
        for _ in 0..TRIES {
            let local = take(&mut self.connections.pools).ok_or(Refusal::PoolExhausted)?;
            let failure = match self.connections.insert_translated(tick(now), new, local, server) {
                Ok(index) => return Ok(index),
                Err(failure) => failure,
            };
            self.connections.pools.give_back(Way { protocol, local: local.0, server }, local.1);
            refusal = match failure {
                PairError::Reply(InsertError::ChainFull) => Refusal::ChainFull,
                PairError::Reply(error) | PairError::Connection(error) => return Err(error.into()),
            };
        }
        Err(refusal)
    }

    /// What packets to a local address are handed over by: all of the protocols that IPVS balances. For the datapath the
    /// address is virtual: it is answered for, and what belongs to no connection is refused as by a host.
    pub(crate) fn interests_of_local(address: IpAddr) -> impl Iterator<Item = Interest> {
        protocol::BALANCED.into_iter().map(move |protocol| Interest::Virtual { protocol, address, port: 0 })
    }

    pub(crate) fn hold_local(&mut self, address: IpAddr) {
        Self::interests_of_local(address).for_each(|interest| self.interests.hold(interest));
    }

    pub(crate) fn release_local(&mut self, address: IpAddr) {
        Self::interests_of_local(address).for_each(|interest| self.interests.release(interest));
    }

    /// Lets go of addresses that were taken out of their pools, when their last connections have ended.
    pub(crate) fn release_locals(&mut self) {
        for address in self.connections.pools.take_released() {
            self.release_local(address);
        }
    }
}
