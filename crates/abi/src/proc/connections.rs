//! `ip_vs_conn` and `ip_vs_conn_sync`: connections.

use ipvs_core::{Command, ConnectionInfo, Reply};

use super::{PAGE, bare, each_page, protocol_name};

/// The text of `ip_vs_conn`, or with `origin` that of `ip_vs_conn_sync`.
pub(super) fn read<E>(
    origin: bool,
    director: &mut dyn FnMut(Command) -> Result<Reply, E>,
) -> Result<Vec<u8>, E> {
    let mut text = b"Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       ".to_vec();
    text.extend_from_slice(if origin { b"Origin Expires\n" } else { b"Expires PEName PEData\n" });
    each_page(
        director,
        |cursor| Command::ListConnections { cursor, limit: PAGE },
        |reply| match reply {
            Reply::Connections { items, next } => {
                items.iter().for_each(|connection| write_row(&mut text, connection, origin));
                next
            }
            _ => None,
        },
    )?;
    Ok(text)
}

fn write_row(text: &mut Vec<u8>, connection: &ConnectionInfo, origin: bool) {
    let protocol = protocol_name(connection.protocol.into());
    let client = endpoint(bare(connection.client), connection.client_port);
    let service = endpoint(bare(connection.virtual_address), connection.virtual_port);
    let destination = endpoint(bare(connection.destination), connection.destination_port);
    // No connection comes from another director: there is no synchronisation yet.
    let shown = if origin { "LOCAL  " } else { "" };
    let (state, expires) = (connection.state, connection.expires);
    let row = format!("{protocol:<3} {client} {service} {destination} {state:<11} {shown}{expires:>7}");
    text.extend_from_slice(row.as_bytes());
    if let Some(engine) = connection.engine.as_ref().filter(|_| !origin) {
        text.extend_from_slice(format!(" {} ", engine.name).as_bytes());
        text.extend_from_slice(&engine.data);
    }
    text.push(b'\n');
}

fn endpoint(address: String, port: u16) -> String {
    format!("{address} {port:04X}")
}
