//! What the scheduler should give each server, worked out apart from the engine.
//!
//! The rules are those of kernel IPVS: the list of destinations has the newest first, comparisons are strict (ties go
//! to the first in list order), and a connection counts 257 when active, 1 when not (lc, wlc), or 1 when active and 0
//! when not (sed, nq).

use std::collections::VecDeque;

/// Expected shares, in the order in which the servers were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    pub(crate) shares: Vec<u64>,
    /// Exact whatever the timing; otherwise an estimate for requests of equal length.
    pub(crate) exact: bool,
}

/// The shares of `requests` connections under `scheduler`; none for schedulers whose choice needs more than is known
/// here. `open` is the number of connections that are active at a time: 0 for UDP, which never counts as active.
pub(crate) fn of(scheduler: &str, weights: &[u32], requests: usize, open: usize) -> Option<Expectation> {
    let list: Vec<u64> = weights.iter().rev().map(|&weight| u64::from(weight)).collect();
    let mut shares = vec![0; list.len()];
    let mut count = |index: Option<usize>| {
        if let Some(share) = index.and_then(|index| shares.get_mut(index)) {
            *share += 1
        }
    };
    let exact = match scheduler {
        "rr" => {
            let usable: Vec<usize> = (0..list.len()).filter(|&index| list[index] > 0).collect();
            usable.iter().cycle().take(requests).for_each(|&index| count(Some(index)));
            true
        }
        "wrr" => {
            let mut wheel = Wheel::new(&list);
            (0..requests).for_each(|_| count(wheel.next()));
            true
        }
        "lc" | "wlc" | "sed" | "nq" => {
            let mut loads = vec![Load::default(); list.len()];
            let mut under_way = VecDeque::new();
            for _ in 0..requests {
                if under_way.len() == open.max(1)
                    && let Some(load) = under_way.pop_front().and_then(|index: usize| loads.get_mut(index))
                {
                    load.active = load.active.saturating_sub(1);
                    load.inactive += u64::from(open > 0);
                }
                let chosen = least(scheduler, &list, &loads);
                count(chosen);
                if let Some(index) = chosen
                    && let Some(load) = loads.get_mut(index)
                {
                    under_way.push_back(index);
                    if open > 0 { load.active += 1 } else { load.inactive += 1 }
                }
            }
            open == 0
        }
        _ => return None,
    };
    shares.reverse();
    Some(Expectation { shares, exact })
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    active: u64,
    inactive: u64,
}

/// The first usable destination in list order with the least load for its weight.
fn least(scheduler: &str, weights: &[u64], loads: &[Load]) -> Option<usize> {
    let usable = || weights.iter().zip(loads).enumerate().filter(|(_, (weight, _))| **weight > 0);
    if scheduler == "nq"
        && let Some((index, _)) = usable().find(|(_, (_, load))| load.active == 0)
    {
        return Some(index);
    }
    usable()
        .map(|(index, (&weight, load))| match scheduler {
            "lc" => (index, 257 * load.active + load.inactive, 1),
            "wlc" => (index, 257 * load.active + load.inactive, weight),
            _ => (index, load.active + 1, weight),
        })
        .reduce(|best, next| if next.1 * best.2 < best.1 * next.2 { next } else { best })
        .map(|(index, ..)| index)
}

/// Weighted round robin: a falling threshold, at each height of which the list is walked once.
struct Wheel<'a> {
    list: &'a [u64],
    step: u64,
    top: u64,
    height: u64,
    at: usize,
}

impl<'a> Wheel<'a> {
    /// The state after the destinations were added one by one, the last of `list` first.
    fn new(list: &'a [u64]) -> Self {
        let mut wheel = Self { list, step: 1, top: 0, height: 0, at: 0 };
        for start in (0..list.len()).rev() {
            let weights = &list[start..];
            wheel.step =
                weights.iter().copied().filter(|&weight| weight > 0).fold(0, greatest_divisor).max(1);
            wheel.top = weights.iter().copied().max().unwrap_or(0).saturating_sub(wheel.step - 1);
            if wheel.height > wheel.top || wheel.height == 0 {
                wheel.height = wheel.top;
            } else if wheel.step > 1 {
                wheel.height = wheel.height / wheel.step * wheel.step + 1;
            }
        }
        wheel
    }

    fn next(&mut self) -> Option<usize> {
        if self.top == 0 {
            return None;
        }
        loop {
            while let Some(&weight) = self.list.get(self.at) {
                self.at += 1;
                if weight >= self.height {
                    return Some(self.at - 1);
                }
            }
            self.at = 0;
            self.height = if self.height > self.step { self.height - self.step } else { self.top };
        }
    }
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(scheduler: &str, weights: &[u32], requests: usize, open: usize) -> Vec<u64> {
        of(scheduler, weights, requests, open).unwrap().shares
    }

    #[test]
    fn round_robin_begins_with_the_newest_and_leaves_out_weight_zero() {
        assert_eq!(shares("rr", &[1, 1, 1], 4, 1), [1, 1, 2]);
        assert_eq!(shares("rr", &[5, 1, 0], 5, 1), [2, 3, 0]);
    }

    #[test]
    fn weighted_round_robin_is_exact_over_whole_rounds() {
        assert_eq!(shares("wrr", &[3, 2, 1], 300, 1), [150, 100, 50]);
        assert_eq!(shares("wrr", &[4, 2, 0], 30, 1), [20, 10, 0]);
        assert_eq!(shares("wrr", &[0, 0], 30, 1), [0, 0]);
    }

    #[test]
    fn least_connection_kinds_with_udp_depend_on_the_list_alone() {
        assert_eq!(shares("lc", &[1, 1, 1], 10, 0), [3, 3, 4]);
        assert_eq!(shares("wlc", &[3, 2, 1], 600, 0), [300, 200, 100]);
        assert_eq!(shares("sed", &[3, 2, 1], 10, 0), [10, 0, 0]);
        assert_eq!(shares("nq", &[3, 2, 1], 10, 0), [0, 0, 10]);
    }

    /// What kernel IPVS 6.1 gave as this lab's director, with 301 requests over TCP or UDP alike where both are exact.
    #[test]
    fn shares_are_those_of_the_kernel() {
        let kernel = [
            ("rr", [100, 100, 101]),
            ("wrr", [150, 100, 51]),
            ("lc", [100, 100, 101]),
            ("wlc", [150, 100, 51]),
            ("sed", [301, 0, 0]),
            ("nq", [0, 0, 301]),
        ];
        for (scheduler, expected) in kernel {
            assert_eq!(shares(scheduler, &[3, 2, 1], 301, 0), expected, "{scheduler}");
        }
    }

    #[test]
    fn open_connections_spread_by_weight() {
        assert_eq!(shares("sed", &[3, 2, 1], 600, 12), [300, 200, 100]);
        assert!(of("sh", &[1], 1, 1).is_none());
    }
}
