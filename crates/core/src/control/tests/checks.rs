//! Refusals and their order.

use crate::command::{
    Command::{self, *},
    DestinationConfig, DestinationId, ForwardingMethod, Reply, ServiceConfig, ServiceFlags, ServiceId,
    Timeouts, Tunnel, TunnelType,
};
use crate::error::Error;
use crate::scheduler::testing::{Bench, ip, limits, server, service, settings, weight};

type Case = (Command, Result<Reply, Error>);

/// Runs commands one after another; each must answer as it says.
#[track_caller]
fn run(bench: &mut Bench, cases: impl IntoIterator<Item = Case>) {
    for (command, expected) in cases {
        let text = format!("{command:?}");
        assert_eq!(bench.run(command), expected, "{text}");
    }
}

const DONE: Result<Reply, Error> = Ok(Reply::Done);

fn engine(name: &str, config: ServiceConfig) -> ServiceConfig {
    ServiceConfig { persistence_engine: Some(name.to_owned()), ..config }
}

fn prefix(netmask: u32, config: ServiceConfig) -> ServiceConfig {
    ServiceConfig { netmask, ..config }
}

#[test]
fn services() {
    let (v, v2, v6) = (service("10.9.0.1"), service("10.9.0.2"), service("2001:db8::1"));
    let mut bench = Bench::new();
    run(
        &mut bench,
        [
            (AddService(v, settings("rr")), DONE),
            (AddService(v, settings("rr")), Err(Error::ServiceExists)),
            // Existence before the scheduler, the scheduler before the engine, the engine before the prefix.
            (AddService(v, settings("nope")), Err(Error::ServiceExists)),
            (AddService(v2, engine("bad", settings("nope"))), Err(Error::NoSuchScheduler)),
            (AddService(v2, settings("")), Err(Error::NoSuchScheduler)),
            (AddService(v2, engine("bad", settings("rr"))), Err(Error::NoSuchPersistenceEngine)),
            (AddService(v2, engine("", settings("rr"))), DONE),
            (AddService(v6, prefix(0, settings("nope"))), Err(Error::NoSuchScheduler)),
            (AddService(v6, engine("bad", prefix(0, settings("rr")))), Err(Error::NoSuchPersistenceEngine)),
            (AddService(v6, prefix(0, settings("rr"))), Err(Error::InvalidPrefixLength)),
            (AddService(v6, prefix(129, settings("rr"))), Err(Error::InvalidPrefixLength)),
            (AddService(v6, prefix(64, settings("rr"))), DONE),
            (EditService(v6, prefix(0, settings("wrr"))), Err(Error::InvalidPrefixLength)),
            (EditService(service("10.9.0.99"), settings("nope")), Err(Error::NoSuchService)),
            (EditService(v, settings("nope")), Err(Error::NoSuchScheduler)),
            (EditService(v, engine("bad", settings("wrr"))), Err(Error::NoSuchPersistenceEngine)),
            (DeleteService(service("10.9.0.99")), Err(Error::NoSuchService)),
            (GetService(service("10.9.0.99")), Err(Error::NoSuchService)),
            (Zero(Some(service("10.9.0.99"))), Err(Error::NoSuchService)),
            (Zero(Some(v)), DONE),
            (Zero(None), DONE),
            (DeleteService(v2), DONE),
            (DeleteService(v2), Err(Error::NoSuchService)),
        ],
    );
    // Refused edits changed nothing.
    assert_eq!(bench.info(v6).netmask, 64);
    assert_eq!(bench.info(v6).scheduler, "rr");
    run(&mut bench, [(Flush, DONE), (Flush, DONE), (GetService(v), Err(Error::NoSuchService))]);
}

#[test]
fn any_protocol_number() {
    let mut bench = Bench::new();
    for protocol in [99, 300] {
        let id = ServiceId::Address { protocol, address: ip("10.9.0.6"), port: 80 };
        run(&mut bench, [(AddService(id, settings("rr")), DONE), (DeleteService(id), DONE)]);
    }
}

