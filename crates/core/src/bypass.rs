//! `cache_bypass`: what a mark service has no destination for goes past it, to the packet's own destination. A transparent
//! proxy's clients then reach the servers themselves while no proxy runs.
//!
//! Kernel behaviour, experiment `cache_bypass.py`: of mark services alone; such a connection has no destination, moves
//! through the states as any other, is counted nowhere and lives on when a destination comes.

use std::net::IpAddr;

use ipvs_flow::tcp::Direction;
use ipvs_flow::{Address, EntryIndex, Key, NewConnection, ticks};
use ipvs_wire::Ports;
use ipvs_wire::icmp_error::ErrorKind;

use crate::command::{ForwardingMethod, ServiceFlags, ServiceId};
use crate::connections::{flag, tick};
use crate::destination::DestinationIndex;
use crate::director::Director;
use crate::forward;
use crate::host::{AddressKind, Host};
use crate::icmp;
use crate::packet::Packet;
use crate::protocol::{Signal, UDP};
use crate::receive::Arrival;
use crate::schedule::{Refusal, UNSET_TIMEOUT};
use crate::service::ServiceIndex;
use crate::sysctl::Sysctl;
use crate::verdict::{Reason, Verdict};

/// The destination of connections that have none.
pub(crate) const NONE: DestinationIndex = DestinationIndex(u32::MAX);

impl Director {
    /// What becomes of a packet that may start a connection, but for which its service has no destination: it goes past
    /// the service, or its sender is told.
    #[cold]
    pub(crate) fn without_server(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        ports: Ports,
        signal: Signal,
        service: ServiceIndex,
    ) -> Verdict {
        let headers = arrival.headers;
        if !self.bypasses(arrival.host, service, headers.destination) {
            let source = headers.destination;
            return icmp::answer(packet, source, ErrorKind::PortUnreachable, Reason::NoDestination);
        }
        let service = self.services.get(service);
        let once = service.is_some_and(|service| service.flags.contains(ServiceFlags::ONE_PACKET));
        if once && headers.protocol == UDP {
            return self.pass_by(arrival, packet);
        }
        match self.enter_bypass(arrival, ports) {
            Ok(index) => self.bypassed(arrival, packet, signal, index),
            Err(refusal) => Verdict::Drop(refusal.reason()),
        }
    }

    /// Whether a packet to `address` goes past `service` if that has no destination.
    fn bypasses(&self, host: &dyn Host, service: ServiceIndex, address: IpAddr) -> bool {
        let by_mark =
            self.services.get(service).is_some_and(|service| matches!(service.id, ServiceId::Mark { .. }));
        by_mark
            && self.sysctls.value(Sysctl::CacheBypass) != 0
            && match address {
                IpAddr::V4(_) => {
                    host.address_kind(address) == AddressKind::Unicast && !self.interests.is_virtual(address)
                }
                // By the address alone: what is for the director makes a connection too, and is dropped.
                IpAddr::V6(address) => !address.is_multicast() && !address.is_unspecified(),
            }
    }

    fn enter_bypass(&mut self, arrival: Arrival<'_>, ports: Ports) -> Result<EntryIndex, Refusal> {
        let headers = arrival.headers;
        let new = NewConnection {
            key: Key {
                ipv6: headers.is_ipv6(),
                template: false,
                protocol: headers.protocol,
                client: Address::from(headers.source),
                client_port: ports.source,
                virtual_address: Address::from(headers.destination),
                virtual_port: ports.destination,
            },
            destination: NONE.0,
            destination_port: 0,
            flags: u16::from(ForwardingMethod::BYPASS.0),
            state: 0,
            timeout: ticks(UNSET_TIMEOUT),
        };
        Ok(self.connections.insert(tick(arrival.now), &new)?)
    }

    /// A packet from the client of a connection that has no destination.
    #[cold]
    pub(crate) fn bypassed(
        &mut self,
        arrival: Arrival<'_>,
        packet: &mut Packet<'_>,
        signal: Signal,
        index: EntryIndex,
    ) -> Verdict {
        if !self.is_bypass(index) {
            return Verdict::Drop(Reason::DestinationUnavailable);
        }
        self.advance(arrival.now, index, signal, Direction::Input);
        self.pass_by(arrival, packet)
    }

