//! `ip_vs_conn` and `ip_vs_conn_sync`: connections.

use ipvs_core::{Command, ConnectionInfo, Reply};

use super::{PAGE, bare, each_page, protocol_name};

/// The text of `ip_vs_conn`, or with `origin` that of `ip_vs_conn_sync`.
pub(super) fn read<E>(
    origin: bool,
    director: &mut dyn FnMut(Command) -> Result<Reply, E>,
) -> Result<String, E> {
    let mut text = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       ".to_owned();
    text += if origin { "Origin Expires\n" } else { "Expires PEName PEData\n" };
    each_page(
        director,
        |cursor| Command::ListConnections { cursor, limit: PAGE },
        |reply| match reply {
            Reply::Connections { items, next } => {
                items.iter().for_each(|connection| text += &row(connection, origin));
                next
            }
            _ => None,
        },
    )?;
    Ok(text)
}

fn row(connection: &ConnectionInfo, origin: bool) -> String {
    let protocol = protocol_name(connection.protocol.into());
    let client = endpoint(bare(connection.client), connection.client_port);
    let service = endpoint(bare(connection.virtual_address), connection.virtual_port);
    let destination = endpoint(bare(connection.destination), connection.destination_port);
    // No connection comes from another director: there is no synchronisation yet.
    let origin = if origin { "LOCAL  " } else { "" };
    let (state, expires) = (connection.state, connection.expires);
    format!("{protocol:<3} {client} {service} {destination} {state:<11} {origin}{expires:>7}\n")
}

fn endpoint(address: String, port: u16) -> String {
    format!("{address} {port:04X}")
}
