//! Masquerading end to end through the engine: addresses, ports, checksums, hop limits, states and counters.

mod rig;

use std::time::Duration;

use ipvs_core::{Command, Config, DestinationId, Director, ForwardingMethod, Reason, Verdict};
use rig::{Family, Rig, ip, seen, tcp, udp, unreachable};

const CLIENT_PORT: u16 = 40000;

fn nat(family: Family, protocol: u16) -> (Rig, ipvs_core::ServiceId) {
    let mut rig = Rig::new(1000);
    let service = rig.service(family, protocol, "rr");
    rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
    (rig, service)
}

#[test]
fn a_tcp_connection_lives_through_its_states() {
    for family in Family::BOTH {
        let (mut rig, service) = nat(family, 6);
        let (client, vip, server) =
            ((family.client(), CLIENT_PORT), (family.vip(), 80), (family.server(1), 8080));
        let steps = [
            (true, "S", "SYN_RECV", (1, 0)),
            (false, "SA", "SYN_RECV", (1, 0)),
            (true, "A", "ESTABLISHED", (1, 0)),
            (false, "FA", "FIN_WAIT", (0, 1)),
            (true, "FA", "TIME_WAIT", (0, 1)),
            (false, "A", "TIME_WAIT", (0, 1)),
        ];
        for (inbound, flags, state, counts) in steps {
            let (from, to, expected) =
                if inbound { (client, vip, (client, server)) } else { (server, client, (vip, client)) };
            let (verdict, bytes) = rig.receive(&tcp(from, to, flags, b"payload", 64));
            assert_eq!(verdict, Verdict::Forward { next: expected.1.0 }, "{family:?} {flags}");
            let seen = seen(&bytes);
            assert_eq!((seen.source, seen.destination), expected);
            assert_eq!(seen.ttl, 63);
            assert!(seen.checksums_ok);
            assert_eq!(seen.payload, b"payload");
            assert_eq!(rig.state(), state, "{family:?} after {flags}");
            let destination = rig.destinations(service)[0];
            assert_eq!((destination.active, destination.inactive), counts, "{family:?} after {flags}");
        }
        let counters = rig.destinations(service)[0].stats.counters;
        assert_eq!((counters.connections, counters.packets_in, counters.packets_out), (1, 3, 3));
        let header = if family == Family::V4 { 40 } else { 60 };
        assert_eq!((counters.bytes_in, counters.bytes_out), (3 * (header + 7), 3 * (header + 7)));
    }
}

#[test]
fn a_connection_ends_when_its_state_times_out() {
    for (protocol, seconds) in [(6, 60), (17, 300)] {
        let (mut rig, service) = nat(Family::V4, protocol);
        let (client, vip) = ((Family::V4.client(), CLIENT_PORT), (Family::V4.vip(), 80));
        let packet = if protocol == 6 { tcp(client, vip, "S", b"", 64) } else { udp(client, vip, b"x", 64) };
        rig.receive(&packet);
        assert_eq!(rig.connections()[0].expires, seconds);
        rig.advance(Duration::from_secs(u64::from(seconds) - 1));
        assert_eq!(rig.connections().len(), 1);
        rig.advance(Duration::from_millis(1100));
        assert_eq!(rig.connections(), []);
        let destination = rig.destinations(service)[0];
        assert_eq!((destination.active, destination.inactive), (0, 0));
    }
}

#[test]
fn a_reset_shortens_the_life() {
    let (mut rig, _) = nat(Family::V4, 6);
    let (client, vip) = ((Family::V4.client(), CLIENT_PORT), (Family::V4.vip(), 80));
    rig.receive(&tcp(client, vip, "S", b"", 64));
    rig.receive(&tcp(client, vip, "A", b"", 64));
    assert_eq!(rig.connections()[0].expires, 900);
    rig.receive(&tcp(client, vip, "R", b"", 64));
    assert_eq!((rig.state(), rig.connections()[0].expires), ("CLOSE", 10));
    rig.advance(Duration::from_secs(11));
    assert_eq!(rig.connections(), []);
}

#[test]
fn traffic_keeps_a_connection_alive() {
    let (mut rig, _) = nat(Family::V6, 17);
    let packet = udp((Family::V6.client(), CLIENT_PORT), (Family::V6.vip(), 80), b"x", 64);
    for _ in 0..10 {
        rig.receive(&packet);
        rig.advance(Duration::from_secs(299));
    }
    assert_eq!(rig.connections().len(), 1);
}

