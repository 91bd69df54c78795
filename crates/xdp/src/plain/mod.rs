//! For comparison: a plain balancer of IPv4 by address translation, without states, timeouts, a way back or anything rare. It asks one of
//! several tables which destination a flow has, notes that the flow was seen, and counts; all else is the same with all tables.

pub mod layout;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_ktime_get_ns, generated::bpf_redirect},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray},
    programs::XdpContext,
};
use ipvs_flow::{Address, Glimpse, Key, Tick};
use ipvs_wire::checksum;

use crate::forward::ETHERTYPE_IPV4;
use crate::lookup::LINES;
use crate::packet::{Bytes, read, write};
use crate::shared::{MMAPABLE, table};
use layout::{DESTINATIONS, Destination, Flow, Known, Line, PROBES, hash};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The kernel's hash that forgets what was used least recently. The loader sets the number of entries of these maps.
#[map(name = "plain_lru")]
static LRU: LruHashMap<Flow, Known> = LruHashMap::with_max_entries(1, 0);

/// The kernel's hash.
#[map(name = "plain_hash")]
static HASH: HashMap<Flow, Known> = HashMap::with_max_entries(1, 0);

/// Open addressing, whole entries in the lines: a power of two of them. So that lines are cache lines, as those of the director's table.
#[map(name = "plain_lines")]
static WHOLE: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// Lines of that table, less one; set by the loader.
#[unsafe(no_mangle)]
static PLAIN_MASK: u32 = 0;

#[map(name = "plain_destinations")]
static TO: Array<Destination> = Array::with_max_entries(DESTINATIONS, 0);

/// Packets and bytes of destinations.
#[map(name = "plain_traffic")]
static TRAFFIC: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(DESTINATIONS, 0);

/// Finds a flow in the kernel's LRU hash.
#[inline(always)]
pub fn in_lru(flow: &Flow, now: Tick) -> Option<u32> {
    // SAFETY: the map's memory is not freed while the program runs.
    LRU.get_ptr_mut(flow).map(|known| unsafe { note(known, now) })
}

/// Finds a flow in the kernel's hash.
#[inline(always)]
pub fn in_hash(flow: &Flow, now: Tick) -> Option<u32> {
    // SAFETY: as above.
    HASH.get_ptr_mut(flow).map(|known| unsafe { note(known, now) })
}

/// Finds a flow in the lines with whole entries.
#[inline(always)]
pub fn in_lines(flow: &Flow, now: Tick) -> Option<u32> {
    // SAFETY: a plain value. Volatile, since the loader changes what the compiler sees here.
    let mask = unsafe { core::ptr::read_volatile(&raw const PLAIN_MASK) };
    let first = hash(flow);
    for probe in 0..PROBES {
        let line = WHOLE.get_ptr_mut(first.wrapping_add(probe) & mask)?.cast::<u32>();
        // SAFETY: a line of the map: four words of the flow, then four of what is kept.
        unsafe {
            let [a, b, c, d] = *line.cast::<Flow>();
            if (a ^ flow[0]) | (b ^ flow[1]) | (c ^ flow[2]) | (d ^ flow[3]) == 0 {
                return Some(note(line.add(4).cast(), now));
            }
            if d == 0 {
                return None;
            }
        }
    }
    None
}

/// Finds a flow in the director's table: lines of tags, entries elsewhere.
#[inline(always)]
pub fn in_tags(flow: &Flow, now: Tick) -> Option<u32> {
    let [client, address, ports, protocol] = *flow;
    let mapped = |address| Address::from_words([0, 0, 0xffffu32.to_be(), address]);
    let key = Key {
        ipv6: false,
        template: false,
        protocol: protocol as u8,
        client: mapped(client),
        client_port: u16::from_be(ports as u16),
        virtual_address: mapped(address),
        virtual_port: u16::from_be((ports >> 16) as u16),
    };
    match table().glimpse_in::<LINES>(&key) {
        Glimpse::Found(_, entry) => {
            entry.touch(now);
            entry.count_packet_in();
            Some(entry.destination())
        }
        _ => None,
    }
}

/// Notes a packet; the destination.
///
/// # Safety
/// There must be such a value.
#[inline(always)]
unsafe fn note(known: *mut Known, now: Tick) -> u32 {
    // SAFETY: by the caller.
    let known = unsafe { &mut *known };
    known[1] = now.0;
    known[2] = known[2].wrapping_add(1);
    known[0]
}

/// Sends a packet of a known flow to its destination; all others pass.
#[inline(always)]
pub fn balance(context: &XdpContext, find: impl FnOnce(&Flow, Tick) -> Option<u32>) -> u32 {
    try_balance(context, find).unwrap_or(xdp_action::XDP_PASS)
}

#[inline(always)]
fn try_balance(context: &XdpContext, find: impl FnOnce(&Flow, Tick) -> Option<u32>) -> Option<u32> {
    let (bytes, frame) = Bytes::of(context.ctx);
    if !bytes.has(frame, 54) {
        return None;
    }
    // SAFETY: 54 bytes are there, here and below.
    let (ethertype, version, length, fragment, hops, protocol): (u16, u8, u16, u16, u8, u8) = unsafe {
        (
            read(frame + 12),
            read(frame + 14),
            read(frame + 16),
            read(frame + 20),
            read(frame + 22),
            read(frame + 23),
        )
    };
    let is_whole = fragment & 0x3fffu16.to_be() == 0;
    if ethertype != ETHERTYPE_IPV4 || version != 0x45 || !is_whole || hops <= 1 {
        return None;
    }
    let checksum_at = match protocol {
        TCP => frame + 50,
        UDP => frame + 40,
        _ => return None,
    };
    // SAFETY: see above.
    let flow: Flow = unsafe { [read(frame + 26), read(frame + 30), read(frame + 34), u32::from(protocol)] };
    // SAFETY: a plain helper call.
    let now = Tick::from_nanos(unsafe { bpf_ktime_get_ns() });
    let number = find(&flow, now)?;
    let [address, port, interface, hardware @ ..] = *TO.get(number)?;
    let traffic = TRAFFIC.get_ptr_mut(number)?;
    let addresses = checksum::add(!sum(flow[1]), sum(address));
    let port = port as u16;
    let all = checksum::add(addresses, checksum::add(!((flow[2] >> 16) as u16), port));
    // SAFETY: see above; a value of this processor, and a program is not interrupted by itself; a plain helper call.
    unsafe {
        (*traffic)[0] += 1;
        (*traffic)[1] += u64::from(u16::from_be(length));
        write(frame, hardware);
        write(frame + 22, hops - 1);
        let header = checksum::add(addresses, !0x0100u16.to_be());
        write(frame + 24, checksum::update(read(frame + 24), header));
        write(frame + 30, address);
        write(frame + 36, port);
        let before: u16 = read(checksum_at);
        if protocol == TCP || before != 0 {
            write(checksum_at, checksum::stored(protocol, checksum::update(before, all)));
        }
        Some(bpf_redirect(interface, 0) as u32)
    }
}

#[inline(always)]
fn sum(address: u32) -> u16 {
    checksum::fold(u64::from(address))
}
