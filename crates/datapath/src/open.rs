//! Opening the datapath: from options to sockets and an attached program.

use std::path::Path;
use std::{fs, io};

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::counter::Counters;
use crate::datapath::{Attached, Datapath};
use crate::fast_path::FastPath;
use crate::host_port::HostPort;
use crate::interests::Interests;
use crate::netlink::Links;
use crate::network::Network;
use crate::output::{FRAME_ROOM, Output, Port};
use crate::program::Program;
use crate::reassembly::Reassembly;
use crate::waiting::Queue;
use crate::xsk::{FRAME_SIZE, Flags, Sizes, Socket, Umem};
use crate::{OpenError, Options};
use ipvs_flow::Layout;
use ipvs_flow::steady::TIMEOUTS;

/// Most queues of one interface that get a socket.
const MOST_QUEUES: u32 = 64;

/// See [`Datapath::open`].
pub(crate) fn open(options: &Options) -> Result<Datapath, OpenError> {
    let network =
        Network::open().map_err(|source| OpenError::Netlink { what: "read links and addresses", source })?;
    let interfaces = choose(network.links(), &options.interfaces)?;
    let layout = match &options.fast_path {
        Some(fast_path) => Some((fast_path, Layout::for_capacity(fast_path.capacity)?)),
        None => None,
    };
    let mut program = Program::load(layout)?;
    let fast_path = match layout {
        Some((options, layout)) => {
            let maps = program.take_shared_maps()?;
            let pick_of = program.take_pick_of()?;
            let mapped = FastPath::new(options, layout, maps, pick_of);
            Some(mapped.map_err(|source| OpenError::Memory {
                what: "the connection table",
                mebibytes: (layout.bytes() >> 20) as u32 + 1,
                source,
                remedy: "lower the number of connections",
            })?)
        }
        None => None,
    };

    let queues: u32 = interfaces.iter().map(|(index, name)| queue_count(network.links(), *index, name)).sum();
    let per_queue = options.frames_per_queue.clamp(64, 1 << 16).next_power_of_two();
    let frames = per_queue * queues;
    let umem = Umem::new(frames).map_err(|source| OpenError::Memory {
        what: "packet memory",
        mebibytes: frames.div_ceil((1 << 20) / FRAME_SIZE as u32),
        source,
        remedy: "lower the number of frames per queue",
    })?;
    // Receive rings take twice what is offered (`refill` offers half), so that they never overflow.
    let sizes = Sizes { receive: per_queue, transmit: per_queue };
    let (ports, multi_buffer) = open_ports(&umem, &interfaces, sizes)?;
    for port in &ports {
        let result = program.set_sockets(port.interface, &port.sockets);
        result.map_err(|error| OpenError::Load { reason: error.to_string() })?;
    }

    // What a real server on this host sends through the port must fit every link, and a frame.
    let mtus = interfaces.iter().filter_map(|(index, _)| network.links().get(*index)).map(|link| link.mtu);
    let mtu = mtus.min().unwrap_or(1500).clamp(1280, FRAME_ROOM as u32);
    let host = HostPort::open(&options.host_port, mtu)?;
    let indices = interfaces.iter().map(|(index, _)| *index).collect();
    let mut datapath = Datapath {
        program,
        network,
        output: Output {
            umem,
            ports,
            host,
            counters: Counters::new(),
            waiting: Queue::default(),
            scratch: Vec::new(),
            identification: RandomState::new().build_hasher().finish() as u32,
        },
        interests: Interests::new(options.answer_arp, indices),
        fast_path,
        timeouts: [0; TIMEOUTS],
        attached: Vec::new(),
        large: Vec::new(),
        reassembly: Reassembly::default(),
        events: Vec::new(),
        reserve: frames as usize / 4,
    };
    datapath.flush();
    // Attached last: from here on packets come.
    for (index, name) in interfaces {
        let mode = datapath.program.attach(index, &name, options.xdp_mode, multi_buffer)?;
        let ports = &datapath.output.ports;
        let queues = ports.iter().find(|port| port.interface == index).map_or(0, |port| port.sockets.len());
        tracing::info!(interface = name, ?mode, queues, "attached");
        datapath.attached.push(Attached { name, index, mode, queues });
    }
    datapath.tell_ports();
    datapath.renew_exits();
    if let Some(fast_path) = &datapath.fast_path {
        for attached in datapath.attached.iter().filter(|attached| !fast_path.ways.is_exit(attached.index)) {
            tracing::info!(
                interface = attached.name,
                "takes no frames from XDP programs: the daemon sends by it"
            );
        }
    }
    Ok(datapath)
}

