//! How long a connection lives in each state: the settable timeouts and the fixed ones (spec section 8).

use ipvs_flow::{sctp, tcp, ticks, udp};

use crate::command::Timeouts;

/// Timeouts of all states, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateTimeouts {
    tcp: [u32; tcp::State::ALL.len()],
    udp: u32,
    sctp: [u32; sctp::State::ALL.len()],
    shown: Timeouts,
}

impl Default for StateTimeouts {
    fn default() -> Self {
        let mut timeouts = Self {
            tcp: tcp::State::ALL.map(|state| ticks(state.timeout())),
            udp: ticks(udp::TIMEOUT),
            sctp: sctp::State::ALL.map(|state| ticks(state.timeout())),
            shown: Timeouts { tcp: 0, tcp_fin: 0, udp: 0 },
        };
        timeouts.set(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
        timeouts
    }
}

impl StateTimeouts {
    /// Sets those of `new` (seconds) that are above 0, for what happens from now on; the caller has checked them.
    pub(crate) fn set(&mut self, new: Timeouts) {
        let seconds = |value: i32| u32::try_from(value).ok().filter(|&seconds| seconds > 0);
        if let Some(value) = seconds(new.tcp) {
            self.tcp[tcp::State::Established as usize] = ticks(value);
            self.shown.tcp = new.tcp;
        }
        if let Some(value) = seconds(new.tcp_fin) {
            self.tcp[tcp::State::FinWait as usize] = ticks(value);
            self.shown.tcp_fin = new.tcp_fin;
        }
        if let Some(value) = seconds(new.udp) {
            self.udp = ticks(value);
            self.shown.udp = new.udp;
        }
    }

    /// The settable ones, in seconds.
    pub(crate) fn shown(&self) -> Timeouts {
        self.shown
    }

    /// Of a TCP state, in ticks.
    pub(crate) fn tcp(&self, state: tcp::State) -> u32 {
        self.tcp[state as usize]
    }

    /// Of an SCTP state, in ticks.
    pub(crate) fn sctp(&self, state: sctp::State) -> u32 {
        self.sctp[state as usize]
    }

    /// Of UDP, in ticks.
    pub(crate) fn udp(&self) -> u32 {
        self.udp
    }
}
