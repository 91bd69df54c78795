//! The POOL nest, an extension of ours: local addresses for full NAT.

use core::net::IpAddr;

use ipvs_core::{PoolInfo, PoolName};

use crate::errno::Errno;

use super::attribute::{Attributes, Policy, Table, Writer};
use super::number::pool as number;

/// Addresses in one message of an answer, so that a message stays far below what its length can say.
const ADDRESSES: usize = 512;

/// The nest's attributes but for addresses, of which there are several.
type Given<'a> = Table<'a, 6>;

/// Reads a request: name and addresses.
///
/// # Errors
/// EINVAL if no pool can have that name, or something is malformed.
pub(super) fn read_pool(nest: Option<&[u8]>) -> Result<(PoolName, Vec<IpAddr>), Errno> {
    let nest = nest.ok_or(Errno::EINVAL)?;
    let table = Given::parse(nest, |_| Policy::Any)?;
    let name = table.text(number::NAME).and_then(|name| PoolName::new(&name).ok()).ok_or(Errno::EINVAL)?;
    Ok((name, addresses(nest).ok_or(Errno::EINVAL)?))
}

/// Each is as long as its family's.
fn addresses(nest: &[u8]) -> Option<Vec<IpAddr>> {
    let given = Attributes(nest).filter(|(kind, _)| *kind == number::ADDRESS).map(|(_, value)| value);
    given
        .map(|value| match value.len() {
            4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
            _ => None,
        })
        .collect()
}

/// Appends a request's content.
pub(super) fn write_pool(writer: &mut Writer<'_>, name: &PoolName, addresses: &[IpAddr]) {
    writer.text(number::NAME, name.as_str());
    for address in addresses {
        match address {
            IpAddr::V4(address) => writer.bytes(number::ADDRESS, &address.octets()),
            IpAddr::V6(address) => writer.bytes(number::ADDRESS, &address.octets()),
        }
    }
}

/// The contents of an answer, one for each message: every one says all but has its share of the addresses.
pub(super) fn answers(info: &PoolInfo) -> impl Iterator<Item = impl FnOnce(&mut Writer<'_>)> {
    let shares = info.addresses.chunks(ADDRESSES).map(Some);
    // A pool without addresses is told of all the same.
    let shares = shares.chain(info.addresses.is_empty().then_some(None));
    shares.map(move |share| {
        move |writer: &mut Writer<'_>| {
            write_pool(writer, &info.name, share.unwrap_or_default());
            writer.u64(number::CONNECTIONS, info.connections);
            writer.u64(number::EXHAUSTED, info.exhausted);
            writer.u32(number::REFERENCES, info.references);
        }
    })
}

/// Takes in an answer: a pool, or more of the last one's addresses. `None` if something is missing.
pub(super) fn take_in(items: &mut Vec<PoolInfo>, nest: &[u8]) -> Option<()> {
    let (name, addresses) = read_pool(Some(nest)).ok()?;
    let table = Given::parse(nest, |_| Policy::Any).ok()?;
    match items.last_mut() {
        Some(last) if last.name == name => last.addresses.extend(addresses),
        _ => items.push(PoolInfo {
            name,
            addresses,
            connections: table.u64(number::CONNECTIONS)?,
            exhausted: table.u64(number::EXHAUSTED)?,
            references: table.u32(number::REFERENCES)?,
        }),
    }
    Some(())
}
