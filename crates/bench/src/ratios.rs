//! Ours against others: medians of the ratios of values of the same round, since they were measured on the same machine in the same minute.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::choice::FEW_AND_MANY;
use crate::kernel::KernelIpvs;
use crate::path::Path;
use crate::row::{Outcome, Row, short};
use crate::statistics::{self, Spread};

/// Names and values, in the order of the table. In JSON an object; null is what was not measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ratios(Vec<(String, Option<f64>)>);

/// What a ratio is made of; rows by their names.
enum Of {
    /// One row by another.
    Rows(&'static str, &'static str),
    /// The same, by what it is in another kernel.
    Share(&'static str, &'static str, f64),
    /// A row's median.
    Median(&'static str),
    /// A row's median by what it is in another kernel.
    By(&'static str, f64),
}

/// All but those of methods.
fn all(kernel: &KernelIpvs) -> [(&'static str, Of); 21] {
    use Of::{By, Median, Rows, Share};
    [
        ("xdp_nat_1_vs_noop", Rows("packets-xdp-1", "packets-noop-1")),
        ("xdp_nat_1k_vs_noop", Rows("packets-xdp-1k", "packets-noop-1k")),
        ("xdp_nat_64k_vs_noop", Rows("packets-xdp-64k", "packets-noop-64k")),
        ("xdp_nat_1m_vs_noop", Rows("packets-xdp-1m", "packets-noop-1m")),
        ("xdp_nat_1_vs_forwarding", Rows("packets-xdp-1", "packets-forwarding-1")),
        ("xdp_nat_1k_vs_forwarding", Rows("packets-xdp-1k", "packets-forwarding-1k")),
        ("xdp_nat_64k_vs_forwarding", Rows("packets-xdp-64k", "packets-forwarding-64k")),
        ("xdp_nat_64k_vs_nft", Rows("packets-xdp-64k", "packets-nft-64k")),
        ("xdp_nat_1m_vs_nft", Rows("packets-xdp-1m", "packets-nft-1m")),
        ("tc_bulk_vs_forwarding", Rows("bulk-tc", "bulk-forwarding")),
        ("slow_tc_bulk_vs_forwarding", Rows("bulk-slow-tc", "bulk-forwarding")),
        ("new_conns_xdp_per_s", Median("syns-xdp")),
        ("new_conns_xdp_wlc100_per_s", Median("syns-xdp-wlc100")),
        ("new_conns_engine_per_s", Median("syns-slow")),
        ("xdp_new_rr_vs_forwarding", Rows("syns-xdp", "syns-forwarding")),
        ("xdp_new_wlc100_vs_forwarding", Rows("syns-xdp-wlc100", "syns-forwarding")),
        ("xdp_nat_1k_vs_kernel_ipvs", Share("packets-xdp-1k", "packets-forwarding-1k", kernel.established)),
        ("xdp_new_rr_vs_kernel_ipvs", Share("syns-xdp", "syns-forwarding", kernel.new_rr)),
        ("xdp_new_wlc100_vs_kernel_ipvs", Share("syns-xdp-wlc100", "syns-forwarding", kernel.new_wlc100)),
        ("bytes_per_connection", Median("memory-xdp")),
        ("bytes_per_connection_vs_kernel_ipvs", By("memory-xdp", kernel.bytes_per_connection)),
    ]
}

/// A row that was measured.
fn measured<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name && row.outcome == Outcome::Measured)
}

impl Ratios {
    /// By time.
    pub(crate) fn of(rows: &[Row], kernel: &KernelIpvs) -> Self {
        Self::by(rows, kernel, |row| &row.values)
    }

    /// Of packets a second of processor time: nearly the same on a quiet machine, and of use on a busy one. None of what is not measured so.
    pub(crate) fn at_work(rows: &[Row], kernel: &KernelIpvs) -> Self {
        let mut ratios = Self::by(rows, kernel, |row| &row.values_at_work);
        ratios.0.retain(|(_, value)| value.is_some());
        ratios
    }

    fn by(rows: &[Row], kernel: &KernelIpvs, values: impl Fn(&Row) -> &Vec<f64>) -> Self {
        let ratio = |ours: &str, other: &str| {
            statistics::ratio(values(measured(rows, ours)?), values(measured(rows, other)?))
        };
        let median = |name| Some(Spread::of(values(measured(rows, name)?))?.median);
        let named = all(kernel).map(|(name, of)| {
            let value = match of {
                Of::Rows(ours, other) => ratio(ours, other),
                Of::Share(ours, other, share) => ratio(ours, other).map(|ratio| ratio / share),
                Of::Median(row) => median(row),
                Of::By(row, theirs) => median(row).map(|ours| ours / theirs),
            };
            (name.to_owned(), value)
        });
        let methods =
            Path::METHODS.iter().flat_map(|path| FEW_AND_MANY.map(|flows| (path.name(), short(flows))));
        // Of these there are many: only those that were measured.
        let of_methods = methods.filter_map(|(method, flows)| {
            let value = ratio(&format!("packets-{method}-{flows}"), &format!("packets-noop-{flows}"))?;
            Some((format!("xdp_{method}_{flows}_vs_noop"), Some(value)))
        });
        Self(named.into_iter().chain(of_methods).collect())
    }

