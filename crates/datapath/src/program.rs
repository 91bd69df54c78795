//! The XDP program in the kernel: loading it, its maps and counters.

mod attach;
mod bulk;
mod server_ports;
mod tell;

pub(crate) use attach::{Link, LinkId};
pub(crate) use bulk::{BulkService, Misfit};
pub(crate) use tell::{Endpoint, Port};

use aya::maps::{Array, DevMap, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::{Ebpf, EbpfError, EbpfLoader};

use ipvs_flow::Layout;
use ipvs_flow::steady::TIMEOUTS;

use self::bulk::Bulk;
use self::server_ports::ServerPorts;
use self::tell::{AddressKey, EndpointKey, NetworkKey, PortValue};
use crate::fast_path::{PickOf, SharedMaps, picks, ring_lines, traffic_entries};
use crate::{FastPathOptions, OpenError};

/// Built by `cargo xtask build-xdp` from `crates/xdp` and committed, so that stable Rust builds everything.
static OBJECT: &[u8] = aya::include_bytes_aligned!("bpf/ipvsd.o");

/// What the program counted, over all processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramCounters {
    /// Packets handed to the daemon.
    pub redirected: u64,
    /// Packets left to the host as not the daemon's concern.
    pub passed: u64,
    /// Packets left to the host because their queue has no socket.
    pub no_socket: u64,
    /// Packets forwarded by the program itself.
    pub forwarded: u64,
    /// TCP segments of no known connection that came for the first time, while the filter was on or about to be.
    pub first_segments: u64,
    /// SYNs among them that the filter dropped.
    pub dropped_syns: u64,
    /// Others among them that the filter dropped.
    pub dropped_strays: u64,
    /// Packets that were put off to be looked up in bulk, were the daemon's, and were dropped since it had not taken others.
    pub lost_misfits: u64,
    /// Packets that were put off to be looked up in bulk.
    pub looked_up_in_bulk: u64,
}

/// The loaded program. Dropping it detaches it everywhere but where it is [kept](Program::keep).
pub(crate) struct Program {
    virtuals: HashMap<MapData, EndpointKey, u32>,
    virtual_addresses: HashMap<MapData, AddressKey, u32>,
    servers: HashMap<MapData, EndpointKey, u32>,
    server_ports: ServerPorts,
    networks: LpmTrie<MapData, NetworkKey, u32>,
    server_addresses: HashMap<MapData, AddressKey, u32>,
    settings: Array<MapData, u32>,
    filter_key: Array<MapData, [u64; 2]>,
    interfaces: HashMap<MapData, u32, u32>,
    taps: HashMap<MapData, u32, u32>,
    parking: Array<MapData, u32>,
    sockets: XskMap<MapData>,
    counters: PerCpuArray<MapData, u64>,
    ports: Array<MapData, PortValue>,
    exits: DevMap<MapData>,
    exits_frags: DevMap<MapData>,
    bulk: Bulk,
    timeouts: Array<MapData, [u32; TIMEOUTS]>,
    /// Next free position in `sockets`.
    next_socket: u32,
    pub(crate) ebpf: Ebpf,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Program").field("sockets", &self.next_socket).finish_non_exhaustive()
    }
}

impl Program {
    /// Loads the program and its maps; without memory for the filter if that stays off, nor for parking.
    pub(crate) fn load(
        fast_path: Option<(&FastPathOptions, Layout)>,
        filter: bool,
        parking: bool,
    ) -> Result<Self, OpenError> {
        let constants = fast_path.map(|(options, layout)| options.constants(layout));
        let mut loader = EbpfLoader::new();
        if !filter {
            loader.map_max_entries("first_segments", 1);
        }
        if !parking {
            loader.map_max_entries("released", 1);
        }
        if let (Some((options, layout)), Some(constants)) = (fast_path, &constants) {
            loader
                .override_global("CONSTANTS", constants, true)
                .map_max_entries("connections", layout.lines_with_cache())
                .map_max_entries("ways", options.destinations)
                .map_max_entries("events", ring_lines())
                .map_max_entries("grants", ring_lines())
                .map_max_entries("picks", picks::SERVICES)
                .map_max_entries("pick_slots", picks::SLOT_LINES)
                .map_max_entries("traffic", traffic_entries(options));
        }
        let mut ebpf = loader.load(OBJECT).map_err(|error| match &error {
            EbpfError::MapError(MapError::CreateError { io_error, .. })
                if io_error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                OpenError::NotPermitted { what: "create BPF maps" }
            }
            _ => OpenError::Load { reason: reason(&error) },
        })?;
        Ok(Self {
            virtuals: map(&mut ebpf, "virtuals")?,
            virtual_addresses: map(&mut ebpf, "virtual_addrs")?,
            servers: map(&mut ebpf, "servers")?,
            server_ports: ServerPorts::new(map(&mut ebpf, "server_ports")?),
            networks: map(&mut ebpf, "networks")?,
            server_addresses: map(&mut ebpf, "server_addrs")?,
            settings: map(&mut ebpf, "settings")?,
            filter_key: map(&mut ebpf, "filter_key")?,
            interfaces: map(&mut ebpf, "interfaces")?,
            taps: map(&mut ebpf, "taps")?,
            parking: map(&mut ebpf, "parking")?,
            sockets: map(&mut ebpf, "sockets")?,
            counters: map(&mut ebpf, "counters")?,
            ports: map(&mut ebpf, "ports")?,
            exits: map(&mut ebpf, "exits")?,
            exits_frags: map(&mut ebpf, "exits_frags")?,
            bulk: Bulk::new(map(&mut ebpf, "bulk_services")?, map(&mut ebpf, "bulk_misfits")?),
            timeouts: map(&mut ebpf, "timeouts")?,
            next_socket: 0,
            ebpf,
        })
    }

    /// The maps whose memory the program shares with the daemon; once.
    pub(crate) fn take_shared_maps(&mut self) -> Result<SharedMaps, OpenError> {
        let mut take = |name: &'static str| match self.ebpf.take_map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(OpenError::Load { reason: format!("the object has no array map {name}") }),
        };
        Ok(SharedMaps {
            connections: take("connections")?,
            ways: take("ways")?,
            traffic: take("traffic")?,
            loads: take("loads")?,
            events: take("events")?,
            picks: take("picks")?,
            pick_slots: take("pick_slots")?,
            grants: take("grants")?,
        })
    }

    /// The map of what becomes of packets that waited, to be mapped; once.
    pub(crate) fn take_released(&mut self) -> Result<MapData, OpenError> {
        match self.ebpf.take_map("released") {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(OpenError::Load { reason: "the object has no array map released".into() }),
        }
    }

    /// The map of services whose choices the program makes; once.
    pub(crate) fn take_pick_of(&mut self) -> Result<PickOf, OpenError> {
        map(&mut self.ebpf, "pick_of")
    }

    /// What the program counted.
    pub(crate) fn counters(&self) -> ProgramCounters {
        let total = |index| self.counters.get(&index, 0).map_or(0, |values| values.iter().sum());
        ProgramCounters {
            redirected: total(0),
            passed: total(1),
            no_socket: total(2),
            forwarded: 0,
            first_segments: total(3),
            dropped_syns: total(4),
            dropped_strays: total(5),
            lost_misfits: total(6),
            looked_up_in_bulk: total(7),
        }
    }
}

fn map<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, OpenError> {
    ebpf.take_map(name)
        .ok_or_else(|| OpenError::Load { reason: format!("the object has no map {name}") })?
        .try_into()
        .map_err(|error: MapError| OpenError::Load { reason: reason(&error) })
}

/// An error with its causes, in one line.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
