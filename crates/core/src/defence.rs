//! The defence against floods: when it is on, which packets it drops, and the TCP states that it changes (spec
//! section 11). What it does to connections is [`crate::drop_entry`].

use crate::director::Director;
use crate::sysctl::{Sysctl, Sysctls};
use crate::time::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What each of the three settings has led to.
#[derive(Clone, Debug)]
pub(crate) struct Defence {
    /// Free memory in pages, as last told.
    available: u64,
    /// The second in which memory was last looked at.
    judged: u64,
    /// One of so many packets that would start a connection is dropped; 0: none.
    packet_rate: i64,
    packet_counter: i64,
    /// Connections are dropped at random, see [`crate::drop_entry`].
    pub(crate) drops_entries: bool,
    /// TCP goes by the tables for floods.
    pub(crate) secure_tcp: bool,
}

impl Default for Defence {
    fn default() -> Self {
        Self {
            available: u64::MAX,
            judged: 0,
            packet_rate: 0,
            packet_counter: 0,
            drops_entries: false,
            secure_tcp: false,
        }
    }
}

/// Whether one kind of defence is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    /// Because memory is short.
    Short,
    /// Because the setting says so.
    Always,
}

impl Defence {
    /// Whether one of the settings makes the defence look at memory each second.
    fn watches(sysctls: &Sysctls) -> bool {
        [Sysctl::DropEntry, Sysctl::DropPacket, Sysctl::SecureTcp].iter().any(|it| sysctls.value(*it) != 0)
    }

    /// Judges by the free memory; a setting of 1 or 2 follows it.
    fn judge(&mut self, sysctls: &mut Sysctls) {
        let threshold = sysctls.value(Sysctl::Amemthresh);
        let available = i64::try_from(self.available).unwrap_or(i64::MAX);
        let short = available < threshold;
        self.drops_entries = mode(sysctls, Sysctl::DropEntry, short) != Mode::Off;
        match mode(sysctls, Sysctl::DropPacket, short) {
            Mode::Off => self.packet_rate = 0,
            Mode::Short => {
                self.packet_rate = threshold / (threshold - available).max(1);
                self.packet_counter = self.packet_rate;
            }
            Mode::Always => self.packet_rate = sysctls.value(Sysctl::AmDroprate),
        }
        self.secure_tcp = mode(sysctls, Sysctl::SecureTcp, short) != Mode::Off;
    }

    /// Whether packets that would start a connection may be dropped.
    pub(crate) const fn may_drop_packets(&self) -> bool {
        self.packet_rate != 0
    }

    /// Whether this packet, which would start a connection, is to be dropped.
    pub(crate) fn drops_packet(&mut self) -> bool {
        if self.packet_rate == 0 {
            return false;
        }
        self.packet_counter -= 1;
        if self.packet_counter > 0 {
            return false;
        }
        self.packet_counter = self.packet_rate;
        true
    }
}

fn mode(sysctls: &mut Sysctls, sysctl: Sysctl, short: bool) -> Mode {
    match (sysctls.value(sysctl), short) {
        (1 | 2, true) => {
            sysctls.put(sysctl, 2);
            Mode::Short
        }
        (1 | 2, false) => {
            sysctls.put(sysctl, 1);
            Mode::Off
        }
        (3, _) => Mode::Always,
        _ => Mode::Off,
    }
}

impl Director {
    /// Whether free memory matters: then [`Director::set_available_memory`] is to be called about once a second,
    /// before [`Director::poll`].
    pub fn watches_memory(&self) -> bool {
        Defence::watches(&self.sysctls)
    }

    /// Tells how much memory is free, in pages: unused and buffer memory, as the kernel reckons. Until it was told,
    /// there is enough.
    pub fn set_available_memory(&mut self, pages: u64) {
        self.defence.available = pages;
    }

    /// Judges at once, after one of the settings was changed.
    pub(crate) fn judge_defence(&mut self) {
        self.defence.judge(&mut self.sysctls);
    }

    /// What is due each second.
    pub(crate) fn defend(&mut self, now: Instant) {
        let second = now.as_nanos() / NANOS_PER_SECOND;
        if Defence::watches(&self.sysctls) && second != self.defence.judged {
            self.defence.judged = second;
            self.defence.judge(&mut self.sysctls);
            if self.defence.drops_entries {
                self.drop_entries.start(self.config.shown_table_size);
            }
        }
        self.drop_some_entries(now);
    }

    /// When [`Director::defend`] has something to do.
    pub(crate) fn next_defence(&self) -> Option<Instant> {
        if self.drop_entries.is_due() {
            return Some(Instant::default());
        }
        let next = self.defence.judged.saturating_add(1).saturating_mul(NANOS_PER_SECOND);
        Defence::watches(&self.sysctls).then_some(Instant::from_nanos(next))
    }
}
