//! Frames with one VLAN tag (802.1Q): it is taken off before the packet is looked at, so that all behind meets frames without, and put
//! back when the packet is not forwarded here. As to the daemon, a packet is the same in whatever VLAN it comes.

use aya_ebpf::{bindings::xdp_md, helpers::generated::bpf_xdp_adjust_head};

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

/// Takes back [`take_tag_off`]. 1; 0 if that cannot be, which four bytes that were there before leave no reason for.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn put_tag_back(context: *mut xdp_md, packet: &mut Packet) -> u32 {
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
        write_start(frame, addresses, packet.tag);
    }
    1
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
