//! Rewriting a packet as `ipvs_wire::rewrite` does, to the same bytes.
//!
//! Sums are taken in the byte order of the packet: ones' complement addition does not care (RFC 1071 section 2), nor does
//! it matter in which order differences are added.

use ipvs_wire::{checksum, protocol};

use crate::context::{Context, Difference};
use crate::maps::Address;
use crate::packet::{read, write};
use crate::transport::{ETHERNET, Packet, Place, header};

/// An end of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

/// One hop less.
#[inline(always)]
pub fn decrement_hop_limit<const V6: bool>(place: &Place) {
    // SAFETY: at a `Place` the IP header is there.
    unsafe {
        if V6 {
            write::<u8>(place.ip + 7, read::<u8>(place.ip + 7) - 1);
        } else {
            write::<u8>(place.ip + 8, read::<u8>(place.ip + 8) - 1);
            add_to(place.ip + 10, !0x0100u16.to_be());
        }
    }
}

/// Puts another address and port (host order) at an end. Where the packet then lies; `None` if it cannot be used any more.
#[inline(always)]
pub fn set_end<C: Context, const V6: bool>(
    context: *mut C,
    packet: &Packet,
    place: Place,
    end: End,
    address: &Address,
    port: u16,
) -> Option<Place> {
    let (old, old_port) = match end {
        End::Source => (&packet.source, packet.source_port),
        End::Destination => (&packet.destination, packet.destination_port),
    };
    let addresses = checksum::add(!sum::<V6>(old), sum::<V6>(address));
    let difference = checksum::add(addresses, checksum::add(!old_port.to_be(), port.to_be()));
    let port_at = place.transport + if end == End::Source { 0 } else { 2 };
    // SAFETY: at a `Place` the IP header, the ports and the checksum are there.
    unsafe {
        if V6 {
            write::<Address>(place.ip + if end == End::Source { 8 } else { 24 }, *address);
        } else {
            write::<u32>(place.ip + if end == End::Source { 12 } else { 16 }, address[3]);
            add_to(place.ip + 10, addresses);
        }
        write::<u16>(port_at, port.to_be());
        if !C::ADJUSTS_CHECKSUMS {
            let updated = checksum::update(read(place.checksum), difference);
            write::<u16>(place.checksum, checksum::stored(packet.protocol, updated));
            return Some(place);
        }
    }
    let is_tcp = packet.protocol == protocol::TCP;
    let offset = ETHERNET + header::<V6>() + if is_tcp { 16 } else { 6 };
    let difference = Difference { addresses, ports: [old_port.to_be(), port.to_be()] };
    if !C::adjust_checksum(context, offset as u32, &difference, !is_tcp) {
        return None;
    }
    Place::of::<C, V6>(context, packet.protocol)
}

/// Adds a difference to the checksum at `at`.
///
/// # Safety
/// Two bytes must be there.
#[inline(always)]
unsafe fn add_to(at: usize, difference: u16) {
    // SAFETY: by the caller.
    unsafe { write::<u16>(at, checksum::update(read(at), difference)) }
}

#[inline(always)]
fn sum<const V6: bool>(address: &Address) -> u16 {
    let [a, b, c, d] = *address;
    let low = u64::from(d);
    checksum::fold(if V6 { u64::from(a) + u64::from(b) + u64::from(c) + low } else { low })
}
