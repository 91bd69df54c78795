//! Packets in: framing, what the datapath answers itself, and the engine's verdicts.

use std::net::IpAddr;

use ipvs_core::{Instant, Packet, Verdict};
use ipvs_wire::fragment::Pieces;
use ipvs_wire::{Fragment, Headers, checksum, echo, family, protocol};

use crate::counter::Counter;
use crate::engine::Engine;
use crate::interests::Interests;
use crate::netlink::HardwareAddress;
use crate::network::Network;
use crate::output::{FRAME_ROOM, Output, anew};
use crate::program::Misfit;
use crate::reassembly::{Outcome, Reassembly};
use crate::segment::Segments;
use crate::xsk::{Buffer, Frame, HEADROOM};
use crate::{arp, ethernet, ndp};

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// An interface; with the sender's hardware address.
    Link(HardwareAddress),
    /// This host.
    Host,
}

/// All that a packet meets on its way, for one queue and one turn.
pub(crate) struct Input<'a> {
    pub(crate) output: &'a mut Output,
    pub(crate) network: &'a mut Network,
    pub(crate) interests: &'a Interests,
    pub(crate) reassembly: &'a mut Reassembly,
    pub(crate) now: Instant,
    /// Position of the port it came by.
    pub(crate) port: usize,
    /// The port's hardware address.
    pub(crate) own: HardwareAddress,
    /// The port's MTU.
    pub(crate) mtu: usize,
}

/// Whether a frame that carries IP is for this host by its hardware address. Neighbours are solicited by multicast;
/// everything else that is broadcast or multicast is no router's business (RFC 1812 section 5.3.4).
pub(crate) fn is_for_us(header: &ethernet::Header, own: HardwareAddress) -> bool {
    header.destination == own
        || header.ethertype == ethernet::IPV6 && ethernet::is_multicast(header.destination)
}

