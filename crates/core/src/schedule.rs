//! The first packet of a connection: service, scheduler, new entry.

use ipvs_flow::{Address, EntryIndex, InsertError, Key, NewConnection, ticks};
use ipvs_wire::icmp_error::ErrorKind;
use ipvs_wire::{Headers, Ports, transport};

use crate::command::ForwardingMethod;
use crate::connections::{flag, tick};
use crate::destination::{Bound, Destination, DestinationIndex};
use crate::director::Director;
use crate::established::of_client;
use crate::explain::describe;
use crate::forward::Ends;
use crate::icmp;
use crate::local_pool::End;
use crate::packet::Packet;
use crate::protocol::{SCTP, Signal, TCP};
use crate::receive::Arrival;
use crate::scheduler::Flow;
use crate::service::ServiceIndex;
use crate::verdict::{Reason, Verdict};

/// Source port of FTP data connections: a packet from it is never scheduled, not even a datagram (seen).
pub(crate) const FTP_DATA: u16 = 20;

/// Timeout of an entry until its first packet sets its state's: the kernel's 3 seconds.
pub(crate) const UNSET_TIMEOUT: u32 = 3;

/// Where a new connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: DestinationIndex,
    /// The destination's port for this connection.
    pub(crate) port: u16,
    /// The template that keeps the client there.
    pub(crate) template: Option<EntryIndex>,
    /// For one packet alone.
    pub(crate) one_packet: bool,
}

/// A connection that was just entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    pub(crate) index: EntryIndex,
    pub(crate) flags: u16,
    pub(crate) state: u8,
    /// As in [`crate::protocol::Next`].
    assures: bool,
}

/// Why a packet starts no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The scheduler finds no destination.
    NoDestination,
    /// The connection table is full.
    TableFull,
    /// One client port has too many connections.
    ChainFull,
    /// The persistence engine finds nothing to go by.
    NoPersistenceData,
    /// All ports of the destination's pool are in use.
    PoolExhausted,
}

impl Refusal {
    /// Why the packet is dropped.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::NoDestination => Reason::NoDestination,
            Self::TableFull => Reason::TableFull,
            Self::ChainFull => Reason::ClientPortFull,
            Self::NoPersistenceData => Reason::NoPersistenceData,
            Self::PoolExhausted => Reason::PoolExhausted,
        }
    }
}

impl From<InsertError> for Refusal {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::ChainFull => Self::ChainFull,
            InsertError::TableFull | InsertError::Exists => Self::TableFull,
        }
    }
}

