//! Life and revival in the trash, by a virtual clock.

use crate::command::{Command, DestinationId, ForwardingMethod, ServiceId, Tunnel};
use crate::destination::Bound::{Inactive, Template};
use crate::error::Error;
use crate::scheduler::testing::{Bench, ip, server, settings, weight};

/// Connections counted at server `i` as listings show it.
fn counted(bench: &mut Bench, id: ServiceId, i: u8) -> u64 {
    let listed = bench.listed(id);
    listed.iter().find(|it| it.id == server(i)).unwrap().stats.counters.connections
}

/// As on the reference: two put in at 0 s, two at 50 s, in a trash that was empty. The timer marks them at 60 s and
/// frees them at 180 s.
#[test]
fn life() {
    let (mut bench, id) = Bench::with("rr", &[1; 6]);
    bench.sequence(id, 6, Inactive);
    let service = bench.find(id);
    for i in 1..=6 {
        let index = bench.director.destinations.find(service, server(i)).unwrap();
        bench.director.destinations.unbind(index, Inactive);
    }
    let start = bench.now;
    for i in [1, 2, 3] {
        bench.delete(id, i).unwrap();
    }
    bench.pass(50);
    for i in [4, 5, 6] {
        bench.delete(id, i).unwrap();
    }
    for (at, i, kept) in [(110, 4, 1), (130, 1, 1), (179, 2, 1), (179, 5, 1), (186, 3, 0), (187, 6, 0)] {
        let passed = bench.now.saturating_since(start).as_secs();
        bench.pass(at - passed);
        bench.add(id, i, weight(1)).unwrap();
        assert_eq!(counted(&mut bench, id, i), kept, "{at} {i}");
    }
    assert_eq!(bench.director.trash.len(), 0);
    assert_eq!(bench.director.destinations.len(), 6);
    bench.pass(1000);
    assert_eq!(bench.director.trash.next_tick(), None);
}

/// A destination with connections or templates stays, and 120 to 180 s longer than they.
#[test]
fn references_hold_it() {
    for bound in [Inactive, Template] {
        let (mut bench, id) = Bench::with("rr", &[1]);
        let index = bench.connect_from(id, ip("10.1.0.1"), bound).unwrap();
        bench.delete(id, 1).unwrap();
        bench.pass(10_000);
        assert!(bench.director.destinations.get(index).is_some_and(|it| !it.available));
        bench.director.destinations.unbind(index, bound);
        bench.pass(119);
        assert!(bench.director.destinations.get(index).is_some());
        bench.pass(61);
        assert!(bench.director.destinations.get(index).is_none());
    }
}

#[test]
fn revival() {
    let (mut bench, id) = Bench::with("rr", &[1, 1]);
    let index = bench.connect_from(id, ip("10.1.0.1"), Inactive).unwrap();
    assert_eq!(bench.number(index), 2);
    bench.delete(id, 2).unwrap();
    // All settings are new, counters and connections the old ones, and it stands at the head of the list.
    let other = crate::DestinationConfig {
        forwarding: ForwardingMethod::DIRECT,
        tunnel: Tunnel { kind: 2, ..Tunnel::default() },
        proxy: None,
        ..weight(0)
    };
    bench.add(id, 2, other).unwrap();
    let listed = bench.listed(id)[0];
    assert_eq!((listed.id, listed.config, listed.inactive), (server(2), other, 1));
    assert_eq!(listed.stats.counters.connections, 1);
    let service = bench.find(id);
    assert_eq!(bench.director.destinations.find(service, server(2)), Some(index));
    assert_eq!(bench.director.destinations.get(index).unwrap().last_weight, 0);
    // Deleted with its service and added to its successor: counters at 0, connections kept.
    bench.run(Command::DeleteService(id)).unwrap();
    bench.run(Command::AddService(id, settings("wlc"))).unwrap();
    bench.add(id, 2, weight(1)).unwrap();
    let listed = bench.listed(id)[0];
    assert_eq!((listed.stats.counters.connections, listed.inactive), (0, 1));
    // Another service, or another port: another destination.
    let elsewhere = service_at(81);
    bench.run(Command::AddService(elsewhere, settings("rr"))).unwrap();
    bench.delete(id, 2).unwrap();
    bench.add(elsewhere, 2, weight(1)).unwrap();
    assert_eq!(bench.listed(elsewhere)[0].inactive, 0);
    bench.run(Command::AddDestination(id, DestinationId { port: 81, ..server(2) }, weight(1))).unwrap();
    assert_eq!(bench.listed(id)[0].inactive, 0);
}

fn service_at(port: u16) -> ServiceId {
    ServiceId::Address { protocol: 6, address: ip("10.9.0.1"), port }
}

/// The address of one from the trash is not looked at again.
#[test]
fn revival_without_address_check() {
    use crate::host::{AddressKind, Host};
    struct Gone;
    impl Host for Gone {
        fn address_kind(&self, _address: std::net::IpAddr) -> AddressKind {
            AddressKind::Other
        }
        fn path_mtu(&self, _address: std::net::IpAddr) -> Option<u32> {
            None
        }
        fn source_address(&self, _towards: std::net::IpAddr) -> Option<std::net::IpAddr> {
            None
        }
    }
    let (mut bench, id) = Bench::with("rr", &[1]);
    bench.delete(id, 1).unwrap();
    let now = bench.now;
    let mut add = |i| bench.director.execute(now, &Gone, Command::AddDestination(id, server(i), weight(1)));
    assert!(add(1).is_ok());
    assert_eq!(add(2), Err(Error::AddressNotUnicast));
}

/// A refused add leaves what is in the trash there.
#[test]
fn refused_revival() {
    let (mut bench, id) = Bench::with("rr", &[1]);
    bench.sequence(id, 1, Inactive);
    bench.delete(id, 1).unwrap();
    assert_eq!(bench.add(id, 1, weight(-1)), Err(Error::NegativeWeight));
    assert_eq!(bench.director.trash.len(), 1);
    bench.add(id, 1, weight(1)).unwrap();
    assert_eq!(counted(&mut bench, id, 1), 1);
}

/// Rates stand still in the trash and fade again after revival.
#[test]
fn estimator_stops() {
    let (mut bench, id) = Bench::with("rr", &[1]);
    bench.sequence(id, 8000, Inactive);
    bench.pass(2);
    let rate = bench.listed(id)[0].stats.rates.connections;
    assert_eq!(rate, 1000); // 25 % of 4000 per second
    bench.delete(id, 1).unwrap();
    bench.pass(20);
    bench.add(id, 1, weight(1)).unwrap();
    assert_eq!(bench.listed(id)[0].stats.rates.connections, rate);
    bench.pass(2);
    assert_eq!(bench.listed(id)[0].stats.rates.connections, 750);
    assert_eq!(bench.director.stats().counters.connections, 8000);
    let info = bench.info(id);
    assert!(info.stats.rates.connections < 100);
    bench.run(Command::Zero(None)).unwrap();
    assert_eq!(bench.info(id).stats, crate::Stats::default());
    assert_eq!(bench.listed(id)[0].stats, crate::Stats::default());
    assert_eq!(bench.director.stats(), crate::Stats::default());
}
