//! The frames that may be forwarded here: whole TCP and UDP packets without IP options or extension headers, without
//! tags (one is taken off before), with complete checksums. All else is the daemon's.

use core::{cell::UnsafeCell, ops::Deref};

use aya_ebpf::{macros::map, maps::PerCpuArray};
use ipvs_flow::pick::{Search, Slot};
use ipvs_wire::protocol;

use crate::context::Context;
use crate::expected::Expected;
use crate::maps::Address;
use crate::packet::{Bytes, ipv4_address, ipv6_address, read};
use crate::sums;

/// Length of the Ethernet header.
pub const ETHERNET: usize = 14;
/// Frames up to this length may be padded.
const LEAST_FRAME: usize = 60;

/// What the headers say of a packet that may be forwarded. (Aligned as values of its map are.)
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Headers {
    pub source: Address,
    pub destination: Address,
    /// In host order, as the other port.
    pub source_port: u16,
    pub destination_port: u16,
    /// Length from the IP header on.
    pub length: u32,
    /// Length of the longest packet that it leaves in: its own, or that of a segment.
    pub largest: u32,
    pub protocol: u8,
    /// Flags of a TCP segment.
    pub flags: u8,
    /// 1: IPv6.
    pub ipv6: u8,
}

/// A packet that may be forwarded, without pointers into its frame.
///
/// It lies in a map, not on the stack: what is read from there is any number to the verifier, so that the functions behind are
/// verified once and not for each way by which a packet can be read.
#[repr(C, align(64))]
pub struct Packet {
    pub headers: Headers,
    /// Index of the interface that it came by.
    pub ingress: u32,
    /// The entry of its connection, and the entry's version.
    pub found: [u32; 2],
    /// 1: its connection began here.
    pub born: u8,
    /// 1: its frame can get a VLAN tag.
    pub can_be_tagged: u8,
    /// The tunnels that it can go into: a number of `context::Tunnels`.
    pub tunnels: u8,
    /// 1: it is to wake the daemon, whatever else speaks against it.
    pub wakes: u8,
    /// Whether the connection table has a connection of its client: a number of `forward::Standing`.
    pub standing: u8,
    /// The VLAN tag that was taken off its frame, as it stands there; 0: none.
    pub tag: u32,
    /// The entry for its connection, when that is to begin.
    pub granted: u32,
    /// What the connection is found by.
    pub hash: u64,
    /// Where it can be put: an `ipvs_flow::Gap`.
    pub gap: u64,
    /// The line by which its service chooses.
    pub pick: u32,
    /// The choice.
    pub chosen: Slot,
    /// The search for it, when it is made by load.
    pub search: Search,
    /// What packets will ask for that were put off.
    pub expected: Expected,
    /// For numbers that the verifier shall not follow.
    pub cell: Cell,
    /// The interface that it leaves by as it is, if it is put off.
    pub exit: u32,
}

/// A word of this processor's memory that stays 0, of which nobody knows: what makes a number any number to the verifier.
#[repr(transparent)]
pub struct Cell(UnsafeCell<u32>);

// SAFETY: of one processor alone.
unsafe impl Sync for Cell {}

impl Cell {
    /// The same number, which is any number to the verifier then.
    #[inline(always)]
    pub fn through(&self, number: u32) -> u32 {
        // Read beside what the number waits for; to write the number and read it again would be some nanoseconds on its way.
        // SAFETY: the cell's own pointer, and nobody writes there.
        number ^ unsafe { self.0.get().read_volatile() }
    }
}

/// The packet at hand, by processor.
#[map(name = "packets")]
static PACKETS: PerCpuArray<Packet> = PerCpuArray::with_max_entries(1, 0);

/// Where a packet lies.
#[derive(Clone, Copy)]
pub struct Place {
    /// Start of the frame.
    pub frame: usize,
    /// Start of the IP header.
    pub ip: usize,
    /// Start of the transport header.
    pub transport: usize,
    /// Place of the transport checksum.
    pub checksum: usize,
}

/// Length of an IP header.
pub const fn header<const V6: bool>() -> usize {
    if V6 { 40 } else { 20 }
}

impl Packet {
    /// Where this processor keeps the packet at hand.
    #[inline(always)]
    pub fn at_hand() -> Option<&'static mut Self> {
        // SAFETY: a value of this processor, and a program is not interrupted by itself.
        PACKETS.get_ptr_mut(0).map(|packet| unsafe { &mut *packet })
    }
}

impl Deref for Packet {
    type Target = Headers;