impl Director {
    /// Gives a packet that belongs to no connection to a destination, if it is for a virtual service and may start
    /// a connection.
    #[inline(never)] // the way of established packets stays short
    pub(crate) fn schedule(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
    ) -> Verdict {
        let headers = arrival.headers;
        if !signal.starts_connection(&self.sysctls) {
            self.note(|_| describe::starts_nothing(signal));
            return Verdict::Pass;
        }
        let (protocol, to) = (u16::from(headers.protocol), headers.destination);
        let mark = self.mark_of(packet, protocol, to, ports.destination);
        let Some(service) = self.services.find(protocol, to, ports.destination, mark) else {
            self.note(|_| describe::no_service(signal, to, ports, mark));
            return Verdict::Pass;
        };
        self.note(|it| it.describe_service(service, ports, mark));
        // Also what would not be scheduled (seen: a SYN from port 20).
        if self.defence.drops_packet() {
            return Verdict::Drop(Reason::Defence);
        }
        if ports.source == FTP_DATA {
            self.note(|_| describe::from_ftp_data());
            return Verdict::Pass;
        }
        let flow = Flow {
            now: arrival.now,
            source: headers.source,
            source_port: ports.source,
            destination: headers.destination,
            destination_port: ports.destination,
        };
        let payload = || behind_header(packet, headers);
        let Some(route) = self.route(service, headers.protocol, &flow, payload) else {
            self.note(|it| it.describe_other_port(&flow));
            return Verdict::Pass;
        };
        let refusal = match route {
            Ok(route) if route.one_packet => return self.forward_once(arrival, packet, &flow, &route),
            Ok(route) => match self.connect(headers.protocol, &flow, &route, Some((signal, packet.len()))) {
                Ok(new) => return self.begin(arrival, packet, signal, &flow, &route, new),
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::NoDestination => self.without_server(arrival, packet, ports, signal, service),
            Refusal::PoolExhausted => {
                icmp::answer(packet, headers.destination, ErrorKind::PortUnreachable, Reason::PoolExhausted)
            }
            refusal => Verdict::Drop(refusal.reason()),
        }
    }

    /// Forwards the first packet of a connection that was just [entered](Director::connect) in the state that follows it.
    #[inline(always)]
    fn begin(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        signal: Signal,
        flow: &Flow,
        route: &Route,
        new: New,
    ) -> Verdict {
        let Some(mut ends) = self.new_ends(flow, route, &new) else {
            return Verdict::Drop(Reason::DestinationUnavailable);
        };
        if !signal.opens() && ends.flags & flag::PROXY != 0 {
            self.introduced_elsewhere(new.index);
            ends.flags |= flag::PROXY_ARRIVED;
        }
        if new.state != 0 {
            self.follow_handshake(new.index, signal.protocol(), 0, new.state);
        }
        if new.assures {
            self.follow_assurance(new.index);
        }
        self.carry_in(arrival, packet, new.index, &ends)
    }

    /// Where a new connection goes; `None` if the service does not serve the packet's port. `payload` is asked for by a persistent
    /// service, for its persistence engine.
    pub(crate) fn route<'p>(
        &mut self,
        index: ServiceIndex,
        protocol: u8,
        flow: &Flow,
        payload: impl FnOnce() -> &'p [u8],
    ) -> Option<Result<Route, Refusal>> {
        let service = self.services.get(index)?;
        if !service.serves_port(flow.destination_port) {
            return None;
        }
        let (one_packet, persistent) = (service.is_one_packet(protocol), service.is_persistent());
        if matches!(protocol, TCP | SCTP) {
            self.keep_quota(index);
        }
        self.make_room(persistent, one_packet);
        Some(match persistent {
            true => self.persist(index, protocol, flow, payload()).map(|it| Route { one_packet, ..it }),
            false => self.choose(index, flow).map_or(Err(Refusal::NoDestination), |destination| {
                let port = self.destinations.get(destination).map_or(0, |destination| destination.id.port);
                let port = if port == 0 { flow.destination_port } else { port };
                Ok(Route { destination, port, template: None, one_packet })
            }),
        })
    }

    /// Asks the service's scheduler.
    pub(crate) fn choose(&mut self, service: ServiceIndex, flow: &Flow) -> Option<DestinationIndex> {
        if self.trial.is_some() {
            return self.try_choice(service, flow);
        }
        if let Some(shared) = self.shared_choice(service) {
            return Some(shared);
        }
        let service = self.services.get_mut(service)?;
        service.schedule(&self.destinations, &self.sysctls, flow)
    }

