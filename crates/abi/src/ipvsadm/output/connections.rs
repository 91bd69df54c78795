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
        _ => {
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination\n"
        }
    }
}

/// The line of a connection, with its newline.
pub(in crate::ipvsadm) fn connection_row(connection: &ConnectionInfo, names: &mut Names<'_>) -> String {
    let (protocol, name) = protocol_names(connection.protocol);
    let expires = format!("{:02}:{:02}", connection.expires / 60, connection.expires % 60);
    let client = names.endpoint(connection.client, connection.client_port, name);
    let service = names.endpoint(connection.virtual_address, connection.virtual_port, name);
    let destination = names.endpoint(connection.destination, connection.destination_port, name);
    format!("{protocol:<3} {expires:<6} {:<11} {client:<18} {service:<18} {destination}\n", connection.state)
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
