//! The SIP persistence engine. The outcomes are those of `conformance/experiments/sip.py` on the reference kernel.

mod rig;

use std::net::IpAddr;
use std::time::Duration;

use ipvs_core::{Command, DestinationId, Reason, ServiceConfig, ServiceFlags, ServiceId, Sysctl, Verdict};
use rig::{Family, Rig, round_robin, seen, tcp, udp};

const V4: Family = Family::V4;
const PERSISTENT: u32 = ServiceFlags::PERSISTENT;
const ONE_PACKET: u32 = ServiceFlags::PERSISTENT | ServiceFlags::ONE_PACKET;

fn service(port: u16) -> ServiceId {
    ServiceId::Address { protocol: 17, address: V4.vip(), port }
}

fn by_sip(flags: u32) -> ServiceConfig {
    ServiceConfig { persistence_engine: Some("sip".to_owned()), ..round_robin(flags) }
}

fn rig(flags: u32) -> Rig {
    let mut rig = Rig::new(100);
    rig.pair(service(5060), by_sip(flags), 5060);
    rig
}

/// A message of a call; with an empty Call-ID, one without.
fn message(call: &str) -> Vec<u8> {
    let call = if call.is_empty() { String::new() } else { format!("Call-ID: {call}\r\n") };
    format!("OPTIONS sip:a@b SIP/2.0\r\n{call}CSeq: 1 OPTIONS\r\n\r\n").into_bytes()
}

/// The server that gets a client's message.
fn call(rig: &mut Rig, client: u8, client_port: u16, call: &str) -> String {
    call_to(rig, client, client_port, 5060, call)
}

fn call_to(rig: &mut Rig, client: u8, client_port: u16, port: u16, call: &str) -> String {
    rig.server_for(&udp(
        (IpAddr::from([192, 0, 2, client]), client_port),
        (V4.vip(), port),
        &message(call),
        64,
    ))
}

/// What [`back`] says of a packet that passes as it came.
const PASSES: u16 = u16::MAX;

