//! `ipvsadm -L --drops`: dropped packets by reason, a listing of ours.

use std::fmt::Write;

use ipvs_core::DropCount;
use serde::Serialize;

/// The reasons for which there were any, the most frequent first, and the defences that are on.
pub(in crate::ipvsadm) fn drops(drops: &[DropCount]) -> String {
    let mut some: Vec<_> = drops.iter().filter(|drop| drop.packets != 0 || drop.active).collect();
    some.sort_by(|a, b| b.packets.cmp(&a.packets).then_with(|| (&a.by, &a.reason).cmp(&(&b.by, &b.reason))));
    let mut text = "Dropped by  Reason                           Packets\n".to_owned();
    for DropCount { by, reason, packets, active } in some {
        let active = if *active { " on" } else { "" };
        // Cannot fail.
        let _ = writeln!(text, "{by:<11} {reason:<28} {packets:>11}{active}");
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
    /// A defence that is on now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    active: bool,
}

/// `ipvsadm -L --drops --json`: all reasons.
pub(in crate::ipvsadm) fn drops_json(drops: &[DropCount]) -> impl Serialize {
    let drops = drops.iter().map(|drop| DropJson {
        by: &drop.by,
        reason: &drop.reason,
        packets: drop.packets,
        active: drop.active,
    });
    DropsJson { drops: drops.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_first_and_zeros_only_in_json() {
        let drop = |by: &str, reason: &str, packets| DropCount {
            by: by.into(),
            reason: reason.into(),
            packets,
            active: reason == "syn-filter",
        };
        let all = [
            drop("director", "malformed", 0),
            drop("director", "table-full", 2),
            drop("datapath", "no-route", 12_345_678_901),
            drop("datapath", "no-frame", 2),
            drop("datapath", "syn-filter", 0),
        ];
        let want = "Dropped by  Reason                           Packets\n\
                    datapath    no-route                     12345678901\n\
                    datapath    no-frame                               2\n\
                    director    table-full                             2\n\
                    datapath    syn-filter                             0 on\n";
        assert_eq!(drops(&all), want);
        let json = serde_json::to_value(drops_json(&all)).unwrap();
        assert_eq!(json["drops"].as_array().unwrap().len(), 5);
        assert_eq!(json["drops"][0]["reason"], "malformed");
        assert_eq!(json["drops"][0].get("active"), None);
        assert_eq!(json["drops"][4]["active"], true);
    }
}
