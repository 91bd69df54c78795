//! Packets out: Ethernet header, fragments, transmit rings, and the queue for unresolved neighbours.

use std::net::IpAddr;

use ipvs_core::Instant;
use ipvs_wire::fragment::{Fragments, Pieces};
use ipvs_wire::{Headers, Malformed};

use crate::counter::{Counter, Counters};
use crate::host_port::HostPort;
use crate::netlink::{HardwareAddress, Neighbour};
use crate::network::{Hop, Network, Way};
use crate::tap::{Offload, Tap};
use crate::waiting::Queue;
use crate::xsk::{Buffer, FRAME_SIZE, Frame, HEADROOM, Socket, Umem};
use crate::{arp, ethernet, ndp};

/// Room kept before a packet for the Ethernet header and a VLAN tag, when it is written to a fresh frame.
const ROOM: usize = HEADROOM;

/// Most bytes of a packet in one frame.
pub(crate) const FRAME_ROOM: usize = FRAME_SIZE - ROOM;

/// An attached interface.
#[derive(Debug)]
pub(crate) struct Port {
    /// Interface index.
    pub(crate) interface: u32,
    /// One socket per queue.
    pub(crate) sockets: Vec<Socket>,
    /// Socket that sends next: packets of one burst stay together.
    pub(crate) transmit: usize,
    /// In place of sockets, where the program is a classifier.
    pub(crate) tap: Option<Tap>,
}

/// Everything that packets leave by.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) umem: Umem,
    pub(crate) ports: Vec<Port>,
    pub(crate) host: HostPort,
    pub(crate) counters: Counters,
    pub(crate) waiting: Queue,
    /// A packet that is being fragmented.
    pub(crate) scratch: Vec<u8>,
    /// Of the last packet that was sent in IPv6 fragments.
    pub(crate) identification: u32,
}

impl Output {
    /// Drops a packet, counted.
    pub(crate) fn discard(&mut self, frame: Frame, counter: Counter) {
        self.counters.count(counter);
        self.umem.put(frame);
    }

    /// Gives the packet at `start..start + len` of the frame to the host's stack.
    pub(crate) fn give_to_host(&mut self, mut frame: Frame, start: usize, len: usize) {
        let packet = self.umem.bytes_mut(&mut frame).get(start..start + len).unwrap_or_default();
        let counter = match self.host.send(packet) {
            Ok(()) => Counter::ToHost,
            Err(_) => Counter::HostPortFailed,
        };
        self.discard(frame, counter);
    }

    /// Sends the packet at `start..start + len` of the frame on the route to `next`.
    pub(crate) fn send(
        &mut self,
        network: &mut Network,
        now: Instant,
        frame: Frame,
        start: usize,
        len: usize,
        next: IpAddr,
    ) {
        if let Some((way, address)) = network.settled(next)
            && len <= way.mtu as usize
        {
            return self.transmit(frame, start, len, &way, address);
        }
        match network.hop(next) {
            Hop::Local => self.give_to_host(frame, start, len),
            Hop::None => self.discard(frame, Counter::NoRoute),
            Hop::Link(way) if len > way.mtu as usize => {
                self.fragment(network, now, frame, (start, len), way, None);
            }
            Hop::Link(way) => self.send_on(network, now, frame, start, len, way),
        }
    }

    /// The same, and [cuts](ipvs_core::Packet::cut) it to fragments of at most `cut` bytes.
    pub(crate) fn send_cut(
        &mut self,
        network: &mut Network,
        now: Instant,
        frame: Frame,
        (start, len): (usize, usize),
        next: IpAddr,
        cut: Option<usize>,
    ) {
        if cut.is_some_and(|longest| len > longest)
            && let Hop::Link(way) = network.hop(next)
        {
            return self.fragment(network, now, frame, (start, len), way, cut);
        }
        self.send(network, now, frame, start, len, next);
    }

