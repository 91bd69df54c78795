//! Random packets, changes, settings and time: whatever happens, what is counted at destinations and templates is what
//! the connection table holds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use etherparse::PacketBuilder;
use ipvs_flow::{EntryIndex, Line};
use proptest::prelude::*;

use crate::command::{
    Command, DestinationConfig, DestinationInfo, ForwardingMethod, Reply, ServiceConfig, ServiceFlags,
    ServiceId, ServiceInfo,
};
use crate::connections::flag;
use crate::director::{Config, Director};
use crate::error::Error;
use crate::local_pool::PoolName;
use crate::memory::TableMemory;
use crate::packet::Packet;
use crate::receive::Match;
use crate::saved::Saved;
use crate::scheduler::testing::{Bench, TestHost, ip, server, settings, weight};
use crate::sysctl::Sysctl;
use crate::translated::{is_reply, reply_of};

const CLIENTS: u8 = 4;

/// What is said in FTP, by whom: true for the client.
const SAYINGS: [(bool, &str); 8] = [
    (true, "PASV\r\n"),
    (true, "PORT 10,1,0,1,15,160\r\n"),
    (true, "PORT 10,1,0,2,15,161\r\nEPSV\r\n"),
    (false, "227 x (10,8,0,3,117,48)\r\n"),
    (false, "229 x (|||30000|)\r\n"),
    (false, "227 x (10,8,"),
    (true, "PORT 10,1,0,1,15,160\r\nPORT 10,1,0,1,15,160\r\n"),
    (true, "PORT 10,1,0,2,"),
];

#[derive(Clone, Debug)]
enum Step {
    /// A segment with these flags, or a datagram without.
    Inbound(u8, u16, u16, Option<u8>),
    /// A SIP message of that call, from that client or server.
    Message(bool, u8, u16, u8),
    /// On the control connection of that client and port at FTP's port: what, of [`SAYINGS`], and whether client or server.
    Say(u8, u16, usize),
    /// From that server.
    Outbound(u8, u8, u16, u16, Option<u8>),
    Weigh(u16, u8, i32),
    Add(u16, u8),
    Delete(u16, u8),
    /// New flags and timeout of a service, and whether it has a persistence engine.
    Edit(u16, u32, u32, bool),
    DeleteService(u16),
    /// From the server of the connection by full NAT that is the how manieth in the table, to its local address; from another port?
    Answer(usize, Option<u8>, bool),
    /// A pool gets its second address, or loses it.
    Pool(bool),
    Set(Sysctl, i64),
    Pass(u64),
    /// The director ends, and another one goes on where it ended.
    Restart,
}

type End = ([u8; 4], u16);

thread_local! {
    /// Sequence numbers of [`Step::Say`], by source and destination.
    static SAID: RefCell<HashMap<(End, End), u32>> = RefCell::default();
}

