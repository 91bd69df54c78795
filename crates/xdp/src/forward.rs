//! Forwarding packets of established connections: those that change nothing of a connection but its counters and the
//! time of its latest packet. What is not certain goes to the daemon, which does the same by the same table.

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::{bpf_ktime_get_ns, generated::bpf_redirect},
    programs::XdpContext,
};
use ipvs_flow::{
    Address, EntryRef, Glimpse, Key, Tick,
    flag::{METHOD, NO_OUTPUT},
    steady,
    tcp::Direction,
};
use ipvs_wire::protocol;

use crate::packet::{Bytes, read, write};
use crate::rewrite::{End, decrement_hop_limit, set_end};
use crate::route::hop;
use crate::shared::{Traffic, forwarding, port, table, timeout, traffic, way};
use crate::transport::{ETHERNET, Packet};

const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
const ETHERTYPE_IPV6: u16 = 0x86ddu16.to_be();

/// Lines of a chain that are looked at: 60 connections of one client port.
pub const LINES: u32 = 4;

/// Forwarding methods.
const MASQUERADE: u16 = 0;
const DIRECT: u16 = 3;

/// First ten bits of IPv6 link-local addresses, which name no host without an interface.
const LINK_LOCAL: [u8; 2] = [0xfe, 0x80];

/// Forwards the frame if it can be forwarded here; `None`, and nothing was changed, if not.
#[inline(always)]
pub fn forward(context: &XdpContext) -> Option<u32> {
    if !forwarding() {
        return None;
    }
    let (bytes, frame) = Bytes::of(context);
    if !bytes.has(frame, ETHERNET) {
        return None;
    }
    // SAFETY: 14 bytes are there.
    let ethertype: u16 = unsafe { read(frame + 12) };
    // XDP_ABORTED, which the program never means, says that nothing was done.
    let action = match ethertype {
        ETHERTYPE_IPV4 => forward_ipv4(context.ctx),
        ETHERTYPE_IPV6 => forward_ipv6(context.ctx),
        _ => xdp_action::XDP_ABORTED,
    };
    (action != xdp_action::XDP_ABORTED).then_some(action)
}

/// A function of its own: it has nearly the whole stack. Its name is not mangled, so that the object does not depend on the folder
/// that it is built in.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forward_ipv4(context: *mut xdp_md) -> u32 {
    decide::<false>(context).unwrap_or(xdp_action::XDP_ABORTED)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forward_ipv6(context: *mut xdp_md) -> u32 {
    decide::<true>(context).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn decide<const V6: bool>(context: *mut xdp_md) -> Option<u32> {
    let context = XdpContext::new(context);
    let (bytes, frame) = Bytes::of(&context);
    let packet = Packet::read::<V6>(bytes, frame)?;
    let ingress = context.ingress_ifindex() as u32;
    // SAFETY: `Packet` has an Ethernet header.
    let to: [u16; 3] = unsafe { read(frame) };
    // What a switch floods is not for us.
    if port(ingress)?.hardware != to {
        return None;
    }
    let table = table();
    let key = Key {
        ipv6: V6,
        template: false,
        protocol: packet.protocol,
        client: Address::from_words(packet.source),
        client_port: packet.source_port,
        virtual_address: Address::from_words(packet.destination),
        virtual_port: packet.destination_port,
    };
    match table.glimpse_in::<LINES>(&key) {
        Glimpse::Found(_, entry) => inbound::<V6>(&packet, &entry),
        Glimpse::Absent => outbound::<V6>(&context, ingress, &packet),
        Glimpse::Unknown => None,
    }
}

/// A packet from the client.
#[inline(always)]
fn inbound<const V6: bool>(packet: &Packet, entry: &EntryRef<'_>) -> Option<u32> {
    let (destination, flags, port) = (entry.destination(), entry.flags(), entry.destination_port());
    let method = flags & METHOD;
    if method != MASQUERADE && method != DIRECT {
        return None;
    }
    let direction = if flags & NO_OUTPUT != 0 { Direction::InputOnly } else { Direction::Input };
    if !is_steady(packet, entry, flags, direction) || !entry.is_current() {
        return None;
    }
    let way = way(destination)?;
    if packet.length > way.mtu {
        return None;
    }
    let traffic = traffic(destination)?;
    entry.touch(now());
    entry.count_packet_in();
    // SAFETY: counters of this processor, and a program is not interrupted by itself.
    unsafe {
        let Traffic { packets_in, bytes_in, .. } = &mut *traffic;
        *packets_in += 1;
        *bytes_in += u64::from(packet.length);
    }
    decrement_hop_limit::<V6>(packet);
    if method == MASQUERADE {
        set_end::<V6>(packet, End::Destination, &way.address.words(), port);
    }
    Some(leave(packet, way.interface, way.hardware))
}

/// A packet from the destination of a masqueraded connection.
#[inline(always)]
fn outbound<const V6: bool>(context: &XdpContext, ingress: u32, packet: &Packet) -> Option<u32> {
    if V6
        && packet.destination[0] & u32::from_ne_bytes([0xff, 0xc0, 0, 0])
            == u32::from_ne_bytes([LINK_LOCAL[0], LINK_LOCAL[1], 0, 0])
    {
        return None;
    }
    let source = Address::from_words(packet.source);
    // The first that matches is the one: where that cannot be said, the daemon must look.
    let mut certain = true;
    let accept = |entry: &EntryRef<'_>| {
        if entry.destination_port() != packet.source_port || entry.flags() & (METHOD | NO_OUTPUT) != 0 {
            return false;
        }
        let Some(way) = way(entry.destination()) else {
            certain = false;
            return true;
        };
        way.address == source
    };
    let client = Address::from_words(packet.destination);
    let table = table();
    let found = table.glimpse_out::<LINES>(V6, packet.protocol, client, packet.destination_port, accept);
    let Glimpse::Found(_, entry) = found else { return None };
    let (destination, flags, key) = (entry.destination(), entry.flags(), entry.key());
    if !certain || !is_steady(packet, &entry, flags, Direction::Output) || !entry.is_current() {
        return None;
    }
    let now = now();
    let hop = hop::<V6>(context.ctx, ingress, packet, now)?;
    let traffic = traffic(destination)?;
    entry.touch(now);
    // SAFETY: as for a packet from the client.
    unsafe {
        let Traffic { packets_out, bytes_out, .. } = &mut *traffic;
        *packets_out += 1;
        *bytes_out += u64::from(packet.length);
    }
    decrement_hop_limit::<V6>(packet);
    set_end::<V6>(packet, End::Source, &key.virtual_address.words(), key.virtual_port);
    Some(leave(packet, hop.interface, hop.hardware))
}

/// Whether the packet changes nothing of its connection but counters and the time of its latest packet.
#[inline(always)]
fn is_steady(packet: &Packet, entry: &EntryRef<'_>, flags: u16, direction: Direction) -> bool {
    let segment = if packet.protocol == protocol::TCP { Some(packet.flags) } else { None };
    steady::is_steady(segment, entry, flags, direction, timeout)
}

#[inline(always)]
fn now() -> Tick {
    // SAFETY: a plain helper call.
    Tick::from_nanos(unsafe { bpf_ktime_get_ns() })
}

/// Addresses the frame and sends it.
#[inline(always)]
fn leave(packet: &Packet, interface: u32, hardware: [u32; 3]) -> u32 {
    // SAFETY: the Ethernet header is there.
    unsafe { write(packet.frame, hardware) };
    // By the interface that it came by, too, and not by XDP_TX: a virtual cable whose other end has GRO but no program
    // loses those.
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(interface, 0) as u32 }
}
