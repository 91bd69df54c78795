//! The DROP nest, an extension of ours: packets dropped for a reason.

use ipvs_core::DropCount;

use super::attribute::{Policy, Table, Writer};
use super::number::dropped as number;

/// Appends a reason and its counter.
pub(super) fn write_drop(writer: &mut Writer<'_>, drop: &DropCount) {
    writer.text(number::BY, &drop.by);
    writer.text(number::REASON, &drop.reason);
    writer.u64(number::PACKETS, drop.packets);
    if drop.active {
        writer.u32(number::ACTIVE, 1);
    }
}

/// Reads one; `None` if something is missing.
pub(super) fn read_drop(nest: &[u8]) -> Option<DropCount> {
    let table = Table::<5>::parse(nest, |_| Policy::Any).ok()?;
    Some(DropCount {
        by: table.text(number::BY)?,
        reason: table.text(number::REASON)?,
        packets: table.u64(number::PACKETS)?,
        active: table.u32(number::ACTIVE) == Some(1),
    })
}