    /// Those that were measured.
    pub fn measured(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(|(name, value)| Some((&**name, (*value)?)))
    }

    /// The one of that name, if it was measured.
    pub fn named(&self, name: &str) -> Option<f64> {
        self.measured().find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

impl Serialize for Ratios {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Measure;

    fn row(measure: Measure, path: Path, values: &[f64]) -> Row {
        Row { values: values.to_vec(), ..Row::new(measure, path) }
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
        let ratios = Ratios::of(&rows, &KernelIpvs::REFERENCE);
        let measured = [
            ("xdp_nat_1_vs_noop", 0.75),
            ("tc_bulk_vs_forwarding", 1.5),
            ("new_conns_engine_per_s", 2.0),
            ("xdp_gre_1_vs_noop", 0.5),
        ];
        assert_eq!(ratios.measured().collect::<Vec<_>>(), measured);
        assert_eq!(ratios.named("xdp_nat_1_vs_noop"), Some(0.75));
        let json = serde_json::to_value(&ratios).unwrap();
        assert_eq!(json["xdp_nat_1_vs_noop"], 0.75);
        assert!(json.as_object().unwrap().contains_key("xdp_nat_64k_vs_nft"), "{json}");
        assert!(!json.as_object().unwrap().contains_key("xdp_gre_64k_vs_noop"), "{json}");
        assert_eq!(Ratios::at_work(&rows, &KernelIpvs::REFERENCE), Ratios::default());
    }

    #[test]
    fn those_against_the_kernel_are_shares_of_forwarding() {
        let kernel =
            KernelIpvs { established: 0.5, new_rr: 0.25, new_wlc100: 0.125, bytes_per_connection: 400.0 };
        let rows = [
            row(Measure::Packets(1024), Path::Xdp, &[8.0, 4.0, 2.0]),
            row(Measure::Packets(1024), Path::Forwarding, &[4.0, 2.0, 1.0]),
            row(Measure::Syns, Path::Xdp, &[2.0]),
            row(Measure::Syns, Path::XdpWlc, &[1.0]),
            row(Measure::Syns, Path::Forwarding, &[4.0]),
            row(Measure::Memory, Path::Xdp, &[100.0]),
        ];
        let ratios = Ratios::of(&rows, &kernel);
        let named = |name| ratios.named(name);
        assert_eq!(named("xdp_nat_1k_vs_forwarding"), Some(2.0));
        assert_eq!(named("xdp_nat_1k_vs_kernel_ipvs"), Some(4.0));
        assert_eq!(named("xdp_new_rr_vs_kernel_ipvs"), Some(2.0));
        assert_eq!(named("xdp_new_wlc100_vs_kernel_ipvs"), Some(2.0));
        assert_eq!(named("bytes_per_connection_vs_kernel_ipvs"), Some(0.25));
    }

    #[test]
    fn a_round_without_a_value_has_no_part_in_it() {
        let of =
            |path, values: &[f64]| Row { values_at_work: values.to_vec(), ..Row::new(Measure::Syns, path) };
        let rows = [of(Path::Xdp, &[f64::NAN, 2.0]), of(Path::Forwarding, &[8.0, 4.0])];
        let ratios = Ratios::at_work(&rows, &KernelIpvs::REFERENCE);
        assert_eq!(ratios.named("xdp_new_rr_vs_forwarding"), Some(0.5));
        let rows = [of(Path::XdpWlc, &[f64::NAN]), of(Path::Forwarding, &[8.0])];
        assert_eq!(Ratios::at_work(&rows, &KernelIpvs::REFERENCE), Ratios::default());
    }

    #[test]
    fn every_ratio_is_of_rows_that_there_are() {
        let rows = crate::choice::names();
        for (name, of) in all(&KernelIpvs::REFERENCE) {
            let of = match of {
                Of::Rows(ours, other) | Of::Share(ours, other, _) => vec![ours, other],
                Of::Median(row) | Of::By(row, _) => vec![row],
            };
            for row in of {
                assert!(rows.iter().any(|name| name == row), "{name}: {row}");
            }
        }
    }

    #[test]
    fn what_is_missing_has_no_ratio() {
        let mut tc = row(Measure::Bulk, Path::Tc, &[6.0]);
        tc.give_up(Outcome::Missing, "not there");
        let rows = [tc, row(Measure::Bulk, Path::Forwarding, &[4.0])];
        assert_eq!(Ratios::of(&rows, &KernelIpvs::REFERENCE).named("tc_bulk_vs_forwarding"), None);
    }
}
