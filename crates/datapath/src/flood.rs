//! Floods: what is lost before the daemon, and the filter in the XDP program that sheds first segments then.

use ipvs_core::Instant;

use crate::Datapath;
use crate::netfilter::Queue;
use crate::parking::Parking;
use crate::syn_filter::{Change, Sample, Stage};

impl Datapath {
    /// Packets that the kernel could not give to the sockets: full rings or no free frame; of the netfilter queue, one for each
    /// time that it was full; by TAP devices whose queue was full, and where
    /// packets wait.
    pub fn lost_in_kernel(&self) -> u64 {
        let sockets = self.output.ports.iter().flat_map(|port| &port.sockets);
        let taps = self.output.ports.iter().filter_map(|port| port.tap.as_ref());
        sockets
            .filter_map(|socket| socket.statistics().ok())
            .map(|statistics| statistics.rx_dropped + statistics.rx_ring_full.unwrap_or(0))
            .chain(self.netfilter.queue.as_ref().map(Queue::overflows))
            .chain(taps.map(|tap| self.network.not_sent(tap.interface)))
            .chain(self.parking.as_ref().map(Parking::lost))
            .sum()
    }

    /// Whether the XDP program drops first segments now.
    pub fn is_filtering(&self) -> bool {
        self.syn_filter.stage() == Stage::On
    }

    /// Turns the filter on when a flood has packets lost, and off when it is over. While nothing is received nothing is lost.
    pub(crate) fn follow_flood(&mut self, now: Instant, received: u64) {
        let idle = received == 0 && self.syn_filter.stage() == Stage::Off;
        if idle || !self.syn_filter.is_due(now) {
            return;
        }
        let counters = self.program.counters();
        let sample = Sample {
            // Frames that were looked up in bulk in vain come by another queue, which a flood fills as well.
            lost: self.lost_in_kernel() + counters.lost_misfits,
            handed: counters.redirected,
            first: counters.first_segments,
        };
        let was_on = self.is_filtering();
        let Some(change) = self.syn_filter.look(now, sample) else { return };
        if let Err(error) = self.program.set_filter(change.stage) {
            tracing::warn!(%error, "could not change the XDP program's map");
        }
        let Change { stage, first, lost } = change;
        if stage == Stage::On {
            tracing::warn!(
                new_per_second = first,
                lost_per_second = lost,
                "SYN filter on: packets are lost to a flood; the first SYN of each connection is dropped until its \
                 client repeats it"
            );
        } else if was_on {
            let dropped = counters.dropped_syns + counters.dropped_strays;
            tracing::info!(dropped_since_start = dropped, "SYN filter off: the flood is over");
        }
    }
}
