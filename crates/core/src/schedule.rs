//! The first packet of a connection: service, scheduler, new entry.

use ipvs_flow::{Address, EntryIndex, InsertError, Key, NewConnection, ticks};
use ipvs_wire::Ports;
use ipvs_wire::icmp_error::ErrorKind;

use crate::command::ForwardingMethod;
use crate::connections::{flag, tick};
use crate::destination::{Bound, DestinationIndex};
use crate::director::Director;
use crate::icmp;
use crate::packet::Packet;
use crate::protocol::Signal;
use crate::receive::Arrival;
use crate::scheduler::Flow;
use crate::service::ServiceIndex;
use crate::time::Instant;
use crate::verdict::{Reason, Verdict};

/// Source port of FTP data connections: a packet from it is never scheduled, not even a datagram (seen).
const FTP_DATA: u16 = 20;

/// Timeout of an entry until its first packet sets its state's: the kernel's 3 seconds.
const UNSET_TIMEOUT: u32 = 3;

impl Director {
    /// Gives a packet that belongs to no connection to a destination, if it is for a virtual service and may start
    /// a connection.
    pub(crate) fn schedule(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
    ) -> Verdict {
        let headers = arrival.headers;
        if !signal.starts_connection() || ports.source == FTP_DATA {
            return Verdict::Pass;
        }
        let protocol = u16::from(headers.protocol);
        let Some(service) = self.services.find(protocol, headers.destination, ports.destination, 0) else {
            return Verdict::Pass;
        };
        if !self.services.get(service).is_some_and(|service| service.serves_port(ports.destination)) {
            return Verdict::Pass;
        }
        let flow = Flow {
            source: headers.source,
            source_port: ports.source,
            destination: headers.destination,
            destination_port: ports.destination,
        };
        let Some(destination) = self.choose(service, &flow) else {
            return icmp::answer(
                packet,
                headers.destination,
                ErrorKind::PortUnreachable,
                Reason::NoDestination,
            );
        };
        match self.connect(arrival.now, headers.protocol, &flow, destination) {
            Ok(index) => self.inbound(arrival, packet, signal, index),
            Err(InsertError::ChainFull) => Verdict::Drop(Reason::ClientPortFull),
            Err(_) => Verdict::Drop(Reason::TableFull),
        }
    }

    /// Asks the service's scheduler.
    fn choose(&mut self, service: ServiceIndex, flow: &Flow) -> Option<DestinationIndex> {
        let service = self.services.get_mut(service)?;
        service.schedule(&self.destinations, flow)
    }

    /// Enters a new connection to `destination` and counts it.
    fn connect(
        &mut self,
        now: Instant,
        protocol: u8,
        flow: &Flow,
        index: DestinationIndex,
    ) -> Result<EntryIndex, InsertError> {
        let destination = self.destinations.get(index).ok_or(InsertError::TableFull)?;
        let method = destination.config.forwarding;
        let output = if method == ForwardingMethod::MASQUERADE { 0 } else { flag::NO_OUTPUT };
        let port = destination.id.port;
        let entry = self.connections.insert(
            tick(now),
            &NewConnection {
                key: Key {
                    ipv6: flow.source.is_ipv6(),
                    template: false,
                    protocol,
                    client: Address::from(flow.source),
                    client_port: flow.source_port,
                    virtual_address: Address::from(flow.destination),
                    virtual_port: flow.destination_port,
                },
                destination: index.0,
                destination_port: if port == 0 { flow.destination_port } else { port },
                flags: u16::from(method.0) & flag::METHOD | output | flag::INACTIVE,
                state: 0,
                timeout: ticks(UNSET_TIMEOUT),
            },
        )?;
        self.unsettle(entry, true);
        self.destinations.bind(index, Bound::Inactive);
        self.count(index, |counters| counters.connections += 1);
        Ok(entry)
    }
}
