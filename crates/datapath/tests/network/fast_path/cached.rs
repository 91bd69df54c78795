//! The flow cache: what goes by a record, and what does not.

use std::time::Duration;

use ipvs_core::{Command, ForwardingMethod, Reply, ServiceFlags};
use ipvs_flow::Table;

use super::flow::Flow;
use super::inside;
use super::pair::{Pair, now};
use super::sent::{ACK, CLIENT6, FIN, RST, SYN, Sent, TCP, UDP};
use super::tunnels::{KINDS, serve as serve_by_tunnel};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, Topology, VIP, VIP6};

/// In a new network, the program at XDP and then as a classifier.
pub(super) fn at_both(test: impl Fn(&mut Pair) + Sync) {
    inside(&test);
    let topology = Topology::new();
    topology.director.run(|| test(&mut Pair::open_classifier(&topology)));
}

#[test]
fn steady_packets_go_by_records() {
    at_both(|pair| {
        for protocol in [TCP, UDP] {
            let flow = Flow::new(protocol, 4000);
            let service = flow.serve(pair);
            assert!(pair.send(&flow.out(SYN)) && !flow.is_recorded(pair), "it has just begun");
            if protocol == TCP {
                assert!(pair.send(&flow.back(SYN | ACK)) && !flow.is_recorded(pair));
            }
            assert!(pair.send(&flow.out(ACK)) && flow.is_recorded(pair));
            let by_records = pair.by_records;
            assert!(pair.goes_by_record(&flow.out(ACK), &flow.key()));
            assert_eq!(pair.by_records, by_records + 1);
            // The first one back is looked for by the entry.
            assert!(!pair.goes_by_record(&flow.back(ACK), &flow.key()));
            assert!(pair.send(&flow.back(ACK)));
            flow.goes_on(pair);
            assert_eq!(pair.by_records, by_records + 2);
            let direct = Flow { at: end(VIP, 81), server: end(SERVER, 81), ..Flow::new(protocol, 4001) };
            let other = pair.serve(protocol, direct.at, direct.server, ForwardingMethod::DIRECT);
            assert!([SYN, ACK, ACK].into_iter().all(|flags| pair.send(&direct.out(flags))));
            assert!(pair.goes_by_record(&direct.out(ACK), &direct.key()));
            pair.listings(&[service, other]);
        }
    });
}

/// The flows of one client's port to so many services.
fn of_one_port(protocol: u8, many: u16) -> impl Iterator<Item = Flow> {
    let flow = Flow::new(protocol, 4000);
    (0..many).map(move |n| Flow { at: end(VIP, 100 + n), server: end(SERVER, 8100 + n), ..flow })
}

#[test]
fn a_client_may_have_more_flows_than_its_bucket_has_records() {
    at_both(|pair| {
        for protocol in [TCP, UDP] {
            let flows: Vec<_> = of_one_port(protocol, 7).collect();
            for flow in &flows {
                flow.serve(pair);
                flow.begin(pair);
            }
            flows.iter().for_each(|flow| flow.goes_on(pair));
            let direct = Flow { at: end(VIP, 90), server: end(SERVER, 90), ..flows[0] };
            pair.serve(protocol, direct.at, direct.server, ForwardingMethod::DIRECT);
            assert!([SYN, ACK, ACK].into_iter().all(|flags| pair.send(&direct.out(flags))));
            assert!(pair.goes_by_record(&direct.out(ACK), &direct.key()));
            if protocol == TCP {
                // What changes them finds their records.
                for flow in &flows {
                    assert!(pair.send(&flow.out(FIN | ACK)) && !flow.is_recorded(pair));
                }
            }
        }
    });
}

