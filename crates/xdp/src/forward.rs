//! Forwarding packets of known connections, with the change of state that they bring. What is not certain goes to the daemon,
//! which does the same by the same table.

use aya_ebpf::bindings::xdp_action;
use ipvs_flow::{
    EntryIndex, Status,
    flag::{METHOD, NO_OUTPUT, TRANSLATED},
    tcp::Direction,
};

use crate::birth;
use crate::bulk;
use crate::cache;
use crate::clock::now;
use crate::connection::Connection;
use crate::context::{Context, Tags, Tunnels};
use crate::encapsulate::TUNNEL;
use crate::exit::{self, EXITS, Fate};
use crate::full_nat;
use crate::lookup::{self, Found};
use crate::maps::Address;
use crate::packet::{Bytes, read, write};
use crate::rewrite::{End, decrement_hop_limit, set_end};
use crate::route::{hop, known_hop};
use crate::shared::{forwarding, has_address, port, table, traffic, way};
use crate::stages::Stages;
use crate::steady;
use crate::step::Step;
use crate::transport::{ETHERNET, Headers, Packet, Place};
use crate::vlan::{ETHERTYPE_VLAN, can_get, put_tag_on, retag, take_tag_off};

pub const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
pub const ETHERTYPE_IPV6: u16 = 0x86ddu16.to_be();

/// Forwarding methods.
const MASQUERADE: u16 = 0;
const DIRECT: u16 = 3;

/// First ten bits of IPv6 link-local addresses, which name no host without an interface.
const LINK_LOCAL: [u8; 2] = [0xfe, 0x80];

/// Forwards the frame if it can be forwarded here; `None`, and nothing was changed, if not.
#[inline(always)]
pub fn forward<C: Stages>(context: *mut C) -> Option<Fate> {
    let beside = C::tag_beside(context);
    if !forwarding() || beside != 0 && beside as u16 != ETHERTYPE_VLAN {
        return None;
    }
    let packet = Packet::at_hand()?;
    packet.tag = 0;
    packet.can_be_tagged = u8::from(C::TAGS != Tags::Untouched);
    packet.tunnels = C::TUNNELS as u8;
    let action = forward_untagged(context, packet);
    if C::TAGS == Tags::Inside
        && action.is_none()
        && packet.tag != 0
        && put_tag_on(context.cast(), packet.tag) == 0
    {
        return Some(Fate::Done(C::DROP));
    }
    action.map(|action| Fate::of(action, packet))
}

/// As [`forward`], but a tag may have been taken off.
#[inline(always)]
fn forward_untagged<C: Stages>(context: *mut C, packet: &mut Packet) -> Option<u32> {
    let (bytes, frame) = Bytes::of(context);
    if !bytes.has(frame, ETHERNET) {
        return None;
    }
    // SAFETY: 14 bytes are there.
    let (to, mut ethertype): ((u32, u16), u16) =
        unsafe { ((read(frame), read(frame + 4)), read(frame + 12)) };
    packet.ingress = C::interface(context);
    packet.wakes = 0;
    packet.standing = Standing::Unseen as u8;
    // What a switch floods is not for us.
    let port = port(packet.ingress)?;
    if !port.has_hardware(C::receiver(to)) {
        return None;
    }
    if C::PUTS_OFF
        && port.puts_off()
        && ethertype == ETHERTYPE_IPV4
        && bulk::put_off(context.cast(), packet) != 0
    {
        return Some(exit::PUT_OFF);
    }
    if C::TAGS == Tags::Inside && ethertype == ETHERTYPE_VLAN {
        ethertype = take_tag_off(context.cast(), packet) as u16;
    }
    let mut seen = match ethertype {
        ETHERTYPE_IPV4 => C::steady_ipv4(context, packet),
        ETHERTYPE_IPV6 if !C::LEAVES => C::steady_ipv6(context, packet),
        _ => return None,
    };
    if seen == steady::ELSEWHERE {
        seen = C::elsewhere(context, packet);
    }
    if !steady::is_told(seen) {
        return Some(seen);
    }
    if seen == steady::UNREAD {
        return None;
    }
    packet.standing = Standing::Known as u8;
    if C::TUNNELS != Tunnels::None && seen == steady::BY_TUNNEL {
        // What the record does not do the daemon does, by which the record goes.
        return done(C::tunnel_recalled(context, packet));
    }
    let (index, version, back) = connection(packet, seen)?;
    // What the functions below decide by, they look at again.
    let flags = table().visit(index, version)?.flags();
    if flags & TRANSLATED != 0 {
        if C::LEAVES {
            return None;
        }
        return done(full_nat::forward(context, packet, index.0, version, back));
    }
    let by_tunnel = C::TUNNELS != Tunnels::None && !back && flags & METHOD == TUNNEL;
    let action = match (back, packet.ipv6 != 0 && !C::LEAVES) {
        (false, false) if by_tunnel => C::tunnel_ipv4(context, packet, index.0, version),
        (false, true) if by_tunnel => C::tunnel_ipv6(context, packet, index.0, version),
        (false, false) => C::inbound_ipv4(context, packet, index.0, version),
        (false, true) => C::inbound_ipv6(context, packet, index.0, version),
        (true, false) => C::outbound_ipv4(context, packet, index.0, version),
        (true, true) => C::outbound_ipv6(context, packet, index.0, version),
    };
    let action = done(action)?;
    cache::remember(packet, index, version, back);
    Some(action)
}

