//! Direct routing and local destinations.

mod rig;

use ipvs_core::{ForwardingMethod, Reason, Verdict};
use rig::{Family, Rig, seen, tcp, udp, unreachable};

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

/// As source-route in `conformance/packets/headers.table`: the host's own settings judge source routes, at an address that is not the
/// host's nobody does.
#[test]
fn source_routes_are_left_to_the_host() {
    let options = |options: &[u8]| {
        let mut packet = udp((Family::V4.client(), 5000), (Family::V4.vip(), 80), b"x", 64);
        packet.splice(20..20, options.iter().copied());
        packet[0] += (options.len() / 4) as u8;
        packet[3] += options.len() as u8;
        ipvs_wire::checksum::fill_ipv4_header(&mut packet);
        packet
    };
    for (option, is_local, want) in [
        ([7, 4, 4, 0], false, Verdict::Forward { next: Family::V4.server(1) }),
        ([131, 4, 4, 0], false, Verdict::Drop(Reason::NotServed)),
        ([137, 4, 4, 0], true, Verdict::Pass),
    ] {
        let mut rig = Rig::new(100);
        let service = rig.service(Family::V4, 17, "rr");
        rig.destination(service, Family::V4.server(1), ForwardingMethod::DIRECT, 1);
        if is_local {
            rig.host.local.push(Family::V4.vip());
        }
        assert_eq!(rig.receive(&options(&option)).0, want, "{option:?}");
    }
}
