//! Which of several destinations has the least load per weight: what lc, wlc, sed and nq compare, for both programs.

use core::cmp::Ordering;

use crate::load::Load;

/// What of a destination's connections is its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Active connections 257-fold and the inactive ones (the kernel adds the total, not the inactive ones, to 256 times
    /// the active): lc, wlc.
    Overhead,
    /// Active connections, with the one that is to begin: sed.
    Delay,
    /// As [`Measure::Delay`], but nothing while no connection is active: nq.
    Queue,
}

impl Measure {
    /// The load.
    #[inline(always)]
    pub fn of(self, load: Load<'_>) -> u64 {
        let active = load.active();
        match self {
            Measure::Overhead => overhead(load.total(), active),
            Measure::Queue if active == 0 => 0,
            Measure::Delay | Measure::Queue => u64::from(active) + 1,
        }
    }
}

/// [`Measure::Overhead`] of so many connections, and active ones among them.
#[inline(always)]
pub(crate) const fn overhead(total: u32, active: u32) -> u64 {
    256 * active as u64 + total as u64
}

/// A load and the weight that bears it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// By some [`Measure`].
    pub load: u64,
    /// Above 0.
    pub weight: u32,
}

impl Share {
    /// Compares loads per weight, exactly.
    #[inline(always)]
    pub fn compare(self, other: Self) -> Ordering {
        product(self.load, other.weight).cmp(&product(other.load, self.weight))
    }

    /// Whether the load per weight is less than another one.
    #[inline(always)]
    pub fn is_below(self, other: Self) -> bool {
        self.compare(other).is_lt()
    }
}

/// All bits of a product. (To the XDP program that would be a call of a library, which it has none of: `pick::candidates`
/// does with 64.)
#[inline(always)]
fn product(load: u64, weight: u32) -> u128 {
    u128::from(load) * u128::from(weight)
}

/// The one of `shares` with the least load per weight, the first of equals.
pub fn least<T>(shares: impl IntoIterator<Item = (T, Share)>) -> Option<T> {
    let least = shares.into_iter().reduce(|least, next| if next.1.is_below(least.1) { next } else { least });
    least.map(|(of, _)| of)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Line;
    use proptest::prelude::*;

    #[test]
    fn measures() {
        let line = Line::zeroed();
        let load = Load::of(&line);
        let all = || [Measure::Overhead, Measure::Delay, Measure::Queue].map(|measure| measure.of(load));
        assert_eq!(all(), [0, 1, 0]);
        load.set(5, 0);
        assert_eq!(all(), [5, 1, 0]);
        load.set(5, 2);
        assert_eq!(all(), [517, 3, 3]);
        let greatest = i32::MAX as u32;
        load.set(greatest, greatest);
        assert_eq!(all(), [257 * u64::from(greatest), 1 + u64::from(greatest), 1 + u64::from(greatest)]);
    }

    proptest! {
        /// As with numbers that are wide enough.
        #[test]
        fn shares_are_compared_exactly(
            loads in any::<[u64; 2]>(),
            shift in 0u32..64,
            weights in any::<[u32; 2]>(),
            near in any::<bool>(),
        ) {
            let [a, b] = loads.map(|load| load >> shift);
            let b = if near { a } else { b };
            let [v, w] = if near { [weights[0], weights[0] ^ 1] } else { weights };
            let (this, other) = (Share { load: a, weight: v }, Share { load: b, weight: w });
            let exact = (u128::from(a) * u128::from(w)).cmp(&(u128::from(b) * u128::from(v)));
            prop_assert_eq!(this.compare(other), exact);
            prop_assert_eq!(this.is_below(other), exact == Ordering::Less);
        }
    }

    #[test]
    fn the_first_of_equals_is_the_least() {
        let share = |load, weight| Share { load, weight };
        assert_eq!(least([(1, share(6, 2)), (2, share(3, 1)), (3, share(9, 3))]), Some(1));
        assert_eq!(least([(1, share(6, 2)), (2, share(8, 3)), (3, share(16, 6))]), Some(2));
        assert_eq!(least::<u8>([]), None);
    }
}
