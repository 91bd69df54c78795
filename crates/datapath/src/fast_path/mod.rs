//! Forwarding in the XDP program: what the daemon shares with it.
//!
//! The connection table, the ways to destinations, their loads and the counters lie in array maps that both sides have in
//! their memory. The daemon's thread writes table and ways, the program moves connections from state to state, counts and
//! notes when a connection's latest packet came; by rings it tells of connections whose end came nearer.

mod beside;
mod bulk;
mod events;
pub(crate) mod exits;
mod grants;
pub(crate) mod picks;
pub(crate) mod ports;
mod previous;
mod traffic;
mod ways;

use std::io;
use std::sync::Arc;

use aya::maps::MapData;
use ipvs_core::{DestinationChange, FastPath as ForDirector, Instant, TableMemory};
use ipvs_flow::{LOADS, Layout, Line, RING_LINES, Table, TableHash};

use crate::netlink::XdpFeatures;
use crate::network::Network;
use crate::program::Program;
use crate::shared_memory::SharedMemory;
use beside::Beside;
use bulk::Bulk;
pub use bulk::BulkLookup;
use events::Events;
use grants::Grants;
pub(crate) use picks::PickOf;
use picks::Picks;
use ports::Ports;
pub use previous::Previous;
pub(crate) use traffic::Counters;
use traffic::{Traffic, packets};
use ways::Ways;

/// What of the connection table the XDP program shares, to forward packets of known connections.
#[derive(Clone, Copy, Debug)]
pub struct FastPathOptions {
    /// Most connections at a time: of the director's configuration.
    pub capacity: u32,
    /// The key of the connection table's hash: of the director's configuration.
    pub hash_key: [u64; 2],
    /// It forwards; else it only shares the table, so that this can outlive the daemon.
    pub forward: bool,
    /// Destinations to which it can forward, at most [`LOADS`]; those with a greater index are the daemon's.
    pub destinations: u32,
    /// When it looks packets up in bulk, on their way out.
    pub bulk_lookup: BulkLookup,
}

impl FastPathOptions {
    /// Destinations to which it can forward unless said otherwise.
    pub const DESTINATIONS: u32 = LOADS as u32;

