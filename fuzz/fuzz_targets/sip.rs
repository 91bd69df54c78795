//! SIP messages of clients and servers through a director with the persistence engine. No panic, and what templates stand for
//! is a part of a message.
//! Input: pieces (see the library), each: a byte (bit 0: from a server, bits 1 to 3: the host) and the UDP payload.
#![no_main]

use std::net::Ipv4Addr;

use ipvs_core::{
    Command, DestinationConfig, DestinationId, Director, ForwardingMethod, Instant, MarkTarget, Packet,
    Reply, ServiceConfig, ServiceFlags, ServiceId,
};
use ipvs_fuzz::{Router, director, pieces};
use libfuzzer_sys::fuzz_target;

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

fn configured() -> Director {
    let mut director = director();
    let mut run = |command| director.execute(Instant::default(), &Router, command).expect("a good command");
    let service = ServiceId::Address { protocol: 17, address: VIRTUAL.into(), port: 5060 };
    run(Command::AddService(
        service,
        ServiceConfig {
            scheduler: "rr".into(),
            persistence_engine: Some("sip".into()),
            helper: None,
            flags: ServiceFlags::PERSISTENT,
            flags_mask: u32::MAX,
            timeout: 300,
            netmask: u32::MAX,
            target: MarkTarget::default(),
        },
    ));
    for number in 0..2 {
        let id = DestinationId { address: Ipv4Addr::new(10, 0, 1, number).into(), port: 5060 };
        let config = DestinationConfig::new(ForwardingMethod::MASQUERADE, 1);
        run(Command::AddDestination(service, id, config));
    }
    director
}

/// An IPv4 datagram without UDP checksum.
fn datagram(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).expect("a short input").to_be_bytes();
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    bytes[2..4].copy_from_slice(&length(28));
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    bytes.extend([0x13, 0xc4, 0x13, 0xc4]);
    bytes.extend(length(8));
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

fuzz_target!(|input: &[u8]| {
    let mut director = configured();
    for piece in pieces(input) {
        let Some((mode, payload)) = piece.split_first().filter(|(_, payload)| payload.len() < 60_000) else {
            continue;
        };
        let host = mode >> 1 & 7;
        let (source, destination) = match mode & 1 {
            0 => (Ipv4Addr::new(10, 0, 2, host), VIRTUAL),
            _ => (Ipv4Addr::new(10, 0, 1, host & 1), Ipv4Addr::new(10, 0, 2, host >> 1)),
        };
        let mut bytes = datagram(source, destination, payload);
        let length = bytes.len();
        director.receive(Instant::default(), &Router, &mut Packet::new(&mut bytes, 0, length));
    }
    let command = Command::ListConnections { cursor: 0, limit: 1000 };
    let Ok(Reply::Connections { items, .. }) = director.execute(Instant::default(), &Router, command) else {
        panic!("no listing");
    };
    for data in items.into_iter().filter_map(|connection| Some(connection.engine?.data)) {
        assert!((1..=255).contains(&data.len()));
        assert!(input.windows(data.len()).any(|window| *window == *data), "data that no message had");
    }
});
