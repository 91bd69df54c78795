//! Persistence: templates, which keep a client (or its network) on one destination (spec section 9).
//!
//! A template is an entry of the connection table without packets. It names the destination for what its key says: one
//! port of a virtual address, or all ports of it (FTP, services for all ports), or all that has a firewall mark.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_flow::{Address, EntryIndex, InsertError, Key, NewConnection, ticks};

use crate::command::ServiceId;
use crate::connections::{flag, tick};
use crate::destination::{Bound, DestinationIndex};
use crate::director::Director;
use crate::explain::describe;
use crate::schedule::{Refusal, Route};
use crate::scheduler::Flow;
use crate::service::{FTP, Service, ServiceIndex};
use crate::sysctl::Sysctl;
use crate::template_data::Caller;
use crate::time::Instant;

/// State of a template: nothing came through yet.
const NONE: u8 = 0;
/// State of a template: one of its connections was established.
const ASSURED: u8 = 1;

/// The protocol in the templates of mark services, for they serve all.
const ANY_PROTOCOL: u8 = 0;

/// The longest life of a template in ticks: the connection table compares times over 104 days.
const LONGEST: u32 = i32::MAX as u32 / 2;

/// The state's name as the kernel prints it.
pub(crate) fn state_name(state: u8) -> &'static str {
    if state == NONE { "NONE" } else { "ASSURED" }
}

/// Whether a template's state says that one of its connections was established.
pub(crate) fn is_assured(state: u8) -> bool {
    state != NONE
}

impl Director {
    /// Where a packet to a persistent service goes: where the template of its client says, or a new one to the
    /// destination that the scheduler chooses. The template's timer starts again. An overloaded destination keeps its clients.
    ///
    /// With a persistence engine each of its data has a template of its own, still by client network; a packet without is
    /// refused (seen, `conformance/experiments/sip.py`).
    pub(crate) fn persist(
        &mut self,
        service: ServiceIndex,
        protocol: u8,
        flow: &Flow,
        payload: &[u8],
    ) -> Result<Route, Refusal> {
        let settings = self.services.get(service).ok_or(Refusal::NoDestination)?;
        let caller = match settings.persistence_engine {
            Some(_) => {
                Some(settings.caller(protocol, flow.source, payload).ok_or(Refusal::NoPersistenceData)?)
            }
            None => None,
        };
        let key = self.key_for(caller, template_key(settings, protocol, flow));
        // The server's own port, where the packet is to the service's own.
        let (own_port, timeout) = (settings.own_port(), lifetime(settings.timeout));
        let template = match self.valid_template(&key, caller) {
            Some(template) => {
                self.note(|it| it.describe_template(tick(flow.now), template));
                template
            }
            None => {
                self.note(|_| describe::no_template());
                let destination = self.choose(service, flow).ok_or(Refusal::NoDestination)?;
                let one_port = is_for_one_port(own_port, flow);
                let port = self.destinations.get(destination).map_or(0, |destination| destination.id.port);
                let port = if one_port { port } else { 0 };
                self.enter_template(flow.now, key, caller, (destination, port), timeout)?
            }
        };
        let entry = self.connections.table.entry(template).ok_or(Refusal::NoDestination)?;
        let (destination, timeout) = (DestinationIndex(entry.destination()), entry.timeout());
        self.connections.restart(template, tick(flow.now), timeout);
        let server_port = self.destinations.get(destination).map_or(0, |destination| destination.id.port);
        let to_own = own_port == Some(flow.destination_port) && server_port != 0;
        let port = if to_own { server_port } else { flow.destination_port };
        Ok(Route { destination, port, template: Some(template), one_packet: false })
    }

    /// The key of the template for `caller`, if a persistence engine has part in it: as `key`, of its client.
    pub(crate) fn key_for(&self, caller: Option<Caller<'_>>, key: Key) -> Key {
        match caller {
            Some(caller) => Key { client: caller.address(self.config.hash_key()), ..key },
            None => key,
        }
    }

    /// The template with that key, if its destination still serves. One that is no longer valid is taken out of the
    /// hash: it lives on until the connections that it controls have ended.
    pub(crate) fn valid_template(&mut self, key: &Key, caller: Option<Caller<'_>>) -> Option<EntryIndex> {
        let (index, entry) = self.connections.table.lookup_in(key)?;
        let quiescent_expire = self.sysctls.value(Sysctl::ExpireQuiescentTemplate) != 0;
        let destination = self.destinations.get(DestinationIndex(entry.destination()));
        // Two callers of one hash are not to be expected; the later takes the template's place.
        let same = caller.is_none_or(|caller| self.connections.template_data.is_of(index, caller));
        let valid = same
            && destination.is_some_and(|destination| {
                destination.available && !(quiescent_expire && destination.config.weight == 0)
            });
        if valid {
            return Some(index);
        }
        self.note(|it| it.describe_invalid_template(index));
        self.connections.table.unhook(index);
        None
    }

