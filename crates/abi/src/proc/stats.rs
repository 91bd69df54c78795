//! `ip_vs_stats` and `ip_vs_stats_percpu`: the counters of everything.

use ipvs_core::{Command, Counters, Rates, Reply, TotalStats};

/// Asks for the counters.
pub(super) fn ask<E>(director: &mut dyn FnMut(Command) -> Result<Reply, E>) -> Result<TotalStats, E> {
    Ok(match director(Command::GetStats)? {
        Reply::Stats(stats) => *stats,
        _ => TotalStats::default(),
    })
}

/// The text of `ip_vs_stats`.
pub(super) fn totals(stats: &TotalStats) -> String {
    format!(
        "   Total Incoming Outgoing         Incoming         Outgoing\n   \
         Conns  Packets  Packets            Bytes            Bytes\n\
         {}\n\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n{}\n",
        counters(&stats.shown.counters),
        rates(&stats.shown.rates),
    )
}

/// The text of `ip_vs_stats_percpu`: one engine counts, so everything is in the row of the first of `processors`. The rows
/// of processors are never zeroed, the total's is.
pub(super) fn by_processor(stats: &TotalStats, processors: usize) -> String {
    let mut text = "       Total Incoming Outgoing         Incoming         Outgoing\n\
                    CPU    Conns  Packets  Packets            Bytes            Bytes\n"
        .to_owned();
    let others = Counters::default();
    for processor in 0..processors.max(1) {
        let row = if processor == 0 { &stats.running } else { &others };
        text += &format!("{processor:3X} {}\n", counters(row));
    }
    text += &format!("  ~ {}\n\n", counters(&stats.shown.counters));
    text += "     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n";
    text + &format!("    {}\n", rates(&stats.shown.rates))
}

fn counters(it: &Counters) -> String {
    row([it.connections, it.packets_in, it.packets_out, it.bytes_in, it.bytes_out])
}

fn rates(it: &Rates) -> String {
    row([it.connections, it.packets_in, it.packets_out, it.bytes_in, it.bytes_out])
}

fn row([connections, packets_in, packets_out, bytes_in, bytes_out]: [u64; 5]) -> String {
    format!("{connections:8X} {packets_in:8X} {packets_out:8X} {bytes_in:16X} {bytes_out:16X}")
}
