//! Opening the datapath: from options to sockets and an attached program.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::classifier;
use crate::counter::Counters;
use crate::datapath::{Attached, Datapath};
use crate::fast_path::FastPath;
use crate::filter::{self, Filter, Temporary};
use crate::host_port::HostPort;
use crate::interests::Interests;
use crate::netfilter::Netfilter;
use crate::netlink::Links;
use crate::network::Network;
use crate::output::{FRAME_ROOM, Output, Port};
use crate::parking::{self, Parking};
use crate::pins::PinnedLink;
use crate::program::{LinkId, Program, reason};
use crate::reassembly::Reassembly;
use crate::syn_filter::Switch;
use crate::tap::Tap;
use crate::waiting::Queue;
use crate::xsk::{FRAME_SIZE, Flags, Sizes, Socket, Umem};
use crate::{AttachRule, BulkLookup, Mode, OpenError, Options, Pins, SynFilter, XdpMode};
use ipvs_flow::Layout;
use ipvs_flow::steady::TIMEOUTS;

/// How long a queue may be another socket's, in all: that of a daemon that has just ended.
const LEAVING: Duration = Duration::from_secs(5);
/// The same where that daemon's program goes on: whoever has the queue is gone. (The kernel takes the socket off in a work queue, for
/// which 5 s were not enough on a machine with ten times as much to do as it can.)
const GONE: Duration = Duration::from_secs(30);
/// After this time it is said what is waited for.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// How often it is looked whether it still is.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Most queues of one interface that get a socket.
const MOST_QUEUES: u32 = 64;

/// See [`Datapath::prepare`].
pub(crate) fn prepare(options: &Options) -> Result<Datapath, OpenError> {
    // Or they would be taken for interfaces to attach to.
    if let Err(error) = parking::remove_leftovers(&options.host_port) {
        tracing::debug!(%error, "cannot remove what a former run may have left");
    }
    let network =
        Network::open().map_err(|source| OpenError::Netlink { what: "read links and addresses", source })?;
    let interfaces = choose(network.links(), &options.interfaces)?;
    let keep = options.pins.as_ref().filter(|_| options.keep && options.fast_path.is_some());
    if let Some(pins) = keep {
        pins.make()?;
    }
    let previous = match &options.pins {
        Some(pins) => pins.previous().unwrap_or_else(|error| {
            let folder = pins.folder().display();
            tracing::warn!(%folder, %error, "cannot take over the connections of the last run");
            None
        }),
        None => None,
    };
    let layout = match &options.fast_path {
        Some(fast_path) => Some((fast_path, Layout::for_capacity(fast_path.capacity)?)),
        None => None,
    };
    let syn_filter = Switch::new(options.syn_filter);
    let (by_tc, by_xdp) = split(network.links(), &interfaces, &options.attach)?;
    let parks = options.parking && !by_tc.is_empty();
    let mut program = Program::load(layout, options.syn_filter != SynFilter::Off, parks)?;
    let unpredictable = || RandomState::new().build_hasher().finish();
    program
        .set_filter_key([unpredictable(), unpredictable()])
        .and_then(|()| program.set_filter(syn_filter.stage()))
        .map_err(|error| OpenError::Load { reason: error.to_string() })?;
    if layout.is_some_and(|(options, _)| options.forward && options.bulk_lookup != BulkLookup::Off)
        && let Err(error) = program.load_leaving()
    {
        tracing::warn!(error = reason(&error), "packets will not be looked up in bulk");
    }
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
    let (mut ports, multi_buffer) =
        open_ports(&umem, &by_xdp, sizes, if previous.is_some() { GONE } else { LEAVING })?;
    for port in &ports {
        let result = program.set_sockets(port.interface, &port.sockets, keep.is_some());
        result.map_err(|error| OpenError::Load { reason: error.to_string() })?;
    }
    for (interface, _) in &by_tc {
        let tap = Tap::open(&format!("{}-{interface}", options.host_port))?;
        let result = program.set_tap(*interface, tap.interface);
        result.map_err(|error| OpenError::Load { reason: error.to_string() })?;
        program.attach_to_tap(&tap, options.tcx && classifier::has_tcx(&tap.name))?;
        ports.push(Port { interface: *interface, sockets: Vec::new(), transmit: 0, tap: Some(tap) });
    }
    let parking = parks.then(|| Parking::open(&mut program, &options.host_port, options.tcx));
    let parking = parking.and_then(|parking| {
        parking
            .inspect_err(|error| {
                tracing::info!(%error, "bulk data that are the daemon's will be copied: packets cannot wait in the kernel");
            })
            .ok()
    });

    // What a real server on this host sends through the port must fit every link, and a frame.
    let mtus = interfaces.iter().filter_map(|(index, _)| network.links().get(*index)).map(|link| link.mtu);
    let mtu = mtus.min().unwrap_or(1500).clamp(1280, FRAME_ROOM as u32);
    let host = HostPort::open(&options.host_port, mtu)?;
    let netfilter = Netfilter::open(host.interface, options.local_clients);
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
            identification: unpredictable() as u32,
        },
        interests: Interests::new(options.answer_arp, indices),
        netfilter,
        parking,
        fast_path,
        syn_filter,
        timeouts: [0; TIMEOUTS],
        attached: Vec::new(),
        buffers: Vec::new(),
        large: Vec::new(),
        reassembly: Reassembly::default(),
        events: Vec::new(),
        reserve: frames as usize / 4,
        previous,
        pins: options.pins.clone(),
        keep: keep.is_some(),
        unattached: Some(Unattached { interfaces, tcx: options.tcx, mode: options.xdp_mode, multi_buffer }),
        filters: Temporary::default(),
    };
    datapath.flush();
    Ok(datapath)
}

