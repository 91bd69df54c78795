//! STATS (32-bit) and STATS64 nests of services and destinations.

use ipvs_core::{Counters, Rates, Stats};

use super::attribute::{Policy, Table, Writer};

/// Values in attribute order: types 1 to 10.
fn values(stats: &Stats) -> [u64; 10] {
    let Stats { counters: c, rates: r } = stats;
    [
        c.connections,
        c.packets_in,
        c.packets_out,
        c.bytes_in,
        c.bytes_out,
        r.connections,
        r.packets_in,
        r.packets_out,
        r.bytes_in,
        r.bytes_out,
    ]
}

/// Whether a value of the 32-bit nest has 64 bits all the same: the byte counters.
const fn is_wide(kind: u16) -> bool {
    matches!(kind, 4 | 5)
}

/// Appends the 32-bit nest `kind`; what does not fit wraps, as in the kernel.
pub(super) fn write_stats32(writer: &mut Writer<'_>, kind: u16, stats: &Stats) {
    writer.nest(kind, |inner| {
        for (kind, value) in (1..).zip(values(stats)) {
            if is_wide(kind) { inner.u64(kind, value) } else { inner.u32(kind, value as u32) }
        }
    });
}

/// Appends the 64-bit nest `kind`.
pub(super) fn write_stats64(writer: &mut Writer<'_>, kind: u16, stats: &Stats) {
    writer.nest(kind, |inner| {
        for (kind, value) in (1..).zip(values(stats)) {
            inner.u64(kind, value);
        }
    });
}

/// Reads a 64-bit nest; values that are missing are 0.
pub(super) fn read_stats64(bytes: &[u8]) -> Stats {
    let Ok(table) = Table::<11>::parse(bytes, |_| Policy::Any) else { return Stats::default() };
    let value = |kind| table.u64(kind).unwrap_or(0);
    Stats {
        counters: Counters {
            connections: value(1),
            packets_in: value(2),
            packets_out: value(3),
            bytes_in: value(4),
            bytes_out: value(5),
        },
        rates: Rates {
            connections: value(6),
            packets_in: value(7),
            packets_out: value(8),
            bytes_in: value(9),
            bytes_out: value(10),
        },
    }
}
