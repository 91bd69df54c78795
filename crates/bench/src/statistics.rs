//! Medians, spread, percentiles.

use serde::Serialize;

/// The middle of some values, and how far they are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median: of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of some values; none of none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { median: f64::midpoint(*low, *high), least, greatest })
    }
}

/// The median of the ratios of values of the same round; none without a round in which both were measured.
pub(crate) fn ratio(values: &[f64], others: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = values.iter().zip(others).map(|(value, other)| value / other).collect();
    Spread::of(&ratios).map(|spread| spread.median)
}

/// Of latencies, in microseconds (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// The 90th.
    pub p90: f64,
    /// The 99th.
    pub p99: f64,
    /// The 99.9th.
    pub p999: f64,
    /// The greatest.
    pub greatest: f64,
    /// How many were measured.
    pub count: usize,
}

impl Percentiles {
    /// Of some values; none of none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |thousandths: usize| {
            sorted.get((sorted.len() * thousandths).div_ceil(1000).checked_sub(1)?).copied()
        };
        Some(Self {
            p50: rank(500)?,
            p90: rank(900)?,
            p99: rank(990)?,
            p999: rank(999)?,
            greatest: rank(1000)?,
            count: sorted.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, greatest: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert_eq!(Spread::of(&[f64::NAN, 7.0]).unwrap().median, 7.0);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The machine was half as fast in the second round.
        assert_eq!(ratio(&[10.0, 5.0, 10.0], &[20.0, 10.0, 20.0]), Some(0.5));
        assert_eq!(ratio(&[1.0], &[]), None);
        assert_eq!(ratio(&[1.0], &[0.0]), None);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        let all = Percentiles::of(&values).unwrap();
        assert_eq!((all.p50, all.p90, all.p99, all.p999, all.greatest), (500.0, 900.0, 990.0, 999.0, 1000.0));
        let one = Percentiles::of(&[7.0]).unwrap();
        assert_eq!((one.p50, one.p999, one.count), (7.0, 7.0, 1));
        assert_eq!(Percentiles::of(&[]), None);
    }
}
