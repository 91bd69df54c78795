//! Clients of one family, servers of the other.

use super::*;

/// A service of one family whose server is of the other.
pub(super) fn across(clients: Family, protocol: u16) -> (Rig, Family) {
    let servers = if clients == Family::V4 { Family::V6 } else { Family::V4 };
    let mut rig = Rig::with(small());
    let service = rig.service(clients, protocol, "rr");
    rig.execute(Command::AddPool(pool("local"), vec![local(clients, 1), local(servers, 1)]));
    add_server(&mut rig, service, servers.server(1));
    (rig, servers)
}

#[test]
fn clients_reach_servers_of_the_other_family_and_back() {
    for clients in Family::BOTH {
        for protocol in [6, 17] {
            let (mut rig, servers) = across(clients, protocol);
            let (client, vip, server) =
                ((clients.client(), 40_000), (clients.vip(), 80), (servers.server(1), 8080));
            let packet = |from, to, flags, payload: &[u8]| match protocol {
                6 => tcp(from, to, flags, payload, 64),
                _ => udp(from, to, payload, 64),
            };
            // An odd length, and one byte more.
            for payload in [b"seven b".as_slice(), b"eight by", b""] {
                let (verdict, bytes) = rig.receive(&packet(client, vip, "S", payload));
                assert_eq!(verdict, Verdict::Forward { next: server.0 });
                let there = seen(&bytes);
                assert_eq!((there.source.0, there.destination), (local(servers, 1), server));
                assert_eq!((there.ttl, there.checksums_ok, there.payload.as_slice()), (63, true, payload));
                // Byte for byte what a sender of that family would have sent, but for what only IPv4 has.
                let mut expected = packet(there.source, server, "S", payload);
                let hop_limit = if servers == Family::V4 { 8 } else { 7 };
                expected[hop_limit] = 63;
                if servers == Family::V4 {
                    expected[4..6].copy_from_slice(&bytes[4..6]);
                    expected[6] = 0;
                    ipvs_wire::checksum::fill_ipv4_header(&mut expected);
                }
                assert_eq!(bytes, expected);
                let (verdict, bytes) = rig.receive(&packet(server, there.source, "SA", payload));
                assert_eq!(verdict, Verdict::Forward { next: client.0 });
                let back = seen(&bytes);
                assert_eq!((back.source, back.destination, back.ttl), (vip, client, 63));
                assert_eq!((back.checksums_ok, back.payload.as_slice()), (true, payload));
            }
            assert_eq!(rig.connections().len(), 1);
        }
    }
}

#[test]
fn a_wrong_checksum_stays_wrong_across_families_and_none_becomes_one() {
    let (mut rig, servers) = across(Family::V4, 17);
    let (client, vip) = ((Family::V4.client(), 40_000), (Family::V4.vip(), 80));
    let mut packet = udp(client, vip, b"question", 64);
    packet[28] ^= 1;
    let (verdict, bytes) = rig.receive(&packet);
    assert_eq!(verdict, Verdict::Forward { next: servers.server(1) });
    assert!(!seen(&bytes).checksums_ok);
    packet[26..28].fill(0);
    assert!(seen(&rig.receive(&packet).1).checksums_ok);
}

#[test]
fn icmp_errors_cross_the_families_both_ways() {
    for clients in Family::BOTH {
        let (mut rig, servers) = across(clients, 17);
        let (client, vip, server) =
            ((clients.client(), 40_000), (clients.vip(), 80), (servers.server(1), 8080));
        let (_, at_server) = rig.receive(&udp(client, vip, b"question", 64));
        let from = seen(&at_server).source;
        let (_, at_client) = rig.receive(&udp(server, from, b"answer", 64));
        let router = servers.ip("198.51.100.1", "2001:db8:9::1");
        for (error, next, outer_ends, inner_ends) in [
            (unreachable(router, from.0, &at_server), client.0, (vip.0, client.0), (client, vip)),
            (unreachable(client.0, vip.0, &at_client), server.0, (from.0, server.0), (server, from)),
        ] {
            let (verdict, bytes) = rig.receive(&error);
            assert_eq!(verdict, Verdict::Forward { next });
            let outer = seen(&bytes);
            assert_eq!(
                (outer.source.0, outer.destination.0, outer.checksums_ok),
                (outer_ends.0, outer_ends.1, true)
            );
            let (start, port_unreachable) = if next.is_ipv4() { (20, [3, 3]) } else { (40, [1, 4]) };
            assert_eq!(bytes[start..start + 2], port_unreachable);
            let inner = seen(&outer.payload);
            assert_eq!((inner.source, inner.destination), inner_ends);
        }
    }
}

/// The other family's header is 20 bytes longer or shorter.
#[test]
fn the_mtu_is_told_in_the_senders_measure() {
    for (clients, fits) in [(Family::V4, 1480), (Family::V6, 1520)] {
        let (mut rig, servers) = across(clients, 17);
        let header = if clients == Family::V4 { 28 } else { 48 };
        let packet =
            |len: usize| udp((clients.client(), 40_000), (clients.vip(), 80), &vec![0; len - header], 64);
        rig.host.mtu.insert(clients.client(), 9000);
        assert_eq!(rig.receive(&packet(fits)).0, Verdict::Forward { next: servers.server(1) });
        let (verdict, bytes) = rig.receive(&packet(fits + 1));
        assert_eq!(verdict, Verdict::Reply(Reason::TooBig));
        let mtu = match clients {
            Family::V4 => u32::from(u16::from_be_bytes([bytes[26], bytes[27]])),
            Family::V6 => u32::from_be_bytes([bytes[44], bytes[45], bytes[46], bytes[47]]),
        };
        assert_eq!(mtu as usize, fits);
    }
}
