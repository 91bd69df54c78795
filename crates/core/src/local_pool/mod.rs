//! Pools of local addresses: what full NAT puts in the place of clients.
//!
//! An address and port may serve many servers at a time, one connection each: what must not be in use twice is local address and
//! port *and* server. So ports are counted for each address and server ([`Ports`]), and a port is free in the very moment in which its
//! connection leaves the table: the connection's state says how long that is, TIME_WAIT included.

mod name;
mod ports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use name::PoolName;
use ports::Ports;

use crate::command::PoolInfo;
use crate::random::Random;

/// Most addresses of a pool.
pub const MOST_POOL_ADDRESSES: usize = 128;

/// An address or a server's, with a port.
pub(crate) type End = (IpAddr, u16);

/// From which local address connections go to which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    /// IP protocol number.
    pub(crate) protocol: u8,
    pub(crate) local: IpAddr,
    pub(crate) server: End,
}

/// A pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    /// As they were added.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whose turn it is.
    turn: usize,
    /// Packets for which no port was free.
    exhausted: u64,
    /// Available destinations that take addresses from it.
    pub(crate) references: u32,
}

/// A local address.
#[derive(Clone, Copy, Debug)]
struct Local {
    /// The pool that it is of; `None`: it was taken out, and stays until its last connection has ended.
    pool: Option<PoolName>,
    connections: u64,
}

/// All pools.
#[derive(Debug)]
pub(crate) struct Pools {
    pools: BTreeMap<PoolName, Pool>,
    locals: BTreeMap<IpAddr, Local>,
    /// Ports in use.
    ways: BTreeMap<Way, Ports>,
    random: Random,
    /// Addresses whose last connection has ended after they were taken out.
    released: Vec<IpAddr>,
    /// Pools that have changed since they were kept.
    unsaved: BTreeSet<PoolName>,
    /// What was before a trial.
    before: Option<Box<Before>>,
}

#[derive(Debug)]
struct Before {
    pools: BTreeMap<PoolName, Pool>,
    locals: BTreeMap<IpAddr, Local>,
    random: Random,
    released: Vec<IpAddr>,
    /// Before each change, in order.
    ways: Vec<(Way, Option<Ports>)>,
}