#[test]
fn no_destination_is_answered_with_port_unreachable_from_the_virtual_address() {
    for family in Family::BOTH {
        for protocol in [6, 17] {
            let mut rig = Rig::new(10);
            rig.service(family, protocol, "wlc");
            let (client, vip) = ((family.client(), CLIENT_PORT), (family.vip(), 80));
            let packet =
                if protocol == 6 { tcp(client, vip, "S", b"", 64) } else { udp(client, vip, b"x", 64) };
            let (verdict, bytes) = rig.receive(&packet);
            assert_eq!(verdict, Verdict::Reply(Reason::NoDestination));
            let answer = seen(&bytes);
            assert_eq!((answer.source.0, answer.destination.0), (family.vip(), family.client()));
            assert!(answer.checksums_ok);
            assert_eq!(answer.payload, packet);
        }
    }
}

#[test]
fn icmp_errors_are_translated_both_ways() {
    for family in Family::BOTH {
        let (mut rig, _) = nat(family, 17);
        let (client, vip, server) =
            ((family.client(), CLIENT_PORT), (family.vip(), 80), (family.server(1), 8080));
        let (_, at_server) = rig.receive(&udp(client, vip, b"question", 64));
        let (verdict, bytes) = rig.receive(&unreachable(server.0, client.0, &at_server));
        assert_eq!(verdict, Verdict::Forward { next: client.0 });
        let outer = seen(&bytes);
        assert_eq!((outer.source.0, outer.destination.0, outer.checksums_ok), (vip.0, client.0, true));
        let inner = seen(&outer.payload);
        assert_eq!((inner.source, inner.destination), (client, vip));
        // The kernel leaves the quoted transport checksum alone, so it fits the packet as the server saw it.
        assert!(!inner.checksums_ok);

        let (_, at_client) = rig.receive(&udp(server, client, b"answer", 64));
        let router = family.ip("198.51.100.1", "2001:db8:9::1");
        let (verdict, bytes) = rig.receive(&unreachable(router, vip.0, &at_client));
        assert_eq!(verdict, Verdict::Forward { next: server.0 });
        let outer = seen(&bytes);
        assert_eq!((outer.source.0, outer.destination.0, outer.checksums_ok), (router, server.0, true));
        let inner = seen(&outer.payload);
        assert_eq!((inner.source, inner.destination), (server, client));
    }
}

/// As in `conformance/experiments/ip_options.py`.
#[test]
fn a_wrong_checksum_of_a_quoted_header_is_put_right() {
    let family = Family::V4;
    let (mut rig, _) = nat(family, 17);
    let (client, vip, server) =
        ((family.client(), CLIENT_PORT), (family.vip(), 80), (family.server(1), 8080));
    rig.receive(&udp(client, vip, b"question", 64));
    let damaged = |source, destination| {
        let mut quoted = udp(source, destination, b"question", 60);
        quoted[10] ^= 0x55;
        quoted
    };
    for error in [
        unreachable(server.0, client.0, &damaged(client, server)),
        unreachable(client.0, vip.0, &damaged(vip, client)),
    ] {
        let (verdict, bytes) = rig.receive(&error);
        assert!(matches!(verdict, Verdict::Forward { .. }));
        let outer = seen(&bytes);
        assert!(outer.checksums_ok && ipvs_wire::checksum::verify_ipv4_header(&outer.payload));
    }
}

#[test]
fn packets_to_a_removed_destination_are_dropped_and_its_answers_still_translated() {
    let (mut rig, service) = nat(Family::V4, 6);
    let (client, vip, server) =
        ((Family::V4.client(), CLIENT_PORT), (Family::V4.vip(), 80), (Family::V4.server(1), 8080));
    rig.receive(&tcp(client, vip, "S", b"", 64));
    let id = DestinationId { address: server.0, port: 8080 };
    rig.execute(Command::DeleteDestination(service, id));
    let (verdict, _) = rig.receive(&tcp(client, vip, "A", b"", 64));
    assert_eq!(verdict, Verdict::Drop(Reason::DestinationUnavailable));
    let (verdict, bytes) = rig.receive(&tcp(server, client, "SA", b"", 64));
    assert_eq!(verdict, Verdict::Forward { next: client.0 });
    assert_eq!(seen(&bytes).source, vip);
    rig.destination(service, server.0, ForwardingMethod::MASQUERADE, 1);
    let (verdict, _) = rig.receive(&tcp(client, vip, "A", b"", 64));
    assert_eq!(verdict, Verdict::Forward { next: server.0 });
}

