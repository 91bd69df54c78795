//! Tunneling: the packet goes to the server inside another, by the same outer headers as the daemon's
//! ([`ipvs_wire::tunnel::write_headers`]).

use aya_ebpf::bindings::xdp_action;
use ipvs_flow::{
    Address, EntryIndex, Load, Status,
    flag::{METHOD, NO_OUTPUT},
    source_port,
    steady::PMTU_DISC,
    tcp::Direction,
};
use ipvs_wire::{
    protocol,
    tunnel::{Encapsulation, Ends, Inner, sum_of_whole, write_headers},
};

use crate::cache;
use crate::clock::now;
use crate::connection::Connection;
use crate::context::{Tags, Tunnels};
use crate::forward::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, leave};
use crate::packet::{Bytes, read, write};
use crate::rewrite::decrement_hop_limit;
use crate::shared::{load, secret, table, timeout, traffic, tunnel};
use crate::step::Step;
use crate::transport::{ETHERNET, Packet, Place, header};
use crate::vlan::has_room;
use crate::wrap::{Wrap, overhead};

/// Forwarding method.
pub const TUNNEL: u16 = 2;

/// Longest header between the outer IP header and the packet: GUE's.
const LONGEST: usize = 12;

/// Whether a packet of a protocol that can go into [`Tunnels`] of that number can go into one like this.
#[inline(always)]
pub fn can_go_into(tunnels: u8, encapsulation: Encapsulation, protocol: u8) -> bool {
    let is_gre = matches!(encapsulation, Encapsulation::Gre { .. });
    tunnels == Tunnels::All as u8
        || tunnels == Tunnels::Opaque as u8
            && !encapsulation.has_checksum()
            && !(is_gre && protocol == protocol::TCP)
}

/// A packet from the client, on its way to a tunneling destination.
#[inline(always)]
pub fn inbound<C: Wrap, const V6: bool>(
    context: *mut C,
    packet: &Packet,
    index: EntryIndex,
    version: u32,
) -> Option<u32> {
    forward::<C, V6>(context, packet, index, &table().visit(index, version)?)
}

/// A packet from the client, whose connection the flow cache has: of IPv4. An action; XDP_ABORTED, and nothing was done, if it is not for here.
#[inline(always)]
pub fn recalled<C: Wrap>(context: *mut C, packet: &Packet) -> u32 {
    let table = table();
    let connection = cache::again(&table, packet.found);
    connection
        .and_then(|it| forward::<C, false>(context, packet, EntryIndex(0), &it))
        .unwrap_or(xdp_action::XDP_ABORTED)
}

/// Whether a connection's packets go by a tunnel.
#[inline(always)]
pub fn is_by_tunnel(status: Status) -> bool {
    status.flags() & METHOD == TUNNEL
}

