//! The DEST nest.

use ipvs_core::{
    ConnectionFlags, DestinationConfig, DestinationId, DestinationInfo, ForwardingMethod, PoolName, Stats,
    Tunnel,
};

use crate::errno::Errno;

use super::attribute::{Attributes, Policy, Table, Writer, family_of, text};
use super::number::{destination as number, family};
use super::stats::{read_stats64, write_stats32, write_stats64};

/// Bits of FWD_METHOD that are the method.
const METHOD_MASK: u32 = 7;

fn policy(kind: u16) -> Policy {
    match kind {
        number::ADDR => Policy::AtMost(16),
        number::TUN_TYPE => Policy::AtLeast(1),
        number::PORT | number::ADDR_FAMILY | number::TUN_PORT | number::TUN_FLAGS => Policy::AtLeast(2),
        number::FWD_METHOD..=number::PERSIST_CONNS => Policy::AtLeast(4),
        number::STATS => Policy::Nested,
        _ => Policy::Any,
    }
}

/// The nest as it came.
struct Given<'a> {
    table: Table<'a, 16>,
    /// The name of the pool; empty: none.
    local_pool: Option<&'a [u8]>,
    proxy: Option<bool>,
}

/// Settings as they were given.
pub(super) struct Settings {
    pub(super) config: DestinationConfig,
    /// By a client that does not know methods of ours.
    pub(super) of_kernel: bool,
}

fn config(Given { table, local_pool, proxy }: &Given<'_>) -> Option<DestinationConfig> {
    let local_pool = match local_pool.map(text) {
        Some(name) if !name.is_empty() => Some(PoolName::new(&name).ok()?),
        _ => None,
    };
    let method = ForwardingMethod((table.u32(number::FWD_METHOD)? & METHOD_MASK) as u8);
    Some(DestinationConfig {
        forwarding: if local_pool.is_some() { ForwardingMethod::FULL_NAT } else { method },
        flags: ConnectionFlags::default(),
        weight: table.u32(number::WEIGHT)? as i32,
        upper_threshold: table.u32(number::U_THRESH)?,
        lower_threshold: table.u32(number::L_THRESH)?,
        tunnel: Tunnel {
            kind: table.u8(number::TUN_TYPE).unwrap_or(0),
            port: table.be16(number::TUN_PORT).unwrap_or(0),
            flags: table.u16(number::TUN_FLAGS).unwrap_or(0),
        },
        local_pool,
        proxy: *proxy,
    })
}

/// The identity, in the family given or else in the service's.
///
/// # Errors
/// EINVAL if it is incomplete, then `missing` (a setting), then EAFNOSUPPORT: the kernel's order.
fn id(Given { table, .. }: &Given<'_>, service_ipv6: bool, missing: bool) -> Result<DestinationId, Errno> {
    let ipv6 = match table.u16(number::ADDR_FAMILY).unwrap_or(0) {
        0 => Ok(service_ipv6),
        family::INET => Ok(false),
        family::INET6 => Ok(true),
        _ => Err(Errno::EAFNOSUPPORT),
    };
    let address = table.address(number::ADDR, ipv6.unwrap_or(true)).ok_or(Errno::EINVAL)?;
    let port = table.be16(number::PORT).ok_or(Errno::EINVAL)?;
    if missing {
        return Err(Errno::EINVAL);
    }
    ipv6.map(|_| DestinationId { address, port })
}

fn parse(nest: Option<&[u8]>) -> Result<Given<'_>, Errno> {
    let nest = nest.ok_or(Errno::EINVAL)?;
    let table = Table::parse(nest, policy).map_err(|_| Errno::EINVAL)?;
    let last = |wanted| Attributes(nest).filter(|(kind, _)| *kind == wanted).last().map(|(_, value)| value);
    let proxy = last(number::PROXY).and_then(<[u8]>::first).map(|value| *value != 0);
    Ok(Given { table, local_pool: last(number::LOCAL_POOL), proxy })
}

