//! What may happen to a director: packets, what is said in FTP and SIP, changes, settings, time, a restart.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::restart::restart;
use crate::command::{Command, DestinationConfig, ForwardingMethod, ServiceConfig, ServiceFlags, ServiceId};
use crate::error::Error;
use crate::local_pool::PoolName;
use crate::packet::Packet;
use crate::receive::Match;
use crate::scheduler::testing::{Bench, TestHost, ip, settings, weight};
use crate::sysctl::Sysctl;

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
pub(super) enum Step {
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

pub(super) fn step() -> impl Strategy<Value = Step> {
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

pub(super) fn services(port: u16) -> [ServiceId; 2] {
    [6, 17].map(|protocol| ServiceId::Address { protocol, address: ip("10.9.0.1"), port })
}

pub(super) fn run(bench: &mut Bench, step: Step) {
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
pub(super) fn answering(bench: &Bench, client: End, virtual_end: End) -> Option<(End, End)> {
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

pub(super) fn local_pool() -> PoolName {
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
pub(super) fn bench(engine: bool) -> Bench {
    let mut bench = Bench::new();
    bench.run(Command::AddPool(local_pool(), vec![ip("10.8.0.200")])).unwrap();
    for (port, i) in [(80, 1), (80, 2), (0, 1), (21, 3), (21, 2)] {
        run(&mut bench, Step::Edit(port, ServiceFlags::PERSISTENT, 60, engine && port == 80));
        run(&mut bench, Step::Add(port, i));
    }
    bench
}

pub(super) fn send(
    bench: &mut Bench,
    from: ([u8; 4], u16),
    to: ([u8; 4], u16),
    flags: Option<u8>,
    payload: &[u8],
) {
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
