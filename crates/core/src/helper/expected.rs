//! Data connections: expected by a helper, they stand in the connection table as the kernel's do, in state LISTEN and under
//! the control of their control connection, until their first packet tells the port that was not known.

use std::net::IpAddr;

use ipvs_flow::tcp::State;
use ipvs_flow::{Address, EntryIndex, Key, NewConnection, udp};
use ipvs_wire::Ports;

use super::Expectation;
use super::local_port::{may_be_replaced, waiting_at};
use super::session::MOST_EXPECTED;
use crate::connections::{flag, tick};
use crate::destination::{Bound, DestinationIndex};
use crate::director::Director;
use crate::forward::Ends;
use crate::local_pool::{End, Way};
use crate::packet::Packet;
use crate::protocol::{Signal, TCP};
use crate::receive::Arrival;
use crate::time::Instant;
use crate::verdict::Verdict;

/// An expected connection, as it stands in the table.
pub(super) struct Awaited {
    pub(super) key: Key,
    pub(super) destination_port: u16,
    /// The flag that tells which port is not known.
    waits: u16,
}

impl Awaited {
    /// What a control connection with that key expects; `None` if there can be no such connection.
    pub(super) fn of(control: Key, ends: &Ends, expectation: &Expectation) -> Option<Self> {
        let (client, virtual_port, destination_port, waits) = match *expectation {
            Expectation::Client { port: 0 } => return None,
            Expectation::Client { port } => {
                ((control.client.to_ip(control.ipv6), 0), port, port, flag::NO_CLIENT_PORT)
            }
            Expectation::Server { client, port_below, .. } => {
                let below = |port: u16| if port_below { port.wrapping_sub(1) } else { 0 };
                (client, below(ends.virtual_port), below(ends.server_port), flag::ANY_SERVER_PORT)
            }
        };
        let key = Key { client: Address::from(client.0), client_port: client.1, virtual_port, ..control };
        Some(Self { key, destination_port, waits })
    }
}

/// With full NAT, from where a data connection goes to its server.
#[derive(Clone, Copy)]
enum LocalEnd {
    /// A port that is yet to be taken.
    Any(IpAddr),
    /// One that was taken.
    Taken(End),
    /// That of the control connection, which is yet to be taken towards another port of the server.
    Control(End),
}

impl LocalEnd {
    fn of(ends: &Ends, expectation: &Expectation) -> Option<Self> {
        let local = ends.local?;
        Some(match *expectation {
            Expectation::Client { .. } => Self::Any(local.0),
            Expectation::Server { local_port: Some(port), .. } => Self::Taken((local.0, port)),
            Expectation::Server { local_port: None, .. } => Self::Control(local),
        })
    }
}

impl Director {
    /// Enters a connection that a control connection, with that key, expects; one that is there already begins its time anew if nothing came by it yet.
    pub(super) fn expect(
        &mut self,
        now: Instant,
        (control, key): (EntryIndex, Key),
        ends: &Ends,
        expectation: &Expectation,
    ) {
        let Some(awaited) = Awaited::of(key, ends, expectation) else { return };
        // Whoever comes to the port of the control connection has another such, as in the kernel.
        let helped = if awaited.key.virtual_port == ends.virtual_port { flag::HELPED } else { 0 };
        let (state, timeout) = match key.protocol {
            TCP => (State::Listen as u8, self.timeouts.tcp(State::Listen)),
            _ => (udp::STATE, self.timeouts.udp()),
        };
        let new = NewConnection {
            key: awaited.key,
            destination: ends.destination.0,
            destination_port: awaited.destination_port,
            flags: ends.flags & (flag::METHOD | flag::NO_OUTPUT | flag::TRANSLATED)
                | flag::INACTIVE
                | awaited.waits
                | helped,
            state,
            timeout,
        };
        let from = LocalEnd::of(ends, expectation);
        if let Some((index, entry)) = self.connections.table.lookup_in(&new.key) {
            let (waits, replaceable) = (entry.flags() & flag::WAITS != 0, may_be_replaced(&entry));
            match from {
                // The server was told of another port than before.
                Some(LocalEnd::Taken(local)) if self.connections.local_of(index) != Some(local) => {
                    if !replaceable {
                        return self.connections.pools.give_back(way(&new, local.0, ends), local.1);
                    }
                    self.connections.remove(&mut self.destinations, index);
                }
                _ => {
                    if waits {
                        self.connections.restart(index, tick(now), timeout);
                    }
                    return;
                }
            }
        }
        self.limit_expected(control);
        let service = self.destinations.get(ends.destination).and_then(|it| self.services.get(it.service?));
        if let Some(service) = service {
            self.make_room(service.is_persistent(), false);
        }
        let server = (ends.server_address, new.destination_port);
        // One in its handshake may have given way.
        let is_there = self.connections.sessions.get_mut(control).is_some();
        let entered = match from {
            Some(LocalEnd::Taken(local)) if !is_there => {
                return self.connections.pools.give_back(way(&new, local.0, ends), local.1);
            }
            _ if !is_there => return,
            None => self.connections.insert(tick(now), &new).ok(),
            Some(LocalEnd::Any(local)) => self.enter_translated_at(now, &new, local, server),
            Some(LocalEnd::Taken(local)) => self.enter_translated_from(now, &new, local, server),
            Some(LocalEnd::Control(local)) => {
                match self.connections.pools.retake(way(&new, local.0, ends), local.1) {
                    Some(_) => self.enter_translated_from(now, &new, local, server),
                    None => None,
                }
            }
        };
        self.put_under_control(entered, Some(control));
    }

