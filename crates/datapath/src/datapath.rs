//! The datapath as a whole: what the daemon's event loop drives.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ipvs_core::{DestinationChange, Host, Instant, Interest, InterestChange};
use ipvs_flow::steady::TIMEOUTS;
use ipvs_wire::Headers;
use ipvs_wire::icmp_error::{ErrorKind, icmp_error};

use crate::counter::Counter;
use crate::engine::Engine;
use crate::fast_path::exits;
use crate::fast_path::{FastPath, Previous, Shared};
use crate::input::{self, Input};
use crate::interests::Interests;
use crate::netfilter::Netfilter;
use crate::network::{Event, Network};
use crate::open::Unattached;
use crate::output::Output;
use crate::pins::Pins;
use crate::program::{Endpoint, Program, ProgramCounters};
use crate::reassembly::{LONGEST_ERROR, Reassembly};
use crate::syn_filter::Switch;
use crate::xsk::HEADROOM;
use crate::{Mode, OpenError, Options, Trial, open, trial};

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

/// An interface that the datapath is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// How.
    pub mode: Mode,
    /// Number of queues with a socket; none for a classifier.
    pub queues: usize,
}

/// Packets in and out of this host's interfaces, for one director. Dropping it leaves nothing behind, but with [`Options::keep`]
/// the XDP program and what it forwards by.
#[derive(Debug)]
pub struct Datapath {
    pub(crate) program: Program,
    pub(crate) network: Network,
    pub(crate) output: Output,
    pub(crate) interests: Interests,
    pub(crate) netfilter: Netfilter,
    pub(crate) fast_path: Option<FastPath>,
    pub(crate) syn_filter: Switch,
    /// Timeouts as the program has them.
    pub(crate) timeouts: [u32; TIMEOUTS],
    pub(crate) attached: Vec<Attached>,
    pub(crate) large: Vec<u8>,
    pub(crate) reassembly: Reassembly,
    pub(crate) events: Vec<Event>,
    /// Frames that refilling leaves for sending.
    pub(crate) reserve: usize,
    pub(crate) previous: Option<Previous>,
    pub(crate) pins: Option<Pins>,
    /// Links and maps outlive this.
    pub(crate) keep: bool,
    pub(crate) unattached: Option<Unattached>,
}

