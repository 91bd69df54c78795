//! What judges packets.

use ipvs_core::{Director, Host, Instant, Packet, Verdict};

/// Judges packets: the director, or a stand-in in tests.
pub trait Engine {
    /// As [`Director::receive`].
    fn receive(&mut self, now: Instant, host: &dyn Host, packet: &mut Packet<'_>) -> Verdict;

    /// As [`Director::foresee`].
    fn foresee(&mut self, _packet: &[u8]) {}

    /// As [`Director::read_ahead`].
    fn read_ahead(&mut self) {}

    /// As [`Director::reads_payload`].
    fn reads_payload(&self) -> bool {
        false
    }
}

impl Engine for Director {
    fn receive(&mut self, now: Instant, host: &dyn Host, packet: &mut Packet<'_>) -> Verdict {
        Director::receive(self, now, host, packet)
    }

    fn foresee(&mut self, packet: &[u8]) {
        Director::foresee(self, packet);
    }

    fn read_ahead(&mut self) {
        Director::read_ahead(self);
    }

    fn reads_payload(&self) -> bool {
        Director::reads_payload(self)
    }
}
