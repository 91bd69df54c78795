//! Packets that wait in the kernel ([`parking`](crate::parking)): judged by their headers, they go on from there, or come whole.

use ipvs_core::{Packet, Verdict};
use ipvs_wire::{Headers, checksum, protocol};

use crate::counter::Counter;
use crate::engine::Engine;
use crate::ethernet;
use crate::input::{Input, is_fragment, is_from_us, leaving, version};
use crate::netfilter::Parked;
use crate::netlink::{HardwareAddress, Neighbour};
use crate::network::{Hop, Way};
use crate::parking::{Errand, LONGEST, Parking};
use crate::tap::{LONGEST_FRAME, Offload};
use crate::unsegmented::{Cut, headers_len, is_ipv6};
use crate::xsk::HEADROOM;

impl Input<'_> {
    /// Judges a packet that waits, whose first bytes the queue has. Its number if it goes on; else it ends there. `buffer` is for its copy.
    pub(crate) fn parked(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        parking: &mut Parking,
        buffer: &mut Vec<u8>,
        parked: &Parked,
    ) -> Option<u32> {
        self.output.counters.count(Counter::Received);
        self.output.counters.count(Counter::Parked);
        buffer.resize(HEADROOM + LONGEST_FRAME, 0);
        let bytes = parking.queue.bytes(parked);
        let is_all = parked.len == bytes.len();
        let end = HEADROOM + parked.len;
        buffer.get_mut(HEADROOM..HEADROOM + bytes.len())?.copy_from_slice(bytes);
        let packet = buffer.get(HEADROOM..end)?;
        let headers = Headers::parse(packet).ok();
        let headers = headers.filter(|it| it.protocol == protocol::TCP && !is_fragment(it));
        let Some((headers, length)) = headers.and_then(|it| Some((it, headers_len(packet, &it)?))) else {
            self.output.counters.count(Counter::Malformed);
            return None;
        };
        let by_headers = parked.segment != 0 && parked.unfinished && !engine.reads_payload();
        if by_headers && length <= bytes.len() {
            self.judge_headers(engine, parking, buffer, parked, length)
        } else if parked.segment == 0 && is_all && parked.len <= self.mtu {
            self.judge_all(engine, parking, buffer, parked, (&headers, length))
        } else {
            let head = packet.get(..length)?;
            Some(parking.bring(Errand::Judge(parked.interface), head, length))
        }
    }

    /// One that is to be cut, of whose payload nobody takes notice.
    fn judge_headers(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        parking: &mut Parking,
        buffer: &mut [u8],
        parked: &Parked,
        length: usize,
    ) -> Option<u32> {
        let (segment, ipv6) = (parked.segment, is_ipv6(buffer.get(HEADROOM..)?));
        let mut packet = Packet::unsegmented(buffer, HEADROOM, parked.len, length + segment);
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let cut = Cut::of(&packet, (length + segment, segment), ipv6, Offload::default());
        let as_before = packet.start() == HEADROOM && packet.len() == parked.len;
        if let Verdict::Forward { next } = verdict
            && as_before
            && let Hop::Link(way) = self.network.hop(next)
            && cut.may_leave_whole(packet.as_slice(), &way)
            && let Neighbour::Known(address) = self.network.neighbour(self.now, &way)
            && let Some(number) = self.release(parking, packet.as_mut_slice(), (&way, address), true)
        {
            self.output.counters.count(Counter::Unsegmented);
            return Some(number);
        }
        let bytes = packet.as_mut_slice();
        if !self.needs_payload(verdict, bytes) {
            self.settle_unsegmented(verdict, bytes, &cut);
            return None;
        }
        // Its payload begins where it was, whatever stands before that now.
        let head = bytes.get(..(bytes.len() + length).checked_sub(parked.len)?)?;
        Some(parking.bring(Errand::Cut(verdict, cut), head, length))
    }

    /// One of which all is here.
    fn judge_all(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        parking: &mut Parking,
        buffer: &mut [u8],
        parked: &Parked,
        (headers, length): (&Headers, usize),
    ) -> Option<u32> {
        let end = HEADROOM + parked.len;
        let version = version(buffer.get(HEADROOM..)?);
        if parked.unfinished {
            checksum::fill_transport(buffer.get_mut(HEADROOM..end)?, headers);
            self.output.counters.count(Counter::ChecksumCompleted);
        }
        let mut packet = Packet::new(buffer, HEADROOM, parked.len);
        let verdict = engine.receive(self.now, &*self.network, &mut packet);
        let pieces = leaving(&packet, version, None);
        let payload = parking.queue.bytes(parked).get(length..);
        let as_before = packet.start() == HEADROOM
            && packet.len() == parked.len
            && pieces.is_none()
            && packet.as_slice().get(length..) == payload;
        if let Verdict::Forward { next } = verdict
            && as_before
            && let Hop::Link(way) = self.network.hop(next)
            && packet.len() <= way.mtu as usize
            && let Neighbour::Known(address) = self.network.neighbour(self.now, &way)
            && let Some(number) =
                self.release(parking, packet.as_mut_slice(), (&way, address), parked.unfinished)
        {
            return Some(number);
        }
        let bytes = packet.as_slice();
        if !self.needs_payload(verdict, bytes) {
            self.settle_received(verdict, bytes, None);
            return None;
        }
        Some(parking.bring(Errand::Settle(verdict, bytes.to_vec(), pieces), &[], 0))
    }

    /// Whether what was said of a packet, which is this now, concerns all of it. The rest is done at once: it overtakes nothing.
    fn needs_payload(&self, verdict: Verdict, packet: &[u8]) -> bool {
        match verdict {
            Verdict::Forward { .. } => true,
            Verdict::Deliver | Verdict::Pass => !is_from_us(self.network, packet),
            Verdict::Reply(_) | Verdict::Drop(_) => false,
        }
    }

    /// Has a packet that waits go on by a way, with the headers that it has here. Its number; `None`, and nothing was done, if that interface has no TAP
    /// device: it has no classifier, and frames of its connections come to it by another way.
    fn release(
        &mut self,
        parking: &mut Parking,
        packet: &mut [u8],
        (way, address): (&Way, HardwareAddress),
        unfinished: bool,
    ) -> Option<u32> {
        self.output.ports.iter().find(|port| port.interface == way.carrier && port.tap.is_some())?;
        let headers = Headers::parse(packet).ok()?;
        if unfinished {
            checksum::leave_to_card(packet, &headers)?;
        }
        let head = packet.get(..headers_len(packet, &headers)?)?;
        let mut frame = [0; LONGEST];
        let ethertype = if headers.is_ipv6() { ethernet::IPV6 } else { ethernet::IPV4 };
        ethernet::write(&mut frame, ethernet::HEADER, address, way.source, None, ethertype)?;
        let end = ethernet::HEADER + head.len();
        frame.get_mut(ethernet::HEADER..end)?.copy_from_slice(head);
        self.output.counters.count(Counter::Sent);
        Some(parking.release(way.carrier, way.vlan, frame.get(..end)?))
    }

    /// Takes a packet that comes whole; returns whether there was one. Others, which the host itself sends by that device, end here.
    pub(crate) fn take_whole(
        &mut self,
        engine: &mut (impl Engine + ?Sized),
        parking: &mut Parking,
        buffer: &mut Vec<u8>,
    ) -> bool {
        buffer.resize(HEADROOM + LONGEST_FRAME, 0);
        let frame = buffer.get_mut(HEADROOM..).unwrap_or_default();
        let Some((len, offload)) = parking.whole.receive(frame) else { return false };
        let Some(brought) = parking.came(frame) else { return true };
        self.output.counters.count(Counter::BroughtWhole);
        // What it is called by the queue, and what the way through the kernel did to it, gives way to what it is.
        let end = HEADROOM + len;
        let start = (HEADROOM + ethernet::HEADER + brought.replaced).saturating_sub(brought.head.len());
        if let Some(room) = buffer.get_mut(start..start + brought.head.len()) {
            room.copy_from_slice(&brought.head);
        }
        match brought.errand {
            Errand::Judge(interface) => {
                if self.comes_by(interface) {
                    if let Some(receiver) = buffer.get_mut(HEADROOM..HEADROOM + self.own.len()) {
                        receiver.copy_from_slice(&self.own);
                    }
                    self.tap_frame(engine, buffer.get_mut(..end).unwrap_or_default(), offload);
                }
            }
            Errand::Cut(verdict, mut cut) => {
                cut.offload = offload;
                let packet = buffer.get_mut(start..end).unwrap_or_default();
                self.settle_unsegmented(verdict, packet, &cut);
            }
            Errand::Settle(verdict, packet, pieces) => self.settle_received(verdict, &packet, pieces),
        }
        true
    }

    /// Takes what follows for packets that come by an interface; `false`: there is none.
    pub(crate) fn comes_by(&mut self, interface: u32) -> bool {
        let Some(port) = self.output.ports.iter().position(|port| port.interface == interface) else {
            return false;
        };
        let link = self.network.links().get(interface);
        self.port = port;
        self.own = link.and_then(|link| link.address).unwrap_or_default();
        self.mtu = link.map_or(0, |link| link.mtu as usize);
        true
    }
}