    /// Counts a data connection that was entered, and puts it under its control connection. A full table has no room for it, or a pool
    /// no port: then the client's packet will find no connection either.
    fn put_under_control(
        &mut self,
        data: Option<EntryIndex>,
        control: Option<EntryIndex>,
    ) -> Option<EntryIndex> {
        let index = data?;
        self.destinations.bind(self.connections.destination_of(index)?, Bound::Inactive);
        if let Some(control) = control {
            self.connections.put_under_connection(index, control);
            if let Some(session) = self.connections.sessions.get_mut(control) {
                session.expected.push_back(index);
            }
        }
        self.unsettle(index, true);
        Some(index)
    }

    /// Whether any connection is expected.
    #[inline]
    pub(crate) fn expects_any(&self) -> bool {
        self.connections.sessions.waiting != 0
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

    /// Whether a packet of no connection is the first of one that was [expected](Director::expects_any): then that is complete now.
    #[inline(never)] // as for `schedule`
    pub(crate) fn begin_expected(
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
        let table = &self.connections.table;
        let to = (headers.destination, ports.destination);
        let masqueraded = || {
            table.find_out(headers.is_ipv6(), headers.protocol, to.0.into(), to.1, |entry| {
                entry.flags() & (flag::ANY_SERVER_PORT | flag::TRANSLATED) == flag::ANY_SERVER_PORT
                    && self
                        .destinations
                        .get(DestinationIndex(entry.destination()))
                        .is_some_and(|destination| destination.id.address == headers.source)
            })
        };
        let translated = || waiting_at(table, headers.protocol, to, headers.source.into());
        let index = self.connections.answered(masqueraded().or_else(translated)?)?;
        // None after a restart.
        let control = self.connections.controller_of(index);
        let expected = self.connections.table.entry(index)?.snapshot()?;
        let new = NewConnection {
            key: Key { virtual_port: ports.source, ..expected.key },
            destination: expected.destination,
            destination_port: ports.source,
            flags: expected.flags & !flag::WAITS,
            state: expected.state,
            timeout: expected.timeout,
        };
        let now = arrival.now;
        let data = match self.connections.local_of(index) {
            None => {
                self.connections.remove(&mut self.destinations, index);
                self.connections.insert(tick(now), &new).ok()
            }
            Some(local) => {
                let server = (headers.source, ports.source);
                let way = Way { protocol: headers.protocol, local: local.0, server };
                // No connection of the table has it, or the packet would be of that one.
                self.connections.pools.retake(way, local.1)?;
                self.connections.remove(&mut self.destinations, index);
                self.enter_translated_from(now, &new, local, server)
            }
        };
        self.put_under_control(data, control)
    }
}

/// The ports among which that of a data connection is.
fn way(new: &NewConnection, local: IpAddr, ends: &Ends) -> Way {
    Way { protocol: new.key.protocol, local, server: (ends.server_address, new.destination_port) }
}