#[test]
fn a_client_may_have_more_flows_through_tunnels_than_its_bucket_has_records() {
    inside(|pair| {
        for protocol in [TCP, UDP] {
            for flow in of_one_port(protocol, 4) {
                flow.serve(pair);
                flow.begin(pair);
            }
            for (port, kind) in (80..).zip(KINDS).take(4) {
                let flow = Flow { at: end(VIP, port), ..Flow::new(protocol, 4000) };
                serve_by_tunnel(pair, protocol, flow.at, end(SERVER, 80), kind);
                assert!([SYN, ACK, ACK].into_iter().all(|flags| pair.send(&flow.out(flags))), "{kind:?}");
                assert!(pair.goes_by_record(&flow.out(ACK), &flow.key()), "{kind:?} {protocol}");
            }
        }
    });
}

#[test]
fn steady_packets_go_by_records_through_tunnels() {
    inside(|pair| {
        let mut port = 90;
        for protocol in [TCP, UDP] {
            for server in [SERVER, SERVER6] {
                for kind in KINDS {
                    port += 1;
                    let flow = Flow { at: end(VIP, port), ..Flow::new(protocol, port) };
                    let service = serve_by_tunnel(pair, protocol, flow.at, end(server, 80), kind);
                    assert!([SYN, ACK, ACK].into_iter().all(|flags| pair.send(&flow.out(flags))));
                    let by_records = pair.by_records;
                    // Padded, and as long as any.
                    for payload in [0, 100, 1400] {
                        let sent = Sent { payload, ..flow.out(ACK) };
                        assert!(
                            pair.goes_by_record(&sent, &flow.key()),
                            "{kind:?} {protocol} {server} {payload}"
                        );
                    }
                    assert_eq!(pair.by_records, by_records + 3);
                    assert!(!pair.send(&Sent { payload: 1470, ..flow.out(ACK) }), "too long");
                    assert!(pair.send(&flow.out(ACK)) && pair.goes_by_record(&flow.out(ACK), &flow.key()));
                    pair.listings(&[service]);
                }
            }
        }
    });
}

#[test]
fn what_changes_a_connection_takes_its_record_out() {
    at_both(|pair| {
        for (number, change) in (0..).zip([FIN | ACK, RST, RST | ACK, FIN, 0, SYN | ACK]) {
            for is_back in [false, true] {
                let flow = Flow::new(TCP, 4000 + 2 * number + u16::from(is_back));
                if number == 0 && !is_back {
                    flow.serve(pair);
                }
                flow.begin(pair);
                pair.send(&if is_back { flow.back(change) } else { flow.out(change) });
                let moves = change & (FIN | RST) != 0;
                assert!(!(flow.is_recorded(pair) && moves), "{change:x} {is_back}");
                // In the state that it has now it goes on.
                pair.send(&flow.out(ACK));
                pair.send(&flow.back(ACK));
                pair.send(&flow.out(ACK));
                flow.goes_on(pair);
            }
        }
        // A client's SYN is the daemon's.
        let flow = Flow::new(TCP, 4100);
        flow.begin(pair);
        assert!(!pair.send(&flow.out(SYN)) && !flow.is_recorded(pair));
        flow.begin(pair);
        assert!(pair.send(&flow.out(RST)) && !flow.is_recorded(pair));
        assert!(!pair.send(&flow.out(SYN)));
        flow.begin(pair);
    });
}

/// Of one client's port, to one server's: whose the answers are only the table says.
#[test]
fn connections_of_one_client_port_are_told_apart() {
    for protocol in [TCP, UDP] {
        at_both(|pair| {
            let flow = Flow::new(protocol, 4000);
            let others = [
                Flow { at: end("10.1.0.101", 80), ..flow },
                Flow { at: end(VIP, 81), ..flow },
                Flow { at: end(VIP, 82), server: end(SERVER, 8082), ..flow },
            ];
            let mut services = vec![flow.serve(pair)];
            flow.begin(pair);
            for other in others {
                services.push(other.serve(pair));
                for flags in [SYN, ACK, ACK] {
                    pair.send(&other.out(flags));
                    pair.send(&other.back(ACK));
                    pair.send(&flow.out(ACK));
                    pair.send(&flow.back(ACK));
                }
                assert!(pair.goes_by_record(&flow.out(ACK), &flow.key()));
                assert!(pair.goes_by_record(&other.out(ACK), &other.key()));
            }
            // They end one by one: TCP's soon after they are reset.
            for ended in [flow, others[1]] {
                pair.send(&ended.out(RST));
                pair.end_after(15);
                for it in [flow, others[0], others[1], others[2], flow] {
                    for _ in 0..3 {
                        pair.send(&it.back(ACK));
                        pair.send(&Sent { payload: 7, ..it.back(ACK) });
                    }
                }
            }
            pair.listings(&services);
            pair.end_after(100_000);
        });
    }
}