    /// Enters a new connection and counts it. With the client's `first` packet (and its bytes), if that begins it, it is at once in the
    /// state that follows, and that packet is counted.
    pub(crate) fn connect(
        &mut self,
        protocol: u8,
        flow: &Flow,
        route: &Route,
        first: Option<(Signal, usize)>,
    ) -> Result<New, Refusal> {
        let mut flags = self.connection_flags(route.destination)
            | self.helped_flag(protocol, flow, route)
            | self.proxy_flag(protocol, route.destination);
        let (mut timeout, mut state, mut assures) = (ticks(UNSET_TIMEOUT), 0, false);
        if let Some((signal, _)) = first {
            let direction = of_client(flags);
            let next = signal.next(state, direction, self.defence.secure_tcp);
            if next.active && next.state != state {
                flags &= !flag::INACTIVE;
            }
            timeout = signal.timeout(next.state, &self.timeouts);
            (state, assures) = (next.state, next.assures);
        }
        let new = NewConnection {
            key: Key {
                ipv6: flow.source.is_ipv6(),
                template: false,
                protocol,
                client: Address::from(flow.source),
                client_port: flow.source_port,
                virtual_address: Address::from(flow.destination),
                virtual_port: flow.destination_port,
            },
            destination: route.destination.0,
            destination_port: route.port,
            flags,
            state,
            timeout,
        };
        let index = match flags & flag::TRANSLATED {
            0 => self.connections.insert(tick(flow.now), &new)?,
            _ => self.enter_translated(flow.now, &new)?,
        };
        if first.is_some()
            && let Some(entry) = self.connections.table.entry(index)
        {
            entry.count_packet_in();
        }
        self.guard(index, protocol, route.template.is_some());
        self.unsettle(index, true);
        let bound = if flags & flag::INACTIVE != 0 { Bound::Inactive } else { Bound::Active };
        self.destinations.bind(route.destination, bound);
        if let Some(template) = route.template {
            self.connections.put_under(index, template);
            self.withhold_until_assured(index, template);
        }
        self.count(route.destination, |counters| {
            counters.connections += 1;
            if let Some((_, bytes)) = first {
                counters.packets_in += 1;
                counters.bytes_in += bytes as u64;
            }
        });
        Ok(New { index, flags, state, assures })
    }

    /// Forwards a datagram of a one-packet service.
    fn forward_once(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        flow: &Flow,
        route: &Route,
    ) -> Verdict {
        self.once(flow, route, |director, ends| {
            director.count_in(ends.destination, packet.len());
            director.forward_to_server(arrival, packet, ends)
        })
    }

    /// A connection of one packet, which `forward` forwards: it ends at once, so it is only counted.
    pub(crate) fn once(
        &mut self,
        flow: &Flow,
        route: &Route,
        forward: impl FnOnce(&mut Self, &Ends) -> Verdict,
    ) -> Verdict {
        let Some(ends) = self.route_ends(flow, route) else {
            return Verdict::Drop(Reason::DestinationUnavailable);
        };
        // Counting it there and back lets thresholds judge, as the kernel does.
        self.destinations.bind(route.destination, Bound::Inactive);
        self.count(route.destination, |counters| counters.connections += 1);
        let verdict = forward(self, &ends);
        self.destinations.unbind(route.destination, Bound::Inactive);
        verdict
    }

    /// The ends of a connection that is not entered.
    pub(crate) fn route_ends(&self, flow: &Flow, route: &Route) -> Option<Ends> {
        self.ends_by(flow, route, self.connection_flags(route.destination), None)
    }

    /// The ends of the connection that was just [entered](Director::connect): what [`Director::ends`] would say.
    #[inline(always)]
    pub(crate) fn new_ends(&self, flow: &Flow, route: &Route, new: &New) -> Option<Ends> {
        let local =
            if new.flags & flag::TRANSLATED == 0 { None } else { self.connections.local_of(new.index) };
        self.ends_by(flow, route, new.flags, local)
    }

    #[inline]
    fn ends_by(&self, flow: &Flow, route: &Route, flags: u16, local: Option<End>) -> Option<Ends> {
        let server = self.destinations.get(route.destination)?;
        Some(Ends {
            destination: route.destination,
            available: server.available,
            flags,
            virtual_address: flow.destination,
            virtual_port: flow.destination_port,
            server_address: server.id.address,
            server_port: route.port,
            client: (flow.source, flow.source_port),
            local,
        })
    }

    /// The flag of a control connection: what the server says passes here, and a helper is to read it. (As the kernel's
    /// helpers, ours leave other methods than masquerading and full NAT alone: there nothing has to be written anew, and persistence
    /// keeps data connections on their server.)
    fn helped_flag(&self, protocol: u8, flow: &Flow, route: &Route) -> u16 {
        let passes = self.connection_flags(route.destination) & flag::NO_OUTPUT == 0;
        let helper = self.helper_for(route.destination, protocol, flow.destination_port);
        if passes && helper.is_some() { flag::HELPED } else { 0 }
    }

