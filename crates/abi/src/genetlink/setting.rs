//! The SYSCTL and STATS nests, extensions of ours: settings, and the counters of everything.

use ipvs_core::{Command, Stats, Sysctl, TotalStats};

use crate::errno::Errno;
use crate::sysctl;

use super::attribute::{Policy, Table, Writer};
use super::number::{setting as number, total};
use super::stats::{read_stats64, write_stats64};

/// Longest name without its NUL.
const NAME_MOST: usize = 63;

fn parse(nest: Option<&[u8]>) -> Result<Table<'_, 3>, Errno> {
    Table::parse(nest.ok_or(Errno::EINVAL)?, |kind| match kind {
        number::NAME => Policy::Text(NAME_MOST),
        _ => Policy::Any,
    })
    .map_err(|_| Errno::EINVAL)
}

fn read_name(table: &Table<'_, 3>) -> Result<Sysctl, Errno> {
    Sysctl::from_name(&table.text(number::NAME).ok_or(Errno::EINVAL)?).ok_or(Errno::ENOENT)
}

/// Reads what GET_SYSCTL asks for.
///
/// # Errors
/// EINVAL if the name is missing, ENOENT if nothing has that name.
pub(super) fn read_get(nest: Option<&[u8]>) -> Result<Command, Errno> {
    read_name(&parse(nest)?).map(Command::GetSysctl)
}

/// Reads what SET_SYSCTL asks for: name, and value as it was written to the file.
///
/// # Errors
/// EINVAL if the name is missing or the value is none, ENOENT if nothing has that name.
pub(super) fn read_set(nest: Option<&[u8]>) -> Result<Command, Errno> {
    let table = parse(nest)?;
    let sysctl = read_name(&table)?;
    let values = sysctl::parse(sysctl, table.get(number::VALUE).ok_or(Errno::EINVAL)?)?;
    Ok(Command::SetSysctl(sysctl, values))
}

/// Appends a setting: its name and, if given, its values.
pub(super) fn write_setting(writer: &mut Writer<'_>, sysctl: Sysctl, values: Option<&[i64]>) {
    writer.text(number::NAME, sysctl.name());
    if let Some(values) = values {
        writer.bytes(number::VALUE, sysctl::format(sysctl, values).as_bytes());
    }
}

/// Reads a setting of an answer; `None` if it makes no sense or is of a name that is not known here.
pub(super) fn read_setting(nest: &[u8]) -> Option<(Sysctl, Vec<i64>)> {
    match read_set(Some(nest)).ok()? {
        Command::SetSysctl(sysctl, values) => Some((sysctl, values)),
        _ => None,
    }
}

/// Appends the counters of everything.
pub(super) fn write_totals(writer: &mut Writer<'_>, totals: &TotalStats) {
    write_stats64(writer, total::SHOWN, &totals.shown);
    write_stats64(writer, total::RUNNING, &Stats { counters: totals.running, ..Stats::default() });
}

/// Reads the counters of everything; what is missing is 0.
pub(super) fn read_totals(nest: &[u8]) -> Option<TotalStats> {
    let table = Table::<3>::parse(nest, |_| Policy::Any).ok()?;
    let stats = |kind| table.get(kind).map(read_stats64).unwrap_or_default();
    Some(TotalStats { shown: stats(total::SHOWN), running: stats(total::RUNNING).counters })
}