/// What comes from a server may be its own as a client.
#[test]
fn a_server_is_a_client_too() {
    at_both(|pair| {
        let flow = Flow::new(UDP, 4000);
        flow.serve(pair);
        // Its client's end is a service, of which the server uses the same end.
        let own = Flow { client: flow.server, at: flow.client, server: end(SERVER, 4000), ..flow };
        pair.serve(UDP, own.at, own.server, ForwardingMethod::DIRECT);
        pair.send(&own.out(0));
        for _ in 0..4 {
            pair.send(&flow.out(0));
            pair.send(&own.out(0));
        }
        assert!(pair.goes_by_record(&flow.out(0), &flow.key()));
        assert!(pair.send(&own.out(0)), "it is not the answer to it");
    });
}

#[test]
fn persistent_connections_change_by_the_daemon_alone() {
    at_both(|pair| {
        let flow = Flow::new(TCP, 4000);
        let service = pair.serve_by(TCP, flow.at, "rr", ServiceFlags::PERSISTENT);
        pair.add(service, flow.server, ForwardingMethod::MASQUERADE);
        assert!(!pair.send(&flow.out(SYN)) && pair.send(&flow.back(SYN | ACK)) && !pair.send(&flow.out(ACK)));
        assert!(pair.send(&flow.out(ACK)) && pair.send(&flow.back(ACK)));
        flow.goes_on(pair);
        assert!(!pair.send(&flow.out(FIN | ACK)) && !flow.is_recorded(pair));
        pair.send(&flow.out(ACK));
        pair.send(&flow.back(ACK));
        flow.goes_on(pair);
        pair.listings(&[service]);
    });
}

#[test]
fn connections_of_ipv6_have_no_records() {
    at_both(|pair| {
        for protocol in [TCP, UDP] {
            let (client, at, server) = (end(CLIENT6, 4000), end(VIP6, 80), end(SERVER6, 8080));
            let flow = Flow { protocol, client, at, server };
            flow.serve(pair);
            for (is_back, flags) in [(false, SYN), (true, SYN | ACK), (false, ACK), (true, ACK), (false, ACK)]
            {
                assert!(pair.send(&if is_back { flow.back(flags) } else { flow.out(flags) }));
            }
            assert!(!pair.goes_by_record(&flow.out(ACK), &flow.key()));
            assert!(pair.send(&flow.out(ACK)) && pair.send(&flow.back(ACK)));
        }
        assert_eq!(pair.by_records, 0);
    });
}

/// Buckets have few places: who has none is forwarded by the entry.
#[test]
fn more_connections_than_records_are_all_forwarded() {
    at_both(|pair| {
        let service = Flow::new(UDP, 0).serve(pair);
        let flows: Vec<_> = (0..300).map(|number| Flow::new(UDP, 4000 + number)).collect();
        for flow in &flows {
            pair.send(&flow.out(0));
        }
        for flow in &flows {
            assert!(pair.send(&flow.out(0)) && pair.send(&flow.back(0)));
        }
        let recorded = flows.iter().filter(|flow| flow.is_recorded(pair)).count();
        println!("{recorded} of {} have records", flows.len());
        assert!((100..300).contains(&recorded), "{recorded}");
        for flow in &flows {
            let is_recorded = flow.is_recorded(pair);
            let by_records = pair.by_records;
            assert!(pair.send(&flow.out(0)) && pair.send(&flow.back(0)));
            assert_eq!(pair.by_records - by_records, u32::from(is_recorded));
        }
        pair.listings(&[service]);
        // Places that are left are taken.
        pair.end_after(100_000);
        for flow in &flows[..40] {
            flow.begin(pair);
        }
    });
}

