//! Direct routing: the packet goes unchanged to the server's link-layer address; the server answers the client itself.

use ipvs_wire::Headers;

use super::{Ends, is_local, towards_server};
use crate::host::Host;
use crate::packet::Packet;
use crate::verdict::Verdict;

/// From the client, on the route to the server.
pub(crate) fn to_server(host: &dyn Host, packet: &mut Packet<'_>, headers: &Headers, ends: &Ends) -> Verdict {
    if is_local(host, ends.server_address) {
        return Verdict::Deliver;
    }
    match towards_server(host, packet, headers, ends.server_address, Some(ends.virtual_address)) {
        Ok(()) => Verdict::Forward { next: ends.server_address },
        Err(verdict) => verdict,
    }
}
