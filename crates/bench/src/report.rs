//! The outcome of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::choice::FEW_AND_MANY;
use crate::path::Path;
use crate::row::{Outcome, Row, short};
use crate::statistics;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// Processors that the run could use.
    pub processors: u32,
    /// Load average of the last minute, before the run and after it: with other work on the machine figures are worse, and
    /// ratios less certain.
    pub load_average: [f64; 2],
    /// How often each row was measured.
    pub rounds: usize,
    /// How long each value was measured, in seconds.
    pub seconds: f64,
    /// Time of the whole run, in seconds.
    pub elapsed_seconds: f64,
    /// One for each measure of each path.
    pub rows: Vec<Row>,
    /// Ours against others.
    pub ratios: Ratios,
    /// The same of packets by processor time: nearly the same on a quiet machine, and of use on a busy one.
    pub ratios_at_work: RatiosAtWork,
}

/// Medians of the ratios of the same round, and new connections a second; none if one of both was not measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ratios {
    /// ipvsd in XDP against a redirect without a look, one flow.
    pub xdp_nat_1_vs_noop: Option<f64>,
    /// The same, 65 536 flows.
    pub xdp_nat_64k_vs_noop: Option<f64>,
    /// The same, 1 048 576 flows.
    pub xdp_nat_1m_vs_noop: Option<f64>,
    /// ipvsd in XDP against the kernel's forwarding, 65 536 flows.
    pub xdp_nat_64k_vs_forwarding: Option<f64>,
    /// ipvsd in XDP against nftables, 65 536 flows.
    pub xdp_nat_64k_vs_nft: Option<f64>,
    /// ipvsd in tc against the kernel's forwarding, one TCP connection.
    pub tc_bulk_vs_forwarding: Option<f64>,
    /// ipvsd by its daemon behind tc against the kernel's forwarding, one TCP connection.
    pub slow_tc_bulk_vs_forwarding: Option<f64>,
    /// New connections a second, begun in the XDP program.
    pub new_conns_xdp_per_s: Option<f64>,
    /// New connections a second, begun by the daemon.
    pub new_conns_engine_per_s: Option<f64>,
    /// ipvsd in XDP by other methods against a redirect without a look, `xdp_METHOD_FLOWS_vs_noop`: those that were measured.
    #[serde(flatten)]
    pub methods: BTreeMap<String, f64>,
}

/// Medians of the ratios of packets a second of processor time, of the same round.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RatiosAtWork {
    /// As in [`Ratios`].
    pub xdp_nat_1_vs_noop: Option<f64>,
    /// As in [`Ratios`].
    pub xdp_nat_64k_vs_noop: Option<f64>,
    /// As in [`Ratios`].
    pub xdp_nat_1m_vs_noop: Option<f64>,
    /// As in [`Ratios`].
    pub xdp_nat_64k_vs_forwarding: Option<f64>,
    /// As in [`Ratios`].
    pub xdp_nat_64k_vs_nft: Option<f64>,
    /// As in [`Ratios`].
    #[serde(flatten)]
    pub methods: BTreeMap<String, f64>,
}

/// A row that was measured.
fn measured<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name && row.outcome == Outcome::Measured)
}

/// Ratios of the methods by `ratio` of two rows, those that there are.
fn of_methods(ratio: impl Fn(&str, &str) -> Option<f64>) -> BTreeMap<String, f64> {
    let all = Path::METHODS.iter().flat_map(|path| FEW_AND_MANY.map(|flows| (path.name(), short(flows))));
    all.filter_map(|(method, flows)| {
        let value = ratio(&format!("packets-{method}-{flows}"), &format!("packets-noop-{flows}"))?;
        Some((format!("xdp_{method}_{flows}_vs_noop"), value))
    })
    .collect()
}

impl RatiosAtWork {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let ratio = |ours: &str, other: &str| {
            statistics::ratio(&measured(rows, ours)?.values_at_work, &measured(rows, other)?.values_at_work)
        };
        Self {
            xdp_nat_1_vs_noop: ratio("packets-xdp-1", "packets-noop-1"),
            xdp_nat_64k_vs_noop: ratio("packets-xdp-64k", "packets-noop-64k"),
            xdp_nat_1m_vs_noop: ratio("packets-xdp-1m", "packets-noop-1m"),
            xdp_nat_64k_vs_forwarding: ratio("packets-xdp-64k", "packets-forwarding-64k"),
            xdp_nat_64k_vs_nft: ratio("packets-xdp-64k", "packets-nft-64k"),
            methods: of_methods(ratio),
        }
    }

    /// The one that [`Ratios::named`] names so; none where there is none by processor time.
    pub(crate) fn named(&self, name: &str) -> Option<Option<f64>> {
        Some(match name {
            "xdp_nat_1_vs_noop" => self.xdp_nat_1_vs_noop,
            "xdp_nat_64k_vs_noop" => self.xdp_nat_64k_vs_noop,
            "xdp_nat_1m_vs_noop" => self.xdp_nat_1m_vs_noop,
            "xdp_nat_64k_vs_forwarding" => self.xdp_nat_64k_vs_forwarding,
            "xdp_nat_64k_vs_nft" => self.xdp_nat_64k_vs_nft,
            method => return self.methods.get(method).map(|value| Some(*value)),
        })
    }
}