    /// The flag of a connection whose server is told the client's address: of TCP alone, also where a mark service has others.
    fn proxy_flag(&self, protocol: u8, index: DestinationIndex) -> u16 {
        let told = self.destinations.get(index).is_some_and(Destination::is_told_clients);
        if told && protocol == TCP { flag::PROXY } else { 0 }
    }

    /// The flags of a new connection to a destination.
    pub(crate) fn connection_flags(&self, index: DestinationIndex) -> u16 {
        let config = self.destinations.get(index).map(|destination| destination.config);
        let method = config.map_or(ForwardingMethod::MASQUERADE, |config| config.forwarding);
        let output = match method {
            ForwardingMethod::MASQUERADE => 0,
            ForwardingMethod::FULL_NAT if config.is_some_and(|it| it.local_pool.is_some()) => {
                flag::TRANSLATED
            }
            _ => flag::NO_OUTPUT,
        };
        u16::from(method.0) & flag::METHOD | output | flag::INACTIVE
    }
}

/// What follows the transport header's fixed part.
pub(crate) fn behind_header<'p>(packet: &'p Packet<'_>, headers: &Headers) -> &'p [u8] {
    let fixed = transport::fixed_header_len(headers.protocol).unwrap_or_default();
    headers.payload(packet.as_slice()).get(fixed..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ipvs_flow::tcp::State;
    use ipvs_wire::checksum;

    use super::*;
    use crate::command::{Command, DestinationConfig, DestinationId, ServiceConfig, ServiceId};
    use crate::scheduler::testing::{TestHost, ip};
    use crate::{Config, Instant};

    /// A segment of 40 bytes from 192.0.2.1:1000 to 10.8.0.100:80.
    fn segment(flags: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 10, 8, 0, 100];
        packet.extend([3, 232, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        checksum::fill_ipv4_header(&mut packet);
        packet
    }

    #[test]
    fn a_connection_begins_in_the_state_that_follows_its_first_packet() {
        let now = Instant::from_nanos(1_000_000_000);
        let mut director = Director::new(Config::default(), now).unwrap();
        let service = ServiceId::Address { protocol: 6, address: ip("10.8.0.100"), port: 80 };
        let add = Command::AddService(service, ServiceConfig::new("rr"));
        director.execute(now, &TestHost, add).unwrap();
        let id = DestinationId { address: ip("10.0.0.1"), port: 80 };
        let config = DestinationConfig::new(ForwardingMethod::DIRECT, 1);
        director.execute(now, &TestHost, Command::AddDestination(service, id, config)).unwrap();
        let mut syn = segment(0x02);
        let verdict = director.receive(now, &TestHost, &mut Packet::new(&mut syn, 0, 40));
        assert_eq!(verdict, Verdict::Forward { next: id.address });
        let (index, entry) = (EntryIndex(0), director.connections.table.entry(EntryIndex(0)).unwrap());
        assert_eq!((entry.state(), entry.packets_in()), (State::SynRecv as u8, 1));
        // SYN_RECV is active with direct routing, too.
        assert_eq!(entry.flags() & flag::INACTIVE, 0);
        let destination = director.destinations.get(DestinationIndex(entry.destination())).unwrap();
        assert_eq!((destination.active(), destination.inactive()), (1, 0));
        let counted = destination.stats.counters;
        assert_eq!((counted.connections, counted.packets_in, counted.bytes_in), (1, 1, 40));
        assert_eq!(director.stats().counters, counted);
        // Its timer is that of its state from the beginning: nobody looks at it before.
        let due = director.connections.next_expiry().unwrap();
        assert!(due > now + Duration::from_secs(50), "{due:?}");
        assert!(director.connections.destination_of(index).is_some());
    }
}