/// What is needed to attach.
#[derive(Debug)]
pub(crate) struct Unattached {
    interfaces: Vec<(u32, String)>,
    tcx: bool,
    mode: XdpMode,
    multi_buffer: bool,
}

/// Whether a program that is attached in one mode may stay so where another is asked for.
fn suits(mode: Mode, tc: bool, xdp: XdpMode) -> bool {
    match mode {
        Mode::Tc => tc,
        Mode::Native => !tc && xdp != XdpMode::Generic,
        Mode::Generic => !tc && xdp != XdpMode::Native,
    }
}

/// See [`Datapath::attach`].
pub(crate) fn attach(datapath: &mut Datapath) -> Result<(), OpenError> {
    let Some(Unattached { interfaces, tcx, mode, multi_buffer }) = datapath.unattached.take() else {
        return Ok(());
    };
    let mut links = datapath.pins.as_ref().map_or_else(Vec::new, Pins::links);
    // Without clsact in the kernel there are none.
    let mut filters = filter::all().unwrap_or_default();
    let taps = datapath.output.ports.iter().filter_map(|port| port.tap.as_ref());
    let parking = datapath.parking.as_ref().map(Parking::exit);
    let own: Vec<u32> = taps.map(|tap| tap.interface).chain(parking).collect();
    filters.retain(|filter| !own.contains(&filter.interface));
    for (index, name) in interfaces {
        let tcx = tcx && classifier::has_tcx(&name);
        let tc = datapath.output.ports.iter().any(|port| port.interface == index && port.tap.is_some());
        let place = links.iter().position(|link| link.interface == index && suits(link.mode, tc, mode));
        let former = place.map(|place| links.swap_remove(place));
        let replaced = former.as_ref().is_some_and(|link| {
            let replaced = datapath.program.replace(link, multi_buffer);
            if !replaced || !datapath.keep {
                unpin(link);
            }
            replaced
        });
        let filter = filters.iter().position(|filter| tc && !tcx && filter.interface == index);
        let filter = filter.filter(|_| !replaced).map(|place| filters.swap_remove(place));
        let filter = filter.filter(|filter| datapath.program.replace_filter(*filter, &name));
        let replaced = replaced || filter.is_some();
        let mode = match (former.filter(|_| replaced), filter) {
            (_, Some(filter)) => {
                if !datapath.keep {
                    datapath.filters.0.push(filter);
                }
                Mode::Tc
            }
            (Some(link), None) => link.mode,
            (None, None) => {
                // In another mode than is wanted: the kernel has one program per interface.
                links.extract_if(.., |link| link.interface == index).for_each(|link| unpin(&link));
                let (mode, link) = match tc {
                    true => (Mode::Tc, datapath.program.attach_classifier(index, &name, tcx)?),
                    false => datapath.program.attach(index, &name, mode, multi_buffer)?,
                };
                if let LinkId::Filter(filter) = link.id {
                    tracing::info!(interface = name, "by a filter of clsact: no tcx link");
                    if !datapath.keep {
                        datapath.filters.0.push(filter);
                    }
                }
                if let Some(pins) = datapath.pins.as_ref().filter(|_| datapath.keep)
                    && let Err(error) = datapath.program.keep(link, pins, index, mode)
                {
                    tracing::warn!(interface = name, %error, "cannot pin the XDP program: it will end with the daemon");
                }
                mode
            }
        };
        let ports = &datapath.output.ports;
        let queues = ports.iter().find(|port| port.interface == index).map_or(0, |port| port.sockets.len());
        let what = if replaced { "took the place of the XDP program of the last run" } else { "attached" };
        tracing::info!(interface = name, ?mode, queues, "{what}");
        datapath.attached.push(Attached { name, index, mode, queues });
    }
    // Interfaces that are no longer ours, or have gone.
    links.iter().for_each(unpin);
    filters.into_iter().for_each(Filter::remove);
    datapath.tell_ports();
    datapath.renew_exits();
    datapath.tell_of_bulk_lookup();
    if let Some(fast_path) = &datapath.fast_path {
        for attached in datapath.attached.iter().filter(|attached| !fast_path.ways.is_exit(attached.index)) {
            tracing::info!(
                interface = attached.name,
                "takes no frames from XDP programs: the daemon sends by it"
            );
        }
    }
    Ok(())
}

