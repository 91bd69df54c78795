//! The short way of nearly all packets: one function for each family reads a packet, finds its connection, with IPv4 in the flow cache
//! and with IPv6 in the first line of the chain, and, if nothing about the connection changes, forwards it. It calls no other function, since each return costs some
//! nanoseconds where the machine needs safe ones. Whatever it does not do it leaves to the longer way (`forward.rs`), with
//! what it found: so nothing is decided here that is not decided there by the same lines.

use ipvs_flow::{EntryIndex, Glimpse, Recalled, other_bucket};

use crate::cache::{self, Asked, Side};
use crate::connection::Connection;
use crate::context::{Context, Tunnels};
use crate::encapsulate::is_by_tunnel;
use crate::forward::{to_client, to_server};
use crate::lookup::{by_client, by_server};
use crate::shared::{table, timeouts_number};
use crate::transport::{Headers, Packet};

/// Who has a connection by its record has no use for its entry's number.
const NO_ENTRY: EntryIndex = EntryIndex(0);

/// Lines of a chain that are looked at.
const LINES: u32 = 1;

/// What [`forward`] gives back where the frame's fate is not decided: the first of a row of numbers.
pub const UNREAD: u32 = 0x100;
/// The packet was read; whether there is a connection is not sure.
pub const UNSURE: u32 = 0x101;
/// There is none.
pub const ABSENT: u32 = 0x102;
/// It comes from the client of the connection in `packet.found`.
pub const FROM_CLIENT: u32 = 0x103;
/// It comes from the server of the connection in `packet.found`, if it has the server's address.
pub const FROM_SERVER: u32 = 0x104;
/// The flow cache has its connection, whose client it comes from and whose server is reached by a tunnel: `packet.found` is of
/// [`cache::to_words`].
pub const BY_TUNNEL: u32 = 0x105;
/// If the flow cache has its connection, then in the other bucket of its line, since its own is full: see [`elsewhere`].
pub const ELSEWHERE: u32 = 0x106;

/// Whether a number is one of these, and not of a decided frame.
#[inline(always)]
pub const fn is_told(number: u32) -> bool {
    number.wrapping_sub(UNREAD) <= ELSEWHERE - UNREAD
}

/// Reads a packet and forwards it if that is all. An action, or what is known. What was read goes to `packet` only then: on
/// the short way it stays in registers.
#[inline(always)]
pub fn forward<C: Context, const V6: bool>(context: *mut C, packet: &mut Packet) -> u32 {
    let table = table();
    let mut asked = None;
    let headers = Headers::read::<C, V6>(context, |flow, place| {
        if !V6 {
            asked = cache::ask(&table, flow, place, &packet.cell);
        }
    });
    let Some(headers) = headers else { return UNREAD };
    if let Some(Asked { bucket, side: Side::Server, .. }) = asked
        && let Some(connection) = cache::in_bucket_of_server(bucket, &headers, &packet.cell)
        && let Some(action) = to_client::<C, V6, true>(context, packet, &headers, NO_ENTRY, &connection)
    {
        return action;
    }
    if let Some(Asked { bucket, number, side: Side::Client }) = asked
        && let Some(connection) = cache::in_bucket_of_client(bucket, &headers, &packet.cell)
    {
        if let Some(action) = to_server::<C, V6, true>(context, packet, &headers, NO_ENTRY, &connection) {
            return action;
        }
        // Others go the longer way, by which the record is written anew: not to the daemon, which later ones would overtake.
        if C::TUNNELS != Tunnels::None && goes_by_tunnel(&connection) {
            packet.headers = headers;
            packet.born = 0;
            packet.found = cache::to_words(number, &connection);
            return BY_TUNNEL;
        }
    }
    if !V6
        && let Some(Asked { bucket, number, side }) = asked
        && side != Side::Neither
        && bucket.is_full()
    {
        packet.headers = headers;
        packet.born = 0;
        packet.found = [other_bucket(number), u32::from(side == Side::Server)];
        return ELSEWHERE;
    }
    let seen = match by_client::<LINES>(&table, &headers) {
        Glimpse::Found(index, entry) => {
            if V6 && let Some(action) = to_server::<C, V6, true>(context, packet, &headers, index, &entry) {
                return action;
            }
            packet.found = [index.0, entry.version()];
            FROM_CLIENT
        }
        Glimpse::Absent => match by_server::<LINES>(&table, &headers) {
            Glimpse::Found(index, entry) => {
                if V6 && let Some(action) = to_client::<C, V6, true>(context, packet, &headers, index, &entry)
                {
                    return action;
                }
                packet.found = [index.0, entry.version()];
                FROM_SERVER
            }
            Glimpse::Absent => ABSENT,
            Glimpse::Unknown => UNSURE,
        },
        Glimpse::Unknown => UNSURE,
    };
    packet.headers = headers;
    packet.born = 0;
    seen
}

/// Forwards a packet of IPv4 by its record in the other bucket of its line, if that has one and that is all. An action, or
/// [`BY_TUNNEL`], or [`UNSURE`].
#[inline(always)]
pub fn elsewhere<C: Context>(context: *mut C, packet: &mut Packet) -> u32 {
    try_elsewhere(context, packet).unwrap_or(UNSURE)
}

#[inline(always)]
fn try_elsewhere<C: Context>(context: *mut C, packet: &mut Packet) -> Option<u32> {
    let table = table();
    let [number, back] = packet.found;
    let bucket = table.bucket_at(number)?;
    if back != 0 {
        let connection = cache::in_bucket_of_server(bucket, &packet.headers, &packet.cell)?;
        return to_client::<C, false, true>(context, packet, &packet.headers, NO_ENTRY, &connection);
    }
    let connection = cache::in_bucket_of_client(bucket, &packet.headers, &packet.cell)?;
    if let Some(action) = to_server::<C, false, true>(context, packet, &packet.headers, NO_ENTRY, &connection)
    {
        return Some(action);
    }
    if C::TUNNELS == Tunnels::None || !goes_by_tunnel(&connection) {
        return None;
    }
    packet.found = cache::to_words(number, &connection);
    Some(BY_TUNNEL)
}

/// Whether a packet to this connection's server leaves by a tunnel and changes nothing.
#[inline(always)]
fn goes_by_tunnel(connection: &Recalled<'_>) -> bool {
    is_by_tunnel(Connection::status(connection))
        && connection.counts_on()
        && timeouts_number().is_some_and(|number| connection.has_timeout_of(number))
}