/// Reads an identity.
///
/// # Errors
/// EINVAL if the nest is missing, malformed or incomplete, then EAFNOSUPPORT.
pub(super) fn read_destination_id(nest: Option<&[u8]>, service_ipv6: bool) -> Result<DestinationId, Errno> {
    id(&parse(nest)?, service_ipv6, false)
}

/// Reads identity and settings.
///
/// # Errors
/// EINVAL if the nest is missing, malformed or incomplete, then EAFNOSUPPORT.
pub(super) fn read_destination(
    nest: Option<&[u8]>,
    service_ipv6: bool,
) -> Result<(DestinationId, Settings), Errno> {
    let given = parse(nest)?;
    let config = config(&given);
    let id = id(&given, service_ipv6, config.is_none())?;
    Ok((id, Settings { config: config.ok_or(Errno::EINVAL)?, of_kernel: given.local_pool.is_none() }))
}

/// Appends a request's DEST content: an identity.
pub(super) fn write_destination_id(writer: &mut Writer<'_>, id: &DestinationId) {
    writer.address(number::ADDR, id.address);
    writer.be16(number::PORT, id.port);
    writer.u16(number::ADDR_FAMILY, family_of(id.address));
}

/// Appends a request's DEST content: identity and settings.
pub(super) fn write_destination(writer: &mut Writer<'_>, id: &DestinationId, settings: &Settings) {
    write_destination_id(writer, id);
    write_settings(writer, &settings.config);
    if !settings.of_kernel {
        writer.text(number::LOCAL_POOL, settings.config.local_pool.as_ref().map_or("", PoolName::as_str));
    }
}

/// Method to thresholds, in the kernel's order.
fn write_settings(writer: &mut Writer<'_>, config: &DestinationConfig) {
    writer.u32(number::FWD_METHOD, u32::from(config.kernel_method().0));
    writer.u32(number::WEIGHT, config.weight as u32);
    writer.u8(number::TUN_TYPE, config.tunnel.kind);
    writer.be16(number::TUN_PORT, config.tunnel.port);
    writer.u16(number::TUN_FLAGS, config.tunnel.flags);
    writer.u32(number::U_THRESH, config.upper_threshold);
    writer.u32(number::L_THRESH, config.lower_threshold);
    if let Some(proxy) = config.proxy {
        writer.u8(number::PROXY, u8::from(proxy));
    }
}

/// Appends an answer's DEST content.
pub(super) fn write_destination_info(writer: &mut Writer<'_>, info: &DestinationInfo) {
    writer.address(number::ADDR, info.id.address);
    writer.be16(number::PORT, info.id.port);
    write_settings(writer, &info.config);
    if let Some(pool) = &info.config.local_pool {
        writer.text(number::LOCAL_POOL, pool.as_str());
    }
    writer.u32(number::ACTIVE_CONNS, info.active);
    writer.u32(number::INACT_CONNS, info.inactive);
    writer.u32(number::PERSIST_CONNS, info.persistent);
    writer.u16(number::ADDR_FAMILY, family_of(info.id.address));
    write_stats32(writer, number::STATS, &info.stats);
    write_stats64(writer, number::STATS64, &info.stats);
}

/// Reads an answer's DEST content.
pub(super) fn read_destination_info(nest: &[u8], service_ipv6: bool) -> Result<DestinationInfo, Errno> {
    let given = parse(Some(nest))?;
    let count = |kind| given.table.u32(kind).unwrap_or(0);
    Ok(DestinationInfo {
        id: id(&given, service_ipv6, false)?,
        config: config(&given).ok_or(Errno::EINVAL)?,
        active: count(number::ACTIVE_CONNS),
        inactive: count(number::INACT_CONNS),
        persistent: count(number::PERSIST_CONNS),
        stats: given.table.get(number::STATS64).map_or_else(Stats::default, read_stats64),
    })
}
