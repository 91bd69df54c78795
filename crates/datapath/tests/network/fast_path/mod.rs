//! The XDP program with its director against a director alone: the same packets give the same bytes, the same table and
//! the same counters.

mod births;
mod bulk;
mod cached;
mod cached_changes;
mod filter;
mod flow;
mod full_nat;
mod pair;
mod sent;
mod tunnels;
mod vlan;
mod watched;

use std::time::Duration;

use ipvs_core::{Command, DestinationId, ForwardingMethod, Sysctl, Timeouts};
use ipvs_flow::{Table, ticks};
use proptest::test_runner::{Config as RunnerConfig, TestRunner};

use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};
use pair::{Pair, judge, now};
use sent::{ACK, CLIENT, CLIENT6, FIN, RST, SYN, Sent, TCP, UDP, plain, sent};

/// In the director's namespace.
fn inside(test: impl FnOnce(&mut Pair) + Send) {
    let topology = Topology::new();
    topology.director.run(|| test(&mut Pair::open(&topology)));
}

#[test]
fn an_interface_of_any_index_takes_frames() {
    let topology = Topology::new();
    let Topology { director, server, .. } = &topology;
    director.ip("link del d1");
    director.ip(&format!("link add d1 index 70000 type veth peer name s0 netns {}", server.name()));
    director.ip("link set d1 up");
    director.ip("addr add 10.2.0.1/24 dev d1");
    server.ip("link set s0 up");
    server.ip("addr add 10.2.0.2/24 dev s0");
    director.run(|| {
        let pair = &mut Pair::open(&topology);
        pair.serve(UDP, end(VIP, 53), end(SERVER, 53), ForwardingMethod::MASQUERADE);
        let out = plain(UDP, end(CLIENT, 4000), end(VIP, 53), ACK);
        assert!(pair.send(&out) && pair.send(&out));
    });
}

#[test]
fn established_connections_are_forwarded_by_the_program() {
    inside(|pair| {
        for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
            for (protocol, port) in [(TCP, 80), (UDP, 53)] {
                let service =
                    pair.serve(protocol, end(vip, port), end(server, 8080), ForwardingMethod::MASQUERADE);
                let direct = pair.serve(protocol, end(vip, 81), end(server, 81), ForwardingMethod::DIRECT);
                let out = |flags| plain(protocol, end(client, 4000), end(vip, port), flags);
                let back = |flags| plain(protocol, end(server, 8080), end(client, 4000), flags);
                // The first packet begins a connection; a client's further SYNs are the daemon's.
                assert!(pair.send(&out(SYN)));
                assert!(!pair.send(&out(SYN)) || protocol == UDP);
                assert!(pair.send(&back(SYN | ACK)) && pair.send(&out(ACK)));
                pair.listings(&[service, direct]);
                assert!(pair.send(&out(ACK)) && pair.send(&back(ACK)));
                assert!(pair.send(&plain(protocol, end(client, 4001), end(vip, 81), SYN)));
                // Direct routing sees one side only: the first ACK establishes.
                let straight = |flags| plain(protocol, end(client, 4001), end(vip, 81), flags);
                for flags in [ACK, FIN | ACK, ACK, RST] {
                    assert!(pair.send(&straight(flags)));
                    pair.listings(&[service, direct]);
                }
                // It has ended: another one may begin in its place.
                assert!(!pair.send(&straight(SYN)) || protocol == UDP);
                // Of another timeout the table must learn.
                pair.execute(Command::SetTimeouts(Timeouts { tcp: 50, tcp_fin: 0, udp: 60 }));
                assert!(!pair.send(&out(ACK)) && pair.send(&out(ACK)));
                pair.execute(Command::SetTimeouts(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }));
                // What is counted is not lost with the destination, nor found at another.
                let id = DestinationId { address: end(server, 8080).ip(), port: 8080 };
                pair.send(&out(ACK));
                pair.send(&out(ACK));
                pair.execute(Command::DeleteDestination(service, id));
                assert!(!pair.send(&out(ACK)) && !pair.send(&back(ACK)));
                pair.listings(&[service]);
                pair.add(service, end(server, 8080), ForwardingMethod::MASQUERADE);
                assert!(pair.send(&out(ACK)) && pair.send(&back(ACK)));
                for (flags, is_back) in [(FIN | ACK, true), (FIN | ACK, false), (ACK, true), (RST, false)] {
                    assert!(pair.send(&if is_back { back(flags) } else { out(flags) }));
                    pair.listings(&[service]);
                }
                pair.execute(Command::Zero(Some(service)));
                pair.send(&out(ACK));
                pair.listings(&[service, direct]);
            }
        }
        pair.execute(Command::Zero(None));
        pair.execute(Command::Flush);
        assert!(!pair.send(&plain(TCP, end(CLIENT, 4001), end(VIP, 81), ACK)));
    });
}

#[test]
fn any_packets_meet_the_same_fate() {
    inside(any_packets);
}