/// What a function did. XDP_ABORTED, which the program never means, says that it did nothing.
#[inline(always)]
fn done(action: u32) -> Option<u32> {
    (action != xdp_action::XDP_ABORTED).then_some(action)
}

/// The connection of a packet that was read, and whether it comes back from the server. It may begin now.
#[inline(always)]
fn connection(packet: &mut Packet, seen: u32) -> Option<(EntryIndex, u32, bool)> {
    let [index, version] = packet.found;
    match seen {
        steady::FROM_CLIENT => return Some((EntryIndex(index), version, false)),
        steady::FROM_SERVER => return Some((EntryIndex(index), version, true)),
        steady::ABSENT => {}
        // What comes from a server may be its client's, and what is nobody's may begin a connection.
        _ => match lookup::of_client(packet) {
            Found::Connection(index, version) => return Some((index, version, false)),
            Found::Absent => {
                packet.standing = Standing::Absent as u8;
                match lookup::of_server(packet) {
                    Found::Connection(index, version) => {
                        packet.standing = Standing::Known as u8;
                        return Some((index, version, true));
                    }
                    Found::Absent => {}
                    Found::Unknown => return None,
                }
            }
            Found::Unknown => return None,
        },
    }
    packet.standing = Standing::Absent as u8;
    match birth::begin(packet) {
        Found::Connection(index, version) => Some((index, version, false)),
        _ => None,
    }
}

/// What is known of a frame that was not forwarded.
#[derive(Clone, Copy)]
pub enum Standing {
    /// The connection table was not asked.
    Unseen = 0,
    /// It has no connection of the packet.
    Absent = 1,
    /// It has one, or may have one, or one of the server's that the packet may come from.
    Known = 2,
}

/// What is known of the frame that was not forwarded.
#[inline(always)]
pub fn standing() -> Standing {
    match Packet::at_hand() {
        Some(packet) if forwarding() && packet.standing == Standing::Absent as u8 => Standing::Absent,
        Some(packet) if forwarding() && packet.standing == Standing::Known as u8 => Standing::Known,
        _ => Standing::Unseen,
    }
}

/// Whether the frame that was not forwarded is to wake the daemon.
#[inline(always)]
pub fn wakes() -> bool {
    forwarding() && Packet::at_hand().is_some_and(|packet| packet.wakes != 0)
}

/// A packet from the client.
#[inline(always)]
pub fn inbound<C: Context, const V6: bool>(
    context: *mut C,
    packet: &Packet,
    index: EntryIndex,
    version: u32,
) -> Option<u32> {
    to_server::<C, V6, false>(context, packet, &packet.headers, index, &table().visit(index, version)?)
}

/// A packet from the destination of a masqueraded connection.
#[inline(always)]
pub fn outbound<C: Context, const V6: bool>(
    context: *mut C,
    packet: &Packet,
    index: EntryIndex,
    version: u32,
) -> Option<u32> {
    to_client::<C, V6, false>(context, packet, &packet.headers, index, &table().visit(index, version)?)
}

