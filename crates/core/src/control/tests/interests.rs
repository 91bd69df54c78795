//! What the packet filter is told.

use crate::command::{Command, DestinationId, ForwardingMethod, ServiceId};
use crate::destination::Bound::Inactive;
use crate::interest::{Interest, InterestChange::*};
use crate::scheduler::testing::{Bench, ip, server, settings, weight};

fn virtual_interest() -> Interest {
    Interest::Virtual { protocol: 6, address: ip("10.9.0.1"), port: 80 }
}

fn server_interest(i: u8, port: u16) -> Interest {
    Interest::Server { protocol: 6, address: server(i).address, port }
}

fn direct() -> crate::DestinationConfig {
    crate::DestinationConfig { forwarding: ForwardingMethod::DIRECT, ..weight(1) }
}

#[test]
fn life_of_a_service() {
    let (mut bench, id) = Bench::with("rr", &[1]);
    bench.add(id, 2, direct()).unwrap();
    assert_eq!(
        bench.director.take_interest_changes(),
        [Added(virtual_interest()), Added(server_interest(1, 80))]
    );
    bench.run(Command::DeleteService(id)).unwrap();
    // Until the trash is empty.
    bench.pass(179);
    assert!(bench.director.take_interest_changes().is_empty());
    assert_eq!(bench.director.interests(), [virtual_interest(), server_interest(1, 80)]);
    bench.pass(2);
    assert_eq!(
        bench.director.take_interest_changes(),
        [Removed(virtual_interest()), Removed(server_interest(1, 80))]
    );
    assert!(bench.director.interests().is_empty());
}

#[test]
fn change_of_method() {
    let (mut bench, id) = Bench::with("rr", &[1]);
    bench.director.take_interest_changes();
    bench.edit(id, 1, direct()).unwrap();
    assert_eq!(bench.director.take_interest_changes(), [Removed(server_interest(1, 80))]);
    bench.edit(id, 1, weight(1)).unwrap();
    assert_eq!(bench.director.take_interest_changes(), [Added(server_interest(1, 80))]);
    // Connections made while it masqueraded still need their replies.
    let index = bench.connect_from(id, ip("10.1.0.1"), Inactive).unwrap();
    bench.edit(id, 1, direct()).unwrap();
    bench.pass(100);
    assert!(bench.director.take_interest_changes().is_empty());
    bench.director.destinations.unbind(index, Inactive);
    bench.pass(2);
    assert_eq!(bench.director.take_interest_changes(), [Removed(server_interest(1, 80))]);
}

#[test]
fn errors_from_within_tunnels() {
    let tunneled = |kind, port| {
        let tunnel = crate::Tunnel { kind, port, flags: 0 };
        crate::DestinationConfig { forwarding: ForwardingMethod::TUNNEL, tunnel, ..weight(1) }
    };
    let quoting = |protocol, port| Interest::Server { protocol, address: server(1).address, port };
    let (mut bench, id) = Bench::with("rr", &[1]);
    bench.director.take_interest_changes();
    bench.edit(id, 1, tunneled(0, 0)).unwrap();
    assert_eq!(
        bench.director.take_interest_changes(),
        [Added(quoting(4, 0)), Removed(server_interest(1, 80))]
    );
    // Connections made in the former tunnel still need its errors.
    let index = bench.connect_from(id, ip("10.1.0.1"), Inactive).unwrap();
    bench.edit(id, 1, tunneled(1, 6080)).unwrap();
    assert_eq!(bench.director.take_interest_changes(), [Added(quoting(17, 6080))]);
    bench.director.destinations.unbind(index, Inactive);
    bench.pass(2);
    assert_eq!(bench.director.take_interest_changes(), [Removed(quoting(4, 0))]);
    bench.edit(id, 1, tunneled(2, 0)).unwrap();
    assert_eq!(bench.director.take_interest_changes(), [Removed(quoting(17, 6080)), Added(quoting(47, 0))]);
}