#[inline(always)]
fn forward<C: Wrap, const V6: bool>(
    context: *mut C,
    packet: &Packet,
    index: EntryIndex,
    entry: &impl Connection,
) -> Option<u32> {
    let (destination, status) = (entry.destination(), entry.settled_status()?);
    let flags = status.flags();
    if !is_by_tunnel(status) || !entry.counts_on() {
        return None;
    }
    let direction = if flags & NO_OUTPUT != 0 { Direction::InputOnly } else { Direction::Input };
    // A connection that has just begun is in the state that follows this packet.
    let step = if packet.born != 0 { None } else { Some(Step::of(packet, entry, status, direction)?) };
    if !entry.is_current() {
        return None;
    }
    let (way, tunnel) = tunnel(destination)?;
    let overhead = overhead(&tunnel);
    // An outer header cannot tell more than 65535, and the kernel cannot be told of any segments but TCP's.
    let segment = C::segment(context);
    if packet.largest > tunnel.room
        || packet.length as usize + overhead > usize::from(u16::MAX)
        || segment != 0 && packet.protocol != protocol::TCP
        || !can_go_into(C::TUNNELS as u8, tunnel.encapsulation, packet.protocol)
        || way.tag != 0 && C::TAGS == Tags::Untouched
    {
        return None;
    }
    let (traffic, line) = (traffic(destination)?, load(destination)?);
    let honoured = timeout(PMTU_DISC)? != 0;
    // The padding of a short frame is not the packet's.
    let padding = C::length(context).saturating_sub(ETHERNET + packet.length as usize) as u32;
    if C::GIVES_BACK && !C::grow(context, &tunnel) {
        return None;
    }
    // The tag that was taken off left room, which the tunnel may have filled.
    let taken = (way.tag == 0 || C::TAGS != Tags::Inside || has_room(context.cast()) != 0)
        && step.is_none_or(|step| entry.take(step, index, destination, now()).is_some());
    if !taken {
        // Nothing was written yet. What was given is taken back, which a frame of this length allows.
        return if !C::GIVES_BACK || C::give_back(context, &tunnel) { None } else { Some(C::DROP) };
    }
    // If that cannot be (no memory; a packet that has been in a tunnel), the daemon takes the same step once more, which changes nothing.
    if !C::GIVES_BACK && !(C::trim(context, padding) && C::grow(context, &tunnel)) {
        return None;
    }
    entry.note_packet_in();
    traffic.count_in(packet.length);
    if C::GIVES_BACK {
        // If it stays, nobody reads it.
        let _ = C::trim(context, padding);
    }
    let (bytes, frame) = Bytes::of(context);
    let ip = frame + ETHERNET + overhead;
    // They are there, which the verifier does not know.
    if !bytes.has(ip, header::<V6>()) {
        return Some(C::DROP);
    }
    let place = Place { frame, ip, transport: 0, checksum: 0 };
    decrement_hop_limit::<V6>(&place);
    // SAFETY: the IP header is there.
    let (start, dont_fragment): ([u32; 2], bool) =
        unsafe { (read(ip), !V6 && read::<u16>(ip + 6) & 0x4000u16.to_be() != 0) };
    // SAFETY: as before.
    let (class, hop_limit) = unsafe {
        if V6 {
            (read::<u8>(ip) << 4 | read::<u8>(ip + 1) >> 4, read::<u8>(ip + 7))
        } else {
            (read::<u8>(ip + 1), read::<u8>(ip + 8))
        }
    };
    let mut encapsulation = tunnel.encapsulation;
    if let Encapsulation::Gue { source_port: port, .. } = &mut encapsulation {
        let client = Address::from_words(packet.source);
        *port = source_port(secret(), packet.protocol, client, (packet.source_port, packet.destination_port));
    }
    let mut sum = 0;
    if encapsulation.has_checksum() {
        let addresses = u64::from(packet.source[3]) + u64::from(packet.destination[3]);
        let length = packet.length as u16 - header::<V6>() as u16;
        sum = sum_of_whole(V6, start, addresses, packet.protocol, length);
    }
    let inner = Inner { ipv6: V6, class, hop_limit, length: packet.length as u16, sum };
    // What may be fragmented on the way has an identification, each segment one of its own.
    let identification = if tunnel.ipv6 || dont_fragment && honoured {
        None
    } else {
        let more = if segment == 0 { 0 } else { (packet.length - packet.largest).div_ceil(segment) };
        Some(Load::of(line).identify(destination, 1 + more as u16))
    };
    let ends = Ends { source: tunnel.source.words(), destination: way.address.words(), identification };
    let outer = frame + ETHERNET;
    // SAFETY: of the frame as many bytes are there as the outer headers have, and `LONGEST` is their greatest number.
    let put = |at: usize, word: u32| unsafe { write(outer + at, word) };
    if tunnel.ipv6 {
        if !bytes.has(frame, ETHERNET + 40 + LONGEST) {
            return Some(C::DROP);
        }
        write_headers::<true>(&inner, &ends, encapsulation, put);
    } else {
        if !bytes.has(frame, ETHERNET + 20 + LONGEST) {
            return Some(C::DROP);
        }
        write_headers::<false>(&inner, &ends, encapsulation, put);
    }
    let ethertype = if tunnel.ipv6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
    // SAFETY: the Ethernet header is there.
    unsafe { write(frame + 12, ethertype) };
    Some(leave::<C, false>(context, &place, way.interface, way.hardware, way.tag))
}