#[test]
fn marks() {
    let mark = |ipv6, mark| ServiceId::Mark { ipv6, mark };
    let any = |address| ServiceId::Address { protocol: 6, address: ip(address), port: 0 };
    let mut bench = Bench::new();
    run(
        &mut bench,
        [
            (AddService(mark(false, 7), settings("rr")), DONE),
            (AddService(mark(true, 7), prefix(128, settings("rr"))), DONE),
            (AddService(mark(true, 7), prefix(128, settings("rr"))), Err(Error::ServiceExists)),
            (AddService(mark(true, 8), prefix(0, settings("rr"))), Err(Error::InvalidPrefixLength)),
            // Mark 0 is the service for all ports of the unspecified address.
            (AddService(mark(false, 0), settings("rr")), DONE),
            (AddService(any("0.0.0.0"), settings("rr")), Err(Error::ServiceExists)),
            (AddService(any("::"), prefix(128, settings("rr"))), DONE),
            (DeleteService(mark(true, 0)), DONE),
        ],
    );
    assert_eq!(bench.info(mark(false, 0)).id, any("0.0.0.0"));
    assert_eq!(bench.info(any("0.0.0.0")).id, any("0.0.0.0"));
}

#[test]
fn flags_and_timeouts() {
    let set = |flags, flags_mask, timeout| ServiceConfig { flags, flags_mask, timeout, ..settings("rr") };
    let (mut bench, id) = Bench::with("rr", &[]);
    let mut edit = |config, expected: (u32, u32)| {
        bench.run(EditService(id, config)).unwrap();
        let info = bench.info(id);
        assert_eq!((info.flags.0, info.timeout), expected);
    };
    // HASHED is always on. Timeouts wrap where the kernel's clock ticks do.
    edit(set(u32::MAX, u32::MAX, u32::MAX), (u32::MAX, 17_179_868));
    edit(set(0, 0, 9_000_000), (u32::MAX, 9_000_000));
    edit(set(5, 3, 17_179_869), (0xffff_fffd | ServiceFlags::HASHED, 17_179_869));
    edit(set(0, 0, 17_179_870), (u32::MAX, 0));
    edit(set(0, u32::MAX, 0), (2, 0));
    let other = service("10.9.0.5");
    bench.run(AddService(other, set(0xff, 0x9, 0))).unwrap();
    assert_eq!(bench.info(other).flags.0, 0xb);
}

fn tunnel(kind: u8, port: u16, config: DestinationConfig) -> DestinationConfig {
    DestinationConfig { tunnel: Tunnel { kind, port, flags: 0 }, ..config }
}

fn method(forwarding: ForwardingMethod, config: DestinationConfig) -> DestinationConfig {
    DestinationConfig { forwarding, ..config }
}

/// The settings' checks come after the service's and before the destination's existence, alike in add and edit.
#[test]
fn destination_settings() {
    let huge = 1 << 31;
    let gue = tunnel(TunnelType::GUE, 0, weight(1));
    let bad = [
        (weight(-1), Error::NegativeWeight),
        (limits(1, 2), Error::ThresholdsReversed),
        (limits(0, 2), Error::ThresholdsReversed),
        (DestinationConfig { weight: -1, ..limits(1, 2) }, Error::NegativeWeight),
        (limits(huge, 0), Error::ThresholdTooLarge),
        (limits(huge, huge + 1), Error::ThresholdsReversed),
        (limits(u32::MAX, huge), Error::ThresholdTooLarge),
        (DestinationConfig { weight: -1, ..limits(huge, 0) }, Error::NegativeWeight),
        (gue, Error::TunnelPortMissing),
        (method(ForwardingMethod::TUNNEL, gue), Error::TunnelPortMissing),
        (DestinationConfig { tunnel: gue.tunnel, ..limits(huge, 0) }, Error::ThresholdTooLarge),
    ];
    let (mut bench, id) = Bench::with("rr", &[]);
    for present in [false, true] {
        for (config, error) in bad {
            run(
                &mut bench,
                [
                    (AddDestination(id, server(1), config), Err(error)),
                    (EditDestination(id, server(1), config), Err(error)),
                    (AddDestination(service("10.9.9.9"), server(1), config), Err(Error::NoSuchService)),
                    (EditDestination(service("10.9.9.9"), server(1), config), Err(Error::NoSuchService)),
                ],
            );
        }
        if !present {
            run(
                &mut bench,
                [
                    (EditDestination(id, server(1), weight(1)), Err(Error::NoSuchDestination)),
                    (DeleteDestination(id, server(1)), Err(Error::NoSuchDestination)),
                    (DeleteDestination(service("10.9.9.9"), server(1)), Err(Error::NoSuchService)),
                    (AddDestination(id, server(1), weight(1)), DONE),
                ],
            );
        }
    }
    run(
        &mut bench,
        [
            (AddDestination(id, server(1), weight(5)), Err(Error::DestinationExists)),
            (EditDestination(id, server(1), weight(i32::MAX)), DONE),
            (EditDestination(id, server(1), limits(huge - 1, huge - 1)), DONE),
        ],
    );
    // Another port is another destination.
    let other = DestinationId { port: 81, ..server(1) };
    run(&mut bench, [(AddDestination(id, other, weight(1)), DONE)]);
    assert_eq!(bench.info(id).destinations, 2);
}