/// The same of the program as a classifier.
#[test]
fn any_packets_meet_the_same_fate_at_a_classifier() {
    let topology = Topology::new();
    topology.director.run(|| any_packets(&mut Pair::open_classifier(&topology)));
}

/// A packet that is yet to be cut is forwarded as it is, if its segments fit the way.
#[test]
fn a_classifier_forwards_what_is_yet_to_be_cut() {
    for (client, vip, server, headers) in [(CLIENT, VIP, SERVER, 40), (CLIENT6, VIP6, SERVER6, 60)] {
        let topology = Topology::new();
        topology.director.run(|| {
            let pair = &mut Pair::open_classifier(&topology);
            pair.serve(TCP, end(vip, 80), end(server, 8080), ForwardingMethod::MASQUERADE);
            let (to, from) = ((end(client, 4000), end(vip, 80)), (end(server, 8080), end(client, 4000)));
            for (ends, flags) in [(to, SYN), (from, SYN | ACK), (to, ACK)] {
                assert!(pair.send(&plain(TCP, ends.0, ends.1, flags)));
            }
            for ((from, to), interface) in [(to, pair.front.0), (from, pair.back.0)] {
                let large = Sent { payload: 3000, ..plain(TCP, from, to, ACK) };
                let frame = pair.frame(&large);
                let forwards = |segment| {
                    let trial = pair.datapath.try_classifier(interface, &frame, segment).unwrap();
                    assert_eq!(trial.frame.len(), frame.len());
                    trial.frame != frame
                };
                let fits = 1500 - headers;
                assert!(forwards(fits) && forwards(500), "{large:?}");
                assert!(!forwards(0) && !forwards(fits + 1), "{large:?}");
            }
        });
    }
}

fn any_packets(pair: &mut Pair) {
    let mut services = Vec::new();
    for (vip, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        for protocol in [TCP, UDP] {
            services.push(pair.serve(
                protocol,
                end(vip, 80),
                end(server, 8080),
                ForwardingMethod::MASQUERADE,
            ));
            services.push(pair.serve(protocol, end(vip, 81), end(server, 81), ForwardingMethod::DIRECT));
        }
    }
    let config = RunnerConfig { failure_persistence: None, ..RunnerConfig::with_cases(6000) };
    let pair = std::cell::RefCell::new((pair, 0));
    TestRunner::new(config)
        .run(&sent(), |(_, sent)| {
            let (pair, number) = &mut *pair.borrow_mut();
            // Often more follow that are like it.
            for _ in 0..1 + *number % 3 {
                pair.send(&sent);
            }
            *number += 1;
            if *number % 100 == 0 {
                pair.listings(&services);
            }
            if *number % 1000 == 0 {
                let secure = i64::from(*number % 2000 == 0) * 3;
                pair.execute(Command::SetSysctl(Sysctl::SecureTcp, vec![secure]));
                let established = 900 + *number / 1000;
                pair.execute(Command::SetTimeouts(Timeouts { tcp: established, tcp_fin: 0, udp: 0 }));
            }
            Ok(())
        })
        .unwrap();
    let (pair, _) = &mut *pair.borrow_mut();
    pair.listings(&services);
    println!("{} of 12000 packets forwarded by the program, {} by records", pair.forwarded, pair.by_records);
    assert!(pair.forwarded > 1000, "{}", pair.forwarded);
    // What is to get a tag is not for the short way.
    assert!(pair.by_records > 500 || pair.tags != [None; 2], "{}", pair.by_records);
}

/// The daemon learns by a ring of ends that come nearer; what it does not read in time wakes it.
#[test]
fn ends_that_come_nearer_are_told() {
    inside(|pair| {
        pair.serve(TCP, end(VIP, 81), end(SERVER, 81), ForwardingMethod::DIRECT);
        let sent = |flags| plain(TCP, end(CLIENT, 4000), end(VIP, 81), flags);
        assert!(pair.send(&sent(SYN)) && pair.send(&sent(ACK)) && pair.send(&sent(FIN | ACK)));
        let ended = |pair: &Pair| pair.connections().is_empty();
        pair.one.poll(now() + Duration::from_secs(110));
        assert!(!ended(pair));
        pair.one.poll(now() + Duration::from_secs(125));
        assert!(ended(pair), "it ended in FIN_WAIT");
    });
    inside(|pair| {
        pair.serve(TCP, end(VIP, 81), end(SERVER, 81), ForwardingMethod::DIRECT);
        let sent = |flags| plain(TCP, end(CLIENT, 4000), end(VIP, 81), flags);
        assert!(pair.send(&sent(SYN)) && pair.send(&sent(ACK)));
        let frame = pair.frame(&sent(FIN | ACK));
        let established = 900;
        let mut told = 0;
        loop {
            let moved = pair.datapath.try_program(pair.front.0, &frame, 1).unwrap().frame != frame;
            let [entry] = pair.connections()[..] else { panic!() };
            let table = Table::attach(pair.one_table.as_ref()).unwrap();
            let entry = table.change(entry).unwrap();
            if !moved {
                assert_eq!(entry.state(), 1, "handed over before anything changed");
                // Once, to wake the daemon.
                let after = pair.datapath.try_program(pair.front.0, &frame, 1).unwrap();
                assert!(after.frame != frame);
                break;
            }
            assert_eq!(entry.state(), 4);
            told += 1;
            entry.set_state(1);
            entry.set_flags(entry.flags() & !0x100);
            entry.set_timeout(ticks(established));
        }
        // On whichever processors the packets were.
        assert!((4096..=4096 * 64).contains(&told), "{told}");
        pair.one.settle();
        pair.one.poll(now() + Duration::from_secs(125));
        assert!(pair.connections().is_empty(), "each of the events was of this one");
    });
}