impl Datapath {
    /// Opens everything in the network namespace of the calling thread: loads and attaches the XDP program, opens the
    /// sockets and the TUN device.
    ///
    /// # Errors
    /// [`OpenError`] names what is missing and the remedy. Nothing is left behind.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let mut datapath = Self::prepare(options)?;
        datapath.attach()?;
        Ok(datapath)
    }

    /// As [`Datapath::open`], but does not attach yet: no packets come, and the program of a former run goes on.
    ///
    /// # Errors
    /// As there.
    pub fn prepare(options: &Options) -> Result<Self, OpenError> {
        open::prepare(options)
    }

    /// Attaches the program, in the place of that of a former run where [`Options::pins`] has its links. From here on packets
    /// come.
    ///
    /// # Errors
    /// [`OpenError::Attach`] and others.
    pub fn attach(&mut self) -> Result<(), OpenError> {
        open::attach(self)
    }

    /// What a former run left in [`Options::pins`]; once.
    pub fn take_previous(&mut self) -> Option<Previous> {
        self.previous.take()
    }

    /// The kernel's number of the counters of this run, if it forwards in the program, as [`Previous::counters_id`] will be for the
    /// next one.
    pub fn counters_id(&self) -> Option<u32> {
        let info = self.fast_path.as_ref()?.maps.traffic.info();
        Some(info.ok()?.id())
    }

    /// Lets the next run find what this one has instead of what the former left; without [`Options::keep`] nothing at all. Call
    /// it when everything was taken over and the program is attached.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn settle_pins(&self) -> io::Result<()> {
        match (&self.pins, &self.fast_path) {
            (Some(pins), Some(fast_path)) if self.keep => pins.keep_maps(&fast_path.maps),
            (Some(pins), _) => pins.remove(),
            (None, _) => Ok(()),
        }
    }

    /// The interfaces attached to.
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Facts about this host.
    pub fn host(&self) -> &dyn Host {
        &self.network
    }

    /// The descriptors to wait for: [`Datapath::turn`] has work when one is readable. They stay the same.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = self.output.ports.iter().flat_map(|port| &port.sockets).map(AsFd::as_fd);
        let taps = self.output.ports.iter().filter_map(|port| port.tap.as_ref()).map(AsFd::as_fd);
        let queue = self.netfilter.queue.iter().map(AsFd::as_fd);
        sockets
            .chain(taps)
            .chain([self.output.host.as_fd(), self.network.monitor().as_fd()])
            .chain(queue)
            .collect()
    }

    /// A counter's value since the start.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.output.counters.get(counter)
    }

    /// What the XDP program counted.
    pub fn program_counters(&self) -> ProgramCounters {
        let forwarded = self.fast_path.as_ref().map_or(0, FastPath::forwarded);
        ProgramCounters { forwarded, ..self.program.counters() }
    }

    /// Whether the XDP program forwards packets itself.
    pub fn has_fast_path(&self) -> bool {
        self.fast_path.is_some()
    }

    /// Runs the XDP program on a frame as if it came by `interface`, `repeat` times over: for tests and measurements.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_program(&self, interface: u32, frame: &[u8], repeat: u32) -> io::Result<Trial> {
        trial::run(&self.program, interface, frame, repeat)
    }

    /// Runs the classifier on a frame as if it came by `interface`, yet to be cut into segments with `segment` bytes of payload, or,
    /// with 0, as it is: for tests.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_classifier(&self, interface: u32, frame: &[u8], segment: u32) -> io::Result<Trial> {
        trial::classify(&self.program, interface, frame, segment)
    }

    /// What the director needs so that the XDP program forwards packets of its connections, if
    /// [`Options::fast_path`] asked for that; once.
    pub fn take_shared(&mut self) -> Option<Shared> {
        self.fast_path.as_mut()?.take_shared()
    }

    /// Finds out by which interfaces frames may leave from the program, and tells it.
    pub(crate) fn renew_exits(&mut self) {
        let Some(fast_path) = &mut self.fast_path else { return };
        let exits = exits::of(&self.attached, &mut fast_path.features);
        if !fast_path.ways.set_exits(exits, &self.network) {
            return;
        }
        for attached in &self.attached {
            let exit = fast_path.ways.is_exit(attached.index);
            tracing::info!(interface = attached.name, exit, "whether the XDP program sends by it");
        }
        self.tell_ports();
    }

    /// Tells the program of the attached interfaces.
    pub(crate) fn tell_ports(&mut self) {
        let Some(fast_path) = &self.fast_path else { return };
        for attached in &self.attached {
            let link = self.network.links().get(attached.index);
            let Some(hardware) = link.and_then(|link| link.address) else { continue };
            let leave = fast_path.ways.is_exit(attached.index);
            if let Err(error) = self.program.set_port(attached.index, hardware, leave) {
                tracing::warn!(interface = attached.name, %error, "could not change the XDP program's map");
            }
        }
    }

    /// Takes changes of destinations, and the timeouts of states.
    pub fn follow_director(&mut self, changes: &[DestinationChange], timeouts: &[u32; TIMEOUTS]) {
        let Some(fast_path) = &mut self.fast_path else { return };
        fast_path.follow(changes, &self.network);
        if self.timeouts != *timeouts {
            self.timeouts = *timeouts;
            if let Err(error) = self.program.set_timeouts(timeouts) {
                tracing::warn!(%error, "could not change the XDP program's map");
            }
        }
    }

    /// Keeps the ways that the program uses as the network has them; returns when to look again.
    fn follow_ways(&mut self, now: Instant) -> Option<Instant> {
        let renewals = self.network.take_renewals();
        let fast_path = self.fast_path.as_mut()?;
        if renewals.all || !renewals.neighbours.is_empty() {
            fast_path.generation = fast_path.generation.wrapping_add(1);
            if let Err(error) = self.program.set_network_generation(fast_path.generation) {
                tracing::warn!(%error, "could not change the XDP program's map");
            }
        }
        if renewals.all {
            fast_path.ways.renew_all(&self.network);
        }
        for (interface, neighbour) in renewals.neighbours {
            fast_path.ways.renew_behind(interface, neighbour, &self.network);
        }
        let due = fast_path.ways.is_due(now);
        let again = fast_path.confirm(now, &mut self.network);
        if renewals.all {
            self.tell_ports();
        }
        if renewals.all || due {
            self.renew_exits();
        }
        again
    }

    /// Does what there is to do: hears of changes in the network, takes a bounded burst of packets from each queue and
    /// from the host, has the engine judge them and sends what is to be sent. Never blocks.
    pub fn turn(&mut self, now: Instant, engine: &mut (impl Engine + ?Sized)) -> Turn {
        let mut turn = Turn { more: self.follow_network(now), ..Turn::default() };
        let ways_due = self.follow_ways(now);
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
        let received = self.receive_from_host(now, engine);
        turn.received += received as u64;
        turn.more |= received >= BURST;
        let received = self.receive_from_netfilter(now, engine);
        turn.received += received as u64;
        turn.more |= received >= BURST;
        self.drop_overdue_fragments(now);
        self.output.review_waiting(&mut self.network, now, false);
        let retry = self.flush();
        self.follow_flood(now, turn.received);
        let filter_due = self.syn_filter.deadline();
        turn.deadline = [self.output.waiting.deadline(), self.reassembly.deadline(), ways_due, filter_due]
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
        let Self { output, network, interests, large, reassembly, .. } = self;
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
            let Some(buffer) = input::next(input.output, port, queue) else { break };
            packets += 1;
            input.output.counters.count(Counter::Received);
            if !buffer.more {
                input.frame(engine, buffer);
                continue;
            }
            // A packet in several buffers, gathered behind room for outer headers.
            large.clear();
            large.resize(HEADROOM, 0);
            let mut part = Some(buffer);
            while let Some(mut buffer) = part {
                let bytes = input.output.umem.bytes_mut(&mut buffer.frame);
                large.extend_from_slice(
                    bytes.get(buffer.start..buffer.start + buffer.len).unwrap_or_default(),
                );
                let more = buffer.more;
                input.output.umem.put(buffer.frame);
                part = if more { input::next(input.output, port, queue) } else { None };
            }
            input.large(engine, large);
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

    /// Hears of changes in the network and acts on them; returns whether there may be more.
    fn follow_network(&mut self, now: Instant) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let more = self.network.update(now, &mut events);
        let mut new = Vec::new();
        let mut own_changed = false;
        for event in events.drain(..) {
            match event {
                Event::Neighbour(interface, address, state) => {
                    self.output.resolved(interface, address, state)
                }
                Event::Address(address) => {
                    own_changed = true;
                    match self.interests.follow(address, &mut self.program, &self.network) {
                        Ok(answered) => new.extend(answered),
                        Err(error) => {
                            tracing::warn!(%address, %error, "could not change the XDP program's map")
                        }
                    }
                }
                Event::Everything => {
                    own_changed = true;
                    match self.interests.follow_all(&mut self.program, &self.network) {
                        Ok(answered) => new.extend(answered),
                        Err(error) => tracing::warn!(%error, "could not change the XDP program's map"),
                    }
                    self.output.review_waiting(&mut self.network, now, true);
                }
            }
        }
        self.events = events;
        self.announce(new);
        if own_changed {
            self.follow_servers();
        }
        more
    }

    /// Takes changes of what the director must see. What the program's maps do not take is logged, and the packets
    /// concerned stay with the host.
    pub fn apply_interest(&mut self, changes: impl IntoIterator<Item = InterestChange>) {
        let mut new = Vec::new();
        for change in changes {
            match self.interests.apply(change, &mut self.program, &self.network) {
                Ok(answered) => new.extend(answered),
                Err(error) => tracing::warn!(?change, %error, "could not change the XDP program's map"),
            }
            self.netfilter.apply(change);
            let (InterestChange::Added(interest) | InterestChange::Removed(interest)) = change;
            if let Interest::Server { protocol, address, port } = interest {
                let server = Endpoint { protocol, address, port };
                let local = self.interests.is_local(&server);
                self.output.host.set_server(server, local);
                self.netfilter.set_local_server(&server, local);
            }
        }
        self.announce(new);
    }

    fn announce(&mut self, addresses: Vec<IpAddr>) {
        if addresses.is_empty() {
            return;
        }
        for address in addresses {
            self.output.announce(&self.network, address);
        }
        self.flush();
    }

    /// Leads the answers of those real servers that are on this host through the host port.
    fn follow_servers(&mut self) {
        match self.interests.follow_servers(&mut self.program, &self.network) {
            Ok((servers, changed)) => {
                for server in &changed {
                    self.netfilter.set_local_server(server, servers.contains(server));
                }
                self.output.host.set_servers(servers);
            }
            Err(error) => tracing::warn!(%error, "could not change the XDP program's map"),
        }
    }
}