    /// What the program is told before it is loaded, as its `Constants`.
    pub fn constants(&self, layout: Layout) -> [u8; 104] {
        let mut bytes = [0; 104];
        let numbers = self.hash_key.into_iter().chain(TableHash::of(self.hash_key).to_words());
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        let words = layout.to_words().into_iter().chain([u32::from(self.forward), self.destinations]);
        for (place, word) in bytes[72..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// The three maps whose memory is shared.
#[derive(Debug)]
pub(crate) struct SharedMaps {
    pub(crate) connections: MapData,
    pub(crate) ways: MapData,
    pub(crate) traffic: MapData,
    pub(crate) loads: MapData,
    pub(crate) events: MapData,
    pub(crate) picks: MapData,
    pub(crate) pick_slots: MapData,
    pub(crate) grants: MapData,
}

/// What a director needs to share its connections with the XDP program.
#[derive(Debug)]
pub struct Shared {
    /// Memory for its connection table.
    pub memory: TableMemory,
    /// What is done without it.
    pub fast_path: Box<dyn ForDirector + Send>,
}

/// The daemon's side.
#[derive(Debug)]
pub(crate) struct FastPath {
    pub(crate) ways: Ways,
    /// What the program knows of interfaces.
    pub(crate) ports: Ports,
    bulk: Bulk,
    pub(crate) traffic: Arc<SharedMemory<Counters>>,
    /// Changes with the network, so that the program forgets hops.
    pub(crate) generation: u32,
    /// Asks what drivers can do; `None` where the kernel does not tell.
    pub(crate) features: Option<XdpFeatures>,
    shared: Option<Shared>,
    /// Programs are loaded later, by the descriptors of these.
    pub(crate) maps: SharedMaps,
}

impl FastPath {
    /// Maps the memory of the program's maps.
    pub(crate) fn new(
        options: &FastPathOptions,
        layout: Layout,
        maps: SharedMaps,
        pick_of: PickOf,
    ) -> io::Result<Self> {
        let lines = layout.lines_with_cache();
        let connections = SharedMemory::<Line>::map(&maps.connections, lines)?;
        let ways = Arc::new(SharedMemory::<Line>::map(&maps.ways, options.destinations)?);
        let counters = traffic_entries(options);
        let traffic = Arc::new(SharedMemory::<Counters>::map(&maps.traffic, counters)?);
        let picks = Arc::new(SharedMemory::<Line>::map(&maps.picks, picks::SERVICES)?);
        let slots = Arc::new(SharedMemory::<Line>::map(&maps.pick_slots, picks::SLOT_LINES)?);
        let beside = Beside {
            traffic: Traffic::new(traffic.clone(), options.destinations),
            ways: ways.clone(),
            loads: Arc::new(SharedMemory::<Line>::map(&maps.loads, options.destinations)?),
            events: Events::new(SharedMemory::<Line>::map(&maps.events, ring_lines())?),
            picks: Picks::new(pick_of, picks.clone(), slots.clone()),
            grants: Grants::new(SharedMemory::<Line>::map(&maps.grants, ring_lines())?, options.capacity),
        };
        let connections = connections.leak();
        let shared = Shared { memory: TableMemory::Mapped(connections), fast_path: Box::new(beside) };
        let connections = Table::known(connections, layout, TableHash::of(options.hash_key));
        let bulk = Bulk::new(options.bulk_lookup, connections, picks, slots);
        let ways = Ways::new(ways);
        Ok(Self {
            ways,
            ports: Ports::new(),
            bulk,
            traffic,
            generation: 0,
            features: XdpFeatures::open().ok(),
            shared: Some(shared),
            maps,
        })
    }

    /// What the director needs; once.
    pub(crate) fn take_shared(&mut self) -> Option<Shared> {
        self.shared.take()
    }

    /// Takes changes of destinations.
    pub(crate) fn follow(&mut self, changes: &[DestinationChange], network: &Network) {
        for change in changes {
            self.ways.change(change, network);
        }
    }

    /// Packets that the program forwarded.
    pub(crate) fn forwarded(&self) -> u64 {
        self.traffic.as_ref().as_ref().iter().map(packets).fold(0, u64::wrapping_add)
    }

    /// Whether packets are to be looked up in bulk always.
    pub(crate) fn always_looks_up_in_bulk(&self) -> bool {
        self.bulk.is_for_always()
    }

    /// Whether frames may be put off where they come, to be looked up in bulk.
    pub(crate) fn puts_off(&self) -> bool {
        self.bulk.is_on()
    }

    /// Has the program look packets up in bulk, if it is time: `possible` if it can. Returns when to come again.
    pub(crate) fn follow_bulk(
        &mut self,
        now: Instant,
        possible: bool,
        program: &mut Program,
    ) -> Option<Instant> {
        self.bulk.follow(now, possible, &self.ways, program)
    }

    /// Keeps the neighbours of ways in use known to the kernel, which does not see what is sent; returns when to do that
    /// again.
    pub(crate) fn confirm(&mut self, now: Instant, network: &mut Network) -> Option<Instant> {
        let destinations = self.ways.capacity();
        self.ways.confirm(now, network, |index| {
            let lines = self.traffic.as_ref().as_ref().iter().skip(index as usize).step_by(destinations);
            lines.map(packets).fold(0, u64::wrapping_add)
        })
    }
}

/// Lines of counters: one for each destination on each processor.
pub(crate) fn traffic_entries(options: &FastPathOptions) -> u32 {
    options.destinations.saturating_mul(processors())
}

/// Lines of the rings to, or from, all processors.
pub(crate) fn ring_lines() -> u32 {
    RING_LINES.saturating_mul(processors())
}

/// Processors that there may be; this does not change while the host runs.
fn processors() -> u32 {
    aya::util::nr_cpus().ok().and_then(|number| u32::try_from(number).ok()).unwrap_or(1)
}
