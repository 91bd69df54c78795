//! Settings that decide about connections, as in `conformance/experiments/settings.py` on the reference kernel.

mod rig;

use std::time::Duration;

use ipvs_core::{Command, DestinationId, ForwardingMethod, ServiceFlags, ServiceId, Sysctl};
use rig::{Family, Rig, round_robin, tcp, udp, unreachable};

const V4: Family = Family::V4;
const NOBODY: [&str; 0] = [];

fn service(protocol: u16) -> ServiceId {
    ServiceId::Address { protocol, address: V4.vip(), port: 80 }
}

fn server(number: u8) -> DestinationId {
    DestinationId { address: V4.server(number), port: 80 }
}

fn segment(flags: &str) -> Vec<u8> {
    tcp((V4.client(), 4001), (V4.vip(), 80), flags, b"", 64)
}

fn datagram() -> Vec<u8> {
    udp((V4.client(), 4001), (V4.vip(), 80), b"x", 64)
}

fn rig(flags: u32) -> Rig {
    let mut rig = Rig::new(100);
    rig.pair(service(6), round_robin(flags), 80);
    rig.pair(service(17), round_robin(flags), 80);
    rig
}

fn delete(rig: &mut Rig) {
    for protocol in [6, 17] {
        rig.execute(Command::DeleteDestination(service(protocol), server(2)));
    }
}

#[test]
fn connections_end_with_their_server_if_so_set() {
    for flags in [0, ServiceFlags::PERSISTENT] {
        let mut rig = rig(flags);
        rig.set(Sysctl::ExpireNodestConn, 1);
        for packet in [segment("S"), segment("A"), datagram()] {
            assert_eq!(rig.server_for(&packet), "2");
        }
        delete(&mut rig);
        rig.advance(Duration::ZERO);
        assert_eq!(rig.shown(), NOBODY, "the templates too");
        assert_eq!(rig.server_for(&segment("A")), "not-served");
        assert_eq!(rig.server_for(&datagram()), "1");
        assert_eq!(rig.server_for(&segment("S")), "1");
    }
}

/// Set after the server was removed: each packet of such a connection is judged anew.
#[test]
fn a_packet_of_a_connection_without_server_is_scheduled_anew() {
    for (packet, expected) in
        [(segment("A"), "not-served"), (segment("F"), "not-served"), (segment("S"), "1"), (datagram(), "1")]
    {
        let mut rig = rig(0);
        for packet in [segment("S"), segment("A"), datagram()] {
            rig.receive(&packet);
        }
        delete(&mut rig);
        rig.advance(Duration::from_secs(1));
        assert_eq!(rig.server_for(&packet), "destination-unavailable");
        rig.set(Sysctl::ExpireNodestConn, 1);
        rig.advance(Duration::from_secs(1));
        assert_eq!(rig.connections().len(), 2);
        assert_eq!(rig.server_for(&packet), expected);
        assert_eq!(rig.connections().len(), if expected == "1" { 2 } else { 1 });
    }
}

/// A SYN to a server of weight 0 starts anew; one with RST then starts nothing.
#[test]
fn a_syn_leaves_a_quiescent_server() {
    for (set, flags, expected) in [
        (0, "S", "2"),
        (0, "SA", "2"),
        (1, "S", "1"),
        (1, "SA", "1"),
        (1, "SF", "1"),
        (1, "A", "2"),
        (1, "SR", "not-served"),
    ] {
        for before in [&["S"][..], &["S", "A"]] {
            let mut rig = rig(0);
            rig.set(Sysctl::ExpireNodestConn, set);
            for flags in before {
                rig.receive(&segment(flags));
            }
            rig.receive(&datagram());
            rig.weigh(service(6), server(2), 0);
            rig.weigh(service(17), server(2), 0);
            assert_eq!(rig.server_for(&segment(flags)), expected, "{set} {before:?} {flags}");
            assert_eq!(rig.server_for(&datagram()), "2");
        }
    }
}

/// Under a template the SYN starts anew too, and comes to the same server unless the template goes as well.
#[test]
fn a_syn_and_a_template() {
    for (quiescent, expected) in [(0, "2"), (1, "1")] {
        let mut rig = rig(ServiceFlags::PERSISTENT);
        rig.set(Sysctl::ExpireNodestConn, 1);
        rig.set(Sysctl::ExpireQuiescentTemplate, quiescent);
        rig.receive(&segment("S"));
        rig.weigh(service(6), server(2), 0);
        assert_eq!(rig.server_for(&segment("S")), expected);
        assert_eq!(
            rig.destinations(service(6))[usize::from(quiescent == 1)].stats.counters.connections,
            if quiescent == 1 { 1 } else { 2 }
        );
    }
}