impl Ratios {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let ratio = |ours: &str, other: &str| {
            statistics::ratio(&measured(rows, ours)?.values, &measured(rows, other)?.values)
        };
        let median = |name| measured(rows, name)?.spread.map(|spread| spread.median);
        Self {
            xdp_nat_1_vs_noop: ratio("packets-xdp-1", "packets-noop-1"),
            xdp_nat_64k_vs_noop: ratio("packets-xdp-64k", "packets-noop-64k"),
            xdp_nat_1m_vs_noop: ratio("packets-xdp-1m", "packets-noop-1m"),
            xdp_nat_64k_vs_forwarding: ratio("packets-xdp-64k", "packets-forwarding-64k"),
            xdp_nat_64k_vs_nft: ratio("packets-xdp-64k", "packets-nft-64k"),
            tc_bulk_vs_forwarding: ratio("bulk-tc", "bulk-forwarding"),
            slow_tc_bulk_vs_forwarding: ratio("bulk-slow-tc", "bulk-forwarding"),
            new_conns_xdp_per_s: median("syns-xdp"),
            new_conns_engine_per_s: median("syns-slow"),
            methods: of_methods(ratio),
        }
    }

    /// Names and values, those of methods last.
    pub(crate) fn named(&self) -> Vec<(&str, Option<f64>)> {
        let mut all = vec![
            ("xdp_nat_1_vs_noop", self.xdp_nat_1_vs_noop),
            ("xdp_nat_64k_vs_noop", self.xdp_nat_64k_vs_noop),
            ("xdp_nat_1m_vs_noop", self.xdp_nat_1m_vs_noop),
            ("xdp_nat_64k_vs_forwarding", self.xdp_nat_64k_vs_forwarding),
            ("xdp_nat_64k_vs_nft", self.xdp_nat_64k_vs_nft),
            ("tc_bulk_vs_forwarding", self.tc_bulk_vs_forwarding),
            ("slow_tc_bulk_vs_forwarding", self.slow_tc_bulk_vs_forwarding),
            ("new_conns_xdp_per_s", self.new_conns_xdp_per_s),
            ("new_conns_engine_per_s", self.new_conns_engine_per_s),
        ];
        all.extend(self.methods.iter().map(|(name, value)| (&**name, Some(*value))));
        all
    }
}

impl Report {
    /// Whether every row could be measured, but for what is not there.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.outcome != Outcome::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Measure;
    use crate::statistics::Spread;

    fn row(measure: Measure, path: Path, values: &[f64]) -> Row {
        Row { spread: Spread::of(values), values: values.to_vec(), ..Row::new(measure, path) }
    }

    #[test]
    fn ratios_come_from_the_rows_of_their_names() {
        let rows = [
            row(Measure::Packets(1), Path::Noop, &[4.0, 2.0]),
            row(Measure::Packets(1), Path::Xdp, &[3.0, 1.5]),
            row(Measure::Packets(1), Path::Gre, &[2.0, 1.0]),
            row(Measure::Bulk, Path::Tc, &[6.0]),
            row(Measure::Bulk, Path::Forwarding, &[4.0]),
            row(Measure::Syns, Path::Slow, &[1.0, 3.0, 2.0]),
        ];
        let ratios = Ratios::of(&rows);
        assert_eq!(ratios.xdp_nat_1_vs_noop, Some(0.75));
        assert_eq!(ratios.tc_bulk_vs_forwarding, Some(1.5));
        assert_eq!(ratios.new_conns_engine_per_s, Some(2.0));
        assert_eq!(ratios.xdp_nat_64k_vs_nft, None);
        assert_eq!(ratios.methods, BTreeMap::from([("xdp_gre_1_vs_noop".to_owned(), 0.5)]));
        let json = serde_json::to_value(&ratios).unwrap();
        for (name, value) in ratios.named() {
            assert_eq!(json[name].as_f64(), value, "{name}");
        }
    }

    #[test]
    fn what_is_missing_has_no_ratio() {
        let mut tc = row(Measure::Bulk, Path::Tc, &[6.0]);
        tc.give_up(Outcome::Missing, "not there");
        let rows = [tc, row(Measure::Bulk, Path::Forwarding, &[4.0])];
        assert_eq!(Ratios::of(&rows).tc_bulk_vs_forwarding, None);
    }
}
