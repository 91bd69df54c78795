//! Full NAT in the program: begun by the daemon, forwarded here, in both directions, to the same bytes.

use std::net::SocketAddr;

use ipvs_core::{Command, DestinationConfig, DestinationId, ForwardingMethod, PoolName, Reply, ServiceId};
use proptest::test_runner::{Config as RunnerConfig, TestRunner};

use super::inside;
use super::pair::{Pair, now};
use super::sent::{ACK, CLIENT, CLIENT6, FIN, RST, SYN, Sent, TCP, UDP, plain, sent};
use crate::director::end;
use crate::topology::{SERVER, SERVER6, VIP, VIP6};

const PORT: u16 = 82;

/// Services of both families and protocols, each with one server by full NAT.
fn serve(pair: &mut Pair) -> Vec<ServiceId> {
    let pool = PoolName::new("local").unwrap();
    let addresses = ["10.2.0.50", "fd02::50"].map(|address| end(address, 0).ip());
    pair.execute(Command::AddPool(pool, addresses.to_vec()));
    let mut services = Vec::new();
    for (vip, server) in [(VIP, SERVER), (VIP6, SERVER6)] {
        for protocol in [TCP, UDP] {
            let service = pair.serve_by(protocol, end(vip, PORT), "rr", 0);
            let config = DestinationConfig {
                local_pool: Some(pool),
                ..DestinationConfig::new(ForwardingMethod::FULL_NAT, 1)
            };
            let id = DestinationId { address: end(server, 8082).ip(), port: 8082 };
            pair.execute(Command::AddDestination(service, id, config));
            services.push(service);
        }
    }
    services
}

/// The local end of a client's connection.
fn local(pair: &mut Pair, protocol: u8, client: SocketAddr) -> Option<SocketAddr> {
    let list = Command::ListConnections { cursor: 0, limit: 1000 };
    // Of one, for the order differs.
    let listed = pair.other.execute(now(), pair.datapath.host(), list).unwrap();
    let Reply::Connections { items, .. } = listed else { panic!("{listed:?}") };
    let of = |it: &&ipvs_core::ConnectionInfo| {
        it.protocol == protocol && (it.client, it.client_port) == (client.ip(), client.port())
    };
    items.iter().find(of).and_then(|it| it.local).map(SocketAddr::from)
}

#[test]
fn established_connections_are_forwarded_by_the_program() {
    inside(established);
}

pub(super) fn established(pair: &mut Pair) {
    let services = serve(pair);
    for (client, vip, server) in [(CLIENT, VIP, SERVER), (CLIENT6, VIP6, SERVER6)] {
        for protocol in [TCP, UDP] {
            let (client, vip, server) = (end(client, 4000), end(vip, PORT), end(server, 8082));
            let out = |flags| plain(protocol, client, vip, flags);
            assert!(!pair.send(&out(SYN)), "the daemon takes a port");
            let local = local(pair, protocol, client).unwrap();
            let back = |flags| plain(protocol, server, local, flags);
            assert!(pair.send(&back(SYN | ACK)) && pair.send(&out(ACK)));
            assert!(pair.send(&out(ACK)) && pair.send(&back(ACK)));
            pair.listings(&services);
            for (flags, is_back) in [(FIN | ACK, true), (FIN | ACK, false), (ACK, true), (RST, false)] {
                assert!(pair.send(&if is_back { back(flags) } else { out(flags) }));
                pair.listings(&services);
            }
            // Not from another port of the server, not to another local port, not from the local end.
            for other in [
                plain(protocol, end(&server.ip().to_string(), 8083), local, ACK),
                plain(protocol, server, SocketAddr::new(local.ip(), local.port() ^ 1), ACK),
                plain(protocol, local, server, ACK),
            ] {
                assert!(!pair.send(&other));
            }
        }
    }
    pair.end_after(100_000);
}

#[test]
fn any_packets_meet_the_same_fate() {
    inside(|pair| {
        let services = serve(pair);
        let config = RunnerConfig { failure_persistence: None, ..RunnerConfig::with_cases(4000) };
        let pair = std::cell::RefCell::new((pair, 0));
        TestRunner::new(config)
            .run(&sent(), |(_, sent)| {
                let (pair, number) = &mut *pair.borrow_mut();
                let is_back = matches!(sent.from.port(), 81 | 8080);
                let ends = if is_back {
                    local(pair, sent.protocol, sent.to)
                        .map(|local| (SocketAddr::new(sent.from.ip(), 8082), local))
                } else {
                    Some((sent.from, SocketAddr::new(sent.to.ip(), PORT)))
                };
                if let Some((from, to)) = ends {
                    pair.send(&Sent { from, to, ..sent });
                }
                *number += 1;
                if *number % 100 == 0 {
                    pair.listings(&services);
                }
                Ok(())
            })
            .unwrap();
        let (pair, _) = &mut *pair.borrow_mut();
        pair.listings(&services);
        println!("{} of 4000 packets forwarded by the program", pair.forwarded);
        assert!(pair.forwarded > 500, "{}", pair.forwarded);
    });
}