/// The source port from which a client gets a server's message, if from the virtual address.
fn back(rig: &mut Rig, server: u8, client_port: u16, call: &str) -> u16 {
    let packet = udp((V4.server(server), 5060), (V4.client(), client_port), &message(call), 64);
    match rig.receive(&packet) {
        (Verdict::Forward { next }, bytes) => {
            let seen = seen(&bytes);
            assert_eq!((next, seen.destination), (V4.client(), (V4.client(), client_port)));
            assert_eq!((seen.source.0, seen.ttl, seen.checksums_ok), (V4.vip(), 63, true));
            seen.source.1
        }
        (Verdict::Pass, bytes) => {
            assert_eq!(bytes, packet);
            PASSES
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_messages_of_a_call_reach_one_server() {
    let mut rig = rig(PERSISTENT);
    assert_eq!(call(&mut rig, 2, 5060, "a@x"), "2");
    assert_eq!(call(&mut rig, 2, 5061, "a@x"), "2");
    assert_eq!(call(&mut rig, 3, 5060, "a@x"), "1", "another client");
    assert_eq!(call(&mut rig, 2, 5060, "b@x"), "2", "of a known connection");
    assert_eq!(call(&mut rig, 2, 5070, "b@x"), "2");
    assert_eq!(call(&mut rig, 2, 6001, "a@"), "no-persistence-data");
    assert_eq!(call(&mut rig, 2, 6002, "a"), "1", "no call is the beginning of another");
    assert_eq!(call(&mut rig, 2, 6003, ""), "no-persistence-data");
    assert_eq!(call(&mut rig, 2, 5060, ""), "2", "of a known connection");
    let shown = rig.shown();
    let templates: Vec<_> = shown.iter().filter(|row| row.contains(" sip ")).collect();
    assert_eq!(
        templates,
        [
            "2:0>1:5060>1:5060 NONE sip a",
            "2:0>1:5060>2:5060 NONE sip a@x",
            "2:0>1:5060>2:5060 NONE sip b@x",
            "3:0>1:5060>1:5060 NONE sip a@x"
        ]
    );
    assert_eq!(shown.len(), 9);
    let counted: Vec<_> =
        rig.destinations(service(5060)).iter().map(|it| (it.persistent, it.inactive)).collect();
    assert_eq!(counted, [(2, 3), (2, 2)]);
    let drops: Vec<_> = rig.director.drops().filter(|(_, count)| *count > 0).collect();
    assert_eq!(drops, [(Reason::NoPersistenceData, 2)]);
}

/// The longest, and the bytes that only Latin-1 calls letters.
#[test]
fn data_are_kept_to_the_byte() {
    let mut rig = rig(PERSISTENT);
    let long = "x".repeat(255);
    assert_eq!(call(&mut rig, 2, 5060, &long), "2");
    assert_eq!(call(&mut rig, 2, 5061, &long), "2");
    assert_eq!(call(&mut rig, 2, 5062, &"x".repeat(254)), "1");
    assert_eq!(call(&mut rig, 2, 5063, &"x".repeat(256)), "no-persistence-data");
    let packet = udp((V4.client(), 1), (V4.vip(), 5060), b"x\ri:\xe9\xff\r", 64);
    assert_eq!(rig.server_for(&packet), "2");
    let data: Vec<_> =
        rig.connections().into_iter().filter_map(|it| Some(it.engine?.data.into_vec())).collect();
    assert_eq!(data.iter().map(Vec::len).collect::<Vec<_>>(), [255, 254, 2]);
    assert_eq!(data[2], b"\xe9\xff");
}

#[test]
fn of_client_networks_and_both_families() {
    let mut rig = Rig::new(100);
    rig.pair(service(5060), ServiceConfig { netmask: 0xffff_ff00, ..by_sip(PERSISTENT) }, 5060);
    assert_eq!([call(&mut rig, 2, 5060, "a@x"), call(&mut rig, 3, 5060, "a@x")], ["2", "2"]);
    assert_eq!(rig.shown()[0], "0:0>1:5060>2:5060 NONE sip a@x");
    let v6 = ServiceId::Address { protocol: 17, address: Family::V6.vip(), port: 5060 };
    rig.pair(v6, ServiceConfig { netmask: 64, ..by_sip(PERSISTENT) }, 5060);
    let from =
        |client: &str| udp((client.parse().unwrap(), 5060), (Family::V6.vip(), 5060), &message("a@x"), 64);
    assert_eq!(rig.server_for(&from("2001:db8:1::2")), "2");
    assert_eq!(rig.server_for(&from("2001:db8:1::3")), "2");
    assert_eq!(rig.server_for(&from("2001:db8:1:1::3")), "1");
}

#[test]
fn one_packet_services_know_calls_alone() {
    let mut rig = rig(ONE_PACKET);
    let calls = ["a@x", "b@x", "a@x", "b@x"];
    assert_eq!(calls.map(|id| call(&mut rig, 2, 5060, id)), ["2", "1", "2", "1"]);
    assert_eq!(call(&mut rig, 3, 7000, "a@x"), "2");
    assert_eq!(call(&mut rig, 2, 5060, ""), "no-persistence-data");
    assert_eq!(
        rig.shown(),
        [
            "2:0>1:5060>1:5060 NONE sip b@x",
            "2:0>1:5060>2:5060 NONE sip a@x",
            "3:0>1:5060>2:5060 NONE sip a@x"
        ]
    );
}

/// The template follows the server that spoke last.
#[test]
fn servers_begin_one_packet_calls() {
    let mut rig = rig(ONE_PACKET);
    let packet = udp((V4.client(), 5060), (V4.vip(), 5060), &message("a@x"), 64);
    assert_eq!(rig.server_for(&packet), "2");
    assert_eq!(back(&mut rig, 2, 5060, "a@x"), 5060, "an answer");
    assert_eq!(rig.shown(), ["7:0>1:5060>2:5060 ASSURED sip a@x"]);
    assert_eq!(back(&mut rig, 1, 5060, "a@x"), 5060);
    assert_eq!(back(&mut rig, 1, 5099, "new@x"), 5060);
    assert_eq!(back(&mut rig, 1, 5060, ""), PASSES);
    assert_eq!(
        rig.shown(),
        [
            "7:0>1:5060>1:5060 ASSURED sip a@x",
            "7:0>1:5060>1:5060 ASSURED sip new@x",
            "7:0>1:65535>2:65535 ASSURED sip a@x"
        ]
    );
    assert_eq!(rig.server_for(&packet), "1");
    let counters: Vec<_> = rig
        .destinations(service(5060))
        .iter()
        .map(|it| {
            (
                it.stats.counters.connections,
                it.stats.counters.packets_in,
                it.stats.counters.packets_out,
                it.inactive,
            )
        })
        .collect();
    assert_eq!(counters, [(2, 1, 1, 0), (3, 1, 2, 0)]);
}

#[test]
fn servers_begin_calls() {
    let mut rig = rig(PERSISTENT);
    assert_eq!(back(&mut rig, 1, 5060, "s@x"), 5060);
    assert_eq!(rig.shown(), ["7:0>1:5060>1:5060 ASSURED sip s@x", "7:5060>1:5060>1:5060 UDP"]);
    assert_eq!(call(&mut rig, 7, 5061, "s@x"), "1");
    assert_eq!(back(&mut rig, 1, 5060, ""), 5060, "of a known connection");
    assert_eq!(back(&mut rig, 2, 5099, "s@x"), 5060, "the call moves to the other server");
    assert_eq!(call(&mut rig, 7, 5062, "s@x"), "2");
    assert_eq!(back(&mut rig, 2, 5060, "s@x"), 5060, "and the client's address with it");
    assert_eq!(call(&mut rig, 7, 5060, "s@x"), "2");
    for stray in [
        udp((V4.server(1), 5061), (V4.client(), 1), &message("u@x"), 64),
        udp((V4.server(3), 5060), (V4.client(), 1), &message("u@x"), 64),
        tcp((V4.server(1), 5060), (V4.client(), 1), "S", &message("u@x"), 64),
    ] {
        assert_eq!(rig.receive(&stray).0, Verdict::Pass);
    }
    let counters = rig.destinations(service(5060))[1].stats.counters;
    assert_eq!((counters.connections, counters.packets_in, counters.packets_out), (2, 1, 2));
}

/// Of several services of one server the one to which it was added last; settings that keep clients away do not matter.
#[test]
fn which_service_a_server_speaks_for() {
    let mut rig = rig(PERSISTENT);
    rig.pair(service(5061), by_sip(PERSISTENT), 5060);
    assert_eq!(back(&mut rig, 1, 1, "a@x"), 5061);
    rig.pair(service(5062), round_robin(PERSISTENT), 5060);
    assert_eq!(back(&mut rig, 1, 2, "b@x"), PASSES);
    let server = DestinationId { address: V4.server(1), port: 5060 };
    rig.execute(Command::DeleteDestination(service(5060), server));
    rig.add(service(5060), server, 0);
    assert_eq!(back(&mut rig, 1, 3, "c@x"), 5060, "weight 0");
    rig.execute(Command::DeleteService(service(5060)));
    rig.execute(Command::DeleteService(service(5062)));
    assert_eq!(back(&mut rig, 1, 4, "d@x"), 5061);
    rig.execute(Command::EditService(service(5061), round_robin(PERSISTENT)));
    assert_eq!(back(&mut rig, 1, 5, "e@x"), PASSES, "no engine any longer");
    // A service for all ports does not say what the client is to see.
    let mut rig = Rig::new(100);
    rig.pair(service(0), by_sip(PERSISTENT), 5060);
    assert_eq!(back(&mut rig, 1, 6, "f@x"), PASSES);
}

/// Nothing is remembered then, and no Call-ID needed.
#[test]
fn without_persistence() {
    for flags in [0, ServiceFlags::ONE_PACKET] {
        let mut rig = rig(flags);
        assert_eq!(
            [call(&mut rig, 2, 1, "a@x"), call(&mut rig, 2, 2, "a@x"), call(&mut rig, 2, 3, "")],
            ["2", "1", "2"]
        );
        assert_eq!([back(&mut rig, 1, 4, "a@x"), back(&mut rig, 1, 5, "")], [5060, 5060]);
        assert!(rig.connections().iter().all(|it| it.engine.is_none() && it.client_port != 0));
    }
}

#[test]
fn an_engine_comes_and_goes() {
    let mut rig = rig(PERSISTENT);
    assert_eq!(call(&mut rig, 2, 1, "a@x"), "2");
    rig.execute(Command::EditService(service(5060), round_robin(PERSISTENT)));
    assert_eq!([call(&mut rig, 2, 2, "a@x"), call(&mut rig, 2, 3, "")], ["1", "1"], "by client");
    rig.execute(Command::EditService(service(5060), by_sip(PERSISTENT)));
    assert_eq!(call(&mut rig, 2, 4, "a@x"), "2");
    rig.execute(Command::DeleteService(service(5060)));
    rig.pair(service(5060), by_sip(PERSISTENT), 5060);
    assert_eq!(call(&mut rig, 2, 5, "a@x"), "2", "servers come back from the trash");
    assert_eq!(
        rig.shown().into_iter().filter(|row| row.contains(":0>")).collect::<Vec<_>>(),
        ["2:0>1:5060>1:5060 NONE", "2:0>1:5060>2:5060 NONE sip a@x"]
    );
}

#[test]
fn servers_that_leave_or_rest() {
    for leaves in [true, false] {
        let mut rig = rig(PERSISTENT);
        rig.set(Sysctl::ExpireQuiescentTemplate, 1);
        assert_eq!([call(&mut rig, 2, 1, "a@x"), call(&mut rig, 3, 1, "b@x")], ["2", "1"]);
        let server = DestinationId { address: V4.server(2), port: 5060 };
        match leaves {
            true => _ = rig.execute(Command::DeleteDestination(service(5060), server)),
            false => rig.weigh(service(5060), server, 0),
        }
        assert_eq!([call(&mut rig, 2, 2, "a@x"), call(&mut rig, 2, 3, "a@x")], ["1", "1"]);
        let shown = rig.shown();
        assert_eq!(shown[0], "2:0>1:5060>1:5060 NONE sip a@x");
        assert_eq!(shown[1], "2:0>1:65535>2:65535 NONE sip a@x");
    }
}

#[test]
fn the_data_end_with_the_template() {
    let mut rig = rig(ONE_PACKET);
    assert_eq!(call(&mut rig, 2, 1, "a@x"), "2");
    rig.advance(Duration::from_secs(299));
    assert_eq!(call(&mut rig, 2, 1, "a@x"), "2");
    rig.advance(Duration::from_secs(299));
    assert_eq!(rig.shown(), ["2:0>1:5060>2:5060 NONE sip a@x"]);
    rig.advance(Duration::from_secs(3));
    assert!(rig.shown().is_empty());
    // What servers send keeps it, too.
    assert_eq!(back(&mut rig, 1, 5060, "a@x"), 5060);
    rig.advance(Duration::from_secs(299));
    assert_eq!(back(&mut rig, 1, 5060, "a@x"), 5060);
    rig.advance(Duration::from_secs(299));
    assert_eq!(rig.shown(), ["7:0>1:5060>1:5060 ASSURED sip a@x"]);
    rig.advance(Duration::from_secs(3));
    assert!(rig.shown().is_empty());
    // The entry's next owner has none of them.
    rig.pair(service(53), round_robin(PERSISTENT), 53);
    assert_eq!(call_to(&mut rig, 2, 1, 53, "a@x"), "2");
    assert_eq!(rig.shown()[0], "2:0>1:53>2:53 NONE");
}

/// A gateway's calls are no more in each other's way than those of many clients.
#[test]
fn thousands_of_calls_of_one_client() {
    let mut rig = Rig::new(10_000);
    rig.pair(service(5060), by_sip(ONE_PACKET), 5060);
    for round in 0..2 {
        for number in 0..5000 {
            let expected = if number % 2 == 0 { "2" } else { "1" };
            assert_eq!(call(&mut rig, 2, 5060, &format!("{number}@gateway")), expected, "round {round}");
        }
    }
}

#[test]
fn other_protocols_and_places() {
    let mut rig = rig(PERSISTENT);
    let id = ServiceId::Address { protocol: 6, address: V4.vip(), port: 5060 };
    rig.pair(id, by_sip(PERSISTENT), 5060);
    for payload in [message("a@x"), Vec::new()] {
        let syn = tcp((V4.client(), 1), (V4.vip(), 5060), "S", &payload, 64);
        assert_eq!(rig.receive(&syn).0, Verdict::Drop(Reason::NoPersistenceData));
    }
    // An error about an unknown packet quotes a message, which is not looked at.
    rig.set(Sysctl::ScheduleIcmp, 1);
    let quoted = udp((V4.vip(), 5060), (V4.client(), 5060), &message("a@x"), 64);
    let error = rig::unreachable(V4.client(), V4.vip(), &quoted);
    assert_eq!(rig.receive(&error).0, Verdict::Drop(Reason::NoPersistenceData));
    // On FTP's port templates of clients have no port, those of servers do.
    rig.pair(service(21), by_sip(PERSISTENT), 21);
    assert_eq!(call_to(&mut rig, 2, 1, 21, "a@x"), "2");
    let begun = udp((V4.server(1), 21), (V4.client(), 1), &message("b@x"), 64);
    assert!(matches!(rig.receive(&begun).0, Verdict::Forward { .. }));
    let shown = rig.shown();
    assert!(shown.contains(&"2:0>1:0>2:0 NONE sip a@x".to_owned()), "{shown:?}");
    assert!(shown.contains(&"7:0>1:21>1:21 ASSURED sip b@x".to_owned()), "{shown:?}");
    // Servers begin no connections over TCP.
    rig.execute(Command::EditService(id, by_sip(0)));
    let syn = tcp((V4.server(1), 5060), (V4.client(), 2), "S", &message("c@x"), 64);
    assert_eq!(rig.receive(&syn).0, Verdict::Pass);
}

#[test]
fn strays_are_refused_only_where_no_call_begins() {
    let mut rig = rig(PERSISTENT);
    rig.set(Sysctl::NatIcmpSend, 1);
    assert_eq!(back(&mut rig, 1, 1, "a@x"), 5060);
    let packet = udp((V4.server(1), 5060), (V4.client(), 2), &message(""), 64);
    assert_eq!(rig.receive(&packet).0, Verdict::Reply(Reason::NoConnection));
}
