//! VLAN tags. One tag (802.1Q) is taken off before the packet is looked at, so that all behind meets frames without, and put
//! back when the packet is not forwarded here. As to the daemon, a packet is the same in whatever VLAN it comes. What leaves through a VLAN
//! device gets that device's tag at the very end; whether there is room for it is found out before anything changes.
//!
//! A classifier's frames have their tag beside their bytes: there it changes when they leave ([`retag`]), and not before.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_vlan_pop, bpf_skb_vlan_push, bpf_xdp_adjust_head},
};

use crate::context::{Context, Tags};
use crate::packet::{Bytes, read, write};
use crate::transport::{ETHERNET, Packet};

/// EtherType of a tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100u16.to_be();

/// Length of a tag.
const TAG: i32 = 4;

/// Bytes of both hardware addresses, as words.
type Addresses = [u32; 3];

/// Takes the tag off a frame that has one, and keeps it in `packet.tag`. The EtherType of what is inside; 0, and nothing was changed,
/// if the frame is too short. What was known of where the frame lies is void.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn take_tag_off(context: *mut xdp_md, packet: &mut Packet) -> u32 {
    let (bytes, frame) = Bytes::of(context);
    if !bytes.has(frame, ETHERNET + TAG as usize) {
        return 0;
    }
    // SAFETY: 18 bytes are there.
    let (addresses, tag, ethertype): (Addresses, u32, u16) =
        unsafe { (read(frame), read(frame + 12), read(frame + 16)) };
    // SAFETY: as above.
    unsafe { write(frame + TAG as usize, addresses) };
    // SAFETY: a plain helper call.
    if unsafe { bpf_xdp_adjust_head(context, TAG) } != 0 {
        let (bytes, frame) = Bytes::of(context);
        if bytes.has(frame, ETHERNET + TAG as usize) {
            // SAFETY: 18 bytes are there.
            unsafe { write_start(frame, addresses, tag) };
        }
        return 0;
    }
    packet.tag = tag;
    u32::from(ethertype)
}

/// Puts a tag on: 1; 0 if that cannot be, for which there is no reason where one was taken off, or [`has_room`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn put_tag_on(context: *mut xdp_md, tag: u32) -> u32 {
    // SAFETY: a plain helper call.
    if unsafe { bpf_xdp_adjust_head(context, -TAG) } != 0 {
        return 0;
    }
    let (bytes, frame) = Bytes::of(context);
    if !bytes.has(frame, ETHERNET + TAG as usize) {
        return 0;
    }
    // SAFETY: 18 bytes are there.
    unsafe {
        let addresses: Addresses = read(frame + TAG as usize);
        write_start(frame, addresses, tag);
    }
    1
}

/// Whether there is room for one tag more: 1. Nothing changes, but pointers into the frame must be made anew.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn has_room(context: *mut xdp_md) -> u32 {
    // SAFETY: plain helper calls, the second of which undoes the first.
    u32::from(unsafe { bpf_xdp_adjust_head(context, -TAG) == 0 && bpf_xdp_adjust_head(context, TAG) == 0 })
}

/// Gives a classifier's frame this tag (0: none) in the place of one that it may have. `false`: that cannot be. Pointers into the frame must be
/// made anew.
#[inline(always)]
pub fn retag(packet: *mut __sk_buff, tag: u32) -> bool {
    // SAFETY: plain helper calls.
    unsafe {
        (Context::tag_beside(packet) == 0 || bpf_skb_vlan_pop(packet) == 0)
            && (tag == 0 || bpf_skb_vlan_push(packet, tag as u16, u16::from_be((tag >> 16) as u16)) == 0)
    }
}

/// Whether the packet's frame can get the tag of its way; 0, no tag, is what it always can. Not on the short way (`steady.rs`). Pointers into
/// the frame must be made anew.
#[inline(always)]
pub fn can_get<C: Context, const STEADY: bool>(context: *mut C, packet: &Packet, tag: u32) -> bool {
    if tag == 0 {
        return true;
    }
    !STEADY
        && match C::TAGS {
            Tags::Inside => packet.tag != 0 || has_room(context.cast()) != 0,
            Tags::Beside => true,
            Tags::Untouched => false,
        }
}

/// Writes addresses and tag.
///
/// # Safety
/// 16 bytes must be there.
#[inline(always)]
unsafe fn write_start(frame: usize, addresses: Addresses, tag: u32) {
    // SAFETY: by the caller.
    unsafe {
        write(frame, addresses);
        write(frame + 12, tag);
    }
}