/// A packet from the client. `STEADY`: only by masquerading and direct routing, and if nothing about its connection changes.
#[inline(always)]
pub fn to_server<C: Context, const V6: bool, const STEADY: bool>(
    context: *mut C,
    packet: &Packet,
    headers: &Headers,
    index: EntryIndex,
    entry: &impl Connection,
) -> Option<u32> {
    let (destination, status, port) =
        (entry.destination(), status_of::<STEADY>(entry)?, entry.destination_port());
    let flags = status.flags();
    let method = flags & METHOD;
    if STEADY && flags & TRANSLATED != 0 {
        return None;
    }
    if method != MASQUERADE && method != DIRECT {
        return None;
    }
    let direction = if flags & NO_OUTPUT != 0 { Direction::InputOnly } else { Direction::Input };
    // A connection that has just begun is in the state that follows this packet.
    let step =
        if !STEADY && packet.born != 0 { None } else { Some(Step::of(headers, entry, status, direction)?) };
    if STEADY && !step.is_some_and(|step| step.stays() && entry.counts_on()) {
        return None;
    }
    if !entry.is_current() {
        return None;
    }
    let way = way(destination)?;
    if headers.largest > way.mtu || !can_get::<C, STEADY>(context, packet, way.tag) {
        return None;
    }
    let traffic = traffic(destination)?;
    let place = Place::of::<C, V6>(context, headers.protocol)?;
    if let Some(step) = step {
        entry.take(step, index, destination, now())?;
    }
    entry.note_packet_in();
    traffic.count_in(headers.length);
    let place = if method == MASQUERADE {
        set_end::<C, V6, true>(context, headers, place, End::Destination, &way.address.words(), port)
    } else {
        decrement_hop_limit::<V6>(&place);
        Some(place)
    };
    let Some(place) = place else { return Some(C::DROP) };
    Some(leave::<C, STEADY>(context, &place, way.interface, way.hardware, way.tag))
}

/// A packet from the destination of a masqueraded connection. `STEADY`: only if nothing about the connection changes, and with IPv6 the
/// next hop is remembered.
#[inline(always)]
pub fn to_client<C: Context, const V6: bool, const STEADY: bool>(
    context: *mut C,
    packet: &Packet,
    headers: &Headers,
    index: EntryIndex,
    entry: &impl Connection,
) -> Option<u32> {
    if V6 && is_link_local(&headers.destination) {
        return None;
    }
    let (destination, status, (address, port)) =
        (entry.destination(), status_of::<STEADY>(entry)?, entry.virtual_end());
    if STEADY && status.flags() & TRANSLATED != 0 {
        return None;
    }
    let step = Step::of(headers, entry, status, Direction::Output)?;
    if STEADY && !step.stays() || !entry.is_current() || !has_address(destination, headers.source) {
        return None;
    }
    let now = now();
    let hop = if V6 && STEADY || C::LEAVES {
        known_hop(headers, packet.ingress, now)?
    } else {
        hop::<C, V6>(context, headers, packet.ingress, now)?
    };
    if !can_get::<C, STEADY>(context, packet, hop.tag) {
        return None;
    }
    let traffic = traffic(destination)?;
    let place = Place::of::<C, V6>(context, headers.protocol)?;
    entry.take(step, index, destination, now)?;
    traffic.count_out(headers.length);
    let address = address.words();
    let place = set_end::<C, V6, true>(context, headers, place, End::Source, &address, port);
    let Some(place) = place else { return Some(C::DROP) };
    Some(leave::<C, STEADY>(context, &place, hop.interface, hop.hardware, hop.tag))
}

/// The status, if the packet may go by it. On the short way nothing is noted: there an unsettled connection does not stay as it
/// is ([`Step::of`]), and the longer way notes that the packet was handed over.
#[inline(always)]
fn status_of<const STEADY: bool>(entry: &impl Connection) -> Option<Status> {
    if STEADY { Some(entry.status()) } else { entry.settled_status() }
}

/// Whether an IPv6 address names no host without an interface.
#[inline(always)]
pub fn is_link_local(address: &Address) -> bool {
    address[0] & u32::from_ne_bytes([0xff, 0xc0, 0, 0])
        == u32::from_ne_bytes([LINK_LOCAL[0], LINK_LOCAL[1], 0, 0])
}

/// Addresses the frame, gives it the way's tag, or none, and has it leave. On the short way (`STEADY`) no frame gets a tag, and it may be sent at
/// once.
#[inline(always)]
pub fn leave<C: Context, const STEADY: bool>(
    context: *mut C,
    place: &Place,
    interface: u32,
    hardware: [u32; 3],
    tag: u32,
) -> u32 {
    // SAFETY: the Ethernet header is there.
    unsafe { write(place.frame, hardware) };
    // By the interface that it came by, too, and not by XDP_TX: a virtual cable whose other end has GRO but no program
    // loses those.
    if STEADY && C::SENDS {
        return exit::send(&EXITS, interface);
    }
    let tag = if STEADY { 0 } else { tag };
    let has_its_tag = match C::TAGS {
        Tags::Inside => tag == 0 || put_tag_on(context.cast(), tag) != 0,
        Tags::Beside => retag(context.cast(), tag),
        Tags::Untouched => true,
    };
    if !has_its_tag {
        return C::DROP;
    }
    exit::LEAVES | interface
}
