//! The maps that the daemon fills. `ipvs_datapath` mirrors the layouts in `program/layout.rs`.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{
        Array, HashMap, PerCpuArray, XskMap,
        lpm_trie::{Key, LpmTrie},
    },
};

pub use crate::packet::Address;

/// One end of a flow: protocol in host order, port in network order (0: any port).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Endpoint {
    pub protocol: u16,
    pub port: u16,
    pub address: Address,
}

/// The daemon answers ARP, neighbour discovery and echo for the address: it is not the host's.
pub const ANSWERED: u32 = 1;

/// Bit of `SETTINGS[0]`: some virtual service takes any port.
pub const ANY_PORT_VIRTUALS: u32 = 1;
/// Bit of `SETTINGS[0]`: some destination takes any port.
pub const ANY_PORT_SERVERS: u32 = 2;

/// Bit of `SETTINGS[0]`: there are networks.
pub const ANY_NETWORKS: u32 = 4;

/// Most entries of the maps below; memory is taken only for those in use.
const ENTRIES: u32 = 1 << 20;

/// Virtual services.
#[map(name = "virtuals")]
pub static VIRTUALS: HashMap<Endpoint, u32> = HashMap::with_max_entries(ENTRIES, BPF_F_NO_PREALLOC);

/// Addresses of virtual services and their flags.
#[map(name = "virtual_addrs")]
pub static VIRTUAL_ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(ENTRIES, BPF_F_NO_PREALLOC);

/// What the networks of marked packets are found by. Protocol 0 stands for all that have one: for fragments and ICMP.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Network {
    pub protocol: u16,
    pub unused: u16,
    pub address: Address,
}

/// Bits of a [`Network`].
const NETWORK_BITS: u32 = 160;

/// Networks whose packets have firewall marks.
#[map(name = "networks")]
pub static NETWORKS: LpmTrie<Network, u32> = LpmTrie::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// Destinations whose replies the daemon rewrites.
#[map(name = "servers")]
pub static SERVERS: HashMap<Endpoint, u32> = HashMap::with_max_entries(ENTRIES, BPF_F_NO_PREALLOC);

/// Their ports, in network order, a bit each: most packets that are not a destination's have another port, and need no lookup in
/// `SERVERS`, which would be of memory that no cache holds.
#[map(name = "server_ports")]
pub static SERVER_PORTS: Array<u64> = Array::with_max_entries(1 << 16 >> 6, 0);

/// Addresses of those destinations: for fragments, of which only the first has ports.
#[map(name = "server_addrs")]
pub static SERVER_ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(ENTRIES, BPF_F_NO_PREALLOC);

/// Which lookups are worth making; a number that changes with the host's routes, links and neighbours; and what the
/// filter does (`filter.rs`).
#[map(name = "settings")]
pub static SETTINGS: Array<u32> = Array::with_max_entries(3, 0);

/// In the value of `INTERFACES`: above the position the number of queues whose packets are dropped while there is no daemon.
pub const AWAITED_SHIFT: u32 = 16;

/// Interface index to the first of its queues' positions in `SOCKETS`.
#[map(name = "interfaces")]
pub static INTERFACES: HashMap<u32, u32> = HashMap::with_max_entries(256, BPF_F_NO_PREALLOC);

/// The daemon's AF_XDP sockets, by interface and receive queue.
#[map(name = "sockets")]
pub static SOCKETS: XskMap = XskMap::with_max_entries(4096, 0);

/// Where the program is a classifier: interface index to that of the TAP device between it and the daemon, and back.
#[map(name = "taps")]
pub static TAPS: HashMap<u32, u32> = HashMap::with_max_entries(512, BPF_F_NO_PREALLOC);

/// Packets by what became of them, see [`Counter`].
#[map(name = "counters")]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(8, 0);

/// Positions in `COUNTERS`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Counter {
    /// To the daemon.
    Redirected = 0,
    /// To the host, as not the daemon's concern.
    Passed = 1,
    /// To the host, because the queue has no socket.
    NoSocket = 2,
    /// TCP segments of no known connection that came for the first time, while the filter looked.
    FirstSegments = 3,
    /// Those of them that were dropped: SYNs.
    DroppedSyns = 4,
    /// Those of them that were dropped: others.
    DroppedStrays = 5,
    /// Dropped on their way out, because the ring to the daemon was full.
    MisfitsLost = 6,
    /// Looked up in bulk.
    PutOff = 7,
}

#[inline(always)]
pub fn count(counter: Counter) {
    add(counter, 1);
}

/// Counts so many.
#[inline(always)]
pub fn add(counter: Counter, many: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: a per-CPU value, and an XDP program is not interrupted by itself.
        unsafe { *value += u64::from(many) }
    }
}

/// The number that changes with the host's routes, links and neighbours.
#[inline(always)]
pub fn network_generation() -> u32 {
    SETTINGS.get(1).copied().unwrap_or_default()
}

/// What the filter does.
#[inline(always)]
pub fn filter_mode() -> u32 {
    SETTINGS.get(2).copied().unwrap_or_default()
}

#[inline(always)]
fn setting(bit: u32) -> bool {
    SETTINGS.get(0).is_some_and(|bits| bits & bit != 0)
}

/// Whether some virtual service takes any port.
#[inline(always)]
pub fn serves_any_port() -> bool {
    setting(ANY_PORT_VIRTUALS)
}

/// Whether a virtual service has this end, or may have it by a firewall mark.
#[inline(always)]
pub fn is_virtual(end: &Endpoint) -> bool {
    VIRTUALS.get_ptr(end).is_some()
        || setting(ANY_PORT_VIRTUALS) && VIRTUALS.get_ptr(&Endpoint { port: 0, ..*end }).is_some()
        || is_in_network(end.protocol, &end.address)
}

/// Whether packets to the address may have a firewall mark by its network.
#[inline(always)]
fn is_in_network(protocol: u16, address: &Address) -> bool {
    setting(ANY_NETWORKS)
        && NETWORKS.get(&Key::new(NETWORK_BITS, Network { protocol, unused: 0, address: *address })).is_some()
}

/// Whether some service may have the address.
#[inline(always)]
pub fn is_virtual_address(address: &Address) -> bool {
    VIRTUAL_ADDRESSES.get_ptr(address).is_some() || is_in_network(0, address)
}

/// Whether a destination has this end.
#[inline(always)]
pub fn is_server(end: &Endpoint) -> bool {
    is_server_port(end.port) && SERVERS.get_ptr(end).is_some()
        || setting(ANY_PORT_SERVERS) && SERVERS.get_ptr(&Endpoint { port: 0, ..*end }).is_some()
}

/// Whether some destination has this port (network order).
#[inline(always)]
pub fn is_server_port(port: u16) -> bool {
    SERVER_PORTS.get(u32::from(port >> 6)).is_some_and(|bits| bits >> (port & 63) & 1 != 0)
}

/// Flags of a virtual address, `None` if it is none.
#[inline(always)]
pub fn virtual_address(address: &Address) -> Option<u32> {
    // SAFETY: the value is a plain u32 that the daemon replaces as a whole.
    unsafe { VIRTUAL_ADDRESSES.get(address) }.copied()
}

/// Whether the daemon stands in for this address.
#[inline(always)]
pub fn is_answered(address: &Address) -> bool {
    virtual_address(address).is_some_and(|flags| flags & ANSWERED != 0)
}

/// Whether a fragment between these addresses concerns the daemon.
#[inline(always)]
pub fn concerns_fragment(source: &Address, destination: &Address) -> bool {
    is_virtual_address(destination) || SERVER_ADDRESSES.get_ptr(source).is_some()
}
