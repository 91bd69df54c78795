//! The flow cache (`ipvs_flow`): packets of IPv4 that change nothing find there all that they need of their connection, once a packet
//! of it has gone the long way. Functions of their own: rarely called, and verified once.

use ipvs_flow::{Bucket, EntryIndex, Ipv4End, Known, Recalled, Table, steady::UDP_TIMEOUT};
use ipvs_wire::protocol;

use crate::maps::{Address, is_server_port};
use crate::packet::{Bytes, read};
use crate::route;
use crate::shared::{Connections, setting, table, timeouts_number};
use crate::transport::{Cell, Headers, Packet};

/// Flags of TCP.
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Whether a segment with these flags may be one that changes nothing: others are not looked for in the cache.
#[inline(always)]
pub const fn is_plain(flags: u8) -> bool {
    flags & (FIN | SYN | RST | ACK) == ACK
}

/// Where a packet of IPv4 is looked for.
#[derive(Clone, Copy)]
pub struct Asked<'t> {
    pub bucket: Bucket<'t>,
    /// The bucket's number.
    pub number: u32,
    pub side: Side,
}

/// As what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As nothing: bucket 0 stands there.
    Neither,
    Client,
    Server,
}

/// Begins to look for a packet of IPv4 that may change nothing: by where it comes from and goes to, and where its transport header is. Few
/// clients' ports are servers'.
#[inline(always)]
pub fn ask<'t>(
    table: &'t Table<Connections>,
    (protocol, [source, destination], [source_port, destination_port]): (u8, [&Address; 2], [u16; 2]),
    (transport, bytes): (usize, &Bytes),
    cell: &Cell,
) -> Option<Asked<'t>> {
    let plain = if protocol == protocol::TCP {
        // SAFETY: 14 bytes are there.
        bytes.has(transport, 14) && is_plain(unsafe { read(transport + 13) })
    } else {
        protocol == protocol::UDP
    };
    // One way for the verifier: number and side are any to it.
    let mut asked = 0;
    if plain {
        let answer = is_server_port(source_port.to_be());
        let client = if answer { (destination[3], destination_port) } else { (source[3], source_port) };
        if answer {
            route::begin(client.0);
        }
        asked = table.bucket_of_client(protocol, client)? << 2 | if answer { 2 } else { 1 };
    } else {
        // A first segment of a client's, mostly: the hash line will be asked for, and then the memory of a new connection.
        table.begin_lookup(protocol, (source[3], source_port));
    }
    let asked = cell.through(asked);
    let side = match asked & 3 {
        1 => Side::Client,
        2 => Side::Server,
        _ => Side::Neither,
    };
    let number = asked >> 2;
    Some(Asked { bucket: table.bucket_at(number)?, number, side })
}

/// What was found in the bucket of that number, in two words, for a function that is to go on with it: see [`again`].
#[inline(always)]
pub fn to_words(number: u32, recalled: &Recalled<'_>) -> [u32; 2] {
    let [place, info] = recalled.to_words();
    [number << 2 | place, info]
}

/// What [`to_words`] told of. Whether it still is the packet's connection `Connection::is_current` says.
#[inline(always)]
pub fn again<'t>(table: &'t Table<Connections>, [at, info]: [u32; 2]) -> Option<Recalled<'t>> {
    table.recalled(at >> 2, [at & 3, info])
}

/// The connection that a packet of IPv4 comes from the client of, in its bucket, if the cache has it.
#[inline(always)]
pub fn in_bucket_of_client<'t>(bucket: Bucket<'t>, packet: &Headers, place: &Cell) -> Option<Recalled<'t>> {
    let to = (packet.destination[3], packet.destination_port);
    bucket.recall_in(packet.protocol, client_end(packet), to, |number| place.through(number))
}

/// The connection that a packet of IPv4 comes from the server of, in its bucket.
#[inline(always)]
pub fn in_bucket_of_server<'t>(bucket: Bucket<'t>, packet: &Headers, place: &Cell) -> Option<Recalled<'t>> {
    let client = (packet.destination[3], packet.destination_port);
    bucket.recall_out(packet.protocol, client, packet.source_port, |number| place.through(number))
}

#[inline(always)]
fn client_end(packet: &Headers) -> Ipv4End {
    (packet.source[3], packet.source_port)
}

/// Puts the connection of a packet that was forwarded into the cache. `back`: the packet came from its server.
#[inline(always)]
pub fn remember(packet: &Packet, index: EntryIndex, version: u32, back: bool) {
    if packet.ipv6 == 0 && packet.born == 0 && (packet.protocol != protocol::TCP || is_plain(packet.flags)) {
        flow_cache_remember(packet, index.0, version, u32::from(back));
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_cache_remember(packet: &Packet, index: u32, version: u32, back: u32) -> u32 {
    u32::from(try_remember(packet, EntryIndex(index), version, back != 0).is_some())
}

#[inline(always)]
fn try_remember(packet: &Packet, index: EntryIndex, version: u32, back: bool) -> Option<()> {
    let table = table();
    let entry = table.visit(index, version)?;
    // The number first: what is set meanwhile has the next one.
    let timeouts = timeouts_number()?;
    let place = if packet.protocol == protocol::TCP { usize::from(entry.state()) } else { UDP_TIMEOUT };
    let timeout = setting(place)?;
    table.remember(index, &entry, &Known { timeout, timeouts, back }).then_some(())
}

/// Takes a connection out of the cache, after it was changed.
#[inline(always)]
pub fn forget(index: EntryIndex, version: u32) {
    flow_cache_forget(index.0, version);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_cache_forget(index: u32, version: u32) -> u32 {
    let table = table();
    if let Some(entry) = table.visit(EntryIndex(index), version) {
        table.forget(EntryIndex(index), &entry);
    }
    0
}
