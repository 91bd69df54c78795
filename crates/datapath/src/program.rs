//! The XDP program in the kernel: loading, attaching, and its maps.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::links::FdLink;
use aya::programs::tc::SchedClassifierLinkId;
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};

use ipvs_flow::Layout;
use ipvs_flow::steady::TIMEOUTS;

use crate::classifier;
use crate::fast_path::{PickOf, SharedMaps, picks, ring_lines, traffic_entries};
use crate::netlink::HardwareAddress;
use crate::pins::PinnedLink;
use crate::syn_filter::Stage;
use crate::{FastPathOptions, Mode, OpenError, Pins, XdpMode};

/// Built by `cargo xtask build-xdp` from `crates/xdp` and committed, so that stable Rust builds everything.
static OBJECT: &[u8] = aya::include_bytes_aligned!("bpf/ipvsd.o");

/// The program for frames in one buffer.
const PLAIN: &str = "ipvsd";
/// The program for frames in several buffers.
const FRAGS: &str = "ipvsd_frags";

/// Flag of a virtual address: the daemon stands in for it.
const ANSWERED: u32 = 1;

/// In what the program knows of an interface: how many queues' packets wait for a daemon, above the first position.
const AWAITED_SHIFT: u32 = 16;

/// Bits of the setting that says which lookups for any port are worth making.
const ANY_PORT_VIRTUALS: u32 = 1;
const ANY_PORT_SERVERS: u32 = 2;
/// Bit of the same: there are networks.
const ANY_NETWORKS: u32 = 4;

/// An address as the program knows it: 16 bytes, IPv4 in its mapped form.
type AddressKey = [u8; 16];

/// A protocol (native byte order), a port (network byte order; 0: any) and an address.
type EndpointKey = [u8; 20];

/// One end of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    /// IP protocol number.
    pub(crate) protocol: u16,
    /// Address.
    pub(crate) address: IpAddr,
    /// Port; 0: any.
    pub(crate) port: u16,
}

/// A network as the program finds it: a protocol (native byte order; 0: for fragments and ICMP) and its address.
type NetworkKey = [u8; 20];

/// Bits of a [`NetworkKey`] before an IPv6 address, and before an IPv4 address.
const BEFORE_IPV6: u32 = 32;
const BEFORE_IPV4: u32 = 128;

impl Endpoint {
    pub(crate) fn key(&self) -> EndpointKey {
        let mut key = [0; 20];
        key[..2].copy_from_slice(&self.protocol.to_ne_bytes());
        key[2..4].copy_from_slice(&self.port.to_be_bytes());
        key[4..].copy_from_slice(&address_key(self.address));
        key
    }
}

fn address_key(address: IpAddr) -> AddressKey {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

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
}

/// An attachment of the program, until it is kept or the program is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) program: &'static str,
    pub(crate) id: LinkId,
}

/// Its name in the program.
#[derive(Debug)]
pub(crate) enum LinkId {
    Xdp(XdpLinkId),
    Tc(SchedClassifierLinkId),
}

