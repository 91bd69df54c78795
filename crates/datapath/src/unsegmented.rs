//! TCP packets that are yet to be cut into segments (segmentation offload), as a TAP device gives them: they pass the director
//! whole, as the kernel's pass IPVS, and leave whole by a TAP device. Where they cannot they are cut behind the director.

use std::net::IpAddr;

use ipvs_core::{Instant, Packet, Verdict};
use ipvs_wire::tunnel::{self, Encapsulation, Outer};
use ipvs_wire::{Headers, checksum, protocol};

use crate::counter::Counter;
use crate::engine::Engine;
use crate::ethernet;
use crate::input::{Input, destination, is_for_us, is_fragment, is_from_us};
use crate::netlink::{HardwareAddress, Neighbour};
use crate::network::{Hop, Network, Way};
use crate::output::{FRAME_ROOM, Output};
use crate::segment::Segments;
use crate::tap::Offload;
use crate::xsk::{Frame, HEADROOM};

/// How a packet is to be cut.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Length of the longest segment, from its IP header on.
    longest: usize,
    pub(crate) offload: Offload,
    /// What each segment goes inside of.
    wrapping: Option<(Outer, Encapsulation)>,
    /// It came as IPv6; `offload` is of that family.
    ipv6: bool,
    /// Of how many bytes the fragments of each segment are to be at most.
    fragments: Option<usize>,
}

impl Input<'_> {
    /// A frame with a packet that is to be cut; it begins after [`HEADROOM`] bytes.
    pub(crate) fn unsegmented(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        buffer: &mut [u8],
        (offload, segment): (Offload, usize),
    ) {
        let Some(header) = buffer.get(HEADROOM..).and_then(ethernet::read) else {
            return self.output.counters.count(Counter::Malformed);
        };
        if !is_for_us(&header, self.own) {
            return self.output.counters.count(Counter::OtherHost);
        }
        let start = HEADROOM + header.len;
        let bytes = buffer.get(start..).unwrap_or_default();
        let headers = Headers::parse(bytes).ok();
        let headers = headers.filter(|it| it.protocol == protocol::TCP && !is_fragment(it));
        let Some(length) = headers.and_then(|headers| headers_len(bytes, &headers)) else {
            return self.output.counters.count(Counter::Malformed);
        };
        let (longest, len) = (length + segment, bytes.len());
        let ipv6 = is_ipv6(bytes);
        let mut packet = Packet::unsegmented(buffer, start, len, longest);
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let cut = Cut::of(&packet, (longest, segment), ipv6, offload);
        self.settle_unsegmented(verdict, packet.as_mut_slice(), &cut);
    }

    /// Does with a packet that is to be cut what the engine said.
    pub(crate) fn settle_unsegmented(&mut self, verdict: Verdict, packet: &mut [u8], cut: &Cut) {
        match (verdict, destination(packet)) {
            (Verdict::Forward { next }, _) => {
                self.output.send_unsegmented(self.network, self.now, packet, next, cut);
            }
            (Verdict::Reply(_), Some(next)) => {
                self.output.send_slice(self.network, self.now, packet, next, None);
            }
            (Verdict::Deliver | Verdict::Pass, _) if is_from_us(self.network, packet) => {
                self.output.counters.count(Counter::ForgedSource);
            }
            (Verdict::Deliver | Verdict::Pass, _) => {
                self.output.cut(packet, cut, Output::give_to_host);
            }
            (Verdict::Reply(_), None) => self.output.counters.count(Counter::Malformed),
            (Verdict::Drop(_), _) => self.output.counters.count(Counter::DroppedByDirector),
        }
    }
}

impl Cut {
    /// How a packet is to be cut that was judged, and came as IPv6 or not with segments of at most `longest` bytes, of which `segment` are payload.
    pub(crate) fn of(
        packet: &Packet<'_>,
        (longest, segment): (usize, usize),
        ipv6: bool,
        offload: Offload,
    ) -> Self {
        let mut cut = Self { longest, offload, wrapping: packet.wrapping(), ipv6, fragments: packet.cut() };
        if cut.wrapping.is_none() && ipv6 != is_ipv6(packet.as_slice()) {
            // Its headers have another length, each segment's payload has not.
            let headers = Headers::parse(packet.as_slice()).ok();
            let length = headers.and_then(|headers| headers_len(packet.as_slice(), &headers));
            cut.longest = length.map_or(longest, |length| length + segment);
        }
        cut
    }

