//! When the XDP program's filter of first segments works: while packets are lost before the daemon and a flood of TCP
//! segments without connection is the reason.
//!
//! A state machine without a clock of its own. Losses alone are no flood: bulk transfers fill queues too. So when packets are lost,
//! the program first only counts what the filter would drop, for a tenth of a second. Once the filter is on, the flood
//! is what it drops.

use std::time::Duration;

use ipvs_core::Instant;

/// Whether new TCP connections have to knock twice: see [`crate::Options::syn_filter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynFilter {
    /// Never.
    Off,
    /// While a flood has packets lost before the daemon.
    #[default]
    Auto,
    /// Always.
    On,
}

/// What the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing.
    Off,
    /// It counts what it would drop.
    Watching,
    /// It drops.
    On,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Packets that the kernel could not give to the sockets.
    pub(crate) lost: u64,
    /// Packets that the program handed over, those that were lost then included.
    pub(crate) handed: u64,
    /// Segments of no known connection that came for the first time, while the program looked.
    pub(crate) first: u64,
}

/// A change of stage, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) stage: Stage,
    /// First segments a second.
    pub(crate) first: u64,
    /// Packets lost a second.
    pub(crate) lost: u64,
}

/// How often counters are looked at.
const WINDOW: Duration = Duration::from_millis(100);
/// Between two looks further apart than this too much may have happened.
const LONGEST_WINDOW: Duration = Duration::from_secs(1);
/// Losses that matter: so many a second, and one in so many packets.
const LOST_RATE: u64 = 500;
const LOST_SHARE: u64 = 32;
/// A flood: so many first segments a second, and one in so many packets. A connection of one small request has one in ten.
const FLOOD_RATE: u64 = 1000;
const FLOOD_SHARE: u64 = 4;
/// The flood has gone when less than one in so many is left of it.
const GONE_SHARE: u64 = 8;
/// The filter stays on for so long after that: doubled each time that the flood comes back within [`RETURN`].
const QUIET: Duration = Duration::from_secs(5);
const MOST_QUIET: Duration = Duration::from_secs(80);
const RETURN: Duration = Duration::from_secs(60);

/// The state machine.
#[derive(Debug)]
pub(crate) struct Switch {
    mode: SynFilter,
    stage: Stage,
    /// The latest look.
    looked: Option<(Instant, Sample)>,
    /// First segments a second, at most, since the filter is on.
    flood: u64,
    /// Since when there is no flood.
    quiet_since: Instant,
    quiet: Duration,
    /// When the filter was turned off.
    ended: Option<Instant>,
}

impl Switch {
    /// For a program that does as [`Switch::stage`] says.
    pub(crate) fn new(mode: SynFilter) -> Self {
        Self {
            mode,
            stage: if mode == SynFilter::On { Stage::On } else { Stage::Off },
            looked: None,
            flood: 0,
            quiet_since: Instant::default(),
            quiet: QUIET,
            ended: None,
        }
    }

