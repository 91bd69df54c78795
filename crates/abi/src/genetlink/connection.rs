//! The CONNECTION nest, an extension of ours.

use ipvs_core::{ConnectionInfo, EngineData};

use super::attribute::{Policy, Table, Writer, family_of};
use super::number::{connection as number, family};

/// Every state name that the kernel prints, so that a name read can be a `&'static str`.
const STATES: &[&str] = &[
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "SYNACK",
    "UDP",
    "INIT1",
    "INIT",
    "C-SENT",
    "C-REPLIED",
    "C-WAIT",
    "COOKIE",
    "C-ECHOED",
    "S-SENT",
    "S-RECEIVED",
    "S-ACK-SENT",
    "REJECTED",
    "CLOSED",
    "ASSURED",
    "ERR!",
];

/// Appends a connection's content.
pub(super) fn write_connection(writer: &mut Writer<'_>, info: &ConnectionInfo) {
    writer.u16(number::AF, family_of(info.client));
    writer.u16(number::PROTOCOL, info.protocol.into());
    writer.address(number::CLIENT_ADDR, info.client);
    writer.be16(number::CLIENT_PORT, info.client_port);
    writer.address(number::VIRTUAL_ADDR, info.virtual_address);
    writer.be16(number::VIRTUAL_PORT, info.virtual_port);
    writer.u16(number::DEST_AF, family_of(info.destination));
    writer.address(number::DEST_ADDR, info.destination);
    writer.be16(number::DEST_PORT, info.destination_port);
    writer.text(number::STATE, info.state);
    writer.u32(number::EXPIRES, info.expires);
    if let Some(engine) = &info.engine {
        writer.text(number::PE_NAME, &engine.name);
        writer.bytes(number::PE_DATA, &engine.data);
    }
    if let Some((address, port)) = info.local {
        writer.address(number::LOCAL_ADDR, address);
        writer.be16(number::LOCAL_PORT, port);
    }
}

/// Reads a connection; `None` if something is missing. A state name that is not known here reads as "ERR!".
pub(super) fn read_connection(nest: &[u8]) -> Option<ConnectionInfo> {
    let table = Table::<16>::parse(nest, |_| Policy::Any).ok()?;
    let ipv6 = table.u16(number::AF)? == family::INET6;
    let name = table.text(number::STATE)?;
    let dest_ipv6 = table.u16(number::DEST_AF)? == family::INET6;
    let engine = table.text(number::PE_NAME).zip(table.get(number::PE_DATA));
    Some(ConnectionInfo {
        protocol: u8::try_from(table.u16(number::PROTOCOL)?).ok()?,
        client: table.address(number::CLIENT_ADDR, ipv6)?,
        client_port: table.be16(number::CLIENT_PORT)?,
        virtual_address: table.address(number::VIRTUAL_ADDR, ipv6)?,
        virtual_port: table.be16(number::VIRTUAL_PORT)?,
        destination: table.address(number::DEST_ADDR, dest_ipv6)?,
        destination_port: table.be16(number::DEST_PORT)?,
        state: STATES.iter().find(|known| **known == name).copied().unwrap_or("ERR!"),
        expires: table.u32(number::EXPIRES)?,
        engine: engine.map(|(name, data)| EngineData { name, data: data.into() }),
        local: table.address(number::LOCAL_ADDR, dest_ipv6).zip(table.be16(number::LOCAL_PORT)),
    })
}
