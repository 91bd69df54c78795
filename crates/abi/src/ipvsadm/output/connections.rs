//! The listing of connections (`-L -c`).

use ipvs_core::ConnectionInfo;

use crate::ipvsadm::command_line::Columns;
use crate::ipvsadm::names::Names;

/// The two lines above the connections, with their newlines.
pub(in crate::ipvsadm) const fn connection_title(columns: Columns) -> &'static str {
    match columns {
        Columns::PersistentConn => {
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination        pe name          \
             pe_data\n"
        }
        Columns::Local => {
            "IPVS connection entries\n\
             pro expire state       source             virtual            local              destination\n"
        }
        _ => {
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination\n"
        }
    }
}

/// The line of a connection, with its newline. Data of a persistence engine may not be UTF-8.
pub(in crate::ipvsadm) fn connection_row(
    connection: &ConnectionInfo,
    columns: Columns,
    names: &mut Names<'_>,
) -> Vec<u8> {
    let (protocol, name) = protocol_names(connection.protocol);
    let expires = format!("{:02}:{:02}", connection.expires / 60, connection.expires % 60);
    let client = names.endpoint(connection.client, connection.client_port, name);
    let service = names.endpoint(connection.virtual_address, connection.virtual_port, name);
    let destination = names.endpoint(connection.destination, connection.destination_port, name);
    let state = connection.state;
    let mut row = format!("{protocol:<3} {expires:<6} {state:<11} {client:<18} {service:<18} ");
    if columns == Columns::Local {
        let local = connection.local.map(|(address, port)| names.endpoint(address, port, name));
        row += &format!("{:<18} ", local.as_deref().unwrap_or("-"));
    }
    let mut row = row.into_bytes();
    match connection.engine.as_ref().filter(|_| columns == Columns::PersistentConn) {
        Some(engine) => {
            row.extend_from_slice(format!("{destination:<16} {:<18} ", engine.name).as_bytes());
            row.extend_from_slice(&engine.data);
        }
        None => row.extend_from_slice(destination.as_bytes()),
    }
    row.push(b'\n');
    row
}

/// The protocol in listings, and in the database of ports.
pub(super) const fn protocol_names(protocol: u8) -> (&'static str, Option<&'static str>) {
    match protocol {
        6 => ("TCP", Some("tcp")),
        17 => ("UDP", Some("udp")),
        132 => ("SCTP", Some("sctp")),
        _ => ("IP", None),
    }
}