#[test]
fn a_spent_hop_limit_and_a_small_mtu_are_reported() {
    for family in Family::BOTH {
        let (mut rig, _) = nat(family, 17);
        let (client, vip) = ((family.client(), CLIENT_PORT), (family.vip(), 80));
        let (verdict, bytes) = rig.receive(&udp(client, vip, b"x", 1));
        assert_eq!(verdict, Verdict::Reply(Reason::HopLimitExceeded));
        assert_eq!(seen(&bytes).destination.0, client.0);
        rig.host.mtu.insert(family.server(1), 1300);
        let (verdict, bytes) = rig.receive(&udp(client, vip, &[0; 1400], 64));
        assert_eq!(verdict, Verdict::Reply(Reason::TooBig));
        assert_eq!(seen(&bytes).source.0, vip.0);
    }
}

/// Kernel behaviour, experiment `fragments.py`: in IPv6 the largest fragment counts, in IPv4 DF and the whole length.
#[test]
fn what_came_in_fragments_may_leave_in_fragments() {
    for family in Family::BOTH {
        let (mut rig, _) = nat(family, 17);
        rig.host.mtu.insert(family.server(1), 1300);
        let mut packet = udp((family.client(), CLIENT_PORT), (family.vip(), 80), &[0; 3000], 64);
        if family == Family::V4 {
            // etherparse sets DF.
            packet[6] = 0;
            ipvs_wire::checksum::fill_ipv4_header(&mut packet);
        }
        let (fits, too_large) =
            (rig.receive_reassembled(&packet, 1300), rig.receive_reassembled(&packet, 1301));
        assert_eq!(fits.0, Verdict::Forward { next: family.server(1) });
        assert_eq!(seen(&fits.1).destination, (family.server(1), 8080));
        if family == Family::V6 {
            assert_eq!(too_large.0, Verdict::Reply(Reason::TooBig));
            continue;
        }
        assert_eq!(too_large.0, fits.0);
        packet[6] = 0x40;
        ipvs_wire::checksum::fill_ipv4_header(&mut packet);
        assert_eq!(rig.receive_reassembled(&packet, 1300).0, Verdict::Reply(Reason::TooBig));
    }
}

#[test]
fn a_full_table_drops_new_connections_and_keeps_the_old() {
    let mut rig = Rig::new(4);
    let service = rig.service(Family::V4, 17, "rr");
    rig.destination(service, Family::V4.server(1), ForwardingMethod::MASQUERADE, 1);
    let packet = |port| udp((Family::V4.client(), port), (Family::V4.vip(), 80), b"x", 64);
    let verdicts: Vec<_> = (0..6).map(|port| rig.receive(&packet(1000 + port)).0).collect();
    let forward = Verdict::Forward { next: Family::V4.server(1) };
    assert_eq!(verdicts[..4], [forward; 4]);
    assert_eq!(verdicts[4..], [Verdict::Drop(Reason::TableFull); 2]);
    assert_eq!(
        rig.director.drops().find(|(reason, _)| *reason == Reason::TableFull).map(|(_, n)| n),
        Some(2)
    );
    assert_eq!(rig.receive(&packet(1000)).0, forward);
    rig.advance(Duration::from_secs(301));
    assert_eq!(rig.receive(&packet(2000)).0, forward);
}

#[test]
fn the_director_answers_for_a_virtual_address_that_the_host_lacks() {
    for family in Family::BOTH {
        let (mut rig, _) = nat(family, 6);
        let (client, vip) = ((family.client(), CLIENT_PORT), (family.vip(), 81));
        for packet in [tcp(client, vip, "S", b"", 64), udp(client, vip, b"x", 64)] {
            let (verdict, bytes) = rig.receive(&packet);
            assert_eq!(verdict, Verdict::Reply(Reason::NotServed));
            let answer = seen(&bytes);
            assert_eq!((answer.source.0, answer.destination.0), (vip.0, client.0));
            assert!(answer.checksums_ok);
        }
        assert_eq!(rig.receive(&tcp(client, vip, "R", b"", 64)).0, Verdict::Drop(Reason::NotServed));
    }
}

/// As a host that does not speak the protocol; in IPv6 the error points to the field that names it.
#[test]
fn a_protocol_that_is_not_served_is_refused_for_a_virtual_address() {
    for protocol in [132, 50, 99] {
        for family in Family::BOTH {
            let (mut rig, _) = nat(family, 6);
            let mut packet = Vec::new();
            let step = ip(family.client(), family.vip(), 64);
            step.write(&mut packet, etherparse::IpNumber(protocol), &[1; 20]).unwrap();
            let (verdict, bytes) = rig.receive(&packet);
            assert_eq!(verdict, Verdict::Reply(Reason::NotServed));
            let (start, wanted) = match family {
                Family::V4 => (20, [3, 2, 0, 0, 0, 0]),
                Family::V6 => (40, [4, 1, 0, 0, 0, 6]),
            };
            let error = &bytes[start..start + 8];
            assert_eq!([&error[..2], &error[4..]].concat(), wanted);
            assert!(seen(&bytes).checksums_ok);
            assert_eq!(bytes[start + 8..], packet);
        }
    }
    // Behind destination options.
    let (mut rig, _) = nat(Family::V6, 6);
    let mut packet = Vec::new();
    let options = [132, 0, 1, 4, 0, 0, 0, 0];
    let payload = [options.as_slice(), &[1; 20]].concat();
    let step = ip(Family::V6.client(), Family::V6.vip(), 64);
    step.write(&mut packet, etherparse::IpNumber(60), &payload).unwrap();
    let (verdict, bytes) = rig.receive(&packet);
    assert_eq!(verdict, Verdict::Reply(Reason::NotServed));
    assert_eq!(bytes[40..48][4..], [0, 0, 0, 40]);
}

