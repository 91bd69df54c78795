//! Packets that netfilter gave away: what becomes of them here, and what of those in the host's stack.

use ipvs_core::{Hook, Packet, Verdict};
use ipvs_wire::fragment::Pieces;
use ipvs_wire::{Fragment, Headers};

use crate::counter::Counter;
use crate::engine::Engine;
use crate::input::{Input, destination};
use crate::netfilter::Fate;
use crate::network::Hop;
use crate::xsk::HEADROOM;

/// Room behind a packet, for an ICMP error in its place.
const TAILROOM: usize = 1280;

/// Largest fragment that every IPv6 link takes (RFC 8200 section 5).
const SMALLEST_IPV6: usize = 1280;

impl Input<'_> {
    /// Judges a packet that waits in the host's stack with this mark. `buffer` is for its copy.
    ///
    /// What the engine leaves alone goes on there, and what goes to a server on this host unchanged; the copy of all else is sent.
    pub(crate) fn queued(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        buffer: &mut Vec<u8>,
        (hook, mark): (Hook, u32),
        original: &[u8],
    ) -> Fate {
        self.output.counters.count(Counter::ReceivedFromNetfilter);
        // The host reassembles what is for it; a fragment that it sends is of somebody who makes packets by hand.
        let Ok(headers) = Headers::parse(original) else { return Fate::Accept };
        if headers.fragment != Fragment::Whole {
            return Fate::Accept;
        }
        buffer.clear();
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(original);
        buffer.resize(HEADROOM + original.len() + TAILROOM, 0);
        // The sender of IPv6 cuts; for the host's own packets that is this host, and what it reassembled came in pieces, of
        // which nobody says how large they were.
        let largest = if headers.is_ipv6() { original.len().min(SMALLEST_IPV6) } else { 0 };
        let mut packet =
            Packet::reassembled(buffer, HEADROOM, original.len(), largest).from_netfilter(hook, mark);
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let packet = packet.as_slice();
        let next = match (verdict, destination(packet)) {
            (Verdict::Forward { next }, _) | (Verdict::Reply(_), Some(next)) => next,
            (Verdict::Pass, _) => return Fate::Accept,
            // Once more around, the host's own packet would come here again with its mark.
            (Verdict::Deliver, _) if hook != Hook::Output && packet == original => return Fate::Accept,
            (Verdict::Deliver, _) => {
                self.output.give_slice_to_host(packet);
                return Fate::Drop;
            }
            (Verdict::Reply(_), None) => {
                self.output.counters.count(Counter::Malformed);
                return Fate::Drop;
            }
            (Verdict::Drop(_), _) => {
                self.output.counters.count(Counter::DroppedByDirector);
                return Fate::Drop;
            }
        };
        let exceeds = |mtu: u32| packet.len() > mtu as usize;
        let pieces = match self.network.hop(next) {
            Hop::Link(way) if exceeds(way.mtu) => Some(Pieces::OWN),
            _ => None,
        };
        self.output.send_slice(self.network, self.now, packet, next, pieces);
        Fate::Drop
    }
}
