//! Connections that servers begin: with a persistence engine that learns from servers, the first message of a call may come
//! from a server, and its client sees the virtual address (`conformance/experiments/sip.py`).

use ipvs_flow::{Address, EntryIndex, Key};
use ipvs_wire::Ports;

use crate::command::ServiceId;
use crate::connections::tick;
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::forward::masquerade;
use crate::packet::Packet;
use crate::persistence::lifetime;
use crate::protocol::Signal;
use crate::receive::{Arrival, Match};
use crate::schedule::{Refusal, Route, behind_header};
use crate::scheduler::Flow;
use crate::service::ServiceIndex;
use crate::template_data::Caller;
use crate::verdict::Verdict;

impl Director {
    /// Makes a connection of a packet from a masquerading server, of no connection so far, if the server's service has a
    /// persistence engine that learns from servers. Where a server serves several services, the one counts to which it was
    /// added last, with engine or not. `None`: the packet begins none. Only of use if any service has an engine.
    #[inline(never)] // as for `schedule`
    pub(crate) fn begin_by_server(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
    ) -> Option<Verdict> {
        let headers = arrival.headers;
        let server = self.destinations.newest(u16::from(headers.protocol), headers.source, ports.source)?;
        let index = self.destinations.get(server)?.service?;
        let service = self.services.get(index)?;
        if service.persistence_engine?.servers_begin() != Some(headers.protocol) {
            return None;
        }
        // A service for all ports or for a mark does not say what the client is to see.
        let ServiceId::Address { address, port: port @ 1.., .. } = service.id else { return None };
        // As its client would begin it.
        let flow = Flow {
            now: arrival.now,
            source: headers.destination,
            source_port: ports.destination,
            destination: address,
            destination_port: port,
        };
        let one_packet = service.is_one_packet(headers.protocol);
        let template = match service.is_persistent() {
            true => {
                let payload = behind_header(packet, headers);
                let caller = service.caller(headers.protocol, headers.destination, payload)?;
                Some(self.put_caller(index, headers.protocol, &flow, caller, (server, ports.source)))
            }
            false => None,
        };
        let outcome = template.transpose().and_then(|template| {
            let route = Route { destination: server, port: ports.source, template, one_packet };
            if one_packet {
                return Ok(self.forward_once_to_client(arrival, packet, &flow, &route));
            }
            let connection = self.connect_anew(headers.protocol, &flow, &route)?;
            Ok(self.outbound(arrival, packet, signal, connection))
        });
        Some(outcome.unwrap_or_else(|refusal| Verdict::Drop(refusal.reason())))
    }

    /// The template that keeps a caller at a server: the one that there is if it names that server, else a new one in its
    /// place. Unlike the templates of packets from clients it is for one port even if that is FTP's.
    fn put_caller(
        &mut self,
        service: ServiceIndex,
        protocol: u8,
        flow: &Flow,
        caller: Caller<'_>,
        server: (DestinationIndex, u16),
    ) -> Result<EntryIndex, Refusal> {
        let timeout = lifetime(self.services.get(service).ok_or(Refusal::NoDestination)?.timeout);
        let key = Key {
            ipv6: flow.source.is_ipv6(),
            template: true,
            protocol,
            client: caller.address(self.config.hash_key()),
            client_port: 0,
            virtual_address: Address::from(flow.destination),
            virtual_port: flow.destination_port,
        };
        if let Some(template) = self.valid_template(&key, Some(caller)) {
            let entry = self.connections.table.entry(template);
            if entry.is_some_and(|entry| entry.destination() == server.0.0) {
                self.connections.restart(template, tick(flow.now), timeout);
                return Ok(template);
            }
            self.connections.table.unhook(template);
        }
        Ok(self.enter_template(flow.now, key, Some(caller), server, timeout)?)
    }

    /// As [`Director::connect`]; a connection of the same client with another server ends, for the client's packets go to the
    /// newest.
    fn connect_anew(&mut self, protocol: u8, flow: &Flow, route: &Route) -> Result<EntryIndex, Refusal> {
        let client = (flow.source, flow.source_port);
        if let Some(Match::Inbound(other)) =
            self.find(protocol, client, (flow.destination, flow.destination_port))
        {
            self.connections.remove(&mut self.destinations, other);
        }
        Ok(self.connect(protocol, flow, route, None)?.index)
    }

    /// Forwards a datagram of a one-packet service to its client.
    fn forward_once_to_client(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        flow: &Flow,
        route: &Route,
    ) -> Verdict {
        self.once(flow, route, |director, ends| {
            let bytes = packet.len();
            let verdict = masquerade::to_client(arrival, packet, ends);
            if matches!(verdict, Verdict::Forward { .. } | Verdict::Deliver) {
                director.count_out(ends.destination, bytes);
                if let Some(template) = route.template {
                    director.assure_template(template);
                }
            }
            verdict
        })
    }
}
