//! A turn of the event loop: packets come, are judged, and leave.

use std::time::Duration;

use ipvs_core::Instant;
use ipvs_wire::Headers;
use ipvs_wire::icmp_error::{ErrorKind, icmp_error};

use super::{Datapath, Readable};
use crate::counter::Counter;
use crate::engine::Engine;
use crate::input::Input;
use crate::reassembly::LONGEST_ERROR;

/// Most packets taken from one socket in a turn, so that all queues and the control socket have their share.
const BURST: usize = 64;

/// When to look again if the kernel had no room for what should be sent, or no frame was free to receive.
const RETRY: Duration = Duration::from_millis(1);

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Packets received, from interfaces and from the host.
    pub received: u64,
    /// There may be more to do at once: call [`Datapath::turn`] again before waiting.
    pub more: bool,
    /// Call [`Datapath::turn`] again at this time at the latest, even if no descriptor is readable.
    pub deadline: Option<Instant>,
}

impl Datapath {
    /// Does what there is to do: hears of changes in the network, takes a bounded burst of packets from each queue and
    /// from the host, has the engine judge them and sends what is to be sent. Never blocks.
    pub fn turn(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized)) -> Turn {
        self.turn_for(now, engine, Readable::ALL)
    }

    /// The same, for one who knows what is [readable](Datapath::sources): nothing else is read, but interfaces always. What is left over
    /// stays readable.
    pub fn turn_for(
        &mut self,
        now: Instant,
        engine: &mut (impl Engine + ?Sized),
        readable: Readable,
    ) -> Turn {
        let mut turn = Turn { more: self.follow_network(now, readable.network), ..Turn::default() };
        let ways_due = self.follow_ways(now);
        let bulk_due = self.follow_bulk(now);
        for port in 0..self.output.ports.len() {
            for queue in 0..self.output.ports.get(port).map_or(0, |port| port.sockets.len()) {
                let received = self.receive(now, engine, port, queue);
                turn.received += received as u64;
                turn.more |= received >= BURST;
            }
            let received = self.receive_from_tap(now, engine, port);
            turn.received += received as u64;
            turn.more |= received >= BURST;
        }
        let received = self.receive_misfits(now, engine);
        turn.received += received as u64;
        turn.more |= received >= BURST;
        if readable.host {
            let received = self.receive_from_host(now, engine);
            turn.received += received as u64;
            turn.more |= received >= BURST;
        }
        if readable.netfilter {
            let received = self.receive_from_netfilter(now, engine);
            turn.received += received as u64;
            turn.more |= received >= BURST;
        }
        if readable.parked {
            let received = self.receive_parked(now, engine);
            turn.received += received as u64;
            turn.more |= received >= BURST;
        }
        self.drop_overdue_fragments(now);
        self.output.review_waiting(&mut self.network, now, false);
        let retry = self.flush();
        self.follow_flood(now, turn.received);
        let filter_due = self.syn_filter.deadline();
        turn.deadline =
            [self.output.waiting.deadline(), self.reassembly.deadline(), ways_due, bulk_due, filter_due]
                .into_iter()
                .flatten()
                .min();
        if retry {
            let soon = now + RETRY;
            turn.deadline = Some(turn.deadline.map_or(soon, |deadline| deadline.min(soon)));
        }
        turn
    }

    /// Takes the packets of one queue.
    fn receive(
        &mut self,
        now: Instant,
        engine: &mut (impl Engine + ?Sized),
        port: usize,
        queue: usize,
    ) -> usize {
        let Self { output, network, interests, buffers, large, reassembly, .. } = self;
        let Some(interface) = output.ports.get(port).map(|port| port.interface) else { return 0 };
        // Each queue sends by the queue of the same number where there is one: packets of a flow stay in order.
        for port in &mut output.ports {
            port.transmit = queue % port.sockets.len().max(1);
        }
        let link = network.links().get(interface);
        let own = link.and_then(|link| link.address).unwrap_or_default();
        let mtu = link.map_or(0, |link| link.mtu as usize);
        let mut input = Input { output, network, interests, reassembly, now, port, own, mtu };
        let mut packets = 0;
        while packets < BURST {
            let (taken, more) = input.take_from_queue(engine, queue, buffers, large);
            packets += taken;
            if !more {
                break;
            }
        }
        packets
    }

    /// Takes the packets of an interface with a classifier.
    fn receive_from_tap(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized), port: usize) -> usize {
        let Self { output, network, interests, large, reassembly, .. } = self;
        let Some(interface) =
            output.ports.get(port).filter(|port| port.tap.is_some()).map(|port| port.interface)
        else {
            return 0;
        };
        for port in &mut output.ports {
            port.transmit = 0;
        }
        let link = network.links().get(interface);
        let own = link.and_then(|link| link.address).unwrap_or_default();
        let mtu = link.map_or(0, |link| link.mtu as usize);
        let mut input = Input { output, network, interests, reassembly, now, port, own, mtu };
        let mut packets = 0;
        while packets < BURST && input.take_from_tap(engine, large) {
            packets += 1;
        }
        packets
    }

    /// Takes the frames that the program put off in vain.
    fn receive_misfits(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized)) -> usize {
        let Self { program, output, network, interests, reassembly, .. } = self;
        for port in &mut output.ports {
            port.transmit = 0;
        }
        let mut packets = 0;
        while packets < BURST
            && program.take_misfit(|misfit| {
                let ports = &mut output.ports.iter();
                let Some(port) = ports.position(|port| port.interface == misfit.interface) else { return };
                let link = network.links().get(misfit.interface);
                let own = link.and_then(|link| link.address).unwrap_or_default();
                let mtu = link.map_or(0, |link| link.mtu as usize);
                let mut input = Input { output, network, interests, reassembly, now, port, own, mtu };
                input.take_misfit(engine, &misfit);
            })
        {
            packets += 1;
        }
        packets
    }

    /// Takes the packets that leave the host by the host port: answers of local real servers.
    fn receive_from_host(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized)) -> usize {
        let Self { output, network, interests, reassembly, .. } = self;
        for port in &mut output.ports {
            port.transmit = 0;
        }
        let mut input = Input { output, network, interests, reassembly, now, port: 0, own: [0; 6], mtu: 0 };
        let mut packets = 0;
        while packets < BURST && input.take_from_host(engine) {
            packets += 1;
        }
        packets
    }

    /// Takes the packets that wait in netfilter.
    fn receive_from_netfilter(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized)) -> usize {
        let Self { output, network, interests, large, reassembly, netfilter, .. } = self;
        let Some(queue) = &mut netfilter.queue else { return 0 };
        for port in &mut output.ports {
            port.transmit = 0;
        }
        let mut input = Input { output, network, interests, reassembly, now, port: 0, own: [0; 6], mtu: 0 };
        let mut packets = 0;
        while packets < BURST {
            let Some(waiting) = queue.next() else { break };
            packets += 1;
            let fate = input.queued(engine, large, &waiting, queue.packet(&waiting));
            queue.decide(&waiting, fate);
        }
        queue.flush();
        packets
    }

    /// Judges packets that wait in the kernel, and takes those that come whole from there.
    fn receive_parked(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized)) -> usize {
        let Self { output, network, interests, large, reassembly, parking, .. } = self;
        let Some(parking) = parking else { return 0 };
        for port in &mut output.ports {
            port.transmit = 0;
        }
        let mut input = Input { output, network, interests, reassembly, now, port: 0, own: [0; 6], mtu: 0 };
        let mut packets = 0;
        while packets < BURST {
            let Some(parked) = parking.queue.next() else { break };
            packets += 1;
            let known = input.comes_by(parked.interface);
            let number = if known { input.parked(engine, parking, large, &parked) } else { None };
            parking.queue.decide(&parked, number);
        }
        parking.queue.flush();
        while packets < 2 * BURST && input.take_whole(engine, parking, large) {
            packets += 1;
        }
        packets
    }

    /// Drops datagrams whose fragments did not all come. A host says so for those that were for it and of which it has the
    /// first fragment (RFC 1122 section 3.3.2, RFC 8200 section 4.5; experiment `fragments_lost.py`).
    fn drop_overdue_fragments(&mut self, now: Instant) {
        while let Some(first) = self.reassembly.take_overdue(now) {
            self.output.counters.count(Counter::FragmentsOverdue);
            let Some(first) = first else { continue };
            let Ok(headers) = Headers::parse(&first) else { continue };
            let own = headers.destination;
            if !self.interests.is_answered(own) && !self.network.is_own(own) {
                continue;
            }
            let mut error = [0; LONGEST_ERROR];
            let kind = ErrorKind::ReassemblyTimeExceeded;
            let error = icmp_error(&first, own, kind, &mut error)
                .ok()
                .and_then(|len| error.get(..len))
                .unwrap_or_default();
            if !error.is_empty() {
                self.output.send_slice(&mut self.network, now, error, headers.source, None);
            }
        }
    }

    /// Sends what is in the rings, takes back what was sent and offers frames. Returns whether to try again soon.
    pub(crate) fn flush(&mut self) -> bool {
        let output = &mut self.output;
        let mut retry = false;
        for socket in output.ports.iter_mut().flat_map(|port| &mut port.sockets) {
            retry |= socket.flush();
            socket.complete(&mut output.umem);
        }
        for socket in output.ports.iter_mut().flat_map(|port| &mut port.sockets) {
            retry |= !socket.refill(&mut output.umem, self.reserve);
        }
        retry
    }
}