    /// Enters a template for a destination and its port.
    pub(crate) fn enter_template(
        &mut self,
        now: Instant,
        key: Key,
        caller: Option<Caller<'_>>,
        (index, destination_port): (DestinationIndex, u16),
        timeout: u32,
    ) -> Result<EntryIndex, InsertError> {
        let destination = self.destinations.get(index).ok_or(InsertError::TableFull)?;
        let template = self.connections.insert(
            tick(now),
            &NewConnection {
                key,
                destination: index.0,
                destination_port,
                flags: u16::from(destination.config.forwarding.0)
                    | if caller.is_some() { flag::OF_ENGINE } else { 0 },
                state: NONE,
                timeout,
            },
        )?;
        self.destinations.bind(index, Bound::Template);
        if let Some(caller) = caller {
            self.connections.template_data.keep(template, caller);
        }
        Ok(template)
    }

    /// Notes at a connection's template that the connection was established.
    #[cold]
    pub(crate) fn assure(&mut self, connection: EntryIndex) {
        if let Some(template) = self.connections.template_of(connection) {
            self.assure_template(template);
        }
    }

    /// Notes at a template that a connection of it was established.
    pub(crate) fn assure_template(&self, template: EntryIndex) {
        if let Some(entry) = self.connections.table.change(template) {
            entry.set_state(ASSURED);
        }
    }
}

/// Whether the template for a packet to a service of that port is for this port alone: not for FTP, whatever the
/// protocol (seen with UDP).
fn is_for_one_port(own: Option<u16>, flow: &Flow) -> bool {
    own.is_some_and(|port| port == flow.destination_port && port != FTP)
}

impl Service {
    /// Who a packet from or to `client` is for the service's persistence engine; `None` if it has none or finds nothing.
    pub(crate) fn caller<'p>(&self, protocol: u8, client: IpAddr, payload: &'p [u8]) -> Option<Caller<'p>> {
        let engine = self.persistence_engine?;
        Some(Caller { network: network(client, self.netmask), engine, data: engine.data(protocol, payload)? })
    }
}

/// The key of the template for a packet to `service`, without persistence engine.
fn template_key(service: &Service, protocol: u8, flow: &Flow) -> Key {
    let (protocol, virtual_address, virtual_port) = match service.id {
        ServiceId::Mark { ipv6, mark } => (ANY_PROTOCOL, mark_address(ipv6, mark), 0),
        ServiceId::Address { port, .. } => {
            let port = if is_for_one_port(Some(port), flow) { port } else { 0 };
            (protocol, Address::from(flow.destination), port)
        }
    };
    Key {
        ipv6: flow.source.is_ipv6(),
        template: true,
        protocol,
        client: Address::from(network(flow.source, service.netmask)),
        client_port: 0,
        virtual_address,
        virtual_port,
    }
}

/// A firewall mark in the place of a virtual address.
fn mark_address(ipv6: bool, mark: u32) -> Address {
    if ipv6 { Ipv6Addr::from_bits(u128::from(mark) << 96).into() } else { Ipv4Addr::from_bits(mark).into() }
}

/// A client's network: by mask for IPv4, by prefix length for IPv6.
fn network(client: IpAddr, netmask: u32) -> IpAddr {
    match client {
        IpAddr::V4(client) => Ipv4Addr::from_bits(client.to_bits() & netmask).into(),
        IpAddr::V6(client) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(netmask)).unwrap_or(0);
            Ipv6Addr::from_bits(client.to_bits() & mask).into()
        }
    }
}

/// A template's timeout in ticks.
pub(crate) fn lifetime(seconds: u32) -> u32 {
    if seconds < LONGEST / 239 { ticks(seconds) } else { LONGEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As listings of the reference kernel showed them.
    #[test]
    fn marks_and_networks() {
        let shown = |ipv6| mark_address(ipv6, 258).to_ip(ipv6).to_string();
        assert_eq!([shown(false), shown(true)], ["0.0.1.2", "0:102::"]);
        let network = |client: &str, mask| network(client.parse().unwrap(), mask).to_string();
        assert_eq!(network("10.1.2.3", 0xffff_ff00), "10.1.2.0");
        assert_eq!(network("10.1.2.3", 0), "0.0.0.0");
        assert_eq!(network("2001:db8:1:2:3::4", 64), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:3::4", 128), "2001:db8:1:2:3::4");
        assert_eq!(network("2001:db8:1:2:3::4", 0), "::");
        assert_eq!(network("2001:db8:1:2:3::4", 200), "2001:db8:1:2:3::4");
    }

    #[test]
    fn the_longest_life() {
        assert_eq!(lifetime(300), ticks(300));
        assert_eq!([lifetime(17_179_868), lifetime(u32::MAX)], [LONGEST; 2]);
        assert!(lifetime(4_000_000) < LONGEST);
    }
}