    #[inline(always)]
    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl Headers {
    /// Reads the frame of `context`. Once it is known from where to where it goes, and before the rest is looked at, `begin` is told:
    /// protocol, addresses, ports, and the place of the transport header, of which eight bytes are there.
    #[inline(always)]
    pub fn read<C: Context, const V6: bool>(
        context: *mut C,
        begin: impl FnOnce((u8, [&Address; 2], [u16; 2]), (usize, &Bytes)),
    ) -> Option<Self> {
        let (bytes, frame) = Bytes::of(context);
        let ip = frame + ETHERNET;
        let transport = ip + header::<V6>();
        if !bytes.has(ip, header::<V6>() + 8) {
            return None;
        }
        // SAFETY: the IP header and eight bytes more are there.
        let (length, hop_limit, protocol, source, destination, ports): (
            usize,
            u8,
            u8,
            Address,
            Address,
            [u16; 2],
        ) = unsafe {
            if V6 {
                if read::<u8>(ip) >> 4 != 6 {
                    return None;
                }
                let length = header::<V6>() + usize::from(u16::from_be(read(ip + 4)));
                (
                    length,
                    read(ip + 7),
                    read(ip + 6),
                    ipv6_address(ip + 8),
                    ipv6_address(ip + 24),
                    read(transport),
                )
            } else {
                if read::<u8>(ip) != 0x45 || read::<u16>(ip + 6) & 0x3fffu16.to_be() != 0 {
                    return None;
                }
                let length = usize::from(u16::from_be(read(ip + 2)));
                (
                    length,
                    read(ip + 8),
                    read(ip + 9),
                    ipv4_address(ip + 12),
                    ipv4_address(ip + 16),
                    read(transport),
                )
            }
        };
        let [source_port, destination_port] = ports.map(u16::from_be);
        let ports = [source_port, destination_port];
        begin((protocol, [&source, &destination], ports), (transport, &bytes));
        let there = C::length(context) - ETHERNET;
        // SAFETY: the header is there.
        if !V6 && !unsafe { whole_header(ip) } {
            return None;
        }
        if hop_limit <= 1 || there < length || there != length && there + ETHERNET > LEAST_FRAME {
            return None;
        }
        let mut flags = 0;
        let mut headers = header::<V6>() + 8;
        let place;
        if protocol == protocol::TCP {
            if length < header::<V6>() + 20 || !bytes.has(transport, 20) {
                return None;
            }
            // SAFETY: 20 bytes are there.
            flags = unsafe { read(transport + 13) };
            if C::segment(context) != 0 {
                // SAFETY: the same.
                headers = header::<V6>() + usize::from(unsafe { read::<u8>(transport + 12) } >> 4) * 4;
            }
            place = transport + 16;
        } else if protocol == protocol::UDP {
            // SAFETY: eight bytes are there.
            let (stated, sum) = unsafe { (u16::from_be(read(transport + 4)), read::<u16>(transport + 6)) };
            // Without checksum the daemon makes one.
            if length < header::<V6>() + 8 || usize::from(stated) != length - header::<V6>() || sum == 0 {
                return None;
            }
            place = transport + 6;
        } else {
            return None;
        }
        // SAFETY: the field was checked to be there.
        let field: u16 = unsafe { read(place) };
        if C::GUESSES_CHECKSUMS
            && sums::is_whole(
                pseudo_header(&source, &destination, protocol, (length - header::<V6>()) as u16, V6)
                    + u64::from(!field),
            )
        {
            // The field has that sum: it was left to the card by a sender on this machine.
            return None;
        }
        let largest = match C::segment(context) {
            0 => length as u32,
            segment => (headers as u32 + segment).min(length as u32),
        };
        let length = length as u32;
        let ipv6 = u8::from(V6);
        Some(Self {
            source,
            destination,
            source_port,
            destination_port,
            length,
            largest,
            protocol,
            flags,
            ipv6,
        })
    }
}

impl Place {
    /// Where the packet lies, which was read from the frame of `context`.
    #[inline(always)]
    pub fn of<C: Context, const V6: bool>(context: *mut C, protocol: u8) -> Option<Self> {
        let (bytes, frame) = Bytes::of(context);
        let ip = frame + ETHERNET;
        let transport = ip + header::<V6>();
        let checksum = transport + if protocol == protocol::TCP { 16 } else { 6 };
        // Again, for the verifier.
        (bytes.has(frame, ETHERNET + header::<V6>() + 8) && bytes.has(checksum, 2)).then_some(Self {
            frame,
            ip,
            transport,
            checksum,
        })
    }
}

/// Whether the checksum of a 20-byte IPv4 header is right.
///
/// # Safety
/// 20 bytes must be there.
#[inline(always)]
unsafe fn whole_header(ip: usize) -> bool {
    // SAFETY: by the caller.
    let words: [u32; 5] = unsafe { read(ip) };
    sums::is_whole(words.iter().map(|word| u64::from(*word)).sum())
}

/// Sum of the pseudo-header, in the byte order of the packet, not folded: as [`ipvs_wire::checksum::pseudo_header`].
#[inline(always)]
fn pseudo_header(source: &Address, destination: &Address, protocol: u8, length: u16, v6: bool) -> u64 {
    let mut sum = u64::from(u16::from(protocol).to_be()) + u64::from(length.to_be());
    let from = if v6 { 0 } else { 3 };
    for word in from..4 {
        sum += u64::from(source[word]) + u64::from(destination[word]);
    }
    sum
}