/// The loaded program. Dropping it detaches it everywhere but where it is [kept](Program::keep).
pub(crate) struct Program {
    virtuals: HashMap<MapData, EndpointKey, u32>,
    virtual_addresses: HashMap<MapData, AddressKey, u32>,
    servers: HashMap<MapData, EndpointKey, u32>,
    networks: LpmTrie<MapData, NetworkKey, u32>,
    server_addresses: HashMap<MapData, AddressKey, u32>,
    settings: Array<MapData, u32>,
    filter_key: Array<MapData, [u64; 2]>,
    interfaces: HashMap<MapData, u32, u32>,
    taps: HashMap<MapData, u32, u32>,
    sockets: XskMap<MapData>,
    counters: PerCpuArray<MapData, u64>,
    ports: Array<MapData, [u8; 12]>,
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
    /// Loads the program and its maps; without memory for the filter if that stays off.
    pub(crate) fn load(
        fast_path: Option<(&FastPathOptions, Layout)>,
        filter: bool,
    ) -> Result<Self, OpenError> {
        let constants = fast_path.map(|(options, layout)| options.constants(layout));
        let mut loader = EbpfLoader::new();
        if !filter {
            loader.map_max_entries("first_segments", 1);
        }
        if let (Some((options, layout)), Some(constants)) = (fast_path, &constants) {
            loader
                .override_global("CONSTANTS", constants, true)
                .map_max_entries("connections", layout.lines_with_words_beside())
                .map_max_entries("ways", options.destinations)
                .map_max_entries("loads", options.destinations)
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
            networks: map(&mut ebpf, "networks")?,
            server_addresses: map(&mut ebpf, "server_addrs")?,
            settings: map(&mut ebpf, "settings")?,
            filter_key: map(&mut ebpf, "filter_key")?,
            interfaces: map(&mut ebpf, "interfaces")?,
            taps: map(&mut ebpf, "taps")?,
            sockets: map(&mut ebpf, "sockets")?,
            counters: map(&mut ebpf, "counters")?,
            ports: map(&mut ebpf, "ports")?,
            timeouts: map(&mut ebpf, "timeouts")?,
            next_socket: 0,
            ebpf,
        })
    }

    /// Makes the sockets of an interface's queues, in order, known to the program. `awaited`: when they are gone, what is for the
    /// daemon is dropped, for there will be another one, and not left to the host, which would refuse it.
    pub(crate) fn set_sockets<'a>(
        &mut self,
        interface: u32,
        sockets: impl IntoIterator<Item = &'a (impl AsFd + 'a)>,
        awaited: bool,
    ) -> Result<(), MapError> {
        let first = self.next_socket;
        for socket in sockets {
            self.sockets.set(self.next_socket, socket.as_fd().as_raw_fd(), 0)?;
            self.next_socket += 1;
        }
        let awaited = if awaited { self.next_socket - first } else { 0 };
        self.interfaces.insert(interface, first | awaited << AWAITED_SHIFT, 0)
    }

    /// Makes the TAP device of an interface with a classifier known to the program.
    pub(crate) fn set_tap(&mut self, interface: u32, tap: u32) -> Result<(), MapError> {
        self.taps.insert(interface, tap, 0)?;
        self.taps.insert(tap, interface, 0)
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

    /// The map of services whose choices the program makes; once.
    pub(crate) fn take_pick_of(&mut self) -> Result<PickOf, OpenError> {
        map(&mut self.ebpf, "pick_of")
    }

    /// Tells the program of an attached interface, and whether frames may leave by it from the program.
    pub(crate) fn set_port(
        &mut self,
        interface: u32,
        hardware: HardwareAddress,
        leave: bool,
    ) -> Result<(), MapError> {
        let mut value = [0; 12];
        value[..4].copy_from_slice(&interface.to_ne_bytes());
        value[4..10].copy_from_slice(&hardware);
        value[10..].copy_from_slice(&u16::from(leave).to_ne_bytes());
        self.ports.set(interface % self.ports.len(), value, 0)
    }

    /// Tells the program the timeouts of states.
    pub(crate) fn set_timeouts(&mut self, timeouts: &[u32; TIMEOUTS]) -> Result<(), MapError> {
        self.timeouts.set(0, timeouts, 0)
    }

    /// Attaches to an interface. Returns in which mode, and what keeps it attached.
    ///
    /// Native mode takes the program for single buffers first: a driver that knows its peer's offloads (veth) then
    /// keeps packets of segmentation offload away; with large MTUs only the other program is taken.
    pub(crate) fn attach(
        &mut self,
        interface: u32,
        name: &str,
        mode: XdpMode,
        multi_buffer: bool,
    ) -> Result<(Mode, Link), OpenError> {
        use aya::programs::XdpMode::{Driver, Skb};
        let attempts = [
            (XdpMode::Native, PLAIN, Driver),
            (XdpMode::Native, FRAGS, Driver),
            (XdpMode::Generic, FRAGS, Skb),
            (XdpMode::Generic, PLAIN, Skb),
        ];
        let mut refusal = String::from("no way to try");
        for (kind, program, aya_mode) in attempts {
            let wanted = mode == XdpMode::Auto || mode == kind;
            if !wanted || program == FRAGS && !multi_buffer {
                continue;
            }
            match self.try_attach(program, interface, aya_mode) {
                Ok(id) => {
                    let attached = if kind == XdpMode::Generic { Mode::Generic } else { Mode::Native };
                    return Ok((attached, Link { program, id: LinkId::Xdp(id) }));
                }
                Err(ProgramError::LoadError { io_error, verifier_log }) => {
                    tracing::debug!(%verifier_log, "the verifier's log");
                    if io_error.kind() == std::io::ErrorKind::PermissionDenied
                        && verifier_log.to_string().is_empty()
                    {
                        return Err(OpenError::NotPermitted { what: "load an XDP program" });
                    }
                    if program == PLAIN {
                        return Err(OpenError::Load { reason: io_error.to_string() });
                    }
                    refusal = io_error.to_string();
                }
                Err(error) => refusal = reason(&error),
            }
            tracing::debug!(interface = name, program, mode = ?kind, reason = refusal, "could not attach");
        }
        Err(OpenError::Attach {
            name: name.into(),
            mode: match mode {
                XdpMode::Native => "native",
                XdpMode::Generic => "generic",
                XdpMode::Auto => "any",
            },
            reason: refusal,
            remedy: match mode {
                XdpMode::Native => "use --xdp generic, or a smaller MTU",
                _ => "detach another XDP program with `ip link set dev NAME xdp off`, if there is one",
            },
        })
    }

    fn try_attach(
        &mut self,
        program: &str,
        interface: u32,
        mode: aya::programs::XdpMode,
    ) -> Result<XdpLinkId, ProgramError> {
        let program = self.ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        program.attach_to_if_index(interface, mode)
    }

    /// Takes the place of the program that a link keeps attached, in one step, so no packet is without a program. The pin
    /// stays. `false`: the kernel does not let us.
    pub(crate) fn replace(&mut self, link: &PinnedLink, multi_buffer: bool) -> bool {
        let order: &[&str] = match link.mode {
            Mode::Generic => &[FRAGS, PLAIN],
            Mode::Native => &[PLAIN, FRAGS],
            Mode::Tc => &[classifier::RECEIVES],
        };
        order.iter().filter(|name| **name != FRAGS || multi_buffer).any(|name| {
            let result = match link.mode {
                Mode::Tc => self.replace_classifier(link).map(drop),
                Mode::Native | Mode::Generic => self.try_replace(name, link).map(drop),
            };
            if let Err(error) = &result {
                let (path, error) = (link.path.display(), reason(&**error));
                tracing::debug!(name, %path, error, "could not replace the program of a link");
            }
            result.is_ok()
        })
    }

    fn try_replace(
        &mut self,
        name: &str,
        link: &PinnedLink,
    ) -> Result<XdpLinkId, Box<dyn std::error::Error>> {
        let program: &mut Xdp = self.ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        let link = XdpLink::try_from(link.open()?)?;
        Ok(program.attach_to_link(link)?)
    }

    /// Has the link of this program outlive the daemon.
    pub(crate) fn keep(
        &mut self,
        link: Link,
        pins: &Pins,
        interface: u32,
        mode: Mode,
    ) -> std::io::Result<()> {
        let failed = std::io::Error::other::<ProgramError>;
        let link = match link.id {
            LinkId::Tc(id) => FdLink::try_from(self.take_classifier_link(id).map_err(failed)?),
            LinkId::Xdp(id) => {
                let program = self.ebpf.program_mut(link.program).ok_or(ProgramError::NotLoaded);
                let program: &mut Xdp = program.and_then(|program| program.try_into()).map_err(failed)?;
                FdLink::try_from(program.take_link(id).map_err(failed)?)
            }
        };
        pins.keep_link(link.map_err(std::io::Error::other)?, interface, mode)
    }

    /// The program for frames in one buffer.
    pub(crate) fn plain(&self) -> Result<&Xdp, ProgramError> {
        self.ebpf.program(PLAIN).ok_or(ProgramError::NotLoaded)?.try_into()
    }

    /// Adds or removes a virtual service.
    pub(crate) fn set_virtual(&mut self, endpoint: &Endpoint, present: bool) -> Result<(), MapError> {
        set(&mut self.virtuals, &endpoint.key(), present.then_some(0))
    }

    /// Adds a virtual address or changes whether the daemon stands in for it, or removes it.
    pub(crate) fn set_virtual_address(
        &mut self,
        address: IpAddr,
        answered: Option<bool>,
    ) -> Result<(), MapError> {
        let flags = answered.map(|answered| if answered { ANSWERED } else { 0 });
        set(&mut self.virtual_addresses, &address_key(address), flags)
    }

    /// Adds or removes a destination whose packets the daemon must see.
    pub(crate) fn set_server(&mut self, endpoint: &Endpoint, present: bool) -> Result<(), MapError> {
        set(&mut self.servers, &endpoint.key(), present.then_some(0))
    }

    /// Adds or removes the address of such a destination.
    pub(crate) fn set_server_address(&mut self, address: IpAddr, present: bool) -> Result<(), MapError> {
        set(&mut self.server_addresses, &address_key(address), present.then_some(0))
    }

    /// Adds or removes a network whose packets of a protocol the daemon must see; protocol 0 stands for its fragments and
    /// ICMP errors.
    pub(crate) fn set_network(
        &mut self,
        protocol: u16,
        (address, prefix): (IpAddr, u8),
        present: bool,
    ) -> Result<(), MapError> {
        let mut data = [0; 20];
        data[..2].copy_from_slice(&protocol.to_ne_bytes());
        data[4..].copy_from_slice(&address_key(address));
        let before = if address.is_ipv6() { BEFORE_IPV6 } else { BEFORE_IPV4 };
        let key = Key::new(before + u32::from(prefix), data);
        match present {
            true => self.networks.insert(&key, 0, 0),
            false => match self.networks.remove(&key) {
                Err(MapError::KeyNotFound) => Ok(()),
                result => result,
            },
        }
    }

    /// Says whether there are virtual services and destinations that take any port, and networks.
    pub(crate) fn set_lookups(
        &mut self,
        virtuals: bool,
        servers: bool,
        networks: bool,
    ) -> Result<(), MapError> {
        let mut bits = if networks { ANY_NETWORKS } else { 0 };
        if virtuals {
            bits |= ANY_PORT_VIRTUALS;
        }
        if servers {
            bits |= ANY_PORT_SERVERS;
        }
        self.settings.set(0, bits, 0)
    }

    /// Has the program look anew for routes and neighbours of clients.
    pub(crate) fn set_network_generation(&mut self, generation: u32) -> Result<(), MapError> {
        self.settings.set(1, generation, 0)
    }

    /// Gives the filter the key of its hash.
    pub(crate) fn set_filter_key(&mut self, key: [u64; 2]) -> Result<(), MapError> {
        self.filter_key.set(0, key, 0)
    }

    /// Says what the filter does.
    pub(crate) fn set_filter(&mut self, stage: Stage) -> Result<(), MapError> {
        let mode = match stage {
            Stage::Off => 0,
            Stage::Watching => 1,
            Stage::On => 2,
        };
        self.settings.set(2, mode, 0)
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
        }
    }
}

fn set<K: aya::Pod>(map: &mut HashMap<MapData, K, u32>, key: &K, value: Option<u32>) -> Result<(), MapError> {
    match value {
        Some(value) => map.insert(key, value, 0),
        None => match map.remove(key) {
            Err(MapError::KeyNotFound) => Ok(()),
            result => result,
        },
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
