//! New connections of services whose choice the daemon has worked out (`ipvs_flow::pick`), in entries that it has set aside.
//!
//! What the daemon must know of them it learns by the ring of this processor, and from counters. Whatever does not succeed at
//! once, or is not certain, is the daemon's, which then begins the connection by the same choices.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap},
};
use ipvs_flow::{
    Address, EntryIndex, Gap, Line, Load, Memory, NewConnection,
    event::born,
    flag::{INACTIVE, METHOD, NO_OUTPUT},
    pick::{Pick, Search, Slot, Virtual},
    steady::{BIRTHS, SECURE_TCP, UDP_TIMEOUT, is_active_tcp, next_tcp},
    tcp::{Direction, Event},
    udp,
};
use ipvs_wire::protocol;

use crate::clock::now;
use crate::encapsulate::{TUNNEL, can_go_into};
use crate::lookup::{Found, LINES, key, unpack};
use crate::maps::{Endpoint, is_server};
use crate::shared::{MMAPABLE, events, grants, load, loads, table, timeout, traffic, tunnel, way};
use crate::transport::{Headers, Packet};

const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Source port of FTP data connections, which never begin one.
const FTP_DATA: u16 = 20;

/// A sequence's next choice is tried so often while other processors make theirs.
const TRIES: u32 = 4;

/// The line in `PICKS` of a virtual service whose choices are worked out.
#[map(name = "pick_of")]
static PICK_OF: HashMap<Endpoint, u32> = HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// By what services choose: see [`ipvs_flow::pick`].
#[map(name = "picks")]
static PICKS: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// The choices.
#[map(name = "pick_slots")]
static PICK_SLOTS: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// The memory of all choices.
struct Slots;

impl Memory for Slots {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        PICK_SLOTS.get(number)
    }
}

/// Answers of [`prepare`].
const NOT_HERE: u32 = 0;
const BY_PLACE: u32 = 1;
const BY_LOAD: u32 = 2;

/// Begins the connection of a packet that belongs to none. Only the daemon's part of the work is left out: the packet is still to
/// be forwarded. Few functions, since each return costs some nanoseconds where the machine needs safe ones.
#[inline(always)]
pub fn begin(packet: &mut Packet) -> Found {
    let answer = prepare(packet);
    if answer == NOT_HERE {
        return Found::Unknown;
    }
    let searched = answer != BY_LOAD || search(packet) != 0;
    unpack(finish(packet, u32::from(searched)))
}

/// Locks the chain and notes where the connection can be put, if the packet may begin a connection of a service whose choices are
/// worked out. How its service chooses, or [`NOT_HERE`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn prepare(packet: &mut Packet) -> u32 {
    if is_ready(packet).is_none() {
        return NOT_HERE;
    }
    let table = table();
    packet.hash = table.hash_of(&key(packet));
    // Whoever has the lock may have been interrupted by us.
    if !table.try_lock(packet.hash) {
        return NOT_HERE;
    }
    let Some(gap) = table.gap::<LINES>(packet.hash, &key(packet)) else {
        table.unlock(packet.hash);
        return NOT_HERE;
    };
    packet.gap = gap.to_word();
    let by_load = PICKS.get(packet.pick).and_then(Pick::read).is_some_and(|pick| pick.is_by_load());
    // What was searched for another connection is no choice for this one, should its service come to choose by load just now.
    packet.search = Search::NONE;
    if by_load { BY_LOAD } else { BY_PLACE }
}

#[inline(always)]
fn is_ready(packet: &mut Packet) -> Option<()> {
    if timeout(BIRTHS)? == 0 || packet.source_port == FTP_DATA {
        return None;
    }
    if packet.protocol == protocol::TCP && packet.flags & (SYN | RST) != SYN {
        return None;
    }
    let protocol = u16::from(packet.protocol);
    // Nearly always it is the service of the new connection before. Which one the line is of is asked again when the choice is made.
    let service = service(packet);
    if !PICKS.get(packet.pick).is_some_and(|line| Pick::is_of(line, service)) {
        let to = Endpoint { protocol, port: packet.destination_port.to_be(), address: packet.destination };
        // SAFETY: the value is a plain u32 that the daemon replaces as a whole.
        packet.pick = unsafe { *PICK_OF.get(to)? };
    }
    // What a server sends may be more than a client's first packet.
    let from = Endpoint { protocol, port: packet.source_port.to_be(), address: packet.source };
    if is_server(&from) {
        return None;
    }
    let (events, grants) = (events(), grants());
    // A daemon that is told much, or of which little is left: the packet wakes it.
    if events.wakes_reader() || grants.wakes_writer() {
        packet.wakes = 1;
        return None;
    }
    if events.is_full() {
        return None;
    }
    packet.granted = grants.peek()?;
    Some(())
}