/// Takes the pin off a link. What nobody holds then is detached.
fn unpin(link: &PinnedLink) {
    if let Err(error) = fs::remove_file(&link.path) {
        tracing::warn!(path = %link.path.display(), %error, "cannot detach the XDP program of the last run");
    }
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

/// An interface's index and name.
type Named = (u32, String);

/// The interfaces that get a classifier, and those that get the XDP program.
fn split(
    links: &Links,
    interfaces: &[Named],
    rule: &AttachRule,
) -> Result<(Vec<Named>, Vec<Named>), OpenError> {
    if let Some(name) = rule.named.keys().find(|name| !interfaces.iter().any(|(_, other)| other == *name)) {
        return Err(match links.by_name(name) {
            None => OpenError::NoSuchInterface { name: name.clone() },
            Some(_) => OpenError::NotAttached { name: name.clone() },
        });
    }
    Ok(interfaces.iter().cloned().partition(|(index, name)| rule.is_tc(name, links.get(*index))))
}

fn open_ports(
    umem: &Umem,
    interfaces: &[(u32, String)],
    sizes: Sizes,
    patience: Duration,
) -> Result<(Vec<Port>, bool), OpenError> {
    let mut ports: Vec<Port> = Vec::new();
    let mut multi_buffer = true;
    let start = Instant::now();
    for (interface, name) in interfaces {
        let mut sockets: Vec<Socket> = Vec::new();
        for queue in 0..MOST_QUEUES {
            let first = ports.first().and_then(|port| port.sockets.first()).or(sockets.first());
            let mut result = Socket::open(umem, first, *interface, queue, sizes, Flags { multi_buffer });
            // The kernel takes a socket off its queue some time after the process has ended that had it.
            let mut told = false;
            while is_busy(&result) && start.elapsed() < patience {
                if !told && start.elapsed() > WORTH_TELLING {
                    told = true;
                    tracing::warn!(
                        interface = name,
                        queue,
                        "waiting for the queue, which another socket has"
                    );
                }
                std::thread::sleep(LOOK_AGAIN);
                result = Socket::open(umem, first, *interface, queue, sizes, Flags { multi_buffer });
            }
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
        ports.push(Port { interface: *interface, sockets, transmit: 0, tap: None });
    }
    Ok((ports, multi_buffer))
}

fn is_busy(result: &io::Result<Socket>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::ResourceBusy)
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
