//! SCTP: the walk of an association, what is rewritten, what starts a connection and what takes its place. Expected values are
//! the kernel's (`conformance/experiments/sctp_rules.py`).
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod rig;

use ipvs_core::{Config, Director, ForwardingMethod, Reason, ServiceFlags, ServiceId, Sysctl, Verdict};
use rig::sctp::{sctp, seen};
use rig::{End, Family, Rig, round_robin, unreachable};

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

fn client(family: Family) -> End {
    (family.client(), 4000)
}

fn vip(family: Family) -> End {
    (family.vip(), 80)
}

fn server(family: Family) -> End {
    (family.server(1), 8080)
}

/// A service with one server.
fn rig(family: Family, method: ForwardingMethod) -> (Rig, ServiceId) {
    let mut rig = Rig::new(100);
    let service = rig.service(family, 132, "rr");
    rig.destination(service, family.server(1), method, 1);
    (rig, service)
}

#[test]
fn an_association_by_masquerading() {
    for family in Family::BOTH {
        let (mut rig, service) = rig(family, ForwardingMethod::MASQUERADE);
        let (client, vip, server) = (client(family), vip(family), server(family));
        for (of_client, chunk, state) in [
            (true, INIT, "INIT1"),
            (false, INIT_ACK, "C-SENT"),
            (true, COOKIE_ECHO, "C-REPLIED"),
            (false, COOKIE_ACK, "ESTABLISHED"),
            (true, DATA, "ESTABLISHED"),
            (false, SACK, "ESTABLISHED"),
            (true, SHUTDOWN, "S-RECEIVED"),
            (false, SHUTDOWN_ACK, "S-ACK-SENT"),
            (true, SHUTDOWN_COMPLETE, "CLOSED"),
        ] {
            let (from, to) = if of_client { (client, vip) } else { (server, client) };
            let (verdict, packet) = rig.receive(&sctp(from, to, &[chunk]));
            let next = if of_client { server } else { client };
            assert_eq!(verdict, Verdict::Forward { next: next.0 });
            let expected = if of_client { (client, server, true) } else { (vip, client, true) };
            assert_eq!(seen(&packet), expected);
            assert_eq!(rig.state(), state);
            let active = u32::from(state == "ESTABLISHED");
            let counts = &rig.destinations(service)[0];
            assert_eq!((counts.active, counts.inactive), (active, 1 - active));
        }
        let counters = rig.destinations(service)[0].stats.counters;
        assert_eq!((counters.connections, counters.packets_in, counters.packets_out), (1, 5, 4));
        // An INIT takes the place of what has ended.
        rig.receive(&sctp(client, vip, &[INIT]));
        assert_eq!(rig.state(), "INIT1");
        assert_eq!(rig.destinations(service)[0].stats.counters.connections, 2);
    }
}

#[test]
fn an_association_by_direct_routing_is_seen_from_one_side() {
    for family in Family::BOTH {
        let (mut rig, _) = rig(family, ForwardingMethod::DIRECT);
        for (chunk, state) in [
            (INIT, "INIT1"),
            (COOKIE_ECHO, "ESTABLISHED"),
            (DATA, "ESTABLISHED"),
            (SHUTDOWN, "S-RECEIVED"),
            (SHUTDOWN_COMPLETE, "CLOSED"),
        ] {
            let sent = sctp(client(family), vip(family), &[chunk]);
            let (verdict, packet) = rig.receive(&sent);
            assert_eq!(verdict, Verdict::Forward { next: family.server(1) });
            assert_eq!(seen(&packet), seen(&sent));
            assert_eq!(rig.state(), state);
        }
    }
}

#[test]
fn only_an_init_starts_a_connection_unless_sloppy() {
    let kinds = [
        (DATA, "ESTABLISHED"),
        (INIT, "INIT1"),
        (INIT_ACK, "C-WAIT"),
        (SACK, "ESTABLISHED"),
        (ABORT, ""),
        (SHUTDOWN, "S-RECEIVED"),
        (SHUTDOWN_ACK, "CLOSED"),
        (ERROR, "CLOSED"),
        (COOKIE_ECHO, "C-REPLIED"),
        (COOKIE_ACK, "ESTABLISHED"),
        (SHUTDOWN_COMPLETE, "CLOSED"),
        (99, "ESTABLISHED"),
    ];
    for sloppy in [0, 1] {
        for (kind, state) in kinds {
            let (mut rig, _) = rig(Family::V4, ForwardingMethod::MASQUERADE);
            rig.host.local.push(Family::V4.vip());
            rig.set(Sysctl::SloppySctp, sloppy);
            let (verdict, _) = rig.receive(&sctp(client(Family::V4), vip(Family::V4), &[kind]));
            if kind == INIT || sloppy == 1 && kind != ABORT {
                assert_eq!(verdict, Verdict::Forward { next: Family::V4.server(1) }, "{kind}");
                assert_eq!(rig.state(), state, "{kind}");
            } else {
                assert_eq!((verdict, rig.connections().len()), (Verdict::Pass, 0), "{kind}");
            }
        }
    }
    // An abort behind a cookie counts, behind anything else not.
    let (mut rig, _) = rig(Family::V4, ForwardingMethod::MASQUERADE);
    rig.set(Sysctl::SloppySctp, 1);
    rig.receive(&sctp(client(Family::V4), vip(Family::V4), &[COOKIE_ECHO, ABORT]));
    assert_eq!(rig.state(), "CLOSED");
    rig.receive(&sctp(client(Family::V4), vip(Family::V4), &[DATA, ABORT]));
    assert_eq!(rig.state(), "CLOSED");
}

