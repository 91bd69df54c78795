//! Which rows there are, and which of them are wanted.

use crate::Error;
use crate::path::Path;
use crate::row::{Measure, Row};

/// Numbers of flows.
pub(crate) const FLOWS: [u32; 4] = [1, 1 << 10, MANY, MOST];
/// More than fit into a processor's caches, and so many that a table of them fits into none.
pub(crate) const MANY: u32 = 1 << 16;
pub(crate) const MOST: u32 = 1 << 20;
/// Those for which methods other than masquerading are measured.
pub(crate) const FEW_AND_MANY: [u32; 2] = [FLOWS[0], MANY];

/// All rows, in the order of the table.
fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |measure, paths: &[Path]| rows.extend(paths.iter().map(|path| Row::new(measure, *path)));
    use Path::{Forwarding, Haproxy, Nft, Noop, Slow, SlowTc, Tc, Xdp, XdpWlc};
    for flows in FLOWS {
        add(Measure::Packets(flows), &[Noop, Xdp, Tc, Slow, Forwarding, Nft]);
    }
    for flows in FEW_AND_MANY {
        add(Measure::Packets(flows), &Path::METHODS);
    }
    add(Measure::Syns, &[Xdp, XdpWlc, Slow, Forwarding, Nft]);
    add(Measure::Connections, &[Xdp, Tc, Slow, Forwarding, Nft, Haproxy]);
    add(Measure::Bulk, &[Xdp, Tc, Slow, SlowTc, Forwarding, Nft, Haproxy]);
    add(Measure::Latency, &[Xdp, Tc, Slow, Forwarding, Nft]);
    add(Measure::Memory, &[Xdp, Nft]);
    add(Measure::Storm, &[Xdp]);
    add(Measure::StormLatency, &[Xdp]);
    rows
}

/// Rows that the ratios need.
const QUICK: [&str; 16] = [
    "packets-noop-1",
    "packets-xdp-1",
    "packets-xdp-1k",
    "packets-forwarding-1k",
    "packets-noop-64k",
    "packets-xdp-64k",
    "packets-forwarding-64k",
    "packets-nft-64k",
    "packets-noop-1m",
    "packets-xdp-1m",
    "syns-xdp",
    "syns-xdp-wlc100",
    "syns-slow",
    "syns-forwarding",
    "bulk-tc",
    "bulk-forwarding",
];

/// Names of all rows, in the order of the table.
pub fn names() -> Vec<String> {
    all().into_iter().map(|row| row.name).collect()
}

/// The rows that are wanted: with `only` those whose names are given or begin with it, with `quick` those that the ratios
/// need; else all, storms only if there are to be some.
pub(crate) fn chosen(only: &[String], quick: bool, storm: bool) -> Result<Vec<Row>, Error> {
    let rows = all();
    let is_of = |row: &Row, word: &str| {
        row.name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(word) = only.iter().find(|word| !rows.iter().any(|row| is_of(row, word))) {
        return Err(Error::Options(format!(
            "there is no row {word}: name one, or the beginning of some, of\n{}",
            names().join("\n")
        )));
    }
    let is_storm = |row: &Row| matches!(row.measure, Measure::Storm | Measure::StormLatency);
    let wanted = |row: &Row| match (only, quick) {
        ([], true) => QUICK.contains(&&*row.name) || storm && is_storm(row),
        ([], false) => storm || !is_storm(row),
        (only, _) => only.iter().any(|word| is_of(row, word)) || storm && is_storm(row),
    };
    Ok(rows.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_names(only: &[&str], quick: bool, storm: bool) -> Vec<String> {
        let only: Vec<String> = only.iter().map(|&word| word.to_owned()).collect();
        chosen(&only, quick, storm).unwrap().into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names = names();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_quick_ones_are_there() {
        assert_eq!(chosen_names(&[], true, false).len(), QUICK.len());
    }

    #[test]
    fn beginnings_choose() {
        assert_eq!(
            chosen_names(&["packets-xdp"], false, false),
            ["packets-xdp-1", "packets-xdp-1k", "packets-xdp-64k", "packets-xdp-1m"]
        );
        assert_eq!(
            chosen_names(&["packets-fullnat"], false, false),
            ["packets-fullnat-1", "packets-fullnat-64k"]
        );
        // Not all that begin with the letters.
        assert_eq!(chosen_names(&["packets-xdp-1"], false, false), ["packets-xdp-1"]);
        assert_eq!(chosen_names(&["syns-xdp"], false, false), ["syns-xdp", "syns-xdp-wlc100"]);
        assert_eq!(chosen_names(&["storm"], false, false), ["storm-xdp", "storm-latency-xdp"]);
        assert_eq!(chosen_names(&["bulk-tc"], true, true), ["bulk-tc", "storm-xdp", "storm-latency-xdp"]);
        assert!(!chosen_names(&[], false, false).iter().any(|name| name.starts_with("storm")));
        assert!(chosen(&["packet".to_owned()], false, false).is_err());
    }
}
