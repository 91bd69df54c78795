//! The short way of nearly all packets: one function for each family reads a packet, finds its connection in the first line of the
//! chain and, if nothing about the connection changes, forwards it. It calls no other function, since each return costs some
//! nanoseconds where the machine needs safe ones. Whatever it does not do it leaves to the longer way (`forward.rs`), with
//! what it found: so nothing is decided here that is not decided there by the same lines.

use core::sync::atomic::{Ordering, compiler_fence};

use ipvs_flow::{EntryIndex, Glimpse};

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

/// Reads a packet and forwards it if that is all. An action, or what is known.
#[inline(always)]
pub fn forward<C: Context, const V6: bool>(context: *mut C, packet: &mut Packet) -> u32 {
    let Some(headers) = Headers::read::<C, V6>(context) else { return UNREAD };
    packet.headers = headers;
    packet.born = 0;
    let (headers, table) = (anew::<V6>(packet), table());
    let (index, version, seen) = match by_client::<LINES>(&table, &headers) {
        Glimpse::Found(index, entry) => (index, entry.version(), FROM_CLIENT),
        Glimpse::Absent => match by_server::<LINES>(&table, &headers) {
            Glimpse::Found(index, entry) => (index, entry.version(), FROM_SERVER),
            Glimpse::Absent => return ABSENT,
            Glimpse::Unknown => return UNSURE,
        },
        Glimpse::Unknown => return UNSURE,
    };
    packet.found = [index.0, version];
    let headers = anew::<V6>(packet);
    let [index, version] = packet.found;
    let action = if seen == FROM_CLIENT {
        to_server::<C, V6, true>(context, packet, &headers, EntryIndex(index), version)
    } else {
        to_client::<C, V6, true>(context, packet, &headers, EntryIndex(index), version)
    };
    action.unwrap_or(seen)
}

/// The headers, of which the verifier knows nothing any more, so that what follows is verified once and not for each way that led here.
#[inline(always)]
fn anew<const V6: bool>(packet: &Packet) -> Headers {
    compiler_fence(Ordering::SeqCst);
    packet.headers.of_family::<V6>()
}
