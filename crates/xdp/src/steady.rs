//! The short way of nearly all packets: one function for each family reads a packet, finds its connection in the first line of the
//! chain and, if nothing about the connection changes, forwards it. It calls no other function, since each return costs some
//! nanoseconds where the machine needs safe ones. Whatever it does not do it leaves to the longer way (`forward.rs`), with
//! what it found: so nothing is decided here that is not decided there by the same lines.

use ipvs_flow::Glimpse;

use crate::context::Context;
use crate::forward::{to_client, to_server};
use crate::lookup::{by_client, by_server};
use crate::shared::table;
use crate::transport::{Headers, Packet};

/// Lines of a chain that are looked at.
const LINES: u32 = 1;

/// What [`forward`] gives back where it does not give an action, all of which are less.
pub const UNREAD: u32 = 0x100;
/// The packet was read; whether there is a connection is not sure.
pub const UNSURE: u32 = 0x101;
/// There is none.
pub const ABSENT: u32 = 0x102;
/// It comes from the client of the connection in `packet.found`.
pub const FROM_CLIENT: u32 = 0x103;
/// It comes from the server of the connection in `packet.found`, if it has the server's address.
pub const FROM_SERVER: u32 = 0x104;

/// Reads a packet and forwards it if that is all. An action, or what is known. What was read goes to `packet` only then: on
/// the short way it stays in registers.
#[inline(always)]
pub fn forward<C: Context, const V6: bool>(context: *mut C, packet: &mut Packet) -> u32 {
    let Some(headers) = Headers::read::<C, V6>(context) else { return UNREAD };
    let table = table();
    let seen = match by_client::<LINES>(&table, &headers) {
        Glimpse::Found(index, entry) => {
            if let Some(action) = to_server::<C, V6, true>(context, packet, &headers, index, &entry) {
                return action;
            }
            packet.found = [index.0, entry.version()];
            FROM_CLIENT
        }
        Glimpse::Absent => match by_server::<LINES>(&table, &headers) {
            Glimpse::Found(index, entry) => {
                if let Some(action) = to_client::<C, V6, true>(context, packet, &headers, index, &entry) {
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