fn step() -> impl Strategy<Value = Step> {
    let flags = || prop::option::of(prop::sample::select(vec![0x02, 0x10, 0x12, 0x11, 0x04, 0x00]));
    let service = || prop::sample::select(vec![80_u16, 0, 21]);
    let port = || prop::sample::select(vec![80_u16, 21, 443, 30_000]);
    let sysctl = prop::sample::select(vec![
        Sysctl::ExpireNodestConn,
        Sysctl::ExpireQuiescentTemplate,
        Sysctl::ConnReuseMode,
        Sysctl::SloppyTcp,
        Sysctl::DropEntry,
        Sysctl::SecureTcp,
    ]);
    let service_flags = prop::sample::select(vec![
        0,
        ServiceFlags::PERSISTENT,
        ServiceFlags::PERSISTENT | ServiceFlags::ONE_PACKET,
    ]);
    prop_oneof![
        12 => (0..CLIENTS, 0..3u16, port(), flags()).prop_map(|(c, p, v, f)| Step::Inbound(c, p, v, f)),
        4 => (1..4u8, 0..CLIENTS, 0..3u16, port(), flags()).prop_map(|(s, c, p, v, f)| Step::Outbound(s, c, p, v, f)),
        1 => (service(), 1..4u8, 0..3).prop_map(|(service, i, weight)| Step::Weigh(service, i, weight)),
        2 => (service(), 1..4u8).prop_map(|(service, i)| Step::Add(service, i)),
        1 => (service(), 1..4u8).prop_map(|(service, i)| Step::Delete(service, i)),
        1 => (service(), service_flags, 1..400u32, any::<bool>())
            .prop_map(|(service, flags, t, engine)| Step::Edit(service, flags, t, engine)),
        6 => (any::<bool>(), 1..4u8, 0..3u16, 0..5u8)
            .prop_map(|(inbound, host, p, call)| Step::Message(inbound, host, p, call)),
        6 => (0..CLIENTS, 0..3u16, 0..SAYINGS.len()).prop_map(|(c, p, what)| Step::Say(c, p, what)),
        1 => service().prop_map(Step::DeleteService),
        4 => (0..6usize, flags(), any::<bool>()).prop_map(|(n, f, other)| Step::Answer(n, f, other)),
        1 => any::<bool>().prop_map(Step::Pool),
        2 => (sysctl, 0..4i64).prop_map(|(sysctl, value)| Step::Set(sysctl, value)),
        3 => prop::sample::select(vec![0, 1, 7, 61, 200]).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

fn services(port: u16) -> [ServiceId; 2] {
    [6, 17].map(|protocol| ServiceId::Address { protocol, address: ip("10.9.0.1"), port })
}

fn run(bench: &mut Bench, step: Step) {
    let client = |number: u8| [10, 1, 0, number];
    let virtual_address = [10, 9, 0, 1];
    match step {
        Step::Inbound(c, p, port, flags) => {
            send(bench, (client(c), 4000 + p), (virtual_address, port), flags, b"x")
        }
        Step::Message(inbound, host, p, call) => {
            let message = format!("BYE\r\ni: {call}\r\n");
            let (server, client) = (([10, 8, 0, host], 80), (client(host), 4000 + p));
            let (from, to) = if inbound { (client, (virtual_address, 80)) } else { (server, client) };
            send(bench, from, to, None, message.as_bytes());
        }
        Step::Say(c, p, what) => {
            let (by_client, text) = SAYINGS[what];
            let (client, virtual_end) = ((client(c), 4000 + p), (virtual_address, 21));
            let (from, to) = match (by_client, answering(bench, client, virtual_end)) {
                (true, _) => (client, virtual_end),
                (false, Some(ends)) => ends,
                (false, None) => return,
            };
            // What follows what was said before.
            let sequence = SAID.with_borrow_mut(|said| {
                let next = said.entry((from, to)).or_default();
                *next += text.len() as u32;
                *next - text.len() as u32
            });
            let mut bytes = Vec::new();
            let builder = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, sequence, 1).ack(1);
            builder.write(&mut bytes, text.as_bytes()).unwrap();
            receive(bench, bytes);
        }
        Step::Outbound(s, c, p, port, flags) => {
            send(bench, ([10, 8, 0, s], port), (client(c), 4000 + p), flags, b"x")
        }
        Step::Weigh(port, i, value) => {
            for id in services(port) {
                let _ = bench.edit(id, i, destination(i, value));
            }
        }
        Step::Add(port, i) => {
            for id in services(port) {
                let _ = bench.add(id, i, destination(i, 1));
            }
        }
        Step::Delete(port, i) => {
            for id in services(port) {
                let _ = bench.delete(id, i);
            }
        }
        Step::Edit(port, flags, timeout, engine) => {
            let persistence_engine = engine.then(|| "sip".to_owned());
            for id in services(port) {
                let config = ServiceConfig {
                    flags,
                    timeout,
                    persistence_engine: persistence_engine.clone(),
                    ..settings("wlc")
                };
                // One-packet scheduling is refused beside full NAT.
                if let Err(Error::NoSuchService) = bench.run(Command::EditService(id, config.clone())) {
                    bench.run(Command::AddService(id, config)).unwrap();
                }
            }
        }
        Step::DeleteService(port) => {
            for id in services(port) {
                let _ = bench.run(Command::DeleteService(id));
            }
        }
        Step::Answer(number, flags, elsewhere) => {
            let connections = &bench.director.connections;
            let answered = connections
                .table
                .entries_from(0)
                .filter_map(|index| Some((connections.local_of(index)?, bench.director.ends(index)?)));
            let Some((local, ends)) = answered.into_iter().nth(number) else { return };
            let port = if elsewhere { 41_000 + number as u16 } else { ends.server_port };
            let from = (octets(ends.server_address), port);
            send(bench, from, (octets(local.0), local.1), flags, b"x");
        }
        Step::Pool(more) => {
            let (name, second) = (local_pool(), vec![ip("10.8.0.201")]);
            let _ = bench.run(match more {
                true => Command::AddPool(name, second),
                false => Command::DeletePool(name, second),
            });
        }
        Step::Set(sysctl, value) => assert!(bench.run(Command::SetSysctl(sysctl, vec![value])).is_ok()),
        Step::Pass(seconds) => bench.pass(seconds),
        Step::Restart => restart(bench),
    }
}

/// From where to where the server of a client's connection answers.
fn answering(bench: &Bench, client: End, virtual_end: End) -> Option<(End, End)> {
    let [client, virtual_end] = [client, virtual_end].map(|(address, port)| (IpAddr::from(address), port));
    let Some(Match::Inbound(index)) = bench.director.find(6, client, virtual_end) else { return None };
    let ends = bench.director.ends(index)?;
    let to = ends.local.unwrap_or(ends.client);
    Some(((octets(ends.server_address), ends.server_port), (octets(to.0), to.1)))
}

fn octets(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => panic!("{address}"),
    }
}

