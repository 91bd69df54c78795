//! Looking up in bulk. With many connections a packet's time is mostly one wait for memory, and waits that do not depend on each other
//! can be one. The kernel collects up to 16 frames for an interface before it sends them, and runs a program for each then, if its
//! entry in a map of interfaces has one (BPF_XDP_DEVMAP). So packets to services that the daemon names, those all of whose destinations leave by one
//! interface, are put off: when they come only the place is noted where their connections are looked for, and they are sent there as they
//! are. On their way out all those places are begun to be read at once, and each packet is forwarded as it would have been before
//! (`leaving.rs`).
//!
//! All packets of such a service are put off, whatever they do to a connection, so their order stays. What is found to be otherwise on the way out (another
//! interface, the daemon's) goes to the daemon by a ring: there are but two ways on, out and nowhere.
//!
//! A frame that was put off says so itself: its receiver's hardware address, which is the interface's that it came by, is made a
//! multicast address, as no frame has that was forwarded, and that interface's index stands in the sender's.

use aya_ebpf::{bindings::xdp_md, macros::map, maps::Array};
use ipvs_wire::protocol;

use crate::cache::is_plain;
use crate::packet::{Bytes, read, write};
use crate::shared::table;
use crate::transport::{ETHERNET, Packet};

/// Services whose packets may be put off, each at its place.
#[map(name = "bulk_services")]
static SERVICES: Array<Service> = Array::with_max_entries(SERVICES_LEN, 0);
const SERVICES_LEN: u32 = 256;

/// A service of IPv4.
#[repr(C)]
#[derive(Clone, Copy)]
struct Service {
    /// Its address, as it stands in a packet; 0: there is none.
    address: u32,
    /// Protocol; above that, in network order, the port.
    end: u32,
    /// The interface that its packets leave by.
    interface: u32,
    /// Longest frame that fits all of its ways.
    longest: u32,
}

/// Longest frame that is put off, of any service.
pub const LONGEST: usize = 2048;

/// Bytes from the IP header on that are looked at: to the flags of TCP.
const LOOKED_AT: usize = 20 + 14;

/// The bit that makes a hardware address a multicast address, in its first byte.
pub const MULTICAST: u8 = 1;
/// The same in its first four bytes.
const MARK: u32 = u32::from_ne_bytes([MULTICAST, 0, 0, 0]);
/// Where the mark has the interface: in the sender's address.
const INGRESS: usize = 8;

/// Marks a place whose hash line will be asked for, and not the flow cache.
pub const HASH_LINE: u32 = 1 << 31;

/// Has the packet at hand, with IPv4 in it, leave as it is, to be forwarded on its way out; 0, and nothing was changed, if it
/// is not one for that. A function of its own, as those of `stages.rs`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn put_off(context: *mut xdp_md, packet: &mut Packet) -> u32 {
    u32::from(try_put_off(Bytes::of(context), packet).is_some())
}

#[inline(always)]
fn try_put_off((bytes, frame): (Bytes, usize), packet: &mut Packet) -> Option<()> {
    let ip = frame + ETHERNET;
    if !bytes.has(ip, LOOKED_AT) {
        return None;
    }
    // SAFETY: so many bytes are there.
    let (start, fragment, protocol, source, address, ports, flags): (u8, u16, u8, u32, u32, [u16; 2], u8) = unsafe {
        (read(ip), read(ip + 6), read(ip + 9), read(ip + 12), read(ip + 16), read(ip + 20), read(ip + 33))
    };
    if start != 0x45 || fragment & 0x3fffu16.to_be() != 0 {
        return None;
    }
    let [source_port, destination_port] = ports;
    let service = SERVICES.get(place_of(protocol, address, destination_port))?;
    let end = u32::from(protocol) | u32::from(destination_port) << 16;
    if address ^ service.address | end ^ service.end != 0 || bytes.end() - frame > service.longest as usize {
        return None;
    }
    let bucket = table().bucket_of_client(protocol, (source, u16::from_be(source_port)))?;
    let is_born = protocol == protocol::TCP && !is_plain(flags);
    packet.expected.note(if is_born { bucket | HASH_LINE } else { bucket });
    // SAFETY: the Ethernet header is there.
    unsafe {
        write(frame, read::<u8>(frame) ^ MULTICAST);
        write(frame + INGRESS, packet.ingress);
    }
    packet.exit = service.interface;
    Some(())
}

/// Where a service stands.
#[inline(always)]
const fn place_of(protocol: u8, address: u32, port: u16) -> u32 {
    // The last bytes differ most between services.
    let last = address >> 24 ^ port as u32 ^ (port >> 8) as u32;
    (last ^ protocol as u32) & (SERVICES_LEN - 1)
}

/// The receiver's hardware address of a frame that was put off, as it was.
#[inline(always)]
pub const fn unmarked((start, end): (u32, u16)) -> (u32, u16) {
    (start ^ MARK, end)
}

/// The interface that a frame came by, if it was put off.
#[inline(always)]
pub fn ingress(context: *mut xdp_md) -> u32 {
    let (bytes, frame) = Bytes::of(context);
    // SAFETY: the Ethernet header is there.
    if bytes.has(frame, ETHERNET) { unsafe { read(frame + INGRESS) } } else { 0 }
}
