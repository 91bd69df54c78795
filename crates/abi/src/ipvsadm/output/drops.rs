//! `ipvsadm -L --drops`: dropped packets by reason, a listing of ours.

use std::fmt::Write;

use ipvs_core::DropCount;
use serde::Serialize;

/// The reasons for which there were any, the most frequent first.
pub(in crate::ipvsadm) fn drops(drops: &[DropCount]) -> String {
    let mut some: Vec<_> = drops.iter().filter(|drop| drop.packets != 0).collect();
    some.sort_by(|a, b| b.packets.cmp(&a.packets).then_with(|| (&a.by, &a.reason).cmp(&(&b.by, &b.reason))));
    let mut text = "Dropped by  Reason                           Packets\n".to_owned();
    for DropCount { by, reason, packets } in some {
        // Cannot fail.
        let _ = writeln!(text, "{by:<11} {reason:<28} {packets:>11}");
    }
    text
}

#[derive(Serialize)]
struct DropsJson<'a> {
    drops: Vec<DropJson<'a>>,
}

#[derive(Serialize)]
struct DropJson<'a> {
    by: &'a str,
    reason: &'a str,
    packets: u64,
}

/// `ipvsadm -L --drops --json`: all reasons.
pub(in crate::ipvsadm) fn drops_json(drops: &[DropCount]) -> impl Serialize {
    let drops =
        drops.iter().map(|drop| DropJson { by: &drop.by, reason: &drop.reason, packets: drop.packets });
    DropsJson { drops: drops.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_first_and_zeros_only_in_json() {
        let drop =
            |by: &str, reason: &str, packets| DropCount { by: by.into(), reason: reason.into(), packets };
        let all = [
            drop("director", "malformed", 0),
            drop("director", "table-full", 2),
            drop("datapath", "no-route", 12_345_678_901),
            drop("datapath", "no-frame", 2),
        ];
        let want = "Dropped by  Reason                           Packets\n\
                    datapath    no-route                     12345678901\n\
                    datapath    no-frame                               2\n\
                    director    table-full                             2\n";
        assert_eq!(drops(&all), want);
        let json = serde_json::to_value(drops_json(&all)).unwrap();
        assert_eq!(json["drops"].as_array().unwrap().len(), 4);
        assert_eq!(json["drops"][0]["reason"], "malformed");
    }
}