#[test]
fn what_somebody_else_moves_between_hosts_is_not_refused() {
    for family in Family::BOTH {
        let mut rig = Rig::new(1000);
        let config = Config { capacity: 1000, refuses_for_virtual: false, ..Config::default() };
        rig.director = Director::new(config, rig.now).unwrap();
        let service = rig.service(family, 6, "rr");
        rig.destination(service, family.server(1), ForwardingMethod::MASQUERADE, 1);
        let (client, vip) = ((family.client(), CLIENT_PORT), (family.vip(), 81));
        for packet in [tcp(client, vip, "S", b"", 64), udp(client, vip, b"x", 64)] {
            assert_eq!(rig.receive(&packet), (Verdict::Pass, packet));
        }
    }
}

#[test]
fn without_any_service_connections_wait_untouched() {
    let (mut rig, service) = nat(Family::V4, 6);
    rig.host.local.push(Family::V4.vip());
    let (client, vip) = ((Family::V4.client(), CLIENT_PORT), (Family::V4.vip(), 80));
    rig.receive(&tcp(client, vip, "S", b"", 64));
    rig.execute(Command::DeleteService(service));
    let packet = tcp(client, vip, "A", b"", 64);
    assert_eq!(rig.receive(&packet), (Verdict::Pass, packet.clone()));
    assert_eq!(rig.connections().len(), 1);
    let service = rig.service(Family::V4, 6, "rr");
    rig.destination(service, Family::V4.server(1), ForwardingMethod::MASQUERADE, 1);
    assert_eq!(rig.receive(&packet).0, Verdict::Forward { next: Family::V4.server(1) });
}

#[test]
fn what_is_not_ours_passes() {
    let (mut rig, _) = nat(Family::V4, 6);
    rig.host.local.push(Family::V4.vip());
    let (client, vip) = ((Family::V4.client(), CLIENT_PORT), (Family::V4.vip(), 80));
    for packet in [
        tcp(client, vip, "A", b"", 64),
        tcp(client, vip, "SR", b"", 64),
        tcp(client, (vip.0, 81), "S", b"", 64),
        tcp((client.0, 20), vip, "S", b"", 64),
        udp(client, vip, b"", 64),
        tcp((Family::V4.server(1), 8080), client, "SA", b"", 64),
    ] {
        let (verdict, bytes) = rig.receive(&packet);
        assert_eq!((verdict, bytes), (Verdict::Pass, packet));
    }
}

/// As cut-masq and cut-known in `conformance/packets/headers.table`.
#[test]
fn what_is_too_short_is_dropped_with_a_connection_and_passes_without() {
    for family in Family::BOTH {
        let (mut rig, _) = nat(family, 6);
        let (client, vip, server) =
            ((family.client(), CLIENT_PORT), (family.vip(), 80), (family.server(1), 8080));
        let cut = |from, to, length: usize| {
            let mut packet = tcp(from, to, "A", b"", 64);
            let header = packet.len() - 20;
            packet.truncate(header + length);
            match family {
                Family::V4 => {
                    packet[3] = (header + length) as u8;
                    ipvs_wire::checksum::fill_ipv4_header(&mut packet);
                }
                Family::V6 => packet[5] = length as u8,
            }
            packet
        };
        for length in [4, 8, 19] {
            assert_eq!(rig.receive(&cut(server, client, length)).0, Verdict::Pass, "{length}");
            assert_eq!(
                rig.receive(&cut(client, vip, length)).0,
                Verdict::Drop(Reason::Malformed),
                "{length}"
            );
        }
        rig.receive(&tcp(client, vip, "S", b"", 64));
        for length in [4, 8, 19] {
            let verdict = rig.receive(&cut(server, client, length)).0;
            assert_eq!(verdict, Verdict::Drop(Reason::Malformed), "{length}");
        }
    }
}