/// Of a packet that only the record knows the daemon learns when it looks for what has ended.
#[test]
fn a_connection_ends_after_the_latest_packet_of_its_record() {
    inside(|pair| {
        let flow = Flow::new(UDP, 4000);
        flow.serve(pair);
        flow.begin(pair);
        let before = now();
        let timeout = Duration::from_secs(300);
        // The program goes by the host's clock; a tick is 4 ms.
        let pass = |milliseconds| {
            let end = now() + Duration::from_millis(milliseconds);
            while now() < end {}
        };
        let goes_by_program = |pair: &mut Pair| {
            let frame = pair.frame(&flow.out(0));
            assert!(pair.program(&flow.out(0)).frame != frame);
            pair.one_table.noted()
        };
        let remaining = |pair: &mut Pair, at| {
            let list = Command::ListConnections { cursor: 0, limit: 10 };
            let reply = pair.one.execute(at, pair.datapath.host(), list).unwrap();
            let Reply::Connections { items, .. } = reply else { panic!("{reply:?}") };
            items.iter().map(|it| it.expires).collect::<Vec<_>>()
        };
        pass(50);
        let noted = goes_by_program(pair);
        let listed = remaining(pair, before + Duration::from_millis(20));
        assert!(listed.len() == 1 && listed[0] >= 300, "{listed:?}");
        let before = now();
        pass(50);
        assert_eq!(goes_by_program(pair), noted + 1);
        pair.one.poll(before + timeout + Duration::from_millis(20));
        assert_eq!(pair.connections().len(), 1, "a packet came 50 ms later");
        pair.one.poll(now() + timeout + Duration::from_secs(1));
        assert!(pair.connections().is_empty());
        assert!(!flow.is_recorded(pair) && pair.program(&flow.back(0)).frame == pair.frame(&flow.back(0)));
    });
}

/// A record counts to 65535: the next packet goes by the entry, and then there is another one.
#[test]
fn no_packet_is_lost_to_a_record_that_is_full() {
    inside(|pair| {
        let flow = Flow::new(UDP, 4000);
        flow.serve(pair);
        flow.begin(pair);
        fill_record(pair, &flow);
    });
}

#[test]
fn no_packet_is_lost_to_a_record_of_a_tunnel_that_is_full() {
    inside(|pair| {
        let flow = Flow { at: end(VIP, 91), ..Flow::new(UDP, 4000) };
        serve_by_tunnel(pair, UDP, flow.at, end(SERVER, 80), KINDS[0]);
        assert!([0; 3].into_iter().all(|flags| pair.send(&flow.out(flags))));
        fill_record(pair, &flow);
    });
}

/// More packets of a flow than its record can count are all forwarded in the program.
fn fill_record(pair: &Pair, flow: &Flow) {
    let frame = pair.frame(&flow.out(0));
    let packets = |pair: &Pair| {
        let table = Table::attach(pair.one_table.as_ref()).unwrap();
        let (index, entry) = table.lookup_in(&flow.key()).unwrap();
        (table.packets_in(index, &entry), entry.packets_in())
    };
    let (before, _) = packets(pair);
    for _ in 0..70_000 {
        assert!(pair.datapath.try_program(pair.front.0, &frame, 1).unwrap().frame != frame);
    }
    let (after, by_entry) = packets(pair);
    assert_eq!(after - before, 70_000);
    assert!(after - by_entry < 5000 && flow.is_recorded(pair), "{after} {by_entry}");
}