/// The interfaces to attach to, with their names.
fn choose(links: &Links, names: &[String]) -> Result<Vec<(u32, String)>, OpenError> {
    let mut chosen = Vec::new();
    for name in names {
        let (index, link) =
            links.by_name(name).ok_or_else(|| OpenError::NoSuchInterface { name: name.clone() })?;
        if link.address.is_none() || link.loopback {
            return Err(OpenError::NotEthernet { name: name.clone() });
        }
        if !link.up {
            return Err(OpenError::InterfaceDown { name: name.clone() });
        }
        if !chosen.iter().any(|(other, _)| *other == index) {
            chosen.push((index, name.clone()));
        }
    }
    if names.is_empty() {
        let usable = links.iter().filter(|(_, link)| {
            // Frames of VLAN devices are seen at the interface under them, those of ports at the bridge.
            link.up && !link.loopback && !link.enslaved && link.vlan.is_none() && link.address.is_some()
        });
        chosen.extend(usable.map(|(index, link)| (index, link.name.clone())));
        chosen.sort();
    }
    if chosen.is_empty() { Err(OpenError::NoInterface) } else { Ok(chosen) }
}

/// Receive queues of an interface, for the size of the packet memory; which there are the sockets find out.
fn queue_count(links: &Links, index: u32, name: &str) -> u32 {
    let most = links.get(index).map_or(1, |link| link.queues);
    // sysfs tells how many are in use, if it shows this network namespace.
    let path = Path::new("/sys/class/net").join(name);
    let shown = fs::read_to_string(path.join("ifindex")).is_ok_and(|text| text.trim() == index.to_string());
    let used = match fs::read_dir(path.join("queues")) {
        Ok(entries) if shown => entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("rx-"))
            .count(),
        _ => most as usize,
    };
    (used as u32).clamp(1, MOST_QUEUES)
}

fn open_ports(
    umem: &Umem,
    interfaces: &[(u32, String)],
    sizes: Sizes,
) -> Result<(Vec<Port>, bool), OpenError> {
    let mut ports: Vec<Port> = Vec::new();
    let mut multi_buffer = true;
    for (interface, name) in interfaces {
        let mut sockets: Vec<Socket> = Vec::new();
        for queue in 0..MOST_QUEUES {
            let first = ports.first().and_then(|port| port.sockets.first()).or(sockets.first());
            let mut result = Socket::open(umem, first, *interface, queue, sizes, Flags { multi_buffer });
            if first.is_none() && result.is_err() {
                // Before Linux 6.6 frames have one buffer.
                let flags = Flags { multi_buffer: false };
                let second = Socket::open(umem, None, *interface, queue, sizes, flags);
                multi_buffer &= second.is_err();
                result = second.or(result);
            }
            match result {
                Ok(socket) => sockets.push(socket),
                Err(error) if queue != 0 && error.kind() == io::ErrorKind::InvalidInput => break,
                Err(source) => return Err(refused(name, queue, source)),
            }
        }
        ports.push(Port { interface: *interface, sockets, transmit: 0 });
    }
    Ok((ports, multi_buffer))
}

fn refused(name: &str, queue: u32, source: io::Error) -> OpenError {
    let remedy = match source.kind() {
        io::ErrorKind::PermissionDenied => return OpenError::NotPermitted { what: "open an AF_XDP socket" },
        io::ErrorKind::ResourceBusy => "another program has the queue: stop it",
        io::ErrorKind::Unsupported => "the kernel needs CONFIG_XDP_SOCKETS",
        io::ErrorKind::OutOfMemory => "lower the number of frames per queue",
        _ => "see that the interface is up and the kernel has CONFIG_XDP_SOCKETS",
    };
    OpenError::Socket { name: name.into(), queue, source, remedy }
}
