//! Adding, deleting and listing pools of local addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::command::Reply;
use crate::director::Director;
use crate::error::Error;
use crate::host::{AddressKind, Host};
use crate::local_pool::{MOST_POOL_ADDRESSES, PoolName};

impl Director {
    pub(super) fn add_pool(
        &mut self,
        host: &dyn Host,
        name: PoolName,
        addresses: &[IpAddr],
    ) -> Result<Reply, Error> {
        if addresses.is_empty() {
            return Err(Error::PoolEmpty);
        }
        let mut seen = BTreeSet::new();
        for &address in addresses {
            if !is_source(host, address) {
                return Err(Error::PoolAddressNotUnicast);
            }
            let pools = &self.connections.pools;
            if !seen.insert(address) || pools.is_pooled(address) {
                return Err(Error::PoolAddressExists);
            }
            // One that still has connections is of interest as if it were virtual.
            if !pools.is_local(address) && self.interests.is_virtual(address) {
                return Err(Error::PoolAddressVirtual);
            }
        }
        let present = self.connections.pools.get(name).map_or(0, |pool| pool.addresses.len());
        if present + addresses.len() > MOST_POOL_ADDRESSES {
            return Err(Error::OutOfMemory);
        }
        for &address in addresses {
            if self.connections.pools.add(name, address) {
                self.hold_local(address);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn delete_pool(&mut self, name: PoolName, addresses: &[IpAddr]) -> Result<Reply, Error> {
        let pool = self.connections.pools.get(name).ok_or(Error::NoSuchPool)?;
        if addresses.iter().any(|address| !pool.addresses.contains(address)) {
            return Err(Error::NoSuchPoolAddress);
        }
        let (going, staying): (Vec<IpAddr>, Vec<IpAddr>) =
            pool.addresses.iter().partition(|address| addresses.is_empty() || addresses.contains(address));
        let lacks = |ipv6| {
            let of_family = |all: &[IpAddr]| all.iter().any(|address| address.is_ipv6() == ipv6);
            of_family(&going) && !of_family(&staying)
        };
        if pool.references > 0 && (lacks(false) || lacks(true)) {
            return Err(Error::PoolInUse);
        }
        for address in going {
            if self.connections.pools.remove(name, address) {
                self.release_local(address);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn list_pools(&self, cursor: u64, limit: usize) -> Reply {
        let pools = &self.connections.pools;
        let start = usize::try_from(cursor).unwrap_or(usize::MAX);
        let mut rest = pools.iter().skip(start);
        let items: Vec<_> =
            rest.by_ref().take(limit.max(1)).map(|(name, pool)| pools.info(name, pool)).collect();
        let next = rest.next().map(|_| cursor.saturating_add(items.len() as u64));
        Reply::Pools { items, next }
    }
}

/// Whether packets can come from `address`.
fn is_source(host: &dyn Host, address: IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast())
        && matches!(host.address_kind(address), AddressKind::Local | AddressKind::Unicast)
}