/// The virtual service that the packet is for, if there is one.
#[inline(always)]
fn service(packet: &Headers) -> Virtual {
    let [a, b, c, d] = packet.destination;
    [u32::from(packet.protocol) | u32::from(packet.destination_port.to_be()) << 16, a, b, c, d]
}

/// Makes the choice, if `searched`, fills the entry, and unlocks the chain: the entry and its version, as `lookup` packs them, or 0,
/// by which the daemon must begin the connection.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn finish(packet: &mut Packet, searched: u32) -> u64 {
    let index = EntryIndex(packet.granted);
    let chosen = if searched != 0 { choose(packet) } else { None };
    let version = if chosen.is_some() { fill(packet, Gap::from_word(packet.gap), index) } else { None };
    table().unlock(packet.hash);
    let Some(version) = version else { return 0 };
    packet.born = 1;
    grants().pop();
    if let Some(traffic) = traffic(packet.chosen.destination) {
        traffic.count_birth();
    }
    events().push(born(index.0));
    u64::from(index.0) | u64::from(version) << 32
}

#[inline(always)]
fn choose(packet: &mut Packet) -> Option<()> {
    let (line, service) = (PICKS.get(packet.pick)?, service(packet));
    for _ in 0..TRIES {
        // The line may have come to be another service's.
        let pick = Pick::read_of(line, service)?;
        let next = pick.next();
        let slot = if pick.is_by_load() {
            packet.search.choice(&pick)?
        } else {
            let client = Address::from_words(packet.source);
            let virtual_address = Address::from_words(packet.destination);
            let place = pick.place(next, packet.ipv6 != 0, client, packet.source_port, virtual_address);
            pick.slot(&Slots, place)?
        };
        // Not to be had from here: the daemon's, and so is the choice.
        let (tag, room) = if slot.flags & METHOD == TUNNEL {
            let (way, tunnel) = tunnel(slot.destination)?;
            if !can_go_into(packet.tunnels, tunnel.encapsulation, packet.protocol) {
                return None;
            }
            (way.tag, tunnel.room)
        } else {
            let way = way(slot.destination)?;
            (way.tag, way.mtu)
        };
        if packet.largest > room || tag != 0 && packet.can_be_tagged == 0 {
            return None;
        }
        traffic(slot.destination)?;
        load(slot.destination)?;
        if if pick.is_sequence() { pick.make(next) } else { pick.is_current() } {
            packet.chosen = slot;
            return Some(());
        }
    }
    None
}

/// Looks at the candidates of a service that chooses by load, before the choice: 1, or 0 if none can be made.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn search(packet: &mut Packet) -> u32 {
    let Some(pick) = PICKS.get(packet.pick).and_then(Pick::read) else { return 0 };
    if pick.is_by_load() {
        let Some(search) = loads().and_then(|loads| pick.search(&Slots, &loads)) else { return 0 };
        packet.search = search;
    }
    1
}

/// Fills the entry; its version. The connection is at once in the state that follows its first packet.
#[inline(always)]
fn fill(packet: &Packet, gap: Gap, index: EntryIndex) -> Option<u32> {
    let Slot { destination, port, mut flags } = packet.chosen;
    let (mut state, mut place, mut active) = (udp::STATE, UDP_TIMEOUT, false);
    if packet.protocol == protocol::TCP {
        let direction = if flags & NO_OUTPUT != 0 { Direction::InputOnly } else { Direction::Input };
        state = next_tcp(timeout(SECURE_TCP)? != 0, direction, Event::from_flags(packet.flags), 0);
        place = usize::from(state);
        active = is_active_tcp(state);
    }
    if active {
        flags &= !INACTIVE;
    }
    let new = NewConnection {
        key: key(packet),
        destination,
        destination_port: if port == 0 { packet.destination_port } else { port },
        flags: flags & (METHOD | NO_OUTPUT | INACTIVE),
        state,
        timeout: timeout(place)?,
    };
    let version = table().fill(packet.hash, gap, index, &new, now())?;
    Load::of(load(destination)?).enter(active);
    Some(version)
}
