//! Packets that netfilter gave away: what becomes of them here, and what of those in the host's stack.

use ipvs_core::{Hook, Packet, Verdict};
use ipvs_wire::fragment::Pieces;
use ipvs_wire::{Fragment, Headers, protocol};

use crate::counter::Counter;
use crate::engine::Engine;
use crate::input::{Input, destination, leaving, version};
use crate::netfilter::{Fate, Waiting};
use crate::network::Hop;
use crate::reassembly::Outcome;
use crate::xsk::HEADROOM;

/// Room behind a packet, for an ICMP error in its place.
const TAILROOM: usize = 1280;

/// Largest fragment that every IPv6 link takes (RFC 8200 section 5).
const SMALLEST_IPV6: usize = 1280;

impl Input<'_> {
    /// Judges a packet that waits in the host's stack, its bytes being `original`. `buffer` is for its copy.
    ///
    /// What the engine leaves alone goes on there, and what goes to a server on this host unchanged; the copy of all else is sent.
    pub(crate) fn queued(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        buffer: &mut Vec<u8>,
        waiting: &Waiting,
        original: &[u8],
    ) -> Fate {
        self.output.counters.count(Counter::ReceivedFromNetfilter);
        let Ok(headers) = Headers::parse(original) else { return Fate::Accept };
        if headers.fragment != Fragment::Whole {
            return self.queued_fragment(engine, waiting, original, &headers);
        }
        buffer.clear();
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(original);
        buffer.resize(HEADROOM + original.len() + TAILROOM, 0);
        let largest = if self.came_in_pieces(waiting, &headers) { SMALLEST_IPV6 } else { 0 };
        let packet = Packet::reassembled(buffer, HEADROOM, original.len(), largest);
        self.judge(engine, packet.from_netfilter(waiting.hook, waiting.mark), Some(original), None)
    }

    /// The host reassembles what is for it, in IPv4 before netfilter gives it away, in IPv6 after that.
    fn queued_fragment(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        waiting: &Waiting,
        fragment: &[u8],
        headers: &Headers,
    ) -> Fate {
        // What the host sends in fragments comes from somebody who makes packets by hand; what returns was judged whole.
        if waiting.hook != Hook::Input {
            return Fate::Accept;
        }
        let (outcome, dropped) = self.reassembly.add(self.now, fragment, headers, HEADROOM);
        self.output.counters.add(Counter::FragmentsTooMany, dropped as u64);
        let mut whole = match outcome {
            Outcome::Held => return Fate::Drop,
            Outcome::Dropped => {
                self.output.counters.count(Counter::FragmentsConflict);
                return Fate::Drop;
            }
            Outcome::Whole(whole) => whole,
        };
        self.output.counters.count(Counter::Reassembled);
        let mut buffer = std::mem::take(&mut whole.buffer);
        let pieces = whole.pieces();
        let packet = Packet::reassembled(&mut buffer, HEADROOM, whole.len, pieces.largest);
        let packet = packet.from_netfilter(waiting.hook, waiting.mark);
        if self.judge(engine, packet, None, Some(pieces)) == Fate::Accept {
            let packet = buffer.get(HEADROOM..HEADROOM + whole.len).unwrap_or_default();
            self.output.give_pieces_to_host(packet, Some(pieces));
        }
        Fate::Drop
    }

    /// Has the engine judge a packet, and sends what is to be sent. `original` is the packet that waits; it may have come in `pieces`.
    fn judge(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        mut packet: Packet<'_>,
        original: Option<&[u8]>,
        pieces: Option<Pieces<'_>>,
    ) -> Fate {
        let (hook, came_as) = (packet.hook(), version(packet.as_slice()));
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let pieces = leaving(&packet, came_as, pieces);
        let packet = packet.as_slice();
        let next = match (verdict, destination(packet)) {
            (Verdict::Forward { next }, _) | (Verdict::Reply(_), Some(next)) => next,
            (Verdict::Pass, _) => return Fate::Accept,
            // Once more around, the host's own packet would come here again with its mark.
            (Verdict::Deliver, _) if hook != Some(Hook::Output) && Some(packet) == original => {
                return Fate::Accept;
            }
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
        let pieces = match (verdict, self.network.hop(next)) {
            (Verdict::Reply(_), _) => None,
            (_, Hop::Link(way)) if exceeds(way.mtu) => pieces.or(Some(Pieces::OWN)),
            _ => pieces,
        };
        self.output.send_slice(self.network, self.now, packet, next, pieces);
        Fate::Drop
    }

    /// Whether an IPv6 packet that is whole may leave in fragments, of which only the sender makes any: something reassembled it (netfilter,
    /// for connection tracking), for it is larger than what its link carries; or the host is the sender and will cut it. What TCP
    /// sends is never cut.
    fn came_in_pieces(&self, waiting: &Waiting, headers: &Headers) -> bool {
        if !headers.is_ipv6() {
            return false;
        }
        match waiting.hook {
            Hook::Output => headers.protocol != protocol::TCP,
            Hook::Input | Hook::Returned => {
                let link = self.network.links().get(waiting.interface);
                link.is_some_and(|link| headers.total_len > link.mtu as usize)
            }
        }
    }
}