impl Input<'_> {
    /// A frame in one buffer.
    pub(crate) fn frame(&mut self, engine: &mut (impl Engine + ?Sized), mut buffer: Buffer) {
        let bytes = self.output.umem.bytes_mut(&mut buffer.frame);
        let end = buffer.start + buffer.len;
        let Some(header) = bytes.get(buffer.start..end).and_then(ethernet::read) else {
            return self.output.discard(buffer.frame, Counter::Malformed);
        };
        let start = buffer.start + header.len;
        match header.ethertype {
            ethernet::ARP => self.arp(buffer, header.len),
            ethernet::IPV4 | ethernet::IPV6 if is_for_us(&header, self.own) => {
                self.packet(engine, buffer.frame, start, end - start, Origin::Link(header.source));
            }
            ethernet::IPV4 | ethernet::IPV6 => self.output.discard(buffer.frame, Counter::OtherHost),
            _ => self.output.discard(buffer.frame, Counter::Malformed),
        }
    }

    fn arp(&mut self, mut buffer: Buffer, header: usize) {
        let frame = self.output.umem.bytes_mut(&mut buffer.frame);
        let frame = frame.get_mut(buffer.start..buffer.start + buffer.len).unwrap_or_default();
        let is_answered = |address| self.interests.is_answered(IpAddr::V4(address));
        match arp::answer(frame, header, self.own, is_answered) {
            Some(len) => {
                self.output.counters.count(Counter::ArpAnswered);
                self.output.transmit_frame(self.port, buffer.frame, buffer.start, len);
            }
            None => self.output.discard(buffer.frame, Counter::SolicitationIgnored),
        }
    }

    /// A packet in a frame.
    fn packet(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        mut frame: Frame,
        start: usize,
        len: usize,
        origin: Origin,
    ) {
        let bytes = self.output.umem.bytes_mut(&mut frame);
        let packet = bytes.get_mut(start..start + len).unwrap_or_default();
        // What cannot be parsed is the engine's to count.
        if let Ok(headers) = Headers::parse(packet) {
            if is_fragment(&headers) {
                let outcome = self.reassembly.add(self.now, packet, &headers, HEADROOM);
                self.output.umem.put(frame);
                return self.fragment(engine, outcome, origin);
            }
            if let Origin::Link(sender) = origin {
                if ndp::is_discovery(packet, &headers) {
                    return self.solicitation(frame, start, len, &headers, sender);
                }
                if is_echo_request(packet, &headers) && self.interests.is_answered(headers.destination) {
                    return self.echo(frame, start, len, &headers);
                }
                if self.mtu != 0 && headers.total_len > self.mtu {
                    let large = packet.to_vec();
                    self.output.umem.put(frame);
                    return self.segments(engine, &large, &headers, sender);
                }
            }
            if checksum::complete_partial(packet, &headers) {
                self.output.counters.count(Counter::ChecksumCompleted);
            }
        }
        let mut packet = Packet::new(self.output.umem.bytes_mut(&mut frame), start, len);
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let (start, len, cut) = (packet.start(), packet.len(), packet.cut());
        let to = |packet: &Packet<'_>| destination(packet.as_slice());
        match verdict {
            Verdict::Forward { next } => {
                self.output.send_cut(self.network, self.now, frame, (start, len), next, cut);
            }
            Verdict::Reply(_) => match to(&packet) {
                Some(next) => self.output.send_cut(self.network, self.now, frame, (start, len), next, cut),
                None => self.output.discard(frame, Counter::Malformed),
            },
            Verdict::Drop(_) => self.output.discard(frame, Counter::DroppedByDirector),
            // What this host sends and is not IPVS's concern goes on as if the host port were not there.
            Verdict::Pass if origin == Origin::Host => match to(&packet) {
                Some(next) => self.output.send(self.network, self.now, frame, start, len, next),
                None => self.output.give_to_host(frame, start, len),
            },
            // The host port takes packets from the host's own addresses: they come from here. From a link they are forged.
            Verdict::Deliver | Verdict::Pass
                if origin != Origin::Host && is_from_us(self.network, packet.as_slice()) =>
            {
                self.output.discard(frame, Counter::ForgedSource);
            }
            Verdict::Deliver | Verdict::Pass => self.output.give_to_host(frame, start, len),
        }
    }

    /// A frame in several buffers, gathered; it begins after [`HEADROOM`] bytes.
    pub(crate) fn large(&mut self, engine: &mut (impl Engine + ?Sized), buffer: &mut [u8]) {
        let Some(header) = buffer.get(HEADROOM..).and_then(ethernet::read) else {
            return self.output.counters.count(Counter::Malformed);
        };
        if !matches!(header.ethertype, ethernet::IPV4 | ethernet::IPV6) {
            return self.output.counters.count(Counter::Malformed);
        }
        if !is_for_us(&header, self.own) {
            return self.output.counters.count(Counter::OtherHost);
        }
        let start = HEADROOM + header.len;
        let packet = buffer.get_mut(start..).unwrap_or_default();
        let Ok(headers) = Headers::parse(packet) else {
            return self.output.counters.count(Counter::Malformed);
        };
        let origin = Origin::Link(header.source);
        if is_fragment(&headers) {
            let outcome = self.reassembly.add(self.now, packet, &headers, HEADROOM);
            return self.fragment(engine, outcome, origin);
        }
        if headers.total_len > self.mtu {
            return self.segments(engine, packet, &headers, header.source);
        }
        // A packet of a link with a large MTU.
        if checksum::complete_partial(packet, &headers) {
            self.output.counters.count(Counter::ChecksumCompleted);
        }
        let len = packet.len();
        self.slice(engine, buffer, (start, len), None, origin);
    }

    /// What became of a fragment.
    fn fragment(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        (outcome, dropped): (Outcome, usize),
        origin: Origin,
    ) {
        self.output.counters.add(Counter::FragmentsTooMany, dropped as u64);
        let mut whole = match outcome {
            Outcome::Held => return,
            Outcome::Dropped => return self.output.counters.count(Counter::FragmentsConflict),
            Outcome::Whole(whole) => whole,
        };
        self.output.counters.count(Counter::Reassembled);
        let mut buffer = std::mem::take(&mut whole.buffer);
        let packet = buffer.get_mut(HEADROOM..HEADROOM + whole.len).unwrap_or_default();
        if let (Ok(headers), Origin::Link(_)) = (Headers::parse(packet), origin)
            && is_echo_request(packet, &headers)
            && self.interests.is_answered(headers.destination)
        {
            if echo::reply(packet, &headers) == Ok(true) {
                self.output.counters.count(Counter::EchoAnswered);
                let pieces = Some(Pieces::OWN);
                return self.output.send_slice(self.network, self.now, packet, headers.source, pieces);
            }
            return self.output.counters.count(Counter::EchoIgnored);
        }
        self.slice(engine, &mut buffer, (HEADROOM, whole.len), Some(whole.pieces()), origin);
    }

    /// Judges a packet that does not lie in a frame but, `len` bytes, at `start` of `buffer`, and may have come in `pieces`.
    fn slice(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        buffer: &mut [u8],
        (start, len): (usize, usize),
        pieces: Option<Pieces<'_>>,
        origin: Origin,
    ) {
        let version = version(buffer.get(start..).unwrap_or_default());
        let mut packet = Packet::reassembled(buffer, start, len, pieces.map_or(0, |pieces| pieces.largest));
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let pieces = match verdict {
            Verdict::Forward { .. } => leaving(&packet, version, pieces),
            _ => pieces,
        };
        self.settle(verdict, packet.as_slice(), pieces, origin);
    }

    /// Does with a packet that does not lie in a frame, and is to leave in `pieces`, what the engine said.
    fn settle(&mut self, verdict: Verdict, packet: &[u8], pieces: Option<Pieces<'_>>, origin: Origin) {
        match (verdict, destination(packet)) {
            (Verdict::Forward { next }, _) => {
                self.output.send_slice(self.network, self.now, packet, next, pieces);
            }
            (Verdict::Pass, Some(next)) if origin == Origin::Host => {
                self.output.send_slice(self.network, self.now, packet, next, pieces);
            }
            (Verdict::Reply(_), Some(next)) => {
                self.output.send_slice(self.network, self.now, packet, next, None);
            }
            (Verdict::Deliver | Verdict::Pass, _) if is_from_us(self.network, packet) => {
                self.output.counters.count(Counter::ForgedSource);
            }
            (Verdict::Pass, _) => self.output.give_pieces_to_host(packet, pieces),
            (Verdict::Deliver, _) => self.output.give_slice_to_host(packet),
            (Verdict::Reply(_), None) => self.output.counters.count(Counter::Malformed),
            (Verdict::Drop(_), _) => self.output.counters.count(Counter::DroppedByDirector),
        }
    }

    /// The same, of one that came by an interface.
    pub(crate) fn settle_received(&mut self, verdict: Verdict, packet: &[u8], pieces: Option<Pieces<'_>>) {
        self.settle(verdict, packet, pieces, Origin::Link(self.own));
    }

    /// A packet larger than its link's MTU: the work of segmentation offload, which is done over.
    fn segments(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        packet: &[u8],
        headers: &Headers,
        sender: HardwareAddress,
    ) {
        // With full NAT it may leave as an IPv6 packet, which is longer; what its sender meant is not longer than that.
        let longer = if headers.is_ipv6() { 0 } else { family::DIFFERENCE as usize };
        let size = self.mtu.min(FRAME_ROOM).saturating_sub(longer);
        let Some(mut segments) = Segments::new(packet, headers, size) else {
            return self.output.counters.count(Counter::TooBig);
        };
        self.output.counters.count(Counter::Segmented);
        loop {
            let Some(mut frame) = self.output.umem.take() else {
                return self.output.counters.count(Counter::NoFrame);
            };
            let room = self.output.umem.bytes_mut(&mut frame).get_mut(HEADROOM..).unwrap_or_default();
            match segments.write_next(room) {
                Some(len) => self.packet(engine, frame, HEADROOM, len, Origin::Link(sender)),
                None => return self.output.umem.put(frame),
            }
        }
    }

    fn solicitation(
        &mut self,
        mut frame: Frame,
        start: usize,
        len: usize,
        headers: &Headers,
        sender: HardwareAddress,
    ) {
        let packet =
            self.output.umem.bytes_mut(&mut frame).get(start..start + len).unwrap_or_default().to_vec();
        let is_answered = |address| self.interests.is_answered(IpAddr::V6(address));
        let out = self.output.umem.bytes_mut(&mut frame).get_mut(HEADROOM..).unwrap_or_default();
        match ndp::answer(&packet, headers, sender, self.own, is_answered, out) {
            Some(len) => {
                self.output.counters.count(Counter::SolicitationAnswered);
                self.output.transmit_frame(self.port, frame, HEADROOM, len);
            }
            None => self.output.discard(frame, Counter::SolicitationIgnored),
        }
    }

    fn echo(&mut self, mut frame: Frame, start: usize, len: usize, headers: &Headers) {
        let packet = self.output.umem.bytes_mut(&mut frame).get_mut(start..start + len).unwrap_or_default();
        if echo::reply(packet, headers) == Ok(true) {
            self.output.counters.count(Counter::EchoAnswered);
            let len = headers.total_len.min(len);
            self.output.send(self.network, self.now, frame, start, len, headers.source);
        } else {
            self.output.discard(frame, Counter::EchoIgnored);
        }
    }

    /// Takes a frame that the program put off in vain.
    pub(crate) fn take_misfit(&mut self, engine: &mut (impl Engine + ?Sized), misfit: &Misfit<'_>) {
        let len = misfit.frame.len();
        let Some(mut frame) = self.output.umem.take() else {
            return self.output.counters.count(Counter::NoFrame);
        };
        if let Some(room) = self.output.umem.bytes_mut(&mut frame).get_mut(HEADROOM..HEADROOM + len) {
            room.copy_from_slice(misfit.frame);
        }
        if misfit.ready {
            return self.output.transmit_frame(self.port, frame, HEADROOM, len);
        }
        self.output.counters.count(Counter::Received);
        self.frame(engine, Buffer { frame, start: HEADROOM, len, more: false });
    }

    /// Takes a packet that leaves the host by the host port; returns whether there was one.
    pub(crate) fn take_from_host(&mut self, engine: &mut (impl Engine + ?Sized)) -> bool {
        let Some(mut frame) = self.output.umem.take() else { return false };
        let room = self.output.umem.bytes_mut(&mut frame).get_mut(HEADROOM..).unwrap_or_default();
        let Some(len) = self.output.host.receive(room) else {
            self.output.umem.put(frame);
            return false;
        };
        self.output.counters.count(Counter::ReceivedFromHost);
        self.packet(engine, frame, HEADROOM, len, Origin::Host);
        true
    }
}