#[test]
fn a_packet_without_a_chunk_is_malformed() {
    let (mut rig, _) = rig(Family::V4, ForwardingMethod::MASQUERADE);
    let mut whole = sctp(client(Family::V4), vip(Family::V4), &[INIT]);
    let none = sctp(client(Family::V4), vip(Family::V4), &[]);
    assert_eq!(rig.receive(&none).0, Verdict::Drop(Reason::Malformed));
    // Two bytes of a chunk's header.
    whole.truncate(20 + 14);
    whole[2..4].copy_from_slice(&34u16.to_be_bytes());
    whole[10..12].fill(0);
    let sum: u32 = whole[..20].chunks(2).map(|it| u32::from(u16::from_be_bytes([it[0], it[1]]))).sum();
    whole[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    assert_eq!(rig.receive(&whole).0, Verdict::Drop(Reason::Malformed));
}

#[test]
fn a_wrong_checksum_stays_wrong_where_the_port_stays() {
    let mut rig = Rig::new(10);
    let service = rig.service(Family::V4, 132, "rr");
    rig.add(service, ipvs_core::DestinationId { address: Family::V4.server(1), port: 80 }, 1);
    let mut wrong = sctp(client(Family::V4), vip(Family::V4), &[INIT]);
    wrong[28..32].copy_from_slice(&[1, 2, 3, 4]);
    let (_, packet) = rig.receive(&wrong);
    assert_eq!(packet[28..32], [1, 2, 3, 4]);
}

#[test]
fn errors_refusals_and_resets() {
    let (client, vip, server) = (client(Family::V4), vip(Family::V4), server(Family::V4));
    let (mut rig, _) = rig(Family::V4, ForwardingMethod::MASQUERADE);
    rig.receive(&sctp(client, vip, &[INIT]));
    let error = unreachable(client.0, vip.0, &sctp(vip, client, &[DATA]));
    assert_eq!(rig.receive(&error).0, Verdict::Forward { next: server.0 });
    let error = unreachable(server.0, client.0, &sctp(client, server, &[DATA]));
    let (verdict, packet) = rig.receive(&error);
    assert_eq!(verdict, Verdict::Forward { next: client.0 });
    assert_eq!(packet[12..16], [203, 0, 113, 1]);
    // From the server, of no connection: refused if so set, but for an abort.
    rig.set(Sysctl::NatIcmpSend, 1);
    let stranger = (client.0, 4444);
    assert_eq!(rig.receive(&sctp(server, stranger, &[DATA])).0, Verdict::Reply(Reason::NoConnection));
    assert_eq!(rig.receive(&sctp(server, stranger, &[ABORT])).0, Verdict::Pass);
    // A service without a server.
    let mut empty = Rig::new(10);
    empty.service(Family::V4, 132, "rr");
    assert_eq!(empty.receive(&sctp(client, vip, &[INIT])).0, Verdict::Reply(Reason::NoDestination));
}

#[test]
fn an_established_association_assures_its_template() {
    let (client, vip, server) = (client(Family::V4), vip(Family::V4), server(Family::V4));
    let mut rig = Rig::new(10);
    let service = ServiceId::Address { protocol: 132, address: vip.0, port: 80 };
    rig.pair(service, round_robin(ServiceFlags::PERSISTENT), 8080);
    let (verdict, _) = rig.receive(&sctp(client, vip, &[INIT]));
    let Verdict::Forward { next } = verdict else { panic!("{verdict:?}") };
    let server = (next, server.1);
    let template = |rig: &mut Rig| {
        rig.connections().iter().find(|it| it.client_port == 0).map(|template| template.state).unwrap()
    };
    for (from, to, chunk, state) in [
        (server, client, INIT_ACK, "NONE"),
        (client, vip, COOKIE_ECHO, "NONE"),
        (server, client, COOKIE_ACK, "ASSURED"),
    ] {
        rig.receive(&sctp(from, to, &[chunk]));
        assert_eq!(template(&mut rig), state);
    }
}

/// Ours: with a quota, associations after an INIT count as half-open.
#[test]
fn a_flood_of_inits_stays_within_the_quota() {
    let family = Family::V4;
    let mut rig = Rig::new(100);
    let config = Config { capacity: 100, half_open_quota: 5, ..Config::default() };
    rig.director = Director::new(config, rig.now).unwrap();
    let service = rig.service(family, 132, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    let from = |port: u16, chunk| sctp((family.client(), 4000 + port), vip(family), &[chunk]);
    for (chunk, direction_in) in [(INIT, true), (INIT_ACK, false), (COOKIE_ECHO, true), (COOKIE_ACK, false)] {
        let answer = sctp((family.server(1), 8080), client(family), &[chunk]);
        rig.receive(&if direction_in { from(0, chunk) } else { answer });
    }
    for port in 1..50 {
        assert_eq!(rig.server_for(&from(port, INIT)), "1");
    }
    let count = |rig: &mut Rig, state| rig.connections().iter().filter(|it| it.state == state).count();
    assert_eq!((count(&mut rig, "ESTABLISHED"), count(&mut rig, "INIT1")), (1, 5));
}
