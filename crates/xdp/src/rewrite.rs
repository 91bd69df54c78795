//! Rewriting a packet as `ipvs_wire::rewrite` does, to the same bytes.
//!
//! Sums are taken in the byte order of the packet: ones' complement addition does not care (RFC 1071 section 2), nor does
//! it matter in which order differences are added.

use ipvs_wire::{checksum, protocol};

use crate::context::{Context, Difference};
use crate::maps::Address;
use crate::packet::{read, write};
use crate::sums;
use crate::transport::{ETHERNET, Headers, Place, header};

/// An end of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

/// What one hop less adds to the sum of an IPv4 header.
const HOP_LESS: u64 = !0x0100u16.to_be() as u64;

/// One hop less.
#[inline(always)]
pub fn decrement_hop_limit<const V6: bool>(place: &Place) {
    // SAFETY: at a `Place` the IP header is there.
    unsafe {
        if V6 {
            write::<u8>(place.ip + 7, read::<u8>(place.ip + 7) - 1);
        } else {
            write::<u8>(place.ip + 8, read::<u8>(place.ip + 8) - 1);
            add_to(place.ip + 10, HOP_LESS);
        }
    }
}

/// Puts another address and port (host order) at an end; `HOP`: and one hop less, as by [`decrement_hop_limit`]. Where the packet then lies; `None` if it cannot be used any more.
#[inline(always)]
pub fn set_end<C: Context, const V6: bool, const HOP: bool>(
    context: *mut C,
    packet: &Headers,
    place: Place,
    end: End,
    address: &Address,
    port: u16,
) -> Option<Place> {
    let (old, old_port) = match end {
        End::Source => (&packet.source, packet.source_port),
        End::Destination => (&packet.destination, packet.destination_port),
    };
    let addresses = removed::<V6>(old) + added::<V6>(address);
    let port_at = place.transport + if end == End::Source { 0 } else { 2 };
    // SAFETY: at a `Place` the IP header, the ports and the checksum are there.
    unsafe {
        if V6 {
            write::<Address>(place.ip + if end == End::Source { 8 } else { 24 }, *address);
            if HOP {
                decrement_hop_limit::<V6>(&place);
            }
        } else {
            write::<u32>(place.ip + if end == End::Source { 12 } else { 16 }, address[3]);
            if HOP {
                write::<u8>(place.ip + 8, read::<u8>(place.ip + 8) - 1);
            }
            add_to(place.ip + 10, addresses + if HOP { HOP_LESS } else { 0 });
        }
        write::<u16>(port_at, port.to_be());
        if !C::ADJUSTS_CHECKSUMS {
            let difference = addresses + u64::from(!old_port.to_be()) + u64::from(port.to_be());
            let updated = update(read(place.checksum), difference);
            write::<u16>(place.checksum, checksum::stored(packet.protocol, updated));
            return Some(place);
        }
    }
    let is_tcp = packet.protocol == protocol::TCP;
    let offset = ETHERNET + header::<V6>() + if is_tcp { 16 } else { 6 };
    let difference = Difference { addresses: sums::fold(addresses), ports: [old_port.to_be(), port.to_be()] };
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
unsafe fn add_to(at: usize, difference: u64) {
    // SAFETY: by the caller.
    unsafe { write::<u16>(at, update(read(at), difference)) }
}

/// As [`checksum::update`], of a difference that is not folded: sums of more than one are folded once, and without branches.
#[inline(always)]
fn update(sum: u16, difference: u64) -> u16 {
    !sums::fold(u64::from(!sum) + difference)
}

/// What taking an address away adds to a sum.
#[inline(always)]
fn removed<const V6: bool>(address: &Address) -> u64 {
    added::<V6>(&address.map(|word| !word))
}

/// What an address adds to a sum.
#[inline(always)]
fn added<const V6: bool>(address: &Address) -> u64 {
    let [a, b, c, d] = address.map(u64::from);
    if V6 { a + b + c + d } else { d }
}