impl Pools {
    /// No pools. Where a search for ports begins depends on `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            pools: BTreeMap::new(),
            locals: BTreeMap::new(),
            ways: BTreeMap::new(),
            random: Random::new(seed),
            released: Vec::new(),
            unsaved: BTreeSet::new(),
            before: None,
        }
    }

    /// Whether there is no pool.
    pub(crate) fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// The pool of that name.
    pub(crate) fn get(&self, name: PoolName) -> Option<&Pool> {
        self.pools.get(&name)
    }

    /// All pools, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PoolName, &Pool)> {
        self.pools.iter().map(|(name, pool)| (*name, pool))
    }

    /// Whether `address` is of a pool.
    pub(crate) fn is_pooled(&self, address: IpAddr) -> bool {
        self.locals.get(&address).is_some_and(|local| local.pool.is_some())
    }

    /// Whether `address` is of a pool, or was and still has connections.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.locals.contains_key(&address)
    }

    /// Puts an address into a pool, which is made if need be. `true`: packets to it were of no interest so far.
    pub(crate) fn add(&mut self, name: PoolName, address: IpAddr) -> bool {
        self.unsaved.insert(name);
        self.pools.entry(name).or_default().addresses.push(address);
        match self.locals.get_mut(&address) {
            Some(local) => {
                local.pool = Some(name);
                false
            }
            None => {
                self.locals.insert(address, Local { pool: Some(name), connections: 0 });
                true
            }
        }
    }

    /// Takes an address out of its pool; one without addresses goes. `true`: packets to it are of no interest any more.
    pub(crate) fn remove(&mut self, name: PoolName, address: IpAddr) -> bool {
        self.unsaved.insert(name);
        if let Some(pool) = self.pools.get_mut(&name) {
            pool.addresses.retain(|other| *other != address);
            if pool.addresses.is_empty() {
                self.pools.remove(&name);
            }
        }
        let Some(local) = self.locals.get_mut(&address) else { return false };
        local.pool = None;
        let unused = local.connections == 0;
        if unused {
            self.locals.remove(&address);
        }
        unused
    }

    /// One available destination more, or less, takes addresses from the pool.
    pub(crate) fn refer(&mut self, name: Option<PoolName>, more: bool) {
        let Some(pool) = name.and_then(|name| self.pools.get_mut(&name)) else { return };
        pool.references = if more { pool.references + 1 } else { pool.references.saturating_sub(1) };
    }

    /// Takes a local address of the pool, in turn, and a port that is free there towards the server. `None`: all are in use; it
    /// is counted.
    pub(crate) fn take(&mut self, name: PoolName, protocol: u8, server: End) -> Option<End> {
        let pool = self.pools.get(&name)?;
        let (count, turn) = (pool.addresses.len(), pool.turn);
        for step in 0..count {
            let place = turn.wrapping_add(step) % count;
            let Some(&local) = self.pools.get(&name).and_then(|pool| pool.addresses.get(place)) else {
                break;
            };
            if local.is_ipv6() != server.0.is_ipv6() {
                continue;
            }
            let way = Way { protocol, local, server };
            if let Some(port) = self.take_port(way) {
                if let Some(pool) = self.pools.get_mut(&name) {
                    pool.turn = (place + 1) % count;
                }
                return Some((local, port));
            }
        }
        if let Some(pool) = self.pools.get_mut(&name) {
            pool.exhausted += 1;
        }
        None
    }

    /// Takes a port of this very address, which may have been taken out of its pool, for a connection that belongs to one from
    /// there. `None`: all are in use; it is counted.
    pub(crate) fn take_at(&mut self, way: Way) -> Option<u16> {
        let port = self.take_port(way);
        if port.is_none()
            && let Some(name) = self.locals.get(&way.local).and_then(|local| local.pool)
            && let Some(pool) = self.pools.get_mut(&name)
        {
            pool.exhausted += 1;
        }
        port
    }

    fn take_port(&mut self, way: Way) -> Option<u16> {
        if self.ways.get(&way).is_some_and(|ports| ports.used() == ports::COUNT) {
            return None;
        }
        self.keep(way);
        let random = &mut self.random;
        let ports = self.ways.entry(way);
        let port =
            ports.or_insert_with(|| Ports::starting_at(random.below(ports::COUNT.into()) as u32)).take()?;
        self.count(way.local);
        Some(port)
    }

    /// Takes this very port, for a connection that was there before; `None` if it is in use. The address need not be of a pool
    /// any more; `Some(true)` then: packets to it were of no interest so far.
    pub(crate) fn retake(&mut self, way: Way, port: u16) -> Option<bool> {
        self.keep(way);
        // The search for others begins behind it.
        let start = u32::from(port.saturating_sub(ports::FIRST)) + 1;
        let ports = self.ways.entry(way).or_insert_with(|| Ports::starting_at(start));
        if !ports.occupy(port) {
            if ports.used() == 0 {
                self.ways.remove(&way);
            }
            return None;
        }
        let is_new = !self.locals.contains_key(&way.local);
        self.count(way.local);
        Some(is_new)
    }

    fn count(&mut self, local: IpAddr) {
        self.locals.entry(local).or_insert(Local { pool: None, connections: 0 }).connections += 1;
    }

    /// The connection that used a port has ended.
    pub(crate) fn give_back(&mut self, way: Way, port: u16) {
        self.keep(way);
        let Some(ports) = self.ways.get_mut(&way) else { return };
        if !ports.free(port) {
            return;
        }
        if ports.used() == 0 {
            self.ways.remove(&way);
        }
        let Some(local) = self.locals.get_mut(&way.local) else { return };
        local.connections = local.connections.saturating_sub(1);
        if local.connections == 0 && local.pool.is_none() {
            self.locals.remove(&way.local);
            self.released.push(way.local);
        }
    }

    /// Addresses to which packets are of no interest any more, since the last call.
    pub(crate) fn take_released(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.released)
    }

    /// Pools that have changed since the last call, those that are gone among them.
    pub(crate) fn take_unsaved(&mut self) -> BTreeSet<PoolName> {
        std::mem::take(&mut self.unsaved)
    }

    /// Whether something has changed that [`Pools::take_unsaved`] tells.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Ports in use, of all addresses; the addresses' counts agree.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> u32 {
        let used: u32 = self.ways.values().map(Ports::used).sum();
        assert_eq!(self.locals.values().map(|local| local.connections).sum::<u64>(), u64::from(used));
        assert!(self.locals.values().all(|local| local.pool.is_some() || local.connections > 0));
        used
    }

    /// A pool as listings show it.
    pub(crate) fn info(&self, name: PoolName, pool: &Pool) -> PoolInfo {
        let connections = |address| self.locals.get(address).map_or(0, |local| local.connections);
        PoolInfo {
            name,
            addresses: pool.addresses.clone(),
            connections: pool.addresses.iter().map(connections).sum(),
            exhausted: pool.exhausted,
            references: pool.references,
        }
    }

    /// From now on all changes will be taken back.
    pub(crate) fn begin_trial(&mut self) {
        self.before = Some(Box::new(Before {
            pools: self.pools.clone(),
            locals: self.locals.clone(),
            random: self.random.clone(),
            released: self.released.clone(),
            ways: Vec::new(),
        }));
    }

    /// Everything is as it was before the trial.
    pub(crate) fn end_trial(&mut self) {
        let Some(before) = self.before.take() else { return };
        let Before { pools, locals, random, released, ways } = *before;
        (self.pools, self.locals, self.random, self.released) = (pools, locals, random, released);
        for (way, ports) in ways.into_iter().rev() {
            match ports {
                Some(ports) => self.ways.insert(way, ports),
                None => self.ways.remove(&way),
            };
        }
    }

    /// The ports of a way are about to change.
    fn keep(&mut self, way: Way) {
        if let Some(before) = &mut self.before {
            before.ways.push((way, self.ways.get(&way).cloned()));
        }
    }
}