    /// Sends a packet that fits the link.
    fn send_on(
        &mut self,
        network: &mut Network,
        now: Instant,
        frame: Frame,
        start: usize,
        len: usize,
        way: Way,
    ) {
        match network.neighbour(now, &way) {
            Neighbour::Known(address) => self.transmit(frame, start, len, &way, address),
            Neighbour::Failed => self.discard(frame, Counter::NeighbourFailed),
            Neighbour::Resolving => {
                self.counters.count(Counter::Queued);
                if let Some(dropped) = self.waiting.add(now, frame, start, len, way) {
                    self.discard(dropped, Counter::NeighbourQueueFull);
                }
            }
        }
    }

    /// Sends a packet in fragments, of at most `cut` bytes. Without that an IPv6 packet is only ours to cut if this host is its source: a
    /// tunnel's.
    fn fragment(
        &mut self,
        network: &mut Network,
        now: Instant,
        mut frame: Frame,
        (start, len): (usize, usize),
        way: Way,
        cut: Option<usize>,
    ) {
        let mut packet = std::mem::take(&mut self.scratch);
        packet.clear();
        packet.extend_from_slice(self.umem.bytes_mut(&mut frame).get(start..start + len).unwrap_or_default());
        self.umem.put(frame);
        let own = || source(&packet).is_some_and(|source| source.is_ipv6() && network.is_own(source));
        let pieces = cut.map(anew).or_else(|| own().then_some(Pieces::OWN));
        self.fragment_slice(network, now, &packet, way, pieces);
        self.scratch = packet;
    }

    fn fragment_slice(
        &mut self,
        network: &mut Network,
        now: Instant,
        packet: &[u8],
        way: Way,
        pieces: Option<Pieces<'_>>,
    ) {
        let fragments = self.fragments(packet, way.mtu as usize, pieces);
        let Ok(mut fragments) = fragments else {
            self.counters.count(Counter::TooBig);
            return;
        };
        self.counters.count(Counter::Fragmented);
        loop {
            let Some(mut frame) = self.umem.take() else {
                self.counters.count(Counter::NoFrame);
                return;
            };
            let out = self.umem.bytes_mut(&mut frame).get_mut(ROOM..).unwrap_or_default();
            match fragments.write_next(out) {
                Ok(Some(len)) => self.send_on(network, now, frame, ROOM, len, way),
                Ok(None) | Err(_) => {
                    self.umem.put(frame);
                    return;
                }
            }
        }
    }