#[test]
fn destination_addresses() {
    let v6 = service("2001:db8::1");
    let (mut bench, v4) = Bench::with("rr", &[]);
    bench.run(AddService(v6, prefix(128, settings("rr")))).unwrap();
    // The host says what each address is; the daemon's answers are as the reference kernel's: 127.0.0.1, 240.0.0.1,
    // 169.254.1.1, fd00::1 and fec0::1 are taken, ::ffff:1.2.3.4 is not.
    for (service, address, taken) in [
        (v4, "10.9.0.1", true),
        (v4, "169.254.1.1", true),
        (v4, "0.0.0.0", false),
        (v4, "255.255.255.255", false),
        (v4, "224.0.0.1", false),
        (v6, "2001:db8::5", true),
        (v6, "::1", true),
        (v6, "::", false),
        (v6, "ff02::1", false),
        (v6, "fe80::1", false),
    ] {
        let id = DestinationId { address: ip(address), port: 80 };
        let expected = if taken { DONE } else { Err(Error::AddressNotUnicast) };
        run(
            &mut bench,
            [
                (AddDestination(service, id, weight(-1)), Err(Error::NegativeWeight)),
                (AddDestination(service, id, weight(1)), expected),
            ],
        );
    }
}

#[test]
fn other_family() {
    let (mut bench, v4) = Bench::with("rr", &[]);
    let six = |i: u16| DestinationId { address: ip(&format!("2001:db8::{i}")), port: 80 };
    let tunneled = method(ForwardingMethod::TUNNEL, weight(1));
    run(
        &mut bench,
        [
            (AddDestination(v4, six(7), weight(1)), Err(Error::MixedFamily)),
            (AddDestination(v4, six(7), weight(-1)), Err(Error::MixedFamily)),
            (AddDestination(v4, six(7), tunneled), DONE),
            (AddDestination(v4, six(7), weight(1)), Err(Error::MixedFamily)),
            (AddDestination(v4, six(7), tunneled), Err(Error::DestinationExists)),
            (EditDestination(v4, six(7), weight(1)), Err(Error::MixedFamily)),
            (EditDestination(v4, six(8), weight(1)), Err(Error::MixedFamily)),
            (EditDestination(v4, six(8), tunneled), Err(Error::NoSuchDestination)),
            (DeleteDestination(v4, six(7)), DONE),
        ],
    );
}

#[test]
fn settings_are_kept_as_given() {
    let (mut bench, id) = Bench::with("rr", &[1]);
    // Only the low three bits of the method count; the tunnel's settings are kept whatever they are.
    let odd = DestinationConfig {
        forwarding: ForwardingMethod(9),
        tunnel: Tunnel { kind: 99, port: 5, flags: u16::MAX },
        proxy: None,
        ..weight(0)
    };
    bench.edit(id, 1, odd).unwrap();
    let listed = bench.listed(id)[0].config;
    assert_eq!(listed, DestinationConfig { forwarding: ForwardingMethod(1), ..odd });
    // An edit replaces all of them.
    bench.edit(id, 1, weight(1)).unwrap();
    assert_eq!(bench.listed(id)[0].config, weight(1));
}

#[test]
fn timeouts() {
    let set = |tcp, tcp_fin, udp| SetTimeouts(Timeouts { tcp, tcp_fin, udp });
    let get = |tcp, tcp_fin, udp| (GetTimeouts, Ok(Reply::Timeouts(Timeouts { tcp, tcp_fin, udp })));
    run(
        &mut Bench::new(),
        [
            get(900, 120, 300),
            (set(-1, 0, 0), Err(Error::InvalidTimeout)),
            (set(8_589_934, 0, 0), DONE),
            (set(8_589_935, 0, 0), Err(Error::InvalidTimeout)),
            (set(5, 0, -1), Err(Error::InvalidTimeout)),
            get(8_589_934, 120, 300),
            (set(0, 0, 0), DONE),
            get(8_589_934, 120, 300),
            (set(1, 2, 3), DONE),
            get(1, 2, 3),
        ],
    );
}