fn local_pool() -> PoolName {
    PoolName::new("local").unwrap()
}

/// Server 2 is by full NAT.
fn destination(i: u8, value: i32) -> DestinationConfig {
    match i {
        2 => DestinationConfig {
            local_pool: Some(local_pool()),
            ..DestinationConfig::new(ForwardingMethod::FULL_NAT, value)
        },
        _ => weight(value),
    }
}

/// With a pool, and some services and servers.
fn bench(engine: bool) -> Bench {
    let mut bench = Bench::new();
    bench.run(Command::AddPool(local_pool(), vec![ip("10.8.0.200")])).unwrap();
    for (port, i) in [(80, 1), (80, 2), (0, 1), (21, 3), (21, 2)] {
        run(&mut bench, Step::Edit(port, ServiceFlags::PERSISTENT, 60, engine && port == 80));
        run(&mut bench, Step::Add(port, i));
    }
    bench
}

fn send(bench: &mut Bench, from: ([u8; 4], u16), to: ([u8; 4], u16), flags: Option<u8>, payload: &[u8]) {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv4(from.0, to.0, 64);
    match flags {
        Some(flags) => {
            builder.tcp(from.1, to.1, 1, 1).write(&mut bytes, b"").unwrap();
            // No flag is set: the checksum follows the change.
            bytes[33] |= flags;
            let sum = u32::from(u16::from_be_bytes([bytes[36], bytes[37]])) + 0xffff - u32::from(flags);
            bytes[36..38].copy_from_slice(&((sum & 0xffff) as u16 + (sum >> 16) as u16).to_be_bytes());
        }
        None => builder.udp(from.1, to.1).write(&mut bytes, payload).unwrap(),
    }
    receive(bench, bytes);
}

fn receive(bench: &mut Bench, mut bytes: Vec<u8>) {
    let len = bytes.len();
    bytes.resize(1500, 0);
    bench.director.receive(bench.now, &TestHost, &mut Packet::new(&mut bytes, 0, len));
}

/// Replaces the director by one that begins where it ended, and compares what they show.
pub(crate) fn restart(bench: &mut Bench) {
    let before = shown(bench);
    let settings: Vec<_> =
        Sysctl::ALL.iter().map(|it| (*it, bench.director.sysctls.get(*it).to_vec())).collect();
    let config = Config { seed: 77, capacity: bench.director.capacity(), ..bench.director.config };
    let mut old = std::mem::replace(&mut bench.director, Director::new(config, bench.now).unwrap());
    let (entries, engines) = (old.connections.table.len(), old.connections.template_data.templates().count());
    for (sysctl, values) in settings {
        bench.run(Command::SetSysctl(sysctl, values)).unwrap();
    }
    let (saves, held, locals) = (saved(&old), controlled(&old), locals(&old));
    let _ = old.take_counted();
    old.restore_counters(|_| None);
    let counters: HashMap<_, _> = old.take_counted().into_iter().collect();
    let restored = bench.director.restore(bench.now, saves);
    assert_eq!(restored.refused, 0);
    let adopted = bench.director.adopt(bench.now, old.connections.table.into_memory().into_real()).unwrap();
    assert_eq!((adopted.no_room, adopted.unknown as usize), (0, engines));
    assert_eq!(bench.director.connections.table.len() as usize, entries as usize - engines);
    assert_eq!(controlled(&bench.director), held);
    assert_eq!(self::locals(&bench.director), locals);
    bench.director.restore_counters(|of| counters.get(&of).copied());
    let after = shown(bench);
    assert_eq!(before.0, after.0);
    for (mut before, mut after) in before.1.into_iter().zip(after.1) {
        // Those of persistence engines do not come back; rates begin anew.
        (before.persistent, before.stats.rates) = (0, after.stats.rates);
        after.persistent = 0;
        assert_eq!(before, after);
    }
}