#[test]
fn sloppy_tcp_starts_with_any_segment_but_a_reset() {
    for (sloppy, flags, starts) in [
        (0, "S", true),
        (0, "SA", true),
        (0, "A", false),
        (0, "", false),
        (1, "S", true),
        (1, "A", true),
        (1, "F", true),
        (1, "", true),
        (1, "R", false),
        (1, "SR", false),
        (1, "AR", false),
    ] {
        let mut rig = rig(0);
        rig.set(Sysctl::SloppyTcp, sloppy);
        assert_eq!(rig.server_for(&segment(flags)) == "2", starts, "{sloppy} {flags}");
    }
}

/// Direct routing, where the server's FIN is not seen.
#[test]
fn reuse_by_mode() {
    for (mode, flags, anew) in [
        (0, "R", false),
        (1, "R", true),
        (2, "R", true),
        (3, "R", true),
        (4, "R", true),
        (0, "F", false),
        (1, "F", false),
        (2, "F", true),
        (3, "F", true),
        (4, "F", false),
        (3, "A", false),
    ] {
        let mut rig = Rig::new(100);
        let id = rig.service(V4, 6, "rr");
        for number in [1, 2] {
            rig.destination(id, V4.server(number), ForwardingMethod::DIRECT, 1);
        }
        rig.set(Sysctl::ConnReuseMode, mode);
        for flags in ["S", "A", flags] {
            assert_eq!(rig.server_for(&segment(flags)), "2");
        }
        assert_eq!(rig.server_for(&segment("S")) == "1", anew, "{mode} {flags}");
    }
}

/// As weight-0 in `conformance/packets/lifecycle.table`: the error about a SYN that ends its connection and finds no server.
#[test]
fn an_error_counts_for_the_connection_that_ended() {
    for (method, out) in [(ForwardingMethod::DIRECT, (1, 68)), (ForwardingMethod::MASQUERADE, (0, 0))] {
        let mut rig = Rig::new(100);
        let id = rig.service(V4, 6, "rr");
        rig.destination(id, V4.server(1), method, 1);
        for flags in ["S", "A", "R"] {
            assert_eq!(rig.server_for(&segment(flags)), "1");
        }
        let server = rig.destinations(id)[0].id;
        rig.weigh(id, server, 0);
        assert_eq!(rig.server_for(&segment("S")), "no-destination");
        let counters = rig.destinations(id)[0].stats.counters;
        assert_eq!((counters.packets_out, counters.bytes_out), out, "{method:?}");
    }
}

/// As in `conformance/experiments/schedule_icmp.py`: an error about a packet of no connection makes one, of no state.
#[test]
fn errors_about_unknown_packets_are_scheduled_if_so_set() {
    let router = [198, 51, 100, 1].into();
    let (vip, client) = ((V4.vip(), 80), (V4.client(), 4001));
    let error = |quoted: &[u8]| unreachable(router, V4.vip(), quoted);
    for set in [0, 1] {
        let mut rig = rig(0);
        rig.set(Sysctl::ScheduleIcmp, set);
        for (packet, server) in [
            (error(&tcp(vip, client, "A", b"", 64)), "2"),
            (error(&udp(vip, client, b"x", 64)), "2"),
            (error(&udp(vip, (V4.client(), 20), b"x", 64)), "not-served"),
            (error(&tcp((V4.vip(), 81), client, "A", b"", 64)), "not-served"),
        ] {
            let expected = if set == 1 { server } else { "not-served" };
            assert_eq!(rig.server_for(&packet), expected);
        }
        if set == 1 {
            assert_eq!(rig.shown(), ["7:4001>1:80>2:80 NONE", "7:4001>1:80>2:80 UDP"]);
            let counters = rig.destinations(service(6))[0].stats.counters;
            assert_eq!((counters.connections, counters.packets_in, counters.bytes_in), (1, 1, 68));
            rig.advance(Duration::from_secs(4));
            assert_eq!(rig.shown(), NOBODY);
        }
    }
    let mut rig = rig(ServiceFlags::PERSISTENT | ServiceFlags::ONE_PACKET);
    rig.set(Sysctl::ScheduleIcmp, 1);
    assert_eq!(rig.server_for(&error(&udp(vip, client, b"x", 64))), "2");
    assert_eq!(rig.shown(), ["7:0>1:80>2:80 NONE"]);
    rig.weigh(service(17), server(1), 0);
    rig.weigh(service(17), server(2), 0);
    let other = ([192, 0, 2, 8].into(), 4001);
    assert_eq!(rig.server_for(&error(&udp(vip, other, b"x", 64))), "no-destination");
}

