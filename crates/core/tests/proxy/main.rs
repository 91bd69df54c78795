//! PROXY protocol headers in clients' streams: what servers and clients see, whatever is lost, doubled, split or overtaken on the
//! way. The ends are simple TCPs of the test's own (`ends.rs`), the bytes are read by an independent crate.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod ends;
mod full_nat;
#[path = "../rig/mod.rs"]
mod rig;
mod segment;
mod settings;
mod streams;
mod way;

use ipvs_core::{Command, DestinationConfig, DestinationId, ForwardingMethod, ServiceId};
use rig::{Family, Rig};

/// Where the server listens.
const SERVER_PORT: u16 = 8080;

fn service(family: Family) -> ServiceId {
    ServiceId::Address { protocol: 6, address: family.vip(), port: 80 }
}

fn server(family: Family) -> DestinationId {
    DestinationId { address: family.server(1), port: SERVER_PORT }
}

/// Settings of a masquerading server that is told clients' addresses.
fn told() -> DestinationConfig {
    DestinationConfig { proxy: Some(true), ..DestinationConfig::new(ForwardingMethod::MASQUERADE, 1) }
}

/// A director with one such server.
fn rig(family: Family) -> Rig {
    let mut rig = Rig::new(100);
    let id = rig.service(family, 6, "rr");
    rig.execute(Command::AddDestination(id, server(family), told()));
    rig
}

/// The header that the server must see, written by the specification (section 2.2).
fn header(family: Family, client_port: u16) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    let octets = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    bytes.extend(if family == Family::V4 { [0x11, 0, 12] } else { [0x21, 0, 36] });
    bytes.extend(octets(family.client()));
    bytes.extend(octets(family.vip()));
    bytes.extend(client_port.to_be_bytes());
    bytes.extend(80_u16.to_be_bytes());
    bytes
}
