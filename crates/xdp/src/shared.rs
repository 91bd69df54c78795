//! What the daemon and the program share: the connection table, ways to destinations, timeouts, counters.
//! `ipvs_datapath` maps the same memory (`fast_path`).

use aya_ebpf::{helpers::bpf_get_smp_processor_id, macros::map, maps::Array};
use ipvs_flow::{
    Layout, Line, Memory, RING_LINES, Ring, Table, TableHash,
    steady::{TIMEOUTS, TIMEOUTS_NUMBER},
    way::{self, Tunnel, Way},
};

use crate::packet::Address;

/// The map's memory can be mapped by the daemon.
pub const MMAPABLE: u32 = 1 << 10;

/// What the daemon decides before the program is loaded: constants to the verifier.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Constants {
    hash_key: [u64; 2],
    /// An [`ipvs_flow::TableHash`].
    hash: [u64; 7],
    layout: [u32; 5],
    /// 1: forward packets of established connections.
    forwarding: u32,
    /// Destinations that have a way and counters.
    destinations: u32,
}

/// Set by the loader.
#[unsafe(no_mangle)]
static CONSTANTS: Constants =
    Constants { hash_key: [0; 2], hash: [0; 7], layout: [0; 5], forwarding: 0, destinations: 0 };

/// One of the constants, or some.
macro_rules! constant {
    ($field:ident) => {
        // SAFETY: a plain value. Volatile, since the loader changes what the compiler sees here.
        unsafe { core::ptr::read_volatile(&raw const CONSTANTS.$field) }
    };
}

/// The lines of the connection table. The loader sets the number of entries of this map and those below.
#[map(name = "connections")]
static CONNECTIONS: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// How to reach destinations, by destination index: see [`ipvs_flow::way`].
#[map(name = "ways")]
static WAYS: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// Connections of destinations: one value.
#[map(name = "loads")]
static LOADS: Array<Loads> = Array::with_max_entries(1, MMAPABLE);

/// A line for each destination, by destination index: see [`ipvs_flow::Load`].
pub struct Loads([Line; ipvs_flow::LOADS]);

impl Memory for &Loads {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        self.0.get(number as usize)
    }
}

/// A ring per processor to the daemon: what happened to entries, see [`ipvs_flow::event`].
#[map(name = "events")]
static EVENTS: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// A ring per processor from the daemon: entries that are set aside.
#[map(name = "grants")]
static GRANTS: Array<Line> = Array::with_max_entries(1, MMAPABLE);

/// What was forwarded, by processor and destination index.
#[map(name = "traffic")]
static TRAFFIC: Array<Traffic> = Array::with_max_entries(1, MMAPABLE);

/// Timeouts of states, in ticks, and whether `secure_tcp` is on: see [`ipvs_flow::steady`].
#[map(name = "timeouts")]
static TIMEOUTS_MAP: Array<[u32; TIMEOUTS]> = Array::with_max_entries(1, 0);

/// Attached interfaces, and VLAN devices on them, at the low bits of their index.
#[map(name = "ports")]
static PORTS: Array<Port> = Array::with_max_entries(PORTS_LEN, 0);
const PORTS_LEN: u32 = 256;

/// Counters of one destination on one processor: a cache line. Bytes are IP total lengths.
#[repr(C, align(64))]
struct Traffic {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    /// Connections that began here.
    connections: u64,
}

/// An attached interface, or a VLAN device on one, by which no frame comes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Port {
    interface: u32,
    /// Its hardware address, as it stands in a frame.
    hardware_start: u32,
    hardware_end: u16,
    /// 1: frames may leave by it from here. 2: those that come by it may be put off (`bulk.rs`).
    flags: u16,
    /// The interface that carries its frames: itself, or that under the VLAN device.
    carrier: u32,
    /// The VLAN tag that they get, as it stands there; 0: none.
    tag: u32,
}

/// The connection table's memory.
pub struct Connections;

impl Memory for Connections {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        CONNECTIONS.get(number)
    }
}

/// The memory of the rings from the daemon.
pub struct Grants;

impl Memory for Grants {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        GRANTS.get(number)
    }
}

/// The memory of the rings to the daemon.
pub struct Events;

impl Memory for Events {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        EVENTS.get(number)
    }
}

/// Whether packets are forwarded here at all.
#[inline(always)]
pub fn forwarding() -> bool {
    constant!(forwarding) != 0
}

/// The connection table.
#[inline(always)]
pub fn table() -> Table<Connections> {
    let (layout, hash) = (constant!(layout), constant!(hash));
    Table::known(Connections, Layout::from_words(layout), TableHash::from_words(hash))
}

/// The way to a destination, `None` while there is none that may be used here.
#[inline(always)]
pub fn way(destination: u32) -> Option<Way> {
    if destination >= constant!(destinations) {
        return None;
    }
    way::read(WAYS.get(destination)?)
}

