//! The DAEMON nest: synchronisation daemons.

use core::net::IpAddr;

use ipvs_core::{Command, SyncDaemonConfig, SyncRole};

use crate::errno::Errno;

use super::attribute::{Policy, Table, Writer};
use super::number::daemon as number;

/// Longest interface name without its NUL.
const INTERFACE_MOST: usize = 15;

fn parse(nest: Option<&[u8]>) -> Result<Table<'_, 9>, Errno> {
    Table::parse(nest.ok_or(Errno::EINVAL)?, |kind| match kind {
        number::MCAST_IFN => Policy::Text(INTERFACE_MOST),
        number::SYNC_MAXLEN | number::MCAST_PORT => Policy::AtLeast(2),
        number::MCAST_GROUP6 => Policy::AtLeast(16),
        number::MCAST_TTL => Policy::AtLeast(1),
        _ => Policy::AtLeast(4),
    })
    .map_err(|_| Errno::EINVAL)
}

/// Reads what NEW_DAEMON asks for.
///
/// # Errors
/// EINVAL if the nest, its state, interface or id is missing or malformed, or the group is not multicast.
pub(super) fn read_start(nest: Option<&[u8]>) -> Result<Command, Errno> {
    let table = parse(nest)?;
    let (Some(state), Some(interface), Some(sync_id)) =
        (table.u32(number::STATE), table.text(number::MCAST_IFN), table.u32(number::SYNC_ID))
    else {
        return Err(Errno::EINVAL);
    };
    // The IPv4 group, if both are given.
    let group =
        table.address(number::MCAST_GROUP, false).or_else(|| table.address(number::MCAST_GROUP6, true));
    if group.is_some_and(|group| !group.is_multicast()) {
        return Err(Errno::EINVAL);
    }
    let config = SyncDaemonConfig {
        interface,
        sync_id,
        max_length: table.u16(number::SYNC_MAXLEN).unwrap_or(0),
        group,
        port: table.u16(number::MCAST_PORT).unwrap_or(0),
        ttl: table.u8(number::MCAST_TTL).unwrap_or(0),
        mixed: false,
    };
    Ok(Command::StartSyncDaemon(state, config))
}

/// Reads what DEL_DAEMON asks for.
///
/// # Errors
/// EINVAL if the nest or its state is missing or malformed.
pub(super) fn read_stop(nest: Option<&[u8]>) -> Result<Command, Errno> {
    parse(nest)?.u32(number::STATE).map(Command::StopSyncDaemon).ok_or(Errno::EINVAL)
}

/// Appends what NEW_DAEMON needs.
pub(super) fn write_start(writer: &mut Writer<'_>, state: u32, config: &SyncDaemonConfig) {
    writer.u32(number::STATE, state);
    writer.text(number::MCAST_IFN, &config.interface);
    writer.u32(number::SYNC_ID, config.sync_id);
    writer.u16(number::SYNC_MAXLEN, config.max_length);
    writer.u16(number::MCAST_PORT, config.port);
    writer.u8(number::MCAST_TTL, config.ttl);
    match config.group {
        Some(IpAddr::V4(group)) => writer.bytes(number::MCAST_GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => writer.bytes(number::MCAST_GROUP6, &group.octets()),
        None => {}
    }
}

/// Appends what DEL_DAEMON needs.
pub(super) fn write_stop(writer: &mut Writer<'_>, state: u32) {
    writer.u32(number::STATE, state);
}

/// Reads a daemon of a listing.
pub(super) fn read_sync_daemon(nest: &[u8]) -> Option<(SyncRole, SyncDaemonConfig)> {
    match read_start(Some(nest)).ok()? {
        Command::StartSyncDaemon(state, config) => Some((SyncRole::from_number(state)?, config)),
        _ => None,
    }
}
