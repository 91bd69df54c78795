//! Parking: TCP packets that are the daemon's wait in the kernel while it reads their headers, so that their payload is never copied. A
//! classifier's frames can wait in a netfilter queue: here they go to one in a network namespace that only the daemon knows
//! (`ipvs_datapath`, `parking`), and what comes from there has the daemon's word on what becomes of it in [`RELEASED`].
//!
//! The way: [`park`] at the interface; the queue; [`ticket`] on the way out of that namespace, where the frame gets the number of the daemon's word;
//! [`release`] where it comes back.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_RECOMPUTE_CSUM, TC_ACT_OK, TC_ACT_SHOT},
    helpers::generated::{bpf_redirect, bpf_redirect_peer, bpf_skb_store_bytes},
    macros::map,
    maps::Array,
};
use ipvs_wire::protocol;

use crate::context::Context;
use crate::maps::{Counter, count};
use crate::packet::{Bytes, read};
use crate::shared::MMAPABLE;
use crate::transport::ETHERNET;
use crate::vlan::{ETHERTYPE_VLAN, retag};

/// The interface that leads there, for IPv4 and IPv6; 0: none.
#[map(name = "parking")]
static PARKING: Array<u32> = Array::with_max_entries(2, 0);

/// What becomes of packets that waited, by the last bits of their numbers. The daemon makes it smaller if it has no parking.
#[map(name = "released")]
static RELEASED: Array<Released> = Array::with_max_entries(LEN, MMAPABLE);
const LEN: u32 = 4096;

/// The daemon's word on a packet.
#[repr(C, align(64))]
struct Released {
    /// The packet's number: this word is on no other.
    number: u32,
    /// The interface that it goes to.
    interface: u32,
    /// How many bytes take the place of the frame's first ones; 0: none.
    len: u32,
    /// The VLAN tag that it gets, as it stands in a frame; 0: none.
    tag: u32,
    bytes: [u8; 240],
}

/// Longest headers: Ethernet, IPv6, TCP with options.
const LONGEST: u32 = 14 + 40 + 60;

/// Hardware address of the interface in that namespace.
const ENTRANCE: [u8; 6] = [0x02, b'i', b'p', b'v', b's', 1];

const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
const ETHERTYPE_IPV6: u16 = 0x86ddu16.to_be();
/// First bits of link-local addresses of IPv6, which belong to one link.
const LINK_LOCAL: u16 = 0xfe80;
const LINK_LOCAL_BITS: u16 = 0xffc0;
/// PACKET_HOST: the frame was sent to the interface's own hardware address.
const FOR_HOST: u32 = 0;

/// TCP's flags: the segment begins a connection, ends one direction, ends both.
const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;