#[test]
fn ports() {
    let mut bench = Bench::new();
    let any = ServiceId::Address { protocol: 6, address: ip("10.9.0.1"), port: 0 };
    let one = ServiceId::Address { protocol: 6, address: ip("10.9.0.1"), port: 80 };
    let mark = ServiceId::Mark { ipv6: false, mark: 1 };
    for id in [any, one, mark] {
        bench.run(Command::AddService(id, settings("rr"))).unwrap();
        let portless = DestinationId { port: 0, ..server(1) };
        bench.run(Command::AddDestination(id, portless, weight(1))).unwrap();
    }
    let mut expected = vec![
        Interest::Virtual { protocol: 6, address: ip("10.9.0.1"), port: 0 },
        virtual_interest(),
        server_interest(1, 0),
        server_interest(1, 80),
    ];
    // Servers of mark services answer in all protocols; ESP and AH may follow their UDP (and TCP's is there already).
    let of_mark =
        [17, 132, 50, 51].map(|protocol| Interest::Server { protocol, address: server(1).address, port: 0 });
    expected.extend(of_mark);
    expected.push(Interest::Mark { ipv6: false, mark: 1 });
    expected.sort();
    assert_eq!(bench.director.interests(), expected);
}

/// A tunnel's far end leaves a mark service and returns to that of the other family: each service's interest ends with it.
#[test]
fn a_revived_server_of_the_other_family() {
    let mut bench = Bench::new();
    let [six, four] = [true, false].map(|ipv6| ServiceId::Mark { ipv6, mark: 1 });
    let netmask = |id: ServiceId| if id.is_ipv6() { 128 } else { u32::MAX };
    for id in [six, four] {
        let config = crate::ServiceConfig { netmask: netmask(id), ..settings("rr") };
        bench.run(Command::AddService(id, config)).unwrap();
    }
    let far = DestinationId { port: 0, ..server(1) };
    let tunnel = crate::DestinationConfig { forwarding: crate::ForwardingMethod::TUNNEL, ..weight(1) };
    bench.run(Command::AddDestination(six, far, tunnel)).unwrap();
    bench.run(Command::DeleteDestination(six, far)).unwrap();
    bench.run(Command::AddDestination(four, far, tunnel)).unwrap();
    bench.run(Command::DeleteService(six)).unwrap();
    let marks = bench.director.interests().into_iter().filter(|it| matches!(it, Interest::Mark { .. }));
    assert_eq!(marks.collect::<Vec<_>>(), [Interest::Mark { ipv6: false, mark: 1 }]);
}

#[test]
fn rules_that_mark_packets() {
    let mut bench = Bench::new();
    let rule = |ports: &[u16], mark| crate::MarkRule {
        protocol: 6,
        network: ip("10.9.0.1"),
        prefix: 32,
        ports: ports.iter().map(|&port| crate::PortRange { first: port, last: port }).collect(),
        mark,
    };
    let other = Interest::Virtual { protocol: 6, address: ip("10.9.0.1"), port: 443 };
    bench.run(Command::AddMark(rule(&[80, 443], 1))).unwrap();
    bench.run(Command::AddMark(rule(&[80], 2))).unwrap();
    assert_eq!(bench.run(Command::AddMark(rule(&[443, 80], 1))), Err(crate::Error::MarkRuleExists));
    assert_eq!(bench.director.take_interest_changes(), [Added(virtual_interest()), Added(other)]);
    // The second rule still asks for port 80.
    bench.run(Command::DeleteMark(rule(&[80, 443], 1))).unwrap();
    assert_eq!(bench.director.take_interest_changes(), [Removed(other)]);
    assert_eq!(bench.run(Command::DeleteMark(rule(&[80], 1))), Err(crate::Error::NoSuchMarkRule));
    bench.run(Command::DeleteMark(rule(&[80], 2))).unwrap();
    assert_eq!(bench.director.take_interest_changes(), [Removed(virtual_interest())]);
}
