//! Properties of the generic netlink codec: no bytes make it fail, and what a client sends the server understands.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::IpAddr;

use ipvs_abi::genetlink::{Action, Exchange, Listing, Messages, Progress, Session, decode_request};
use ipvs_core::{
    Command, ConnectionFlags, ConnectionInfo, Counters, DestinationConfig, DestinationId, DestinationInfo,
    EngineData, Error, Fact, ForwardingMethod, Info, MOST_POOL_ADDRESSES, MOST_PORT_RANGES, MarkRule,
    MarkTarget, PoolInfo, PoolName, PortRange, Question, Rates, Reply, ServiceConfig, ServiceFlags,
    ServiceId, ServiceInfo, Stats, Step, Timeouts, Tunnel,
};
use proptest::prelude::*;

fn address(ipv6: bool) -> BoxedStrategy<IpAddr> {
    if ipv6 {
        any::<[u8; 16]>().prop_map(IpAddr::from).boxed()
    } else {
        any::<[u8; 4]>().prop_map(IpAddr::from).boxed()
    }
}

fn service_id() -> impl Strategy<Value = ServiceId> {
    any::<bool>().prop_flat_map(|ipv6| {
        prop_oneof![
            (any::<u16>(), address(ipv6), any::<u16>())
                .prop_map(|(protocol, address, port)| ServiceId::Address { protocol, address, port }),
            any::<u32>().prop_map(move |mark| ServiceId::Mark { ipv6, mark }),
        ]
    })
}

fn service_config() -> impl Strategy<Value = ServiceConfig> {
    let name = || proptest::option::of("[a-z]{1,16}");
    ("[a-z]{0,15}", name(), name(), any::<[u32; 4]>()).prop_map(
        |(scheduler, persistence_engine, helper, [flags, flags_mask, timeout, netmask])| ServiceConfig {
            scheduler,
            persistence_engine,
            helper,
            flags,
            flags_mask,
            timeout,
            netmask,
            target: MarkTarget::default(),
        },
    )
}

fn destination_id() -> impl Strategy<Value = DestinationId> {
    (any::<bool>().prop_flat_map(address), any::<u16>())
        .prop_map(|(address, port)| DestinationId { address, port })
}

fn destination_config() -> impl Strategy<Value = DestinationConfig> {
    let pool = proptest::option::of(pool_name());
    let ours = (pool, any::<Option<bool>>());
    (0..8u8, ours, any::<i32>(), any::<[u32; 2]>(), any::<u8>(), any::<[u16; 2]>()).prop_map(
        |(method, (local_pool, proxy), weight, [upper_threshold, lower_threshold], kind, [port, flags])| {
            DestinationConfig {
                forwarding: if local_pool.is_some() {
                    ForwardingMethod::FULL_NAT
                } else {
                    ForwardingMethod(method)
                },
                flags: ConnectionFlags::default(),
                weight,
                upper_threshold,
                lower_threshold,
                tunnel: Tunnel { kind, port, flags },
                local_pool,
                proxy,
            }
        },
    )
}

/// What a client says that knows the kernel's methods alone.
fn kernel_config() -> impl Strategy<Value = DestinationConfig> {
    destination_config().prop_map(|config| DestinationConfig {
        forwarding: config.kernel_method(),
        local_pool: None,
        ..config
    })
}

fn pool_name() -> impl Strategy<Value = PoolName> {
    "[a-zA-Z0-9_.][a-zA-Z0-9_.-]{0,14}".prop_map(|name| PoolName::new(&name).unwrap())
}

fn pool_addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    proptest::collection::vec(any::<bool>().prop_flat_map(address), 0..9)
}

fn pool_info(name: PoolName) -> impl Strategy<Value = PoolInfo> {
    (
        proptest::collection::vec(any::<bool>().prop_flat_map(address), 0..=MOST_POOL_ADDRESSES),
        any::<[u64; 2]>(),
        any::<u32>(),
    )
        .prop_map(move |(addresses, [connections, exhausted], references)| PoolInfo {
            name,
            addresses,
            connections,
            exhausted,
            references,
        })
}