    /// Whether a packet may leave by a way as it is.
    pub(crate) fn may_leave_whole(&self, packet: &[u8], way: &Way) -> bool {
        self.wrapping.is_none() && self.ipv6 == is_ipv6(packet) && self.longest <= way.mtu as usize
    }
}

impl Output {
    /// Sends a packet that is to be cut on the route to `next`: whole, or else in segments.
    fn send_unsegmented(
        &mut self,
        network: &mut Network,
        now: Instant,
        packet: &mut [u8],
        next: IpAddr,
        cut: &Cut,
    ) {
        let whole = match network.hop(next) {
            // A TAP device is told of no tag.
            Hop::Link(way) if way.vlan.is_none() && cut.may_leave_whole(packet, &way) => Some(way),
            _ => None,
        };
        if let Some(way) = whole
            && let Neighbour::Known(address) = network.neighbour(now, &way)
            && self.transmit_unsegmented(packet, &way, address, cut)
        {
            return;
        }
        self.cut(packet, cut, |output, frame, start, len| {
            output.send_cut(network, now, frame, (start, len), next, cut.fragments);
        });
    }

    /// Sends it whole; `false`, and nothing was done, if the interface has no TAP device.
    fn transmit_unsegmented(
        &mut self,
        packet: &mut [u8],
        way: &Way,
        address: HardwareAddress,
        cut: &Cut,
    ) -> bool {
        let port = self.ports.iter_mut().find(|port| port.interface == way.carrier);
        let Some(tap) = port.and_then(|port| port.tap.as_mut()) else { return false };
        let Ok(headers) = Headers::parse(packet) else { return false };
        let Some(length) = headers_len(packet, &headers) else { return false };
        let Some(field) = checksum::leave_to_card(packet, &headers) else { return false };
        let ethertype = if headers.is_ipv6() { ethernet::IPV6 } else { ethernet::IPV4 };
        let mut header = [0; ethernet::HEADER];
        let end = header.len();
        if ethernet::write(&mut header, end, address, way.source, None, ethertype).is_none() {
            return false;
        }
        let offload = cut.offload.placed(end + length, end + headers.transport, field);
        let sent = tap.send(&header, packet, &offload).is_ok();
        self.counters.count(if sent { Counter::Sent } else { Counter::TransmitFull });
        self.counters.count(Counter::Unsegmented);
        true
    }

    /// Cuts a packet, and does with each segment, in a frame, from a start on, of a length, what `each` says.
    fn cut(&mut self, packet: &[u8], cut: &Cut, mut each: impl FnMut(&mut Self, Frame, usize, usize)) {
        let overhead = cut.wrapping.map_or(0, |(outer, kind)| kind.overhead(outer.destination.is_ipv6()));
        let headers = Headers::parse(packet).ok();
        let segments =
            headers.and_then(|headers| Segments::new(packet, &headers, cut.longest.min(FRAME_ROOM)));
        let Some(mut segments) = segments else { return self.counters.count(Counter::TooBig) };
        self.counters.count(Counter::Segmented);
        for number in 0.. {
            let Some(mut frame) = self.umem.take() else { return self.counters.count(Counter::NoFrame) };
            let bytes = self.umem.bytes_mut(&mut frame);
            let room = bytes.get_mut(HEADROOM..).unwrap_or_default();
            let Some(len) = segments.write_next(room) else { return self.umem.put(frame) };
            let start = HEADROOM - overhead;
            if let Some((outer, kind)) = cut.wrapping {
                let identification = match outer.dont_fragment {
                    true => outer.identification,
                    false => outer.identification.wrapping_add(number),
                };
                let outer = Outer { identification, ..outer };
                let whole = bytes.get_mut(start..HEADROOM + len).unwrap_or_default();
                if tunnel::encapsulate(whole, &outer, kind).is_err() {
                    return self.discard(frame, Counter::Malformed);
                }
            }
            each(self, frame, start, overhead + len);
        }
    }
}

pub(crate) fn is_ipv6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|byte| byte >> 4 == 6)
}

/// Length of the IP and TCP headers of a packet.
pub(crate) fn headers_len(packet: &[u8], headers: &Headers) -> Option<usize> {
    let offset = packet.get(headers.transport + 12)?;
    Some(headers.transport + usize::from(offset >> 4) * 4)
}
