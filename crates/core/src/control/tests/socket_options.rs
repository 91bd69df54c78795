//! What only socket options can say or see.

use crate::command::{
    Command::{self, *},
    ConnectionFlags, DestinationConfig, ForwardingMethod, Info, MarkTarget, Reply, ServiceConfig, ServiceId,
};
use crate::error::Error;
use crate::scheduler::testing::{Bench, server, service, settings, weight};
use crate::sync_daemon::SyncDaemonConfig;

const MARK: ServiceId = ServiceId::Mark { ipv6: false, mark: 7 };

/// It is set by add, shown, and not changed by edit.
#[test]
fn a_mark_service_keeps_what_it_was_added_with() {
    let target = MarkTarget { protocol: 17, address: [10, 0, 0, 9].into(), port: 99 };
    let mut bench = Bench::new();
    bench.run(AddService(MARK, ServiceConfig { target, ..settings("rr") })).unwrap();
    assert_eq!(bench.info(MARK).target, target);
    bench.run(EditService(MARK, settings("wlc"))).unwrap();
    assert_eq!((bench.info(MARK).target, bench.info(MARK).scheduler.as_str()), (target, "wlc"));
    assert_eq!(bench.run(AddService(MARK, settings("rr"))), Err(Error::ServiceExists));
}

#[test]
fn a_destination_keeps_two_flags() {
    let (mut bench, id) = Bench::with("rr", &[]);
    let flags = ConnectionFlags(u32::MAX);
    bench.add(id, 1, DestinationConfig { flags, ..weight(1) }).unwrap();
    assert_eq!(bench.listed(id)[0].config.flags, ConnectionFlags(0x1_2000));
    bench.edit(id, 1, weight(1)).unwrap();
    assert_eq!(bench.listed(id)[0].config.flags, ConnectionFlags(0));
}

#[test]
fn services_of_ipv6_do_not_count() {
    let mut bench = Bench::new();
    let services = |bench: &mut Bench| match bench.run(GetInfo) {
        Ok(Reply::Info(Info { services, .. })) => services,
        other => panic!("{other:?}"),
    };
    for id in [service("10.9.0.1"), service("2001:db8::1"), MARK, ServiceId::Mark { ipv6: true, mark: 7 }] {
        bench.run(AddService(id, ServiceConfig { netmask: 64, ..settings("rr") })).unwrap();
    }
    assert_eq!(services(&mut bench), 2);
    bench.run(DeleteService(service("2001:db8::1"))).unwrap();
    assert_eq!(services(&mut bench), 2);
    bench.run(DeleteService(MARK)).unwrap();
    assert_eq!(services(&mut bench), 1);
    bench.run(Flush).unwrap();
    assert_eq!(services(&mut bench), 0);
}

/// A destination of another family than its service forbids a daemon, before the interface is looked for; not while it
/// is in the trash.
#[test]
fn mixed_destinations_and_synchronisation_daemons() {
    let id = service("2001:db8::1");
    let mut bench = Bench::new();
    let start = |mixed| -> Command {
        let interface = "nosuch".to_owned();
        let config =
            SyncDaemonConfig { interface, sync_id: 0, max_length: 0, group: None, port: 0, ttl: 0, mixed };
        StartSyncDaemon(1, config)
    };
    bench.run(AddService(id, ServiceConfig { netmask: 64, ..settings("rr") })).unwrap();
    assert_eq!(bench.run(start(false)), Err(Error::NoSuchInterface));
    let tunnel = DestinationConfig { forwarding: ForwardingMethod::TUNNEL, ..weight(1) };
    for again in [false, true] {
        bench.run(AddDestination(id, server(1), tunnel)).unwrap();
        assert_eq!(bench.run(start(false)), Err(Error::MixedFamily), "again: {again}");
        assert_eq!(bench.run(start(true)), Err(Error::NoSuchInterface), "again: {again}");
        bench.run(DeleteDestination(id, server(1))).unwrap();
        assert_eq!(bench.run(start(false)), Err(Error::NoSuchInterface), "again: {again}");
    }
    bench.run(AddDestination(id, server(1), tunnel)).unwrap();
    bench.run(Flush).unwrap();
    assert_eq!(bench.run(start(false)), Err(Error::NoSuchInterface));
}
