//! The POOL nest, an extension of ours: local addresses for full NAT.

use core::net::IpAddr;

use ipvs_core::{PoolInfo, PoolName};

use crate::errno::Errno;

use super::attribute::{Attributes, Policy, Table, Writer};
use super::number::pool as number;

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

/// Appends an answer's content.
pub(super) fn write_pool_info(writer: &mut Writer<'_>, info: &PoolInfo) {
    write_pool(writer, &info.name, &info.addresses);
    writer.u64(number::CONNECTIONS, info.connections);
    writer.u64(number::EXHAUSTED, info.exhausted);
    writer.u32(number::REFERENCES, info.references);
}

/// Reads an answer's content; `None` if something is missing.
pub(super) fn read_pool_info(nest: &[u8]) -> Option<PoolInfo> {
    let (name, addresses) = read_pool(Some(nest)).ok()?;
    let table = Given::parse(nest, |_| Policy::Any).ok()?;
    Some(PoolInfo {
        name,
        addresses,
        connections: table.u64(number::CONNECTIONS)?,
        exhausted: table.u64(number::EXHAUSTED)?,
        references: table.u32(number::REFERENCES)?,
    })
}