/// How many connections each template controls, less those of persistence engines, which do not come back.
fn controlled(director: &Director) -> Vec<(String, u32)> {
    let table = &director.connections.table;
    let templates = table.entries_from(0).filter_map(|index| {
        let entry = table.entry(index)?;
        let shown = entry.is_template() && entry.flags() & flag::OF_ENGINE == 0;
        shown.then(|| (format!("{:?}", entry.key()), director.connections.controlled(index)))
    });
    let mut templates: Vec<_> = templates.collect();
    templates.sort();
    templates
}

/// From where connections by full NAT go to their servers.
fn locals(director: &Director) -> Vec<String> {
    let table = &director.connections.table;
    let all = table.entries_from(0).filter_map(|index| {
        let local = director.connections.local_of(index)?;
        Some(format!("{:?} {local:?}", table.entry(index)?.key()))
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// The records of everything.
fn saved(director: &Director) -> Vec<Saved> {
    let (mut saves, mut cursor) = (Vec::new(), Some(0));
    while let Some(place) = cursor {
        let (piece, next) = director.saved_from(place);
        saves.extend(piece);
        cursor = next;
    }
    saves
}

/// All services and destinations.
fn shown(bench: &mut Bench) -> (Vec<ServiceInfo>, Vec<DestinationInfo>) {
    let Ok(Reply::Services { items: mut services, .. }) =
        bench.run(Command::ListServices { cursor: 0, limit: 100 })
    else {
        panic!()
    };
    let mut destinations = Vec::new();
    for service in &mut services {
        service.stats.rates = crate::Rates::default();
        destinations.extend(bench.listed(service.id));
    }
    (services, destinations)
}

/// Counts the table's entries again.
pub(crate) fn check(bench: &Bench) {
    let director = &bench.director;
    let connections = &director.connections;
    let mut counts: HashMap<u32, [u32; 3]> = HashMap::new();
    let mut controlled: HashMap<EntryIndex, u32> = HashMap::new();
    let (mut waiting, mut translated) = (0, 0);
    for index in connections.table.entries_from(0) {
        let entry = connections.table.entry(index).unwrap();
        if is_reply(&entry) {
            let connection = connections.answered(index).expect("a reply entry without connection");
            assert_eq!(reply_of(&connections.table, connection), Some(index));
            translated += 1;
            continue;
        }
        assert_eq!(connections.local_of(index).is_some(), entry.flags() & flag::TRANSLATED != 0);
        let kind = match entry.flags() & flag::INACTIVE {
            _ if entry.is_template() => 2,
            0 => 0,
            _ => 1,
        };
        counts.entry(entry.destination()).or_default()[kind] += 1;
        if let Some(template) = connections.template_of(index) {
            assert!(connections.table.entry(template).is_some_and(|template| template.is_template()));
            *controlled.entry(template).or_default() += 1;
        } else if let Some(control) = connections.controller_of(index) {
            let entry = connections.table.entry(control);
            assert!(
                entry.is_some_and(|entry| entry.flags() & flag::HELPED != 0),
                "under no control connection"
            );
            *controlled.entry(control).or_default() += 1;
        }
        waiting += u32::from(entry.flags() & flag::WAITS != 0);
    }
    assert_eq!(connections.pools.in_use(), translated);
    assert_eq!(connections.sessions.waiting, waiting);
    for (control, data) in connections.sessions.all() {
        assert!(connections.table.entry(control).is_some_and(|entry| entry.flags() & flag::HELPED != 0));
        assert!(data.iter().all(|data| connections.controller_of(*data) == Some(control)));
    }
    for index in connections.beginnings.all() {
        assert!(connections.table.entry(index).is_some_and(|entry| entry.flags() & flag::PROXY != 0));
    }
    let with_engine = director
        .services
        .ordered()
        .filter(|index| director.services.get(*index).unwrap().persistence_engine.is_some());
    assert_eq!(director.services.any_with_engine(), with_engine.count() > 0);
    for index in connections.template_data.templates() {
        assert!(
            connections.table.entry(index).is_some_and(|entry| entry.is_template()),
            "data of no template"
        );
    }
    for (index, destination) in director.destinations.iter() {
        let counted = [destination.active(), destination.inactive(), destination.persistent];
        assert_eq!(counted, counts.remove(&index.0).unwrap_or_default(), "{:?}", destination.id);
        assert_eq!(destination.references(), counted.iter().sum::<u32>());
    }
    assert!(counts.is_empty(), "connections of no destination: {counts:?}");
    for index in connections.table.entries_from(0) {
        assert_eq!(connections.controlled(index), controlled.get(&index).copied().unwrap_or(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_what_the_table_holds(steps in prop::collection::vec(step(), 1..150)) {
        let mut bench = bench(true);
        for step in steps {
            run(&mut bench, step);
            check(&bench);
        }
        for _ in 0..10 {
            bench.pass(1000);
        }
        check(&bench);
        prop_assert!(bench.director.connections.table.is_empty());
        prop_assert_eq!(bench.director.connections.template_data.templates().count(), 0);
        prop_assert_eq!(bench.director.connections.sessions.all().count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is in the table that a director left, the next one is whole: its counts are what its table holds.
    #[test]
    fn a_damaged_table_does_no_harm(
        steps in prop::collection::vec(step(), 20..80),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..16_usize, any::<u32>(), any::<bool>()), 0..60),
    ) {
        let mut bench = bench(false);
        for step in steps {
            run(&mut bench, step);
        }
        let config = bench.director.config;
        let saves = saved(&bench.director);
        let old = std::mem::replace(&mut bench.director, Director::new(config, bench.now).unwrap());
        let TableMemory::Heap(lines) = old.connections.table.into_memory().into_real() else { panic!() };
        let mut words: Vec<_> = lines.iter().map(Line::to_words).collect();
        for (line, word, value, small) in damage {
            let line = line.get_mut(&mut words);
            line[word] = if small { value % 80 } else { value };
        }
        let memory = TableMemory::Heap(words.into_iter().map(Line::from_words).collect());
        bench.director.restore(bench.now, saves);
        let _ = bench.director.adopt(bench.now, memory);
        check(&bench);
        bench.pass(400);
        check(&bench);
    }
}

/// A server that was to come before a restart comes after it, by masquerading and full NAT, from whichever port.
#[test]
fn what_is_expected_outlives_the_director() {
    for i in [2, 3] {
        let mut bench = Bench::new();
        bench.run(Command::AddPool(local_pool(), vec![ip("10.8.0.200")])).unwrap();
        run(&mut bench, Step::Edit(21, 0, 0, false));
        run(&mut bench, Step::Add(21, i));
        run(&mut bench, Step::Inbound(1, 0, 21, Some(0x02)));
        run(&mut bench, Step::Say(1, 0, 1));
        restart(&mut bench);
        check(&bench);
        let (client, virtual_end) = (([10, 1, 0, 1], 4000), ([10, 9, 0, 1], 20));
        let (_, to) = answering(&bench, client, virtual_end).expect("an expected connection");
        let other_port = 45_000;
        send(&mut bench, ([10, 8, 0, i], other_port), to, Some(0x02), b"");
        check(&bench);
        let virtual_end = (virtual_end.0, other_port);
        assert_eq!(
            answering(&bench, client, virtual_end),
            Some((([10, 8, 0, i], other_port), to)),
            "server {i}"
        );
        assert_eq!(bench.director.connections.sessions.waiting, 0);
    }
}

/// The packets of the test above are good ones.
#[test]
fn packets_are_valid() {
    let mut bench = Bench::new();
    run(&mut bench, Step::Edit(80, 0, 0, false));
    run(&mut bench, Step::Add(80, 1));
    for flags in [Some(0x02), None] {
        run(&mut bench, Step::Inbound(1, 1, 80, flags));
    }
    assert_eq!(bench.director.connections.table.len(), 2);
    run(&mut bench, Step::Inbound(1, 1, 80, Some(0x10)));
    let listed = bench.listed(services(80)[0]);
    assert_eq!((listed[0].id, listed[0].active), (server(1), 1));
}