    /// What the program should do.
    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether to [look](Switch::look) now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.mode == SynFilter::Auto && self.looked.is_none_or(|(at, _)| now.saturating_since(at) >= WINDOW)
    }

    /// When to look at the latest, if no packet comes: only what the program does already ends by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (at, _) = self.looked?;
        (self.mode == SynFilter::Auto && self.stage != Stage::Off).then(|| at + WINDOW)
    }

    /// Looks at the counters. Returns what is to change.
    pub(crate) fn look(&mut self, now: Instant, sample: Sample) -> Option<Change> {
        let (before, old) = self.looked.replace((now, sample))?;
        let window = now.saturating_since(before);
        let per_second = |new: u64, old: u64| {
            let nanos = window.as_nanos().max(1);
            (u128::from(new.saturating_sub(old)) * 1_000_000_000 / nanos) as u64
        };
        let lost = per_second(sample.lost, old.lost);
        let first = per_second(sample.first, old.first);
        let handed = per_second(sample.handed, old.handed);
        let losing = window <= LONGEST_WINDOW && lost >= LOST_RATE && lost * LOST_SHARE >= handed;
        let stage = match self.stage {
            Stage::On => {
                if self.is_over(now, first) {
                    Stage::Off
                } else {
                    Stage::On
                }
            }
            Stage::Off if losing => Stage::Watching,
            Stage::Watching if losing && first >= FLOOD_RATE && first * FLOOD_SHARE >= handed => Stage::On,
            Stage::Watching | Stage::Off => Stage::Off,
        };
        if stage == self.stage {
            return None;
        }
        match stage {
            Stage::On => {
                let returned = self.ended.is_some_and(|ended| now.saturating_since(ended) < RETURN);
                self.quiet = if returned { (self.quiet * 2).min(MOST_QUIET) } else { QUIET };
                (self.flood, self.quiet_since) = (first, now);
            }
            Stage::Off if self.stage == Stage::On => self.ended = Some(now),
            _ => {}
        }
        self.stage = stage;
        Some(Change { stage, first, lost })
    }

    /// Whether the flood has gone for long enough, at `first` segments a second now.
    fn is_over(&mut self, now: Instant, first: u64) -> bool {
        self.flood = self.flood.max(first);
        if first >= FLOOD_RATE && first * GONE_SHARE >= self.flood {
            self.quiet_since = now;
        }
        now.saturating_since(self.quiet_since) >= self.quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The switch with a clock and counters that go on at given rates.
    struct Bench {
        switch: Switch,
        now: Instant,
        sample: Sample,
    }

    /// Packets a second: lost, handed over, first segments.
    type Rates = (u64, u64, u64);
    const FLOOD: Rates = (80_000, 170_000, 165_000);
    /// The filter keeps the flood away.
    const SHED: Rates = (0, 3_000, 165_000);
    const IDLE: Rates = (0, 0, 0);

    impl Bench {
        fn new() -> Self {
            Self {
                switch: Switch::new(SynFilter::Auto),
                now: Instant::default() + Duration::from_secs(1000),
                sample: Sample::default(),
            }
        }

        /// One look after `milliseconds` at these rates; the stage then.
        fn after(&mut self, milliseconds: u64, (lost, handed, first): Rates) -> Stage {
            self.now = self.now + Duration::from_millis(milliseconds);
            let watched = if self.switch.stage() == Stage::Off { 0 } else { first };
            self.sample.lost += lost * milliseconds / 1000;
            self.sample.handed += handed * milliseconds / 1000;
            self.sample.first += watched * milliseconds / 1000;
            assert!(self.switch.is_due(self.now));
            let before = self.switch.stage();
            let change = self.switch.look(self.now, self.sample);
            assert_eq!(change.map_or(before, |change| change.stage), self.switch.stage());
            assert!(!self.switch.is_due(self.now));
            self.switch.stage()
        }

        /// Looks every tenth of a second; the number of changes.
        fn during(&mut self, seconds: u64, rates: Rates) -> usize {
            (0..seconds * 10)
                .filter(|_| {
                    let before = self.switch.stage();
                    self.after(100, rates) != before
                })
                .count()
        }

        fn flooded() -> Self {
            let mut bench = Self::new();
            for stage in [Stage::Off, Stage::Watching, Stage::On] {
                assert_eq!(bench.after(100, FLOOD), stage);
            }
            bench
        }
    }

    #[test]
    fn a_flood_turns_it_on_and_its_end_off() {
        let mut bench = Bench::flooded();
        assert_eq!(bench.during(60, SHED), 0);
        assert_eq!(bench.during(4, IDLE), 0);
        assert_eq!(bench.during(2, IDLE), 1);
        assert_eq!(bench.switch.stage(), Stage::Off);
        assert_eq!(bench.switch.deadline(), None);
    }

    #[test]
    fn losses_without_a_flood_do_not() {
        let mut bench = Bench::new();
        // Bulk transfers: the program counts from time to time, no more.
        bench.during(20, (9_000, 90_000, 40));
        // Many short connections, more than the daemon can take.
        bench.during(20, (40_000, 100_000, 12_000));
        assert_eq!(bench.flood(), 0);
    }

    #[test]
    fn a_flood_that_the_daemon_can_take_does_not() {
        let mut bench = Bench::new();
        assert_eq!(bench.during(20, (0, 20_000, 19_000)), 0);
        assert_eq!(bench.during(20, (300, 20_000, 19_000)), 0, "hardly any is lost");
    }

    #[test]
    fn a_short_burst_does_not() {
        let mut bench = Bench::new();
        for _ in 0..100 {
            bench.after(100, FLOOD);
            assert_ne!(bench.after(100, IDLE), Stage::On);
        }
        // Nor what was lost at some time in a minute.
        bench.after(60_000, FLOOD);
        assert_eq!(bench.switch.stage(), Stage::Off);
    }

    #[test]
    fn a_flood_that_comes_and_goes_is_waited_for() {
        let mut bench = Bench::flooded();
        let mut on = 0;
        for _ in 0..60 {
            // Ten seconds of flood, ten of none.
            on += usize::from(bench.switch.stage() != Stage::On);
            let rates = if bench.switch.stage() == Stage::On { SHED } else { FLOOD };
            bench.during(1, rates);
            assert_eq!(bench.switch.stage(), Stage::On);
            bench.during(9, SHED);
            bench.during(10, IDLE);
        }
        assert!(on <= 2, "{on} times: then it waits longer than ten seconds");
    }

    #[test]
    fn a_weaker_flood_keeps_it_on() {
        let mut bench = Bench::flooded();
        assert_eq!(bench.during(30, (0, 3_000, 30_000)), 0);
        // What is left is the daemon's to take.
        assert_eq!(bench.during(30, (0, 3_000, 10_000)), 1);
    }

    #[test]
    fn forced_it_stays_as_it_is() {
        for (mode, stage) in [(SynFilter::On, Stage::On), (SynFilter::Off, Stage::Off)] {
            let switch = Switch::new(mode);
            assert_eq!((switch.stage(), switch.deadline()), (stage, None));
            assert!(!switch.is_due(Instant::default() + RETURN));
        }
    }

    impl Bench {
        fn flood(&self) -> u64 {
            self.switch.flood
        }
    }
}
