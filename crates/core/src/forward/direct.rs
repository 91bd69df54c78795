//! Direct routing: the packet goes unchanged to the server's link-layer address; the server answers the client itself.

use super::{Ends, is_local, towards_server};
use crate::packet::Packet;
use crate::receive::Arrival;
use crate::verdict::Verdict;

/// From the client, on the route to the server.
pub(crate) fn to_server(arrival: Arrival<'_>, packet: &mut Packet<'_>, ends: &Ends) -> Verdict {
    if is_local(arrival.host, ends.server_address) {
        return Verdict::Deliver;
    }
    match towards_server(arrival, packet, ends.server_address, Some(ends.virtual_address)) {
        Ok(()) => Verdict::Forward { next: ends.server_address },
        Err(verdict) => verdict,
    }
}
