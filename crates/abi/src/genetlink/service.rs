//! The SERVICE nest.

use ipvs_core::{MarkTarget, ServiceConfig, ServiceFlags, ServiceId, ServiceInfo, Stats};

use crate::errno::Errno;

use super::attribute::{Attributes, Policy, Table, Writer, family_of, text};
use super::number::{family, service as number};
use super::stats::{read_stats64, write_stats32, write_stats64};

/// Longest scheduler name without its NUL.
const SCHEDULER_MOST: usize = 15;
/// Longest persistence engine name without its NUL.
const ENGINE_MOST: usize = 16;

fn policy(kind: u16) -> Policy {
    match kind {
        number::AF | number::PROTOCOL | number::PORT => Policy::AtLeast(2),
        number::ADDR => Policy::AtMost(16),
        number::FWMARK | number::TIMEOUT | number::NETMASK => Policy::AtLeast(4),
        number::SCHED_NAME => Policy::Text(SCHEDULER_MOST),
        number::PE_NAME => Policy::Text(ENGINE_MOST),
        number::FLAGS => Policy::AtMost(8),
        number::STATS => Policy::Nested,
        _ => Policy::Any,
    }
}

/// The nest as it came, checked as far as its identity.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) id: ServiceId,
    table: Table<'a, 13>,
    /// The helper's name.
    helper: Option<&'a [u8]>,
}

/// Reads the identity.
///
/// # Errors
/// EINVAL if the nest is missing or malformed or the identity incomplete, then EAFNOSUPPORT.
pub(super) fn read_service(nest: Option<&[u8]>) -> Result<Given<'_>, Errno> {
    let nest = nest.ok_or(Errno::EINVAL)?;
    let table = Table::parse(nest, policy).map_err(|_| Errno::EINVAL)?;
    let helper = Attributes(nest).filter(|(kind, _)| *kind == number::HELPER).last().map(|(_, name)| name);
    let family = table.u16(number::AF).ok_or(Errno::EINVAL)?;
    let ipv6 = family == family::INET6;
    // A mark wins over an address, 0 included.
    let id = if let Some(mark) = table.u32(number::FWMARK) {
        ServiceId::Mark { ipv6, mark }
    } else {
        ServiceId::Address {
            protocol: table.u16(number::PROTOCOL).ok_or(Errno::EINVAL)?,
            address: table.address(number::ADDR, ipv6).ok_or(Errno::EINVAL)?,
            port: table.be16(number::PORT).ok_or(Errno::EINVAL)?,
        }
    };
    if ipv6 || family == family::INET { Ok(Given { id, table, helper }) } else { Err(Errno::EAFNOSUPPORT) }
}

impl Given<'_> {
    /// Reads the settings.
    ///
    /// # Errors
    /// EINVAL if one is missing.
    pub(super) fn config(&self) -> Result<ServiceConfig, Errno> {
        let table = &self.table;
        let netmask =
            if self.id.is_ipv6() { table.u32(number::NETMASK) } else { table.be32(number::NETMASK) };
        let (flags, flags_mask) = flags_and_mask(table.get(number::FLAGS).ok_or(Errno::EINVAL)?);
        Ok(ServiceConfig {
            scheduler: table.text(number::SCHED_NAME).ok_or(Errno::EINVAL)?,
            // The kernel takes an empty name as none.
            persistence_engine: table.text(number::PE_NAME).filter(|name| !name.is_empty()),
            helper: self.helper.map(text).filter(|name| !name.is_empty()),
            flags,
            flags_mask,
            timeout: table.u32(number::TIMEOUT).ok_or(Errno::EINVAL)?,
            netmask: netmask.ok_or(Errno::EINVAL)?,
            target: MarkTarget::default(),
        })
    }
}

/// FLAGS: two 32-bit words; missing bytes are zero.
fn flags_and_mask(value: &[u8]) -> (u32, u32) {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(value) {
        *to = *from;
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
}

fn write_id(writer: &mut Writer<'_>, id: &ServiceId) {
    match *id {
        ServiceId::Address { protocol, address, port } => {
            writer.u16(number::AF, family_of(address));
            writer.u16(number::PROTOCOL, protocol);
            writer.address(number::ADDR, address);
            writer.be16(number::PORT, port);
        }
        ServiceId::Mark { ipv6, mark } => {
            writer.u16(number::AF, if ipv6 { family::INET6 } else { family::INET });
            writer.u32(number::FWMARK, mark);
        }
    }
}

/// What stands between identity and statistics, in the kernel's order.
fn write_settings(writer: &mut Writer<'_>, id: &ServiceId, config: &ServiceConfig) {
    writer.text(number::SCHED_NAME, &config.scheduler);
    if let Some(engine) = &config.persistence_engine {
        writer.text(number::PE_NAME, engine);
    }
    let [a, b, c, d] = config.flags.to_ne_bytes();
    let [e, f, g, h] = config.flags_mask.to_ne_bytes();
    writer.bytes(number::FLAGS, &[a, b, c, d, e, f, g, h]);
    writer.u32(number::TIMEOUT, config.timeout);
    if id.is_ipv6() {
        writer.u32(number::NETMASK, config.netmask);
    } else {
        writer.be32(number::NETMASK, config.netmask);
    }
    if let Some(helper) = &config.helper {
        writer.text(number::HELPER, helper);
    }
}

/// Appends a request's SERVICE content.
pub(super) fn write_service(writer: &mut Writer<'_>, id: &ServiceId, config: Option<&ServiceConfig>) {
    write_id(writer, id);
    if let Some(config) = config {
        write_settings(writer, id, config);
    }
}

/// Appends an answer's SERVICE content.
pub(super) fn write_service_info(writer: &mut Writer<'_>, info: &ServiceInfo) {
    write_id(writer, &info.id);
    let config = ServiceConfig {
        scheduler: info.scheduler.clone(),
        persistence_engine: info.persistence_engine.clone(),
        helper: info.helper.clone(),
        flags: info.flags.0,
        flags_mask: u32::MAX,
        timeout: info.timeout,
        netmask: info.netmask,
        target: info.target,
    };
    write_settings(writer, &info.id, &config);
    write_stats32(writer, number::STATS, &info.stats);
    write_stats64(writer, number::STATS64, &info.stats);
}

/// Reads an answer's SERVICE content. The number of destinations is not in the message: 0.
pub(super) fn read_service_info(nest: &[u8]) -> Result<ServiceInfo, Errno> {
    let given = read_service(Some(nest))?;
    let config = given.config()?;
    Ok(ServiceInfo {
        id: given.id,
        scheduler: config.scheduler,
        persistence_engine: config.persistence_engine,
        helper: config.helper,
        flags: ServiceFlags(config.flags),
        timeout: config.timeout,
        netmask: config.netmask,
        target: config.target,
        destinations: 0,
        stats: given.table.get(number::STATS64).map_or_else(Stats::default, read_stats64),
    })
}