/// Has the packet at hand wait, without a tag that it had (as to the daemon, a packet is the same in whatever VLAN it comes). The action; `None`, and
/// nothing was changed, if it does not wait: no TCP, a fragment, IP options or extension headers, tags but one of 802.1Q, what no router would
/// forward; SYNs, which nothing is ahead of; and acknowledgements without payload, which by the TAP device are there with less ado, and do no harm
/// when they overtake data. (FIN and RST would: who gets an RST first may never see the answer ahead of it.)
#[inline(always)]
pub fn park(packet: *mut __sk_buff) -> Option<i32> {
    // SAFETY: the kernel's context.
    if unsafe { (*packet).pkt_type } != FOR_HOST {
        return None;
    }
    let tag = Context::tag_beside(packet);
    if tag != 0 && tag as u16 != ETHERTYPE_VLAN {
        return None;
    }
    let (bytes, frame) = Bytes::of(packet);
    let ip = frame + ETHERNET;
    if !bytes.has(frame, ETHERNET + 20) {
        return None;
    }
    // SAFETY: so many bytes are there.
    let (ethertype, first): (u16, u8) = unsafe { (read(frame + 12), read(ip)) };
    let (family, tcp, len) = match ethertype {
        // SAFETY: as above.
        ETHERTYPE_IPV4 => unsafe {
            let (len, fragment, hops, protocol): (u16, u16, u8, u8) =
                (read(ip + 2), read(ip + 6), read(ip + 8), read(ip + 9));
            if first != 0x45 || fragment & 0x3fffu16.to_be() != 0 || hops < 2 || protocol != protocol::TCP {
                return None;
            }
            (0, ip + 20, u16::from_be(len).wrapping_sub(20))
        },
        ETHERTYPE_IPV6 => {
            if !bytes.has(ip, 40) {
                return None;
            }
            // SAFETY: so many bytes are there.
            let (len, next, hops, source, destination): (u16, u8, u8, u16, u16) =
                unsafe { (read(ip + 4), read(ip + 6), read(ip + 7), read(ip + 8), read(ip + 24)) };
            let is_local = |start: u16| u16::from_be(start) & LINK_LOCAL_BITS == LINK_LOCAL;
            if next != protocol::TCP || hops < 2 || is_local(source) || is_local(destination) {
                return None;
            }
            (1, ip + 40, u16::from_be(len))
        }
        _ => return None,
    };
    let entrance = *PARKING.get(family)?;
    if entrance == 0 || !bytes.has(tcp, 20) {
        return None;
    }
    // SAFETY: so many bytes are there.
    let (header, flags): (u8, u8) = unsafe { (read(tcp + 12), read(tcp + 13)) };
    let is_empty = len == u16::from(header >> 4) * 4;
    if flags & SYN != 0 || is_empty && flags & (FIN | RST) == 0 {
        return None;
    }
    // In the sender's address stands what the queue does not tell.
    let mut addresses = [0u8; 12];
    addresses[..6].copy_from_slice(&ENTRANCE);
    addresses[6..10].copy_from_slice(&Context::interface(packet).to_ne_bytes());
    addresses[10..].copy_from_slice(&(Context::segment(packet) as u16).to_ne_bytes());
    // SAFETY: the bytes are the program's own; a frame that could not be written is not sent.
    unsafe {
        let len = addresses.len() as u32;
        if !retag(packet, 0) || bpf_skb_store_bytes(packet, 0, addresses.as_ptr().cast(), len, 0) != 0 {
            return Some(TC_ACT_SHOT as i32);
        }
        count(Counter::Redirected);
        // To the other end at once: there is no queue between.
        Some(bpf_redirect_peer(entrance, 0) as i32)
    }
}

/// Gives a packet the number that the daemon gave it, on its way out of the namespace where it waited.
#[inline(always)]
pub fn ticket(packet: *mut __sk_buff) -> i32 {
    // SAFETY: the kernel's context, and bytes of the program's own.
    unsafe {
        let number = (*packet).mark.to_ne_bytes();
        match bpf_skb_store_bytes(packet, 0, number.as_ptr().cast(), 4, 0) {
            0 => TC_ACT_OK as i32,
            _ => TC_ACT_SHOT as i32,
        }
    }
}

/// Does with a packet that waited what the daemon said.
#[inline(always)]
pub fn release(packet: *mut __sk_buff) -> i32 {
    try_release(packet).unwrap_or(TC_ACT_SHOT as i32)
}

#[inline(always)]
fn try_release(packet: *mut __sk_buff) -> Option<i32> {
    let (bytes, frame) = Bytes::of(packet);
    if !bytes.has(frame, ETHERNET) {
        return None;
    }
    // SAFETY: so many bytes are there.
    let number: u32 = unsafe { read(frame) };
    let released = RELEASED.get_ptr(number & (LEN - 1))?;
    // SAFETY: a value of the map, which the daemon does not write again before some thousand other packets have come by.
    let (of, interface, len, tag) =
        unsafe { ((*released).number, (*released).interface, (*released).len, (*released).tag) };
    if of != number || len > LONGEST {
        return None;
    }
    if len != 0 {
        // SAFETY: the value has so many bytes.
        let start = unsafe { (&raw const (*released).bytes).cast() };
        // SAFETY: as above.
        if unsafe { bpf_skb_store_bytes(packet, 0, start, len, u64::from(BPF_F_RECOMPUTE_CSUM)) } != 0 {
            return None;
        }
    }
    if !retag(packet, tag) {
        return None;
    }
    // SAFETY: a plain helper call.
    Some(unsafe { bpf_redirect(interface, 0) as i32 })
}
