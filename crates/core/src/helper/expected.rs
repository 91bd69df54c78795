//! Data connections: expected by a helper, they stand in the connection table as the kernel's do, in state LISTEN and under
//! the control of their control connection, until their first packet tells the port that was not known.

use ipvs_flow::tcp::State;
use ipvs_flow::{Address, EntryIndex, Key, NewConnection, udp};
use ipvs_wire::Ports;

use super::Expectation;
use super::session::MOST_EXPECTED;
use crate::connections::{flag, tick};
use crate::destination::{Bound, DestinationIndex};
use crate::director::Director;
use crate::forward::Ends;
use crate::packet::Packet;
use crate::protocol::{Signal, TCP};
use crate::receive::Arrival;
use crate::time::Instant;
use crate::verdict::Verdict;

impl Director {
    /// Enters an expected connection; one that is there already begins its time anew if nothing came by it yet.
    pub(super) fn expect(
        &mut self,
        now: Instant,
        control: EntryIndex,
        ends: &Ends,
        expectation: &Expectation,
    ) {
        let Some(key) = self.connections.table.entry(control).map(|entry| entry.key()) else { return };
        let (client, virtual_port, destination_port, waits) = match *expectation {
            Expectation::Client { port: 0 } => return,
            Expectation::Client { port } => {
                ((key.client.to_ip(key.ipv6), 0), port, port, flag::NO_CLIENT_PORT)
            }
            Expectation::Server { client, port_below } => {
                let below = |port: u16| if port_below { port.wrapping_sub(1) } else { 0 };
                (client, below(ends.virtual_port), below(ends.server_port), flag::ANY_SERVER_PORT)
            }
        };
        // Whoever comes to the port of the control connection has another such, as in the kernel.
        let helped = if virtual_port == ends.virtual_port { flag::HELPED } else { 0 };
        let (state, timeout) = match key.protocol {
            TCP => (State::Listen as u8, self.timeouts.tcp(State::Listen)),
            _ => (udp::STATE, self.timeouts.udp()),
        };
        let new = NewConnection {
            key: Key { client: Address::from(client.0), client_port: client.1, virtual_port, ..key },
            destination: ends.destination.0,
            destination_port,
            flags: ends.flags & (flag::METHOD | flag::NO_OUTPUT) | flag::INACTIVE | waits | helped,
            state,
            timeout,
        };
        if let Some((index, entry)) = self.connections.table.lookup_in(&new.key) {
            if entry.flags() & flag::WAITS != 0 {
                self.connections.restart(index, tick(now), timeout);
            }
            return;
        }
        self.limit_expected(control);
        if let Some(service) = self.destinations.get(ends.destination).and_then(|it| it.service) {
            self.make_room(service, false);
        }
        self.enter_data(now, control, &new);
    }

    /// Enters a data connection under its control connection. A full table has no room for it: then the client's packet will
    /// find no connection either.
    fn enter_data(&mut self, now: Instant, control: EntryIndex, new: &NewConnection) -> Option<EntryIndex> {
        let index = self.connections.insert(tick(now), new).ok()?;
        self.destinations.bind(DestinationIndex(new.destination), Bound::Inactive);
        self.connections.put_under_connection(index, control);
        if let Some(session) = self.connections.sessions.get_mut(control) {
            session.expected.push_back(index);
        }
        self.unsettle(index, true);
        Some(index)
    }

    /// Makes room among the data connections that wait: the oldest goes.
    fn limit_expected(&mut self, control: EntryIndex) {
        let table = &self.connections.table;
        let Some(session) = self.connections.sessions.get_mut(control) else { return };
        session.expected.retain(|index| table.entry(*index).is_some_and(|it| it.flags() & flag::WAITS != 0));
        let surplus = (session.expected.len() + 1).saturating_sub(MOST_EXPECTED);
        let oldest: Vec<EntryIndex> = session.expected.drain(..surplus).collect();
        for index in oldest {
            self.connections.remove(&mut self.destinations, index);
        }
    }

    /// Whether a packet of no connection is the first of one that was expected: then that is complete now.
    #[inline]
    pub(crate) fn begin_expected(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
    ) -> Option<Verdict> {
        if self.connections.sessions.waiting == 0 {
            return None;
        }
        self.meet_expected(arrival, packet, ports, signal)
    }

    #[inline(never)] // as for `schedule`
    fn meet_expected(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
    ) -> Option<Verdict> {
        if let Some(index) = self.meet_client(arrival, ports) {
            return Some(match self.standby {
                true => Verdict::Pass,
                false => self.inbound(arrival, packet, ports, signal, index),
            });
        }
        let index = self.meet_server(arrival, ports)?;
        Some(self.outbound(arrival, packet, signal, index))
    }

    /// The connection to which a client comes: it gets its port. As in the kernel any packet will do.
    fn meet_client(&mut self, arrival: Arrival<'_>, ports: Ports) -> Option<EntryIndex> {
        let headers = arrival.headers;
        let table = &self.connections.table;
        let (index, entry) = table.lookup_in(&Key {
            ipv6: headers.is_ipv6(),
            template: false,
            protocol: headers.protocol,
            client: Address::from(headers.source),
            client_port: 0,
            virtual_address: Address::from(headers.destination),
            virtual_port: ports.destination,
        })?;
        if entry.flags() & flag::NO_CLIENT_PORT == 0 {
            return None;
        }
        table.set_client_port(index, ports.source).ok()?;
        self.connections.met(index);
        Some(index)
    }

    /// The connection with which a server comes from a port that was not known: it is entered anew with that port.
    fn meet_server(&mut self, arrival: Arrival<'_>, ports: Ports) -> Option<EntryIndex> {
        let headers = arrival.headers;
        let client = Address::from(headers.destination);
        let index = self.connections.table.find_out(
            headers.is_ipv6(),
            headers.protocol,
            client,
            ports.destination,
            |entry| {
                entry.flags() & flag::ANY_SERVER_PORT != 0
                    && self
                        .destinations
                        .get(DestinationIndex(entry.destination()))
                        .is_some_and(|destination| destination.id.address == headers.source)
            },
        )?;
        let control = self.connections.controller_of(index)?;
        let expected = self.connections.table.entry(index)?.snapshot()?;
        let new = NewConnection {
            key: Key { virtual_port: ports.source, ..expected.key },
            destination: expected.destination,
            destination_port: ports.source,
            flags: expected.flags & !flag::WAITS,
            state: expected.state,
            timeout: expected.timeout,
        };
        self.connections.remove(&mut self.destinations, index);
        self.enter_data(arrival.now, control, &new)
    }
}
