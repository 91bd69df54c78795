//! Order and pages of listings, finding a packet's service, and size.

use crate::command::{Command, Info, Reply, ServiceId, ServiceInfo};
use crate::scheduler::testing::{Bench, ip, server, settings, weight};

fn pages(bench: &mut Bench, limit: usize) -> Vec<ServiceInfo> {
    let (mut all, mut cursor) = (Vec::new(), 0);
    loop {
        match bench.run(Command::ListServices { cursor, limit }) {
            Ok(Reply::Services { items, next }) => {
                assert!(items.len() <= limit.max(1));
                all.extend(items);
                let Some(next) = next else { return all };
                cursor = next;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// By bucket, then newest first; mark services after all others. (The kernel's buckets are stirred with a number of
/// its own: there only the order within a bucket can be seen.)
#[test]
fn order_of_services() {
    let mut bench = Bench::new();
    let at = |address, port| ServiceId::Address { protocol: 6, address: ip(address), port };
    let mark = |mark| ServiceId::Mark { ipv6: false, mark };
    // Buckets: 6 ^ last bytes ^ port: 10.0.0.1: 6 ^ 10 ^ 1 = 13, ^ 80 = 93.
    let ids = [mark(257), mark(2), mark(1), at("10.0.0.1", 80), at("10.0.0.2", 80), at("10.0.0.1", 0x5100)];
    for id in ids {
        bench.run(Command::AddService(id, settings("rr"))).unwrap();
    }
    // 10.0.0.1:80: 0x0a000001 ^ 6 ^ 80 -> low byte 1 ^ 6 ^ 80 = 87; .2: 84; port 0x5100: 1 ^ 6 ^ 0 ^ 0x51 = 86.
    let expected = [ids[4], ids[5], ids[3], mark(1), mark(257), mark(2)];
    for limit in [1, 2, 3, 100] {
        assert_eq!(pages(&mut bench, limit).iter().map(|it| it.id).collect::<Vec<_>>(), expected);
    }
    assert_eq!(
        bench.run(Command::GetInfo),
        Ok(Reply::Info(Info { version: 0x010201, table_size: 4096, services: 6 }))
    );
}

#[test]
fn pages_of_destinations() {
    let (mut bench, id) = Bench::with("rr", &[1; 7]);
    let page = |bench: &mut Bench, cursor| match bench.run(Command::ListDestinations {
        service: id,
        cursor,
        limit: 3,
    }) {
        Ok(Reply::Destinations { items, next }) => (items.iter().map(|it| it.id).collect::<Vec<_>>(), next),
        other => panic!("{other:?}"),
    };
    let (items, next) = page(&mut bench, 0);
    assert_eq!(items, [server(7), server(6), server(5)]);
    // Changes between pages: a new one at the head is not seen, others are neither lost nor shown twice.
    bench.add(id, 8, weight(1)).unwrap();
    bench.delete(id, 6).unwrap();
    bench.delete(id, 4).unwrap();
    let (items, next) = page(&mut bench, next.unwrap());
    assert_eq!(items, [server(3), server(2), server(1)]);
    assert_eq!(next, None);
    let (mut bench, id) = Bench::with("rr", &[]);
    assert!(bench.listed(id).is_empty());
}

#[test]
fn service_of_a_packet() {
    let mut bench = Bench::new();
    let tcp = |address, port| ServiceId::Address { protocol: 6, address: ip(address), port };
    let udp = ServiceId::Address { protocol: 17, address: ip("10.9.0.1"), port: 80 };
    let (mark4, mark6) = (ServiceId::Mark { ipv6: false, mark: 5 }, ServiceId::Mark { ipv6: true, mark: 5 });
    let (http, ftp, any) = (tcp("10.9.0.1", 80), tcp("10.9.0.1", 21), tcp("10.9.0.1", 0));
    let six = tcp("2001:db8::1", 80);
    for id in [http, ftp, any, udp, mark4, mark6, six] {
        let netmask = if id.is_ipv6() { 128 } else { u32::MAX };
        bench.run(Command::AddService(id, crate::ServiceConfig { netmask, ..settings("rr") })).unwrap();
    }
    let find = |bench: &Bench, protocol, address: &str, port, mark| {
        let services = &bench.director.services;
        services.find(protocol, ip(address), port, mark).map(|index| services.get(index).unwrap().id)
    };
    assert_eq!(find(&bench, 6, "10.9.0.1", 80, 0), Some(http));
    assert_eq!(find(&bench, 17, "10.9.0.1", 80, 0), Some(udp));
    assert_eq!(find(&bench, 17, "10.9.0.1", 81, 0), None);
    assert_eq!(find(&bench, 132, "10.9.0.1", 80, 5), Some(mark4));
    assert_eq!(find(&bench, 6, "10.9.0.1", 80, 5), Some(mark4));
    assert_eq!(find(&bench, 6, "10.9.0.1", 80, 6), Some(http));
    assert_eq!(find(&bench, 6, "2001:db8::9", 1, 5), Some(mark6));
    assert_eq!(find(&bench, 6, "2001:db8::1", 80, 0), Some(six));
    assert_eq!(find(&bench, 6, "2001:db8::1", 81, 0), None);
    // FTP data: port 20 and the unprivileged ones; others go to the service for all ports.
    assert_eq!(find(&bench, 6, "10.9.0.1", 20, 0), Some(ftp));
    assert_eq!(find(&bench, 6, "10.9.0.1", 1024, 0), Some(ftp));
    assert_eq!(find(&bench, 6, "10.9.0.1", 1023, 0), Some(any));
    bench.run(Command::DeleteService(ftp)).unwrap();
    assert_eq!(find(&bench, 6, "10.9.0.1", 1024, 0), Some(any));
    bench.run(Command::DeleteService(any)).unwrap();
    assert_eq!(find(&bench, 6, "10.9.0.1", 1024, 0), None);
}

#[test]
fn destination_of_a_reply() {
    let (mut bench, id) = Bench::with("rr", &[1, 1]);
    let find = |bench: &Bench, protocol, i| {
        bench.director.destinations.find_any(protocol, server(i).address, 80).is_some()
    };
    assert!(find(&bench, 6, 1));
    assert!(!find(&bench, 17, 1));
    let direct = crate::DestinationConfig { forwarding: crate::ForwardingMethod::DIRECT, ..weight(1) };
    bench.edit(id, 1, direct).unwrap();
    assert!(!find(&bench, 6, 1));
    bench.delete(id, 2).unwrap();
    assert!(!find(&bench, 6, 2));
    // A mark service's serves any protocol.
    let mark = ServiceId::Mark { ipv6: false, mark: 5 };
    bench.run(Command::AddService(mark, settings("rr"))).unwrap();
    bench.add(mark, 1, weight(1)).unwrap();
    assert!(find(&bench, 6, 1) && find(&bench, 17, 1));
}

/// 10 000 services with 10 destinations each: every step of filling, paging and emptying touches what it changes and
/// not the rest. A quadratic step would take hours here.
#[test]
fn ten_thousand_services() {
    let mut bench = Bench::new();
    let id = |i: u32| ServiceId::Address {
        protocol: 6,
        address: (0x0a09_0000 + i).to_be_bytes().into(),
        port: 80,
    };
    for i in 0..10_000 {
        bench.run(Command::AddService(id(i), settings("wrr"))).unwrap();
        for j in 1..=10 {
            bench.add(id(i), j, weight(i32::from(j))).unwrap();
        }
    }
    assert_eq!(pages(&mut bench, 100).len(), 10_000);
    assert_eq!(bench.director.destinations.len(), 100_000);
    // All services share their real servers.
    assert_eq!(bench.director.interests().len(), 10_010);
    for i in (0..10_000).rev().step_by(2) {
        bench.run(Command::DeleteService(id(i))).unwrap();
    }
    bench.run(Command::Flush).unwrap();
    assert_eq!(bench.director.trash.len(), 100_000);
    bench.pass(200);
    assert_eq!(bench.director.destinations.len(), 0);
    assert!(bench.director.interests().is_empty());
}
