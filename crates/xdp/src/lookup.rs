//! Finding a packet's connection. The first line of a chain, which is nearly always the only one, is looked at where a packet
//! is read (`steady.rs`); for the others there are functions, which give back a number: to the verifier all ways through the lines
//! meet where they return, and what follows is verified once.

use ipvs_flow::{
    Address, EntryIndex, EntryRef, Glimpse, Key, Table,
    flag::{METHOD, NO_OUTPUT, REPLY},
};

use crate::shared::{Connections, table};
use crate::transport::{Headers, Packet};

/// Lines of a chain that are looked at: 60 connections of one client port.
pub const LINES: u32 = 4;

/// An entry and its version in the upper half, or one of these (a connection's version is never 0).
const ABSENT: u64 = 0;
const UNKNOWN: u64 = 1;

/// What was found.
pub enum Found {
    /// A connection: its entry and the entry's version.
    Connection(EntryIndex, u32),
    Absent,
    Unknown,
}

/// The connection that a packet comes from the client of.
#[inline(always)]
pub fn of_client(packet: &Packet) -> Found {
    unpack(find_in(packet))
}

/// The first masqueraded connection, or reply entry of one by full NAT, with the client and the destination's port of a packet that
/// comes from a destination. Which
/// destination it is remains to be compared: if it is another one, a connection behind may be the packet's.
#[inline(always)]
pub fn of_server(packet: &Packet) -> Found {
    unpack(find_out(packet))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_in(packet: &Packet) -> u64 {
    pack(&by_client::<LINES>(&table(), packet))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_out(packet: &Packet) -> u64 {
    pack(&by_server::<LINES>(&table(), packet))
}

/// What [`of_client`] finds in so many lines of the chain.
#[inline(always)]
pub fn by_client<'t, const LINES: u32>(table: &'t Table<Connections>, packet: &Headers) -> Glimpse<'t> {
    table.glimpse_in::<LINES>(&key(packet))
}

/// What [`of_server`] finds in so many lines of the chain.
#[inline(always)]
pub fn by_server<'t, const LINES: u32>(table: &'t Table<Connections>, packet: &Headers) -> Glimpse<'t> {
    let accept = |entry: &EntryRef<'_>| {
        let flags = entry.flags();
        entry.destination_port() == packet.source_port
            && (flags & (METHOD | NO_OUTPUT) == 0 || flags & REPLY != 0)
    };
    let client = Address::from_words(packet.destination);
    let (ipv6, protocol, port) = (packet.ipv6 != 0, packet.protocol, packet.destination_port);
    table.glimpse_out::<LINES>(ipv6, protocol, client, port, accept)
}

/// The key of the connection that a packet comes from the client of.
#[inline(always)]
pub fn key(packet: &Headers) -> Key {
    Key {
        ipv6: packet.ipv6 != 0,
        template: false,
        protocol: packet.protocol,
        client: Address::from_words(packet.source),
        client_port: packet.source_port,
        virtual_address: Address::from_words(packet.destination),
        virtual_port: packet.destination_port,
    }
}

#[inline(always)]
fn pack(found: &Glimpse<'_>) -> u64 {
    match found {
        Glimpse::Found(index, entry) => u64::from(index.0) | u64::from(entry.version()) << 32,
        Glimpse::Absent => ABSENT,
        Glimpse::Unknown => UNKNOWN,
    }
}

/// What a number of [`pack`] says.
#[inline(always)]
pub fn unpack(found: u64) -> Found {
    let (index, version) = (EntryIndex(found as u32), (found >> 32) as u32);
    match found {
        ABSENT => Found::Absent,
        _ if version != 0 => Found::Connection(index, version),
        _ => Found::Unknown,
    }
}