/// Whether it is to be reassembled: a fragment, or IPv6 with a fragment header that says that it is whole (RFC 6946), which
/// loses that header.
pub(crate) fn is_fragment(headers: &Headers) -> bool {
    headers.fragment != Fragment::Whole || headers.is_ipv6() && headers.identification != 0
}

/// The version of IP, of a packet.
pub(crate) fn version(packet: &[u8]) -> Option<u8> {
    packet.first().map(|first| first >> 4)
}

/// In what pieces a packet leaves that came in `pieces` as one of that version of IP.
pub(crate) fn leaving<'p>(
    packet: &Packet<'_>,
    came_as: Option<u8>,
    pieces: Option<Pieces<'p>>,
) -> Option<Pieces<'p>> {
    match packet.cut() {
        Some(longest) if packet.len() > longest => Some(anew(longest)),
        // As or inside a packet of the other family it is cut as the link asks (experiment `fragments.py`).
        _ if version(packet.as_slice()) != came_as => Some(Pieces::OWN),
        _ => pieces,
    }
}

/// Whether it is an echo request (ICMP type 8, ICMPv6 type 128).
fn is_echo_request(packet: &[u8], headers: &Headers) -> bool {
    let kind = match headers.protocol {
        protocol::ICMP if !headers.is_ipv6() => 8,
        protocol::ICMPV6 if headers.is_ipv6() => 128,
        _ => return false,
    };
    headers.payload(packet).first() == Some(&kind)
}

/// Whether an address of this host is the packet's source.
pub(crate) fn is_from_us(network: &Network, packet: &[u8]) -> bool {
    Headers::parse(packet).is_ok_and(|headers| network.is_own(headers.source))
}

/// The destination address of an IP packet.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?)),
        6 => Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?)),
        _ => None,
    }
}
