//! The flow cache while settings change, and destinations and connections come and go: nobody can tell that there is one.

use ipvs_core::{Command, DestinationId, ForwardingMethod, Sysctl, Timeouts};

use super::births::{Random, edit, make_servers_known};
use super::cached::at_both;
use super::flow::Flow;
use super::pair::{Pair, destination};
use super::sent::{ACK, CLIENT, FIN, RST, SYN, TCP, UDP};
use crate::director::end;
use crate::topology::{SERVER, Topology, VIP};

#[test]
fn settings_are_followed() {
    at_both(|pair| {
        let flows = [Flow::new(TCP, 4000), Flow::new(UDP, 4000)];
        let services = flows.map(|flow| flow.serve(pair));
        flows.iter().for_each(|flow| flow.begin(pair));
        // Of one protocol's timeout, of the other's, of both.
        for (tcp, udp) in [(50, 0), (0, 60), (900, 300)] {
            pair.execute(Command::SetTimeouts(Timeouts { tcp, tcp_fin: 0, udp }));
            for flow in &flows {
                assert!(flow.is_recorded(pair) && !pair.goes_by_record(&flow.back(ACK), &flow.key()));
                assert!(pair.send(&flow.back(ACK)));
                flow.goes_on(pair);
            }
            pair.listings(&services);
        }
        for secure in [3, 0, 3] {
            pair.execute(Command::SetSysctl(Sysctl::SecureTcp, vec![secure]));
            for flow in flows {
                assert!(!pair.goes_by_record(&flow.out(ACK), &flow.key()));
                for _ in 0..2 {
                    pair.send(&flow.back(ACK));
                    pair.send(&flow.out(ACK));
                }
                flow.goes_on(pair);
            }
        }
        let flow = Flow::new(TCP, 4000);
        assert!(pair.send(&flow.back(FIN | ACK)) && pair.send(&flow.out(FIN | ACK)));
        pair.listings(&services);
    });
}

#[test]
fn destinations_are_followed() {
    at_both(|pair| {
        for protocol in [TCP, UDP] {
            let flow = Flow::new(protocol, 4000);
            let service = flow.serve(pair);
            flow.begin(pair);
            // It takes no new connections, and keeps those that it has.
            pair.execute(edit(service, SERVER, destination(ForwardingMethod::MASQUERADE, 0)));
            flow.goes_on(pair);
            // Connections keep the method by which they began.
            pair.execute(edit(service, SERVER, destination(ForwardingMethod::DIRECT, 1)));
            flow.goes_on(pair);
            let id = DestinationId { address: flow.server.ip(), port: flow.server.port() };
            for expires in [0, 1] {
                pair.execute(Command::SetSysctl(Sysctl::ExpireNodestConn, vec![expires]));
                pair.execute(Command::DeleteDestination(service, id));
                assert!(!pair.send(&flow.out(ACK)) && !pair.send(&flow.back(ACK)));
                pair.add(service, flow.server, ForwardingMethod::MASQUERADE);
                pair.listings(&[service]);
                if expires == 0 {
                    pair.send(&flow.out(ACK));
                    pair.send(&flow.back(ACK));
                    flow.goes_on(pair);
                }
            }
            flow.begin(pair);
            pair.execute(Command::DeleteService(service));
            assert!(!pair.send(&flow.out(ACK)) && !pair.send(&flow.back(ACK)));
        }
        pair.execute(Command::Flush);
    });
}

/// A record is of a connection, not of all that have the same ends one after the other.
#[test]
fn the_next_connection_of_the_same_ends_has_a_record_of_its_own() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        make_servers_known(&topology, pair);
        for protocol in [TCP, UDP] {
            let flow = Flow::new(protocol, 4000);
            let service = flow.serve(pair);
            pair.add(service, end("10.2.0.3", 8080), ForwardingMethod::MASQUERADE);
            pair.add(service, end("10.2.0.4", 9090), ForwardingMethod::MASQUERADE);
            // In turn: 4, 3, 2.
            for server in [end("10.2.0.4", 9090), end("10.2.0.3", 8080), flow.server, end("10.2.0.4", 9090)] {
                let flow = Flow { server, ..flow };
                flow.begin(pair);
                let old = flow.in_record(pair, |it| it.destination());
                if protocol == TCP && server == flow.server {
                    // It is closed, and another one takes its place at once.
                    assert!(pair.send(&flow.out(RST)));
                    pair.execute(Command::SetSysctl(Sysctl::ConnReuseMode, vec![1]));
                } else {
                    pair.end_after(100_000);
                }
                assert!(old.is_some() && !flow.is_recorded(pair));
                assert!(protocol == TCP || !pair.send(&flow.back(ACK)), "nobody's");
            }
            pair.execute(Command::DeleteService(service));
        }
    });
}

/// A few flows that begin, go on and end, while servers come and go and settings change.
#[test]
fn any_flows_go_on_as_without_records() {
    let topology = Topology::new();
    topology.director.run(|| {
        let pair = &mut Pair::open(&topology);
        make_servers_known(&topology, pair);
        let servers = [end(SERVER, 8080), end("10.2.0.3", 8080), end("10.2.0.4", 8080)];
        let mut services = Vec::new();
        for protocol in [TCP, UDP] {
            for at in [end(VIP, 80), end("10.1.0.101", 80)] {
                let service = pair.serve_by(protocol, at, "rr", 0);
                servers.iter().for_each(|server| pair.add(service, *server, ForwardingMethod::MASQUERADE));
                services.push((service, protocol, at));
            }
        }
        let ids: Vec<_> = services.iter().map(|it| it.0).collect();
        let mut random = Random(0xcac4e);
        for number in 0..8000 {
            let (service, protocol, at) = random.of(&services);
            let (client, server) = (end(CLIENT, 4000 + random.below(3) as u16), random.of(&servers));
            let flow = Flow { protocol, client, at, server };
            let flags = random.of(&[ACK, ACK, ACK, ACK | 8, ACK | 8, SYN, SYN | ACK, FIN | ACK, RST]);
            let is_back = random.below(2) == 0;
            let sent = if is_back { flow.back(flags) } else { flow.out(flags) };
            for _ in 0..1 + random.below(3) {
                pair.send(&sent);
            }
            if number % 50 != 0 {
                continue;
            }
            let masqueraded = |weight| destination(ForwardingMethod::MASQUERADE, weight);
            match random.below(8) {
                0 | 1 => {
                    let id = DestinationId { address: server.ip(), port: server.port() };
                    pair.execute(Command::DeleteDestination(service, id));
                    pair.send(&sent);
                    pair.add(service, server, ForwardingMethod::MASQUERADE);
                }
                2 | 3 => {
                    let weight = random.of(&[0, 1, 2]);
                    pair.execute(edit(service, &server.ip().to_string(), masqueraded(weight)));
                }
                4 => {
                    let (tcp, udp) = (random.of(&[900, 800]), random.of(&[300, 200]));
                    pair.execute(Command::SetTimeouts(Timeouts { tcp, tcp_fin: 0, udp }));
                }
                5 => {
                    let secure = random.of(&[0, 3]);
                    pair.execute(Command::SetSysctl(Sysctl::SecureTcp, vec![secure]));
                }
                // Those that were reset end.
                _ => pair.end_after(15),
            }
            pair.listings(&ids);
        }
        println!("{} forwarded by the program, {} by records", pair.forwarded, pair.by_records);
        assert!(pair.by_records > 1000, "{}", pair.by_records);
        pair.end_after(100_000);
    });
}
