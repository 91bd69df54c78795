//! SCTP: an association's walk within a family and between them, its checksums, and ICMP errors about it.

use super::rig::sctp::sctp;
use super::*;

const INIT: u8 = 1;
const SACK: u8 = 3;
const SHUTDOWN: u8 = 7;

/// Ends of a packet, whose checksum must be right.
fn ends(packet: &[u8]) -> (End, End) {
    let (source, destination, right) = rig::sctp::seen(packet);
    assert!(right, "{packet:02x?}");
    (source, destination)
}

/// Those of a packet that an ICMP error quotes, whose checksum nobody checks.
fn ends_quoted(packet: &[u8]) -> (End, End) {
    let (source, destination, _) = rig::sctp::seen(packet);
    (source, destination)
}

/// Clients of one family, servers of the same or the other.
fn pairs() -> impl Iterator<Item = (Family, Family)> {
    Family::BOTH.into_iter().flat_map(|clients| Family::BOTH.map(|servers| (clients, servers)))
}

fn between(clients: Family, servers: Family) -> (Rig, ServiceId) {
    if clients == servers {
        return full_nat(clients, 132, small());
    }
    let (rig, _) = across::across(clients, 132);
    (rig, ServiceId::Address { protocol: 132, address: clients.vip(), port: 80 })
}

#[test]
fn an_association_lives_through_its_states() {
    for (clients, servers) in pairs() {
        let (mut rig, service) = between(clients, servers);
        let (client, vip, server) =
            ((clients.client(), 4000), (clients.vip(), 80), (servers.server(1), 8080));
        let mut from = None;
        for (of_client, chunk, state) in [
            (true, INIT, "INIT1"),
            (false, 2, "C-SENT"),
            (true, 10, "C-REPLIED"),
            (false, 11, "ESTABLISHED"),
            (true, 0, "ESTABLISHED"),
            (false, SACK, "ESTABLISHED"),
            (true, SHUTDOWN, "S-RECEIVED"),
            (false, 8, "S-ACK-SENT"),
            (true, 14, "CLOSED"),
        ] {
            let local = from.unwrap_or(vip);
            let (source, to) = if of_client { (client, vip) } else { (server, local) };
            let (verdict, bytes) = rig.receive(&sctp(source, to, &[chunk]));
            let next = if of_client { server.0 } else { client.0 };
            assert_eq!(verdict, Verdict::Forward { next }, "{clients:?} {servers:?} {state}");
            let (seen_from, seen_to) = ends(&bytes);
            if of_client {
                assert_eq!((seen_from.0, seen_to), (super::local(servers, 1), server));
                assert_eq!(*from.get_or_insert(seen_from), seen_from);
            } else {
                assert_eq!((seen_from, seen_to), (vip, client));
            }
            assert_eq!(rig.state(), state, "{clients:?} {servers:?}");
        }
        let destination = rig.destinations(service)[0];
        let counters = destination.stats.counters;
        assert_eq!((counters.connections, counters.packets_in, counters.packets_out), (1, 5, 4));
        assert_eq!((destination.active, destination.inactive), (0, 1));
        // A port is free again when the connection leaves the table.
        rig.advance(Duration::from_secs(61));
        assert_eq!((listed(&mut rig).connections, rig.connections()), (0, vec![]));
    }
}

#[test]
fn icmp_errors_about_associations_go_both_ways() {
    for (clients, servers) in pairs() {
        let (mut rig, _) = between(clients, servers);
        let (client, vip, server) =
            ((clients.client(), 4000), (clients.vip(), 80), (servers.server(1), 8080));
        let (_, at_server) = rig.receive(&sctp(client, vip, &[INIT]));
        let from = ends(&at_server).0;
        let (_, at_client) = rig.receive(&sctp(server, from, &[2]));
        let router = |of: Family| of.ip("198.51.100.1", "2001:db8:9::1");
        for (error, next, inner) in [
            (unreachable(router(servers), from.0, &at_server), client.0, (client, vip)),
            (unreachable(router(clients), vip.0, &at_client), server.0, (server, from)),
        ] {
            let (verdict, bytes) = rig.receive(&error);
            assert_eq!(verdict, Verdict::Forward { next }, "{clients:?} {servers:?}");
            let outer = seen(&bytes);
            assert!(outer.checksums_ok && outer.destination.0 == next);
            assert_eq!(ends_quoted(&outer.payload), inner);
        }
    }
}