/// Whether there is a way to a destination, and it has that address.
#[inline(always)]
pub fn has_address(destination: u32, address: Address) -> bool {
    destination < constant!(destinations)
        && WAYS
            .get(destination)
            .is_some_and(|line| way::leads_to(line, ipvs_flow::Address::from_words(address)))
}

/// The way to a destination with its tunnel, `None` while there is none that may be used here.
#[inline(always)]
pub fn tunnel(destination: u32) -> Option<(Way, Tunnel)> {
    if destination >= constant!(destinations) {
        return None;
    }
    way::read_tunnel(WAYS.get(destination)?)
}

/// A secret of the daemon's: the hash key.
#[inline(always)]
pub fn secret() -> [u64; 2] {
    constant!(hash_key)
}

/// [`ipvs_flow::steady`]'s list.
#[inline(always)]
pub fn timeouts() -> Option<&'static [u32; TIMEOUTS]> {
    TIMEOUTS_MAP.get(0)
}

/// The timeout of a place in that list.
#[inline(always)]
pub fn timeout(place: usize) -> Option<u32> {
    timeouts()?.get(place & (TIMEOUTS - 1)).copied()
}

/// What stands at a place of that list, the number of the timeouts among it: read at once and in the order of the calls.
#[inline(always)]
pub fn setting(place: usize) -> Option<u32> {
    let value: *const u32 = timeouts()?.get(place & (TIMEOUTS - 1))?;
    // SAFETY: a plain value of the map.
    Some(unsafe { value.read_volatile() })
}

/// The number of the timeouts that are set.
#[inline(always)]
pub fn timeouts_number() -> Option<u32> {
    setting(TIMEOUTS_NUMBER)
}

/// The line in which the connections of a destination are counted.
#[inline(always)]
pub fn load(destination: u32) -> Option<&'static Line> {
    loads()?.0.get(destination as usize)
}

/// The lines of all destinations.
#[inline(always)]
pub fn loads() -> Option<&'static Loads> {
    LOADS.get(0)
}

/// This processor's ring to the daemon.
#[inline(always)]
pub fn events() -> Ring<'static, Events> {
    // SAFETY: a plain helper call.
    Ring::at(&Events, unsafe { bpf_get_smp_processor_id() } * RING_LINES)
}

/// This processor's ring from the daemon.
#[inline(always)]
pub fn grants() -> Ring<'static, Grants> {
    // SAFETY: a plain helper call.
    Ring::at(&Grants, unsafe { bpf_get_smp_processor_id() } * RING_LINES)
}

/// The counters of a destination on this processor.
#[inline(always)]
pub fn traffic(destination: u32) -> Option<Counters> {
    // SAFETY: a plain helper call.
    let processor = unsafe { bpf_get_smp_processor_id() };
    TRAFFIC.get_ptr_mut(processor * constant!(destinations) + destination).map(Counters)
}

/// The counters of one destination on this processor: nobody else changes them, and a program is not interrupted by itself.
#[derive(Clone, Copy)]
pub struct Counters(*mut Traffic);

impl Counters {
    /// Counts a packet to the destination.
    #[inline(always)]
    pub fn count_in(self, length: u32) {
        // SAFETY: the map's memory, changed here alone.
        let Traffic { packets_in, bytes_in, .. } = unsafe { &mut *self.0 };
        *packets_in += 1;
        *bytes_in += u64::from(length);
    }

    /// Counts a packet from the destination.
    #[inline(always)]
    pub fn count_out(self, length: u32) {
        // SAFETY: as above.
        let Traffic { packets_out, bytes_out, .. } = unsafe { &mut *self.0 };
        *packets_out += 1;
        *bytes_out += u64::from(length);
    }

    /// Counts a connection that began here.
    #[inline(always)]
    pub fn count_birth(self) {
        // SAFETY: as above.
        unsafe { (*self.0).connections += 1 }
    }
}

/// The attached interface, or VLAN device, of that index.
#[inline(always)]
pub fn port(interface: u32) -> Option<Port> {
    PORTS.get(interface & (PORTS_LEN - 1)).copied().filter(|port| port.interface == interface)
}

impl Port {
    /// Whether a frame to this hardware address is its own.
    #[inline(always)]
    pub fn has_hardware(&self, (start, end): (u32, u16)) -> bool {
        (start ^ self.hardware_start) | u32::from(end ^ self.hardware_end) == 0
    }

    /// By which interface, and with which tag, frames leave by it from here, if they may.
    #[inline(always)]
    pub fn exit(&self) -> Option<(u32, u32)> {
        (self.flags & 1 != 0).then_some((self.carrier, self.tag))
    }

    /// Whether frames that come by it may be looked up on their way out.
    #[inline(always)]
    pub fn puts_off(&self) -> bool {
        self.flags & 2 != 0
    }
}