#[test]
fn a_flooded_frame_is_not_forwarded() {
    inside(|pair| {
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let sent = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        pair.send(&sent);
        assert!(pair.send(&sent));
        let mut frame = vec![2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 9, 8, 0];
        frame.extend(sent.packet());
        let trial = pair.datapath.try_program(pair.front.0, &frame, 1).unwrap();
        assert_eq!(trial.frame, frame);
    });
}

#[test]
fn ways_follow_the_network() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        let mut ends = std::mem::take(&mut pair.ends);
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let out = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        let back = plain(UDP, end(SERVER, 8080), end(CLIENT, 4000), 0);
        pair.send(&out);
        assert!(pair.send(&out) && pair.send(&back));
        flow::Flow::new(UDP, 4000).goes_on(pair);
        // Where frames go, zero if the daemon is to send them.
        let to = |pair: &Pair, sent: &Sent, (index, own): (u32, [u8; 6])| {
            let mut frame = own.to_vec();
            frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
            frame.extend(sent.packet());
            let trial = pair.datapath.try_program(index, &frame, 1).unwrap();
            if trial.frame == frame { [0; 6] } else { trial.frame[..6].try_into().unwrap() }
        };
        let mut until = |what: &str, to_server: [u8; 6], to_client: [u8; 6]| {
            let mut seen = Default::default();
            for _ in 0..500 {
                pair.datapath.turn(now(), &mut pair.one);
                seen = (to(pair, &out, pair.front), to(pair, &back, pair.back));
                if seen == (to_server, to_client) {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("{what}: {seen:?}");
        };
        let director = &topology.director;
        director.ip(&format!("neigh replace {SERVER} lladdr 02:00:00:00:00:aa nud permanent dev d1"));
        director.ip(&format!("neigh replace {CLIENT} lladdr 02:00:00:00:00:bb nud permanent dev d0"));
        let (aa, bb, none) = ([2, 0, 0, 0, 0, 0xaa], [2, 0, 0, 0, 0, 0xbb], [0; 6]);
        until("other neighbours", aa, bb);
        director.ip("route add blackhole 10.2.0.2/32");
        // Nor is a packet from it known as its.
        until("no way to the server", none, none);
        director.ip("route del blackhole 10.2.0.2/32");
        until("a way again", aa, bb);
        director.ip("link set d1 mtu 100");
        until("too large for the link", none, bb);
        director.ip("link set d1 mtu 1500");
        until("small enough again", aa, bb);
        director.ip("route add blackhole 10.1.0.2/32");
        until("no way to the client", aa, none);
        director.ip("route del blackhole 10.1.0.2/32");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        until("a host that does not forward", aa, none);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        until("one that does", aa, bb);
        // The other end no longer takes frames.
        ends.pop();
        until("a link to the server that loses frames", none, none);
    });
}

#[test]
fn what_follows_a_change_does_not_overtake_it() {
    inside(|pair| {
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let sent = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        let packet = sent.packet();
        let (index, own) = pair.front;
        let mut frame = own.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
        frame.extend(&packet);
        let forwarded = |pair: &Pair| pair.datapath.try_program(index, &frame, 1).unwrap().frame != frame;
        judge(&mut pair.one, &pair.datapath, now(), &packet);
        assert!(!forwarded(pair), "the first packet is being sent");
        pair.one.settle();
        pair.one.settle();
        assert!(!forwarded(pair), "that one was handed over and may wait in the socket");
        pair.one.settle();
        pair.one.settle();
        assert!(forwarded(pair));
    });
}

#[test]
fn a_link_that_loses_frames_is_the_daemons() {
    let topology = Topology::new();
    topology.director.run(|| {
        // Neither GRO nor a program at the other ends.
        let pair = &mut Pair::open_as_it_is(&topology);
        pair.serve(UDP, end(VIP, 80), end(SERVER, 8080), ForwardingMethod::MASQUERADE);
        let sent = plain(UDP, end(CLIENT, 4000), end(VIP, 80), 0);
        for _ in 0..3 {
            assert!(!pair.send(&sent));
            assert!(!pair.send(&plain(UDP, end(SERVER, 8080), end(CLIENT, 4000), 0)));
        }
    });
}