    fn fragments<'a>(
        &mut self,
        packet: &'a [u8],
        mtu: usize,
        pieces: Option<Pieces<'a>>,
    ) -> Result<Fragments<'a>, Malformed> {
        self.identification = self.identification.wrapping_add(1);
        let headers = Headers::parse(packet)?;
        Fragments::new(packet, &headers, mtu, pieces, self.identification)
    }

    /// Gives a packet to the host's stack in the pieces in which it came, so that it can go on in such.
    pub(crate) fn give_pieces_to_host(&mut self, packet: &[u8], pieces: Option<Pieces<'_>>) {
        let mut out = std::mem::take(&mut self.scratch);
        out.resize(usize::from(u16::MAX), 0);
        if let Ok(mut fragments) = self.fragments(packet, usize::from(u16::MAX), pieces) {
            while let Ok(Some(len)) = fragments.write_next(&mut out) {
                self.give_slice_to_host(out.get(..len).unwrap_or_default());
            }
        }
        self.scratch = out;
    }

    /// Gives a packet that does not lie in a frame to the host's stack.
    pub(crate) fn give_slice_to_host(&mut self, packet: &[u8]) {
        let sent = self.host.send(packet).is_ok();
        self.counters.count(if sent { Counter::ToHost } else { Counter::HostPortFailed });
    }

    /// Sends a packet that does not lie in a frame, and may have come in `pieces`: one larger than a frame goes in several
    /// buffers.
    pub(crate) fn send_slice(
        &mut self,
        network: &mut Network,
        now: Instant,
        packet: &[u8],
        next: IpAddr,
        pieces: Option<Pieces<'_>>,
    ) {
        if packet.len() <= FRAME_ROOM && pieces.is_none() {
            let Some(mut frame) = self.umem.take() else {
                self.counters.count(Counter::NoFrame);
                return;
            };
            if let Some(room) = self.umem.bytes_mut(&mut frame).get_mut(ROOM..ROOM + packet.len()) {
                room.copy_from_slice(packet);
            }
            self.send(network, now, frame, ROOM, packet.len(), next);
            return;
        }
        match network.hop(next) {
            Hop::Local => self.give_slice_to_host(packet),
            Hop::None => self.counters.count(Counter::NoRoute),
            Hop::Link(way) if pieces.is_some() || packet.len() > way.mtu as usize => {
                self.fragment_slice(network, now, packet, way, pieces);
            }
            Hop::Link(way) => match network.neighbour(now, &way) {
                Neighbour::Known(address) => self.transmit_slice(packet, &way, address),
                Neighbour::Failed => self.counters.count(Counter::NeighbourFailed),
                // Packets of several buffers do not wait: their sender repeats them.
                Neighbour::Resolving => self.counters.count(Counter::NeighbourQueueFull),
            },
        }
    }

    fn transmit_slice(&mut self, packet: &[u8], way: &Way, address: HardwareAddress) {
        let port = self.ports.iter_mut().find(|port| port.interface == way.carrier);
        if let Some(tap) = port.and_then(|port| port.tap.as_mut()) {
            let mut header = [0; ethernet::LONGEST];
            let end = header.len();
            let start = ethernet::write(&mut header, end, address, way.source, way.vlan, ethertype(packet))
                .unwrap_or(end);
            let header = header.get(start..).unwrap_or_default();
            let sent = tap.send(header, packet, &Offload::default()).is_ok();
            return self.counters.count(if sent { Counter::Sent } else { Counter::TransmitFull });
        }
        let mut buffers = Vec::new();
        let mut rest = packet;
        while !rest.is_empty() {
            let Some(mut frame) = self.umem.take() else {
                buffers.into_iter().for_each(|buffer: Buffer| self.umem.put(buffer.frame));
                self.counters.count(Counter::NoFrame);
                return;
            };
            let bytes = self.umem.bytes_mut(&mut frame);
            let (piece, left) = rest.split_at(rest.len().min(FRAME_ROOM));
            if let Some(room) = bytes.get_mut(ROOM..ROOM + piece.len()) {
                room.copy_from_slice(piece);
            }
            let mut start = ROOM;
            if buffers.is_empty() {
                let ethertype = ethertype(packet);
                start =
                    ethernet::write(bytes, ROOM, address, way.source, way.vlan, ethertype).unwrap_or(ROOM);
            }
            let len = ROOM - start + piece.len();
            buffers.push(Buffer { frame, start, len, more: !left.is_empty() });
            rest = left;
        }
        let Some(port) = self.ports.iter_mut().find(|port| port.interface == way.carrier) else {
            buffers.into_iter().for_each(|buffer| self.umem.put(buffer.frame));
            self.counters.count(Counter::NoRoute);
            return;
        };
        let Some(socket) = port.sockets.get_mut(port.transmit) else { return };
        match socket.transmit_many(&mut self.umem, buffers) {
            Ok(()) => self.counters.count(Counter::Sent),
            Err(buffers) => {
                buffers.into_iter().for_each(|buffer| self.umem.put(buffer.frame));
                self.counters.count(Counter::TransmitFull);
            }
        }
    }

    /// Puts a packet with its Ethernet header into a transmit ring.
    fn transmit(&mut self, mut frame: Frame, start: usize, len: usize, way: &Way, address: HardwareAddress) {
        let bytes = self.umem.bytes_mut(&mut frame);
        let ethertype = ethertype(bytes.get(start..).unwrap_or_default());
        let Some(at) = ethernet::write(bytes, start, address, way.source, way.vlan, ethertype) else {
            self.discard(frame, Counter::NoFrame);
            return;
        };
        match self.ports.iter().position(|port| port.interface == way.carrier) {
            Some(port) => self.transmit_frame(port, frame, at, start + len - at),
            None => self.discard(frame, Counter::NoRoute),
        }
    }

    /// Puts a whole frame into the transmit ring of a port.
    pub(crate) fn transmit_frame(&mut self, port: usize, frame: Frame, start: usize, len: usize) {
        let Some(port) = self.ports.get_mut(port) else { return self.discard(frame, Counter::NoRoute) };
        if let Some(tap) = &mut port.tap {
            let mut frame = frame;
            let bytes = self.umem.bytes_mut(&mut frame).get(start..start + len).unwrap_or_default();
            let sent = tap.send(bytes, &[], &Offload::default()).is_ok();
            return self.discard(frame, if sent { Counter::Sent } else { Counter::TransmitFull });
        }
        let Some(socket) = port.sockets.get_mut(port.transmit) else {
            return self.discard(frame, Counter::NoRoute);
        };
        match socket.transmit(&mut self.umem, Buffer { frame, start, len, more: false }) {
            Ok(()) => self.counters.count(Counter::Sent),
            Err(buffer) => self.discard(buffer.frame, Counter::TransmitFull),
        }
    }

    /// Sends, or drops, what waited for a neighbour.
    pub(crate) fn resolved(&mut self, interface: u32, neighbour: IpAddr, state: Neighbour) {
        for waiting in self.waiting.take(interface, neighbour) {
            match state {
                Neighbour::Known(address) => {
                    self.transmit(waiting.frame, waiting.start, waiting.len, &waiting.way, address);
                }
                _ => self.discard(waiting.frame, Counter::NeighbourFailed),
            }
        }
    }

    /// Looks again at what waits, after news may have been lost; and drops what waited too long.
    pub(crate) fn review_waiting(&mut self, network: &mut Network, now: Instant, everything: bool) {
        if everything {
            for way in self.waiting.neighbours() {
                let state = network.neighbour(now, &way);
                if state != Neighbour::Resolving {
                    self.resolved(way.interface, way.neighbour, state);
                }
            }
        }
        while let Some(frame) = self.waiting.expired(now) {
            self.discard(frame, Counter::NeighbourQueueFull);
        }
    }

    /// Tells the links of every port that `address` is here.
    pub(crate) fn announce(&mut self, network: &Network, address: IpAddr) {
        for port in 0..self.ports.len() {
            let Some(own) = self
                .ports
                .get(port)
                .and_then(|port| network.links().get(port.interface))
                .and_then(|link| link.address)
            else {
                continue;
            };
            let Some(mut frame) = self.umem.take() else { return };
            let out = self.umem.bytes_mut(&mut frame).get_mut(ROOM..).unwrap_or_default();
            let written = match address {
                IpAddr::V4(address) => arp::announce(out, address, own),
                IpAddr::V6(address) => ndp::announce(out, address, own),
            };
            match written {
                Some(len) => self.transmit_frame(port, frame, ROOM, len),
                None => self.umem.put(frame),
            }
        }
    }
}

/// As pieces, for a packet that is to be cut to such of at most `longest` bytes.
pub(crate) const fn anew(longest: usize) -> Pieces<'static> {
    Pieces { largest: longest, ends: &[] }
}

/// The source address of a packet.
fn source(packet: &[u8]) -> Option<IpAddr> {
    Headers::parse(packet).ok().map(|headers| headers.source)
}

/// The EtherType of an IP packet.
fn ethertype(packet: &[u8]) -> u16 {
    match packet.first() {
        Some(first) if first >> 4 == 6 => ethernet::IPV6,
        _ => ethernet::IPV4,
    }
}