/// As in `conformance/experiments/persistence_end.py`: a deleted service, a flush, a server without connections.
#[test]
fn what_else_ends_with_its_server() {
    for command in [Command::DeleteService(service(6)), Command::Flush] {
        let mut rig = rig(0);
        rig.set(Sysctl::ExpireNodestConn, 1);
        rig.receive(&segment("S"));
        rig.execute(command);
        rig.advance(Duration::ZERO);
        assert_eq!(rig.shown(), NOBODY);
    }
    let mut rig = rig(ServiceFlags::PERSISTENT);
    rig.set(Sysctl::ExpireNodestConn, 1);
    let other = tcp(([192, 0, 2, 8].into(), 4001), (V4.vip(), 80), "S", b"", 64);
    assert_eq!([rig.server_for(&segment("S")), rig.server_for(&other)], ["2", "1"]);
    rig.execute(Command::DeleteDestination(service(6), server(1)));
    rig.advance(Duration::ZERO);
    assert_eq!(rig.shown(), ["7:0>1:80>2:80 NONE", "7:4001>1:80>2:80 SYN_RECV"]);
    // A template alone.
    rig.advance(Duration::from_secs(61));
    assert_eq!(rig.shown(), ["7:0>1:80>2:80 NONE"]);
    rig.execute(Command::DeleteDestination(service(6), server(2)));
    rig.advance(Duration::ZERO);
    assert_eq!(rig.shown(), NOBODY);
}

/// As in `conformance/experiments/template_drop.py`: the template of a connection that is ended early stays, in use or
/// not.
#[test]
fn what_becomes_of_the_template() {
    for (before, state) in [(&["S"][..], "NONE"), (&["S", "A"], "ASSURED")] {
        for (quiescent, flags, expected) in [
            (0, "S", vec![format!("7:0>1:80>2:80 {state}"), "7:4001>1:80>2:80 SYN_RECV".into()]),
            (
                1,
                "S",
                vec![
                    format!("7:0>1:65535>2:65535 {state}"),
                    "7:0>1:80>1:80 NONE".into(),
                    "7:4001>1:80>1:80 SYN_RECV".into(),
                ],
            ),
            (0, "SR", vec![format!("7:0>1:80>2:80 {state}")]),
        ] {
            let mut rig = rig(ServiceFlags::PERSISTENT);
            rig.set(Sysctl::ExpireNodestConn, 1);
            rig.set(Sysctl::ExpireQuiescentTemplate, quiescent);
            before.iter().for_each(|flags| drop(rig.receive(&segment(flags))));
            rig.weigh(service(6), server(2), 0);
            rig.receive(&segment(flags));
            assert_eq!(rig.shown(), expected, "weight 0, {before:?} {quiescent} {flags}");
        }
        for (flags, expected) in [
            (
                "S",
                vec![
                    format!("7:0>1:65535>2:65535 {state}"),
                    "7:0>1:80>1:80 NONE".into(),
                    "7:4001>1:80>1:80 SYN_RECV".into(),
                ],
            ),
            ("A", vec![format!("7:0>1:80>2:80 {state}")]),
            ("SR", vec![format!("7:0>1:80>2:80 {state}")]),
        ] {
            let mut rig = rig(ServiceFlags::PERSISTENT);
            before.iter().for_each(|flags| drop(rig.receive(&segment(flags))));
            rig.execute(Command::DeleteDestination(service(6), server(2)));
            rig.set(Sysctl::ExpireNodestConn, 1);
            rig.receive(&segment(flags));
            assert_eq!(rig.shown(), expected, "removed, {before:?} {flags}");
        }
    }
}

/// The walk over a table of many connections goes on from call to call.
#[test]
fn many_connections_end_with_their_server() {
    let mut rig = Rig::new(20_000);
    rig.pair(service(17), round_robin(0), 80);
    for port in 1001..=11_000 {
        rig.receive(&udp((V4.client(), port), (V4.vip(), 80), b"x", 64));
    }
    rig.set(Sysctl::ExpireNodestConn, 1);
    rig.execute(Command::DeleteDestination(service(17), server(2)));
    rig.advance(Duration::ZERO);
    let left = rig.destinations(service(17));
    assert_eq!(left.len(), 1);
    rig.add(service(17), server(2), 1);
    let inactive: Vec<_> = rig.destinations(service(17)).iter().map(|it| it.inactive).collect();
    assert_eq!(inactive, [0, 5000]);
}
