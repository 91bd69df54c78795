//! The outcome for people.

use std::fmt::Write;

use crate::kernel::KernelIpvs;
use crate::report::Report;
use crate::row::{Outcome, Row};
use crate::statistics::Spread;

impl Report {
    /// A table, the ratios, and the notes.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(format!(
            "Linux {}, {} processors, load average {:.2} before and {:.2} after; {} rounds of {} s each, medians (least to greatest)",
            self.kernel,
            self.processors,
            self.load_average[0],
            self.load_average[1],
            self.rounds,
            self.seconds
        ));
        line(format!(
            "{:<26} {:<20} {:>11}  {:<21} {:<16} {:>8} {:>9} {:>8} {:>10}  {}",
            "row",
            "path",
            "median",
            "spread",
            "unit",
            "of CPU",
            "CPU ns/pk",
            "arrived",
            "in program",
            "percentiles, us"
        ));
        self.rows.iter().for_each(|row| line(one(row)));
        let mut ratios = self.ratios.measured().peekable();
        if ratios.peek().is_some() {
            line(String::new());
            line(format!("{:<36} {:>11}  {:>17}", "ratios", "by time", "by processor time"));
            for (name, value) in ratios {
                let at_work = self.ratios_at_work.named(name).map_or_else(String::new, number);
                line(format!("{name:<36} {:>11}  {at_work:>17}", number(value)));
            }
        }
        if self.ratios.measured().any(|(name, _)| name.ends_with("_vs_kernel_ipvs")) {
            let KernelIpvs { established, new_rr, new_wlc100, bytes_per_connection } = self.kernel_ipvs;
            line(String::new());
            line(format!(
                "kernel IPVS is taken to forward {established} of plain forwarding, {new_rr} of new flows under rr, {new_wlc100} under wlc"
            ));
            line(format!(
                "with 100 servers, and to take {bytes_per_connection} bytes a connection (--kernel-ipvs; below 1, a ratio of bytes is less memory)"
            ));
        }
        let mut notes = self.rows.iter().filter(|row| !row.notes.is_empty()).peekable();
        if notes.peek().is_some() {
            line(String::new());
            line("notes".into());
            for row in notes {
                line(format!("{}: {}", row.name, row.notes.join("; ")));
            }
        }
        text
    }
}

fn one(row: &Row) -> String {
    let mut text = format!("{:<26} {:<20} ", row.name, row.path.title());
    let Some(spread) = row.spread else {
        text.push_str(if row.outcome == Outcome::Missing { "not available" } else { "failed" });
        return text;
    };
    let share =
        |share: Option<f64>| share.map_or_else(String::new, |share| format!("{:.1} %", share * 100.0));
    let cpu = row.cpu_ns_per_packet.map_or_else(String::new, |ns| format!("{ns:.0}"));
    let at_work = Spread::of(&row.values_at_work).map_or_else(String::new, |spread| number(spread.median));
    let _ = write!(
        text,
        "{:>11}  {:<21} {:<16} {at_work:>8} {cpu:>9} {:>8} {:>10}",
        number(spread.median),
        format!("({} to {})", number(spread.least), number(spread.greatest)),
        row.unit,
        share(row.delivered),
        share(row.in_program)
    );
    if let Some(all) = row.percentiles {
        let _ = write!(
            text,
            "  p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}",
            all.p50, all.p90, all.p99, all.p999
        );
    }
    text
}

/// With three digits and a prefix.
pub(crate) fn number(value: f64) -> String {
    let (value, prefix) = match value {
        value if value >= 1e9 => (value / 1e9, " G"),
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.847, 3.12e6, 833_000.0, 9.34e9, 512.0, 45.2].map(number);
        assert_eq!(shown, ["0.85", "3.12 M", "833 k", "9.34 G", "512", "45.2"]);
    }
}
