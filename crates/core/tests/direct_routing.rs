//! Direct routing and local destinations.

mod rig;

use ipvs_core::{ForwardingMethod, Reason, Verdict};
use rig::{Family, Rig, seen, tcp, unreachable};

#[test]
fn the_packet_goes_unchanged_on_the_servers_route() {
    for family in Family::BOTH {
        let mut rig = Rig::new(10);
        let service = rig.service(family, 6, "rr");
        rig.destination(service, family.server(1), ForwardingMethod::DIRECT, 1);
        let (client, vip) = ((family.client(), 1234), (family.vip(), 80));
        for (flags, state) in [("S", "SYN_RECV"), ("A", "ESTABLISHED"), ("FA", "FIN_WAIT")] {
            let (verdict, bytes) = rig.receive(&tcp(client, vip, flags, b"x", 64));
            assert_eq!(verdict, Verdict::Forward { next: family.server(1) });
            let packet = seen(&bytes);
            assert_eq!((packet.source, packet.destination, packet.ttl), (client, vip, 63));
            assert!(packet.checksums_ok);
            assert_eq!(rig.state(), state);
        }
        // An error about what the server sent straight to the client reaches the server.
        let quoted = tcp(vip, client, "A", b"x", 60);
        let error = unreachable(client.0, vip.0, &quoted);
        let (verdict, bytes) = rig.receive(&error);
        assert_eq!(verdict, Verdict::Forward { next: family.server(1) });
        assert_eq!(seen(&bytes).payload, quoted);
    }
}

/// As in `conformance/experiments/ip_options.py`: what quotes a packet as the client sent it.
#[test]
fn errors_from_the_servers_side_pass_and_are_counted() {
    for family in Family::BOTH {
        for method in [ForwardingMethod::DIRECT, ForwardingMethod::TUNNEL] {
            let mut rig = Rig::new(10);
            let service = rig.service(family, 6, "rr");
            rig.destination(service, family.server(1), method, 1);
            let (client, vip) = ((family.client(), 1234), (family.vip(), 80));
            rig.receive(&tcp(client, vip, "S", b"", 64));
            let quoted = tcp(client, vip, "S", b"", 63);
            let error = unreachable(family.server(9), client.0, &quoted);
            let (verdict, bytes) = rig.receive(&error);
            assert_eq!(verdict, Verdict::Forward { next: client.0 });
            let passed = seen(&bytes);
            assert_eq!((passed.source.0, passed.destination.0, passed.ttl), (family.server(9), client.0, 63));
            assert!(passed.checksums_ok);
            assert_eq!(passed.payload, quoted);
            let counted = rig.destinations(service)[0].stats.counters;
            assert_eq!((counted.packets_out, counted.bytes_out), (1, error.len() as u64));
            // Of another connection; to another address; damaged; at its last hop: no error about an error.
            let unknown = tcp((client.0, 9), vip, "S", b"", 63);
            assert_eq!(rig.receive(&unreachable(family.server(9), client.0, &unknown)).0, Verdict::Pass);
            let astray = unreachable(family.server(9), family.server(8), &quoted);
            assert_eq!(rig.receive(&astray).0, Verdict::Pass);
            let mut damaged = error.clone();
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            assert_eq!(rig.receive(&damaged).0, Verdict::Drop(Reason::IcmpMalformed));
            let mut late = error;
            if family == Family::V4 {
                late[8] = 1;
                ipvs_wire::checksum::fill_ipv4_header(&mut late);
            } else {
                late[7] = 1;
            }
            assert_eq!(rig.receive(&late).0, Verdict::Drop(Reason::HopLimitExceeded));
            assert_eq!(rig.destinations(service)[0].stats.counters.packets_out, 1);
        }
    }
}

#[test]
fn a_destination_on_the_director_is_delivered_and_answered_by_the_virtual_address() {
    for family in Family::BOTH {
        let mut rig = Rig::new(10);
        rig.host.local.push(family.server(1));
        let service = rig.service(family, 6, "rr");
        rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
        let (client, vip, server) = ((family.client(), 1234), (family.vip(), 80), (family.server(1), 8080));
        let (verdict, bytes) = rig.receive(&tcp(client, vip, "S", b"", 64));
        assert_eq!(verdict, Verdict::Deliver);
        assert_eq!(seen(&bytes).destination, server);
        let (verdict, bytes) = rig.receive(&tcp(server, client, "SA", b"", 64));
        assert_eq!(verdict, Verdict::Forward { next: client.0 });
        let answer = seen(&bytes);
        assert_eq!((answer.source, answer.ttl, answer.checksums_ok), (vip, 64, true));
    }
}
