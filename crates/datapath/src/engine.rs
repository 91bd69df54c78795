//! What judges packets.

use ipvs_core::{Director, Host, Instant, Packet, Verdict};

/// Judges packets: the director, or a stand-in in tests.
pub trait Engine {
    /// As [`Director::receive`].
    fn receive(&mut self, now: Instant, host: &dyn Host, packet: &mut Packet<'_>) -> Verdict;
}

impl Engine for Director {
    fn receive(&mut self, now: Instant, host: &dyn Host, packet: &mut Packet<'_>) -> Verdict {
        Director::receive(self, now, host, packet)
    }
}