    /// Whether it is a connection past its service.
    pub(crate) fn is_bypass(&self, index: EntryIndex) -> bool {
        let entry = self.connections.table.entry(index);
        entry.is_some_and(|entry| entry.flags() & flag::METHOD == u16::from(ForwardingMethod::BYPASS.0))
    }

    /// Sends a packet, or an error about one, to its own destination. Errors of ours leave for IPv6 alone: those of the
    /// kernel have the packet's destination for their source, which for IPv4 is no address of the host.
    pub(crate) fn pass_by(&self, arrival: Arrival<'_>, packet: &mut Packet<'_>) -> Verdict {
        let Arrival { host, headers, .. } = arrival;
        let next = headers.destination;
        if host.address_kind(next) == AddressKind::Local || self.interests.is_virtual(next) {
            return Verdict::Drop(Reason::NoRoute);
        }
        let reporter = next.is_ipv6().then(|| host.source_address(headers.source)).flatten();
        match forward::towards_server(arrival, packet, next, reporter) {
            Ok(()) => Verdict::Forward { next },
            Err(verdict) => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use ipvs_wire::{Headers, transport};

    use super::*;
    use crate::command::{Command, ConnectionInfo, Reply};
    use crate::scheduler::testing::{Bench, TestHost, settings, weight};

    const CLIENT: [u8; 4] = [10, 1, 0, 2];
    const OTHER: [u8; 4] = [192, 0, 2, 9];

    fn id() -> ServiceId {
        ServiceId::Mark { ipv6: false, mark: 7 }
    }

    fn bench(id: ServiceId, flags: u32) -> Bench {
        let netmask = if id.is_ipv6() { 128 } else { u32::MAX };
        let config = crate::ServiceConfig { flags, netmask, ..settings("rr") };
        let mut bench = Bench::new();
        bench.run(Command::AddService(id, config)).unwrap();
        bench.run(Command::SetSysctl(Sysctl::CacheBypass, vec![1])).unwrap();
        bench
    }

    fn segment(to: [u8; 4], flags: u8, ttl: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4(CLIENT, to, ttl).tcp(4000, 80, 1, 1);
        let builder = if flags & 2 != 0 { builder.syn() } else { builder };
        let builder = if flags & 1 != 0 { builder.fin() } else { builder };
        let builder = if flags & 4 != 0 { builder.rst() } else { builder };
        let builder = if flags & 16 != 0 { builder.ack(9) } else { builder };
        builder.write(&mut bytes, b"").unwrap();
        bytes
    }

    fn datagram(to: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(CLIENT, to, 64).udp(4001, 53).write(&mut bytes, b"x").unwrap();
        bytes
    }

    /// A packet for which the service has no destination.
    fn refused(bench: &mut Bench, id: ServiceId, bytes: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buffer = [0; 600];
        buffer[..bytes.len()].copy_from_slice(bytes);
        let mut packet = Packet::new(&mut buffer, 0, bytes.len());
        let headers = Headers::parse(bytes).unwrap();
        let arrival = Arrival { now: bench.now, host: &TestHost, headers: &headers };
        let ports = transport::ports(bytes, &headers).unwrap();
        let signal = Signal::read(bytes, &headers).unwrap().unwrap();
        let service = bench.find(id);
        let verdict = bench.director.without_server(arrival, &mut packet, ports, signal, service);
        (verdict, packet.as_slice().to_vec())
    }

    fn receive(bench: &mut Bench, bytes: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buffer = [0; 600];
        buffer[..bytes.len()].copy_from_slice(bytes);
        let mut packet = Packet::new(&mut buffer, 0, bytes.len());
        let verdict = bench.director.receive(bench.now, &TestHost, &mut packet);
        (verdict, packet.as_slice().to_vec())
    }

    fn listed(bench: &mut Bench) -> Vec<ConnectionInfo> {
        match bench.run(Command::ListConnections { cursor: 0, limit: 10 }) {
            Ok(Reply::Connections { items, .. }) => items,
            other => panic!("{other:?}"),
        }
    }

    fn past() -> Verdict {
        Verdict::Forward { next: IpAddr::from(OTHER) }
    }

    #[test]
    fn a_connection_passes_its_service_and_moves_through_the_states() {
        let mut bench = bench(id(), 0);
        let (verdict, sent) = refused(&mut bench, id(), &segment(OTHER, 2, 64));
        assert_eq!((verdict, sent), (past(), segment(OTHER, 2, 63)));
        let entered = listed(&mut bench);
        let [it] = entered.as_slice() else { panic!("{entered:?}") };
        assert_eq!((it.destination, it.destination_port), (IpAddr::from([0; 4]), 0));
        assert_eq!((it.virtual_address, it.virtual_port), (IpAddr::from(OTHER), 80));
        assert_eq!((it.state, it.expires), ("SYN_RECV", 60));
        assert_eq!(receive(&mut bench, &segment(OTHER, 16, 64)).0, past());
        assert_eq!(listed(&mut bench)[0].state, "ESTABLISHED");
        // A destination that comes, and one that goes with `expire_nodest_conn`, change nothing for it.
        bench.run(Command::SetSysctl(Sysctl::ExpireNodestConn, vec![1])).unwrap();
        bench.add(id(), 1, weight(1)).unwrap();
        bench.delete(id(), 1).unwrap();
        bench.pass(2);
        assert_eq!(receive(&mut bench, &segment(OTHER, 16, 64)).0, past());
        assert_eq!(bench.director.stats().counters, crate::Counters::default());
        assert_eq!(receive(&mut bench, &segment(OTHER, 16, 1)).0, Verdict::Drop(Reason::HopLimitExceeded));
        // As if the server's packets were seen.
        assert_eq!(receive(&mut bench, &segment(OTHER, 17, 64)).0, past());
        assert_eq!(listed(&mut bench)[0].state, "CLOSE_WAIT");
        assert_eq!(receive(&mut bench, &segment(OTHER, 4, 64)).0, past());
        bench.pass(11);
        assert!(listed(&mut bench).is_empty());
    }

    /// From the rule that marks packets to a network on: which errors leave, and that nothing else is taken.
    #[test]
    fn packets_to_a_marked_network_and_errors_about_them() {
        let mut bench = bench(id(), 0);
        bench.run(Command::SetSysctl(Sysctl::CacheBypass, vec![0])).unwrap();
        assert_eq!(receive(&mut bench, &segment(OTHER, 2, 64)).0, Verdict::Pass);
        let rule = crate::MarkRule {
            protocol: 6,
            network: IpAddr::from([192, 0, 2, 0]),
            prefix: 24,
            ports: vec![crate::PortRange { first: 80, last: 80 }],
            mark: 7,
        };
        bench.run(Command::AddMark(rule)).unwrap();
        // The kernel is silent where the address is not the director's.
        let silent = Verdict::Drop(Reason::NoDestination);
        assert_eq!(receive(&mut bench, &segment(OTHER, 2, 64)).0, silent);
        bench.run(Command::SetSysctl(Sysctl::CacheBypass, vec![1])).unwrap();
        assert_eq!(receive(&mut bench, &segment(OTHER, 2, 64)).0, past());
        bench.run(Command::SetSysctl(Sysctl::CacheBypass, vec![0])).unwrap();
        bench.add(id(), 1, weight(1)).unwrap();
        let to = |address: [u8; 4]| Verdict::Forward { next: IpAddr::from(address) };
        assert_eq!(receive(&mut bench, &segment([192, 0, 2, 10], 2, 64)).0, to([10, 8, 0, 1]));
        let late = Verdict::Drop(Reason::HopLimitExceeded);
        assert_eq!(receive(&mut bench, &segment([192, 0, 2, 10], 16, 1)).0, late);
        assert_eq!(receive(&mut bench, &datagram([192, 0, 2, 10])).0, Verdict::Pass);
    }

    #[test]
    fn errors_about_it_pass_as_they_are() {
        let mut bench = bench(id(), 0);
        refused(&mut bench, id(), &datagram(OTHER));
        let mut quoted = Vec::new();
        PacketBuilder::ipv4(OTHER, CLIENT, 64).udp(53, 4001).write(&mut quoted, b"x").unwrap();
        let mut bytes = Vec::new();
        let kind =
            etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port);
        PacketBuilder::ipv4([10, 1, 0, 254], OTHER, 64).icmpv4(kind).write(&mut bytes, &quoted).unwrap();
        let (verdict, sent) = receive(&mut bench, &bytes);
        assert_eq!((verdict, &sent[20..]), (past(), &bytes[20..]));
        // The server's answer is not ours.
        assert_eq!(receive(&mut bench, &quoted).0, Verdict::Pass);
    }

    #[test]
    fn datagrams_of_a_one_packet_service_leave_no_connection() {
        let mut bench = bench(id(), ServiceFlags::ONE_PACKET);
        assert_eq!(refused(&mut bench, id(), &datagram(OTHER)).0, past());
        assert!(listed(&mut bench).is_empty());
        assert_eq!(refused(&mut bench, id(), &segment(OTHER, 2, 64)).0, past());
        assert_eq!(listed(&mut bench).len(), 1);
    }

    #[test]
    fn only_marks_and_addresses_of_others_with_the_setting() {
        let told = Verdict::Reply(Reason::NoDestination);
        let mut bench = bench(id(), 0);
        // An address of the director; none of a host.
        assert_eq!(refused(&mut bench, id(), &datagram([10, 9, 0, 1])).0, told);
        assert_eq!(
            refused(&mut bench, id(), &datagram([224, 0, 0, 9])).0,
            Verdict::Drop(Reason::NoDestination)
        );
        let address = ServiceId::Address { protocol: 17, address: IpAddr::from(OTHER), port: 53 };
        bench.run(Command::AddService(address, settings("rr"))).unwrap();
        assert_eq!(refused(&mut bench, address, &datagram(OTHER)).0, told);
        // As an address of the director: a virtual one that another service has.
        assert_eq!(refused(&mut bench, id(), &datagram(OTHER)).0, told);
        bench.run(Command::DeleteService(address)).unwrap();
        bench.run(Command::SetSysctl(Sysctl::CacheBypass, vec![0])).unwrap();
        assert_eq!(refused(&mut bench, id(), &datagram(OTHER)).0, told);
        assert!(listed(&mut bench).is_empty());
    }

    #[test]
    fn an_ipv6_connection_to_the_director_is_made_and_leads_nowhere() {
        let id = ServiceId::Mark { ipv6: true, mark: 7 };
        let mut bench = bench(id, 0);
        let to = |address: std::net::Ipv6Addr| {
            let mut bytes = Vec::new();
            let client = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
            PacketBuilder::ipv6(client, address.octets(), 64).udp(4001, 53).write(&mut bytes, b"x").unwrap();
            bytes
        };
        let nowhere = Verdict::Drop(Reason::NoRoute);
        assert_eq!(refused(&mut bench, id, &to(std::net::Ipv6Addr::LOCALHOST)).0, nowhere);
        assert_eq!(listed(&mut bench)[0].destination, IpAddr::from([0; 16]));
        let next = "2001:db8::9".parse().unwrap();
        let forward = Verdict::Forward { next: IpAddr::V6(next) };
        assert_eq!(refused(&mut bench, id, &to(next)).0, forward);
        // Not for a service by address.
        let by_address = ServiceId::Address { protocol: 17, address: next.into(), port: 53 };
        let config = crate::ServiceConfig { netmask: 128, ..settings("rr") };
        bench.run(Command::AddService(by_address, config)).unwrap();
        let told = Verdict::Reply(Reason::NoDestination);
        assert_eq!(refused(&mut bench, by_address, &to(next)).0, told);
    }
}