/// Pools have names of their own.
fn pools() -> impl Strategy<Value = Vec<PoolInfo>> {
    let infos =
        |names: std::collections::BTreeSet<PoolName>| names.into_iter().map(pool_info).collect::<Vec<_>>();
    proptest::collection::btree_set(pool_name(), 0..4).prop_flat_map(infos)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (service_id(), service_config()).prop_map(|(s, c)| Command::AddService(s, c)),
        (service_id(), service_config()).prop_map(|(s, c)| Command::EditService(s, c)),
        service_id().prop_map(Command::DeleteService),
        Just(Command::Flush),
        proptest::option::of(service_id()).prop_map(Command::Zero),
        (service_id(), destination_id(), destination_config())
            .prop_map(|(s, d, c)| Command::AddDestination(s, d, c)),
        (service_id(), destination_id(), destination_config())
            .prop_map(|(s, d, c)| Command::EditDestination(s, d, c)),
        (service_id(), destination_id(), kernel_config())
            .prop_map(|(s, d, c)| Command::EditKernelDestination(s, d, c)),
        (pool_name(), pool_addresses()).prop_map(|(name, all)| Command::AddPool(name, all)),
        (pool_name(), pool_addresses()).prop_map(|(name, all)| Command::DeletePool(name, all)),
        Just(Command::ListPools { cursor: 0, limit: 64 }),
        (service_id(), destination_id()).prop_map(|(s, d)| Command::DeleteDestination(s, d)),
        any::<[i32; 3]>().prop_map(|[tcp, tcp_fin, udp]| Command::SetTimeouts(Timeouts {
            tcp,
            tcp_fin,
            udp
        })),
        Just(Command::GetTimeouts),
        Just(Command::GetInfo),
        service_id().prop_map(Command::GetService),
        Just(Command::ListServices { cursor: 0, limit: 64 }),
        service_id().prop_map(|service| Command::ListDestinations { service, cursor: 0, limit: 64 }),
        Just(Command::ListConnections { cursor: 0, limit: 64 }),
        question().prop_map(Command::Explain),
        mark_rule().prop_map(Command::AddMark),
        mark_rule().prop_map(Command::DeleteMark),
        Just(Command::ListMarks { cursor: 0, limit: 64 }),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    let ends = any::<bool>().prop_flat_map(|ipv6| (address(ipv6), address(ipv6), any::<[u16; 2]>()));
    (any::<(u8, u8, u16)>(), ends, any::<Option<u32>>()).prop_map(
        |((protocol, flags, size), (source, destination, ports), mark)| Question {
            protocol,
            source: (source, ports[0]).into(),
            destination: (destination, ports[1]).into(),
            flags,
            size,
            mark,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let fact = prop_oneof![
        "[^\\x00]{0,40}".prop_map(Fact::Text),
        any::<u64>().prop_map(Fact::Number),
        any::<bool>().prop_map(Fact::Flag),
    ];
    ("[a-z-]{1,20}", "[^\\x00]{0,80}", proptest::collection::vec(("[a-z_]{1,20}", fact), 0..9))
        .prop_map(|(name, text, facts)| Step { name, text, facts })
}

fn mark_rule() -> impl Strategy<Value = MarkRule> {
    let range = any::<(u16, u16)>().prop_map(|(first, last)| PortRange { first, last });
    let ports = proptest::collection::vec(range, 0..=MOST_PORT_RANGES);
    (any::<bool>().prop_flat_map(address), any::<(u16, u8, u32)>(), ports).prop_map(
        |(network, (protocol, prefix, mark), ports)| MarkRule { protocol, network, prefix, ports, mark },
    )
}

fn stats() -> impl Strategy<Value = Stats> {
    any::<[u64; 10]>().prop_map(|[a, b, c, d, e, f, g, h, i, j]| Stats {
        counters: Counters { connections: a, packets_in: b, packets_out: c, bytes_in: d, bytes_out: e },
        rates: Rates { connections: f, packets_in: g, packets_out: h, bytes_in: i, bytes_out: j },
    })
}

fn service_info() -> impl Strategy<Value = ServiceInfo> {
    (service_id(), service_config(), stats()).prop_map(|(id, config, stats)| ServiceInfo {
        id,
        scheduler: config.scheduler,
        persistence_engine: config.persistence_engine,
        helper: config.helper,
        flags: ServiceFlags(config.flags),
        timeout: config.timeout,
        netmask: config.netmask,
        target: config.target,
        destinations: 0,
        stats,
    })
}

fn destination_info() -> impl Strategy<Value = DestinationInfo> {
    (destination_id(), destination_config(), any::<[u32; 3]>(), stats()).prop_map(
        |(id, config, [active, inactive, persistent], stats)| DestinationInfo {
            id,
            config,
            active,
            inactive,
            persistent,
            stats,
        },
    )
}

fn connection_info() -> impl Strategy<Value = ConnectionInfo> {
    let state = prop_oneof![Just("ESTABLISHED"), Just("UDP"), Just("NONE"), Just("ERR!"), Just("S-ACK-SENT")];
    any::<[bool; 2]>().prop_flat_map(move |[ipv6, other]| {
        let addresses = (address(ipv6), address(ipv6), address(other));
        let local = proptest::option::of((address(other), any::<u16>()));
        let rest = (engine(), local);
        (any::<u8>(), addresses, any::<[u16; 3]>(), state.clone(), any::<u32>(), rest).prop_map(
            |(protocol, (client, virtual_address, destination), ports, state, expires, (engine, local))| {
                ConnectionInfo {
                    protocol,
                    client,
                    client_port: ports[0],
                    virtual_address,
                    virtual_port: ports[1],
                    destination,
                    destination_port: ports[2],
                    state,
                    expires,
                    engine,
                    local,
                }
            },
        )
    })
}

fn engine() -> impl Strategy<Value = Option<EngineData>> {
    let data = prop::collection::vec(any::<u8>(), 1..256);
    prop::option::of(data.prop_map(|data| EngineData { name: "sip".to_owned(), data: data.into() }))
}

/// A reply and the command that asks for it.
fn reply() -> impl Strategy<Value = (Command, Reply)> {
    let (cursor, limit) = (0, 0);
    prop_oneof![
        proptest::collection::vec(service_info(), 0..9).prop_map(move |items| (
            Command::ListServices { cursor, limit },
            Reply::Services { items, next: None }
        )),
        (service_id(), proptest::collection::vec(destination_info(), 0..9)).prop_map(
            move |(service, items)| (
                Command::ListDestinations { service, cursor, limit },
                Reply::Destinations { items, next: None }
            )
        ),
        proptest::collection::vec(connection_info(), 0..9).prop_map(move |items| (
            Command::ListConnections { cursor, limit },
            Reply::Connections { items, next: None }
        )),
        proptest::collection::vec(mark_rule(), 0..9).prop_map(move |items| (
            Command::ListMarks { cursor, limit },
            Reply::Marks { items, next: None }
        )),
        pools().prop_map(move |items| (
            Command::ListPools { cursor, limit },
            Reply::Pools { items, next: None }
        )),
        (question(), proptest::collection::vec(step(), 0..9))
            .prop_map(|(question, steps)| (Command::Explain(question), Reply::Explanation(steps))),
        service_info().prop_map(|info| (Command::GetService(info.id), Reply::Service(Box::new(info)))),
        any::<[i32; 3]>().prop_map(|[tcp, tcp_fin, udp]| {
            (Command::GetTimeouts, Reply::Timeouts(Timeouts { tcp, tcp_fin, udp }))
        }),
        any::<[u32; 2]>().prop_map(|[version, table_size]| {
            (Command::GetInfo, Reply::Info(Info { version, table_size, services: 0 }))
        }),
        service_id().prop_map(|id| (Command::DeleteService(id), Reply::Done)),
    ]
}

/// Does all that a session does for `datagram`; returns the answers.
fn answers(datagram: &[u8], mut execute: impl FnMut(Command) -> Result<Reply, Error>) -> Vec<Vec<u8>> {
    let mut session = Session::new();
    let mut out = Vec::new();
    session.receive(datagram);
    while !session.is_idle() {
        session.step(true, &mut execute, &mut |answer| out.push(answer));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_server_understands_the_client(command in command()) {
        let exchange = Exchange::new(command.clone(), 5);
        let request = exchange.request();
        let message = Messages::new(&request).next().unwrap();
        let expected = match command {
            Command::ListServices { .. } => Action::Dump(Listing::Services),
            Command::ListDestinations { service, .. } => Action::Dump(Listing::Destinations(service)),
            Command::ListConnections { .. } => Action::Dump(Listing::Connections),
            Command::ListMarks { .. } => Action::Dump(Listing::Marks),
            Command::ListPools { .. } => Action::Dump(Listing::Pools),
            other => Action::Execute(other),
        };
        prop_assert_eq!(decode_request(&message, true), Ok(expected));
    }

    #[test]
    fn the_client_understands_the_server((command, reply) in reply()) {
        let mut exchange = Exchange::new(command, 9);
        let mut outcome = None;
        for answer in answers(&exchange.request(), |_| Ok(reply.clone())) {
            prop_assert!(outcome.is_none(), "an answer after the last");
            if let Progress::Done(result) = exchange.receive(&answer).unwrap() {
                outcome = Some(result);
            }
        }
        prop_assert_eq!(outcome, Some(Ok(reply)));
    }

    #[test]
    fn errors_reach_the_client(command in command()) {
        let mut exchange = Exchange::new(command, 9);
        let answers = answers(&exchange.request(), |_| Err(Error::NegativeWeight));
        let outcome = exchange.receive(&answers[0]).unwrap();
        let listing = matches!(outcome, Progress::Done(Ok(_)));
        prop_assert!(listing || outcome == Progress::Done(Err(ipvs_abi::errno::Errno::ERANGE)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 100_000 } else { 3_000_000 }))]

    /// Requests of ours with a few bytes changed, cut or put in: the server answers or ignores them, and the client
    /// survives whatever such bytes are as an answer.
    #[test]
    fn no_bytes_make_it_fail(
        command in command(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        junk in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut exchange = Exchange::new(command, 1);
        let mut bytes = exchange.request();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if junk.len() % 2 == 1 {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend_from_slice(&junk);
        let mut executed = 0;
        let answers = answers(&bytes, |_| {
            executed += 1;
            Ok(Reply::Done)
        });
        prop_assert!(answers.iter().map(Vec::len).sum::<usize>() <= 4096 + 8 * bytes.len());
        prop_assert!(executed <= 1 + bytes.len() / 20);
        let _ = exchange.receive(&bytes);
        let _ = ipvs_abi::genetlink::decode_family(&match Messages::new(&bytes).next() { Some(m) => m, None => return Ok(()) });
    }
}
