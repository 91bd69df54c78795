//! Packets of known connections by full NAT: both ends are replaced. Connections begin with the daemon, which takes a local port;
//! those between the families are its alone.

use ipvs_flow::{EntryIndex, flag::REPLY, tcp::Direction};

use crate::clock::now;
use crate::context::Context;
use crate::forward::{is_link_local, leave};
use crate::rewrite::{End, set_end};
use crate::route::hop;
use crate::shared::{table, traffic, way};
use crate::stages::Stages;
use crate::step::Step;
use crate::transport::{Headers, Packet, Place};
use crate::vlan::can_get;

/// Forwards a packet of a connection, or of a reply entry if it comes `back`. XDP_ABORTED: nothing was done.
#[inline(always)]
pub fn forward<C: Stages>(context: *mut C, packet: &mut Packet, index: u32, version: u32, back: bool) -> u32 {
    match (back, packet.ipv6 != 0) {
        (false, false) => C::translate_in_ipv4(context, packet, index, version),
        (false, true) => C::translate_in_ipv6(context, packet, index, version),
        (true, false) => C::translate_out_ipv4(context, packet, index, version),
        (true, true) => C::translate_out_ipv6(context, packet, index, version),
    }
}

/// A packet from the client.
#[inline(always)]
pub fn inbound<C: Context, const V6: bool>(
    context: *mut C,
    packet: &Packet,
    index: EntryIndex,
    version: u32,
) -> Option<u32> {
    let table = table();
    let entry = &table.visit(index, version)?;
    let (destination, status, port) =
        (entry.destination(), entry.settled_status()?, entry.destination_port());
    // A packet from the local address itself finds a reply entry.
    if status.flags() & REPLY != 0 {
        return None;
    }
    let step = Step::of(packet, entry, status, Direction::Input)?;
    let reply = table.entry(EntryIndex(table.beside(index)?.checked_sub(1)?))?;
    let (local, paired) = (reply.key(), reply.flags() & REPLY != 0 && reply.destination() == index.0);
    if !paired || local.ipv6 != V6 || !reply.is_current() || !entry.is_current() {
        return None;
    }
    let way = way(destination)?;
    if packet.largest > way.mtu || !can_get::<C, false>(context, packet, way.tag) {
        return None;
    }
    let traffic = traffic(destination)?;
    let place = Place::of::<C, V6>(context, packet.protocol)?;
    step.take(index, entry, destination, now())?;
    entry.note_packet_in();
    traffic.count_in(packet.length);
    let (client, server) = (local.client.words(), way.address.words());
    let place = set_end::<C, V6, true>(context, packet, place, End::Source, &client, local.client_port)
        .and_then(|place| set_end::<C, V6, false>(context, packet, place, End::Destination, &server, port));
    let Some(place) = place else { return Some(C::DROP) };
    Some(leave::<C, false>(context, &place, way.interface, way.hardware, way.tag))
}

/// A packet from the server, which has found the reply entry.
#[inline(always)]
pub fn outbound<C: Context, const V6: bool>(
    context: *mut C,
    packet: &mut Packet,
    reply: EntryIndex,
    version: u32,
) -> Option<u32> {
    let table = table();
    let found = &table.visit(reply, version)?;
    let index = EntryIndex(found.destination());
    let server = found.key().virtual_address.words();
    if found.flags() & REPLY == 0 || server != packet.source || !found.is_current() {
        return None;
    }
    let entry = &table.entry(index)?;
    let (destination, status, key) = (entry.destination(), entry.settled_status()?, entry.key());
    let step = Step::of(packet, entry, status, Direction::Output)?;
    if table.beside(index)? != reply.0 + 1 || key.ipv6 != V6 || !entry.is_current() {
        return None;
    }
    let client = key.client.words();
    if V6 && is_link_local(&client) || way(destination)?.address.words() != packet.source {
        return None;
    }
    let now = now();
    // The way is that to the client.
    let towards = Headers { destination: client, ..packet.headers };
    let hop = hop::<C, V6>(context, &towards, packet.ingress, now);
    let hop = hop?;
    if !can_get::<C, false>(context, packet, hop.tag) {
        return None;
    }
    let traffic = traffic(destination)?;
    let place = Place::of::<C, V6>(context, packet.protocol)?;
    step.take(index, entry, destination, now)?;
    traffic.count_out(packet.length);
    let (address, port) = (key.virtual_address.words(), key.virtual_port);
    let place =
        set_end::<C, V6, true>(context, packet, place, End::Source, &address, port).and_then(|place| {
            set_end::<C, V6, false>(context, packet, place, End::Destination, &client, key.client_port)
        });
    let Some(place) = place else { return Some(C::DROP) };
    Some(leave::<C, false>(context, &place, hop.interface, hop.hardware, hop.tag))
}
