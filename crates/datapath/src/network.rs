//! The network as this host sees it: where a packet for an address leaves, and to which hardware address.

mod settled;

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use ipvs_core::{AddressKind, Error, ErrorLimits, Host, Instant, NextHop, Reachability};
use netlink_packet_route::RouteNetlinkMessage;

use crate::error_limits::HostErrorLimits;
use crate::ethernet::Tag;
use crate::netlink::{
    Addresses, Change, HardwareAddress, Kind, Link, Links, Monitor, Neighbour, Neighbours, Requests, Route,
    Routes,
};
use crate::{multicast, netlink};
use settled::Settled;

/// MTU taken for this host itself, as the loopback interface's.
const LOCAL_MTU: u32 = 65_536;

const MILLISECONDS_OF_DAY: u128 = 24 * 60 * 60 * 1000;

/// Most notifications handled in one turn.
const BURST: usize = 256;

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// Onto a link.
    Link(Way),
    /// To this host itself.
    Local,
    /// Nowhere.
    None,
}

/// The way onto a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Index of the interface that the route names: neighbours belong to it.
    pub(crate) interface: u32,
    /// Index of the interface that carries the frame: differs for VLAN devices.
    pub(crate) carrier: u32,
    /// VLAN tag to add.
    pub(crate) vlan: Option<Tag>,
    /// Own hardware address.
    pub(crate) source: HardwareAddress,
    /// The neighbour to send to.
    pub(crate) neighbour: IpAddr,
    /// Most bytes of an IP packet.
    pub(crate) mtu: u32,
}

/// What changed that others must know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Whether a neighbour can be reached is settled.
    Neighbour(u32, IpAddr, Neighbour),
    /// This host got or lost an address.
    Address(IpAddr),
    /// Everything may have changed.
    Everything,
}

/// The kernel's view of links, addresses, routes and neighbours, kept current.
#[derive(Debug)]
pub(crate) struct Network {
    requests: RefCell<Requests>,
    routes: RefCell<Routes>,
    settled: Settled,
    monitor: Monitor,
    links: Links,
    addresses: Addresses,
    neighbours: Neighbours,
    changes: Vec<Change>,
    renewals: Renewals,
    error_limits: RefCell<HostErrorLimits>,
    /// Time of the latest turn.
    now: Instant,
}

/// What has changed of ways onto links since it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Renewals {
    /// Routes or links.
    pub(crate) all: bool,
    /// Neighbours, by interface.
    pub(crate) neighbours: Vec<(u32, IpAddr)>,
}

impl Network {
    /// Reads everything, in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        // The monitor first: what changes while everything is read is then heard of.
        let monitor = Monitor::open()?;
        let mut network = Self {
            requests: RefCell::new(Requests::open()?),
            routes: RefCell::default(),
            settled: Settled::default(),
            monitor,
            links: Links::default(),
            addresses: Addresses::default(),
            neighbours: Neighbours::default(),
            changes: Vec::new(),
            renewals: Renewals::default(),
            error_limits: RefCell::default(),
            now: Instant::default(),
        };
        network.load()?;
        Ok(network)
    }

    fn load(&mut self) -> io::Result<()> {
        let requests = self.requests.get_mut();
        self.links.load(requests)?;
        self.addresses.load(requests)?;
        self.neighbours.load(requests)?;
        self.routes.get_mut().clear();
        self.settled.clear();
        Ok(())
    }

    /// The monitor's socket, readable when something changed.
    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// The interfaces.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// Takes an interface for a VLAN device, until its link changes.
    pub(crate) fn take_for_vlan(&mut self, interface: u32, under: u32, tag: Tag) {
        self.links.take_for_vlan(interface, under, tag);
        self.settled.clear();
        self.renewals.all = true;
    }

    /// How many packets could not be sent by an interface, 0 if the kernel does not tell.
    pub(crate) fn not_sent(&self, interface: u32) -> u64 {
        netlink::not_sent(&mut self.requests.borrow_mut(), interface).unwrap_or(0)
    }

    /// Whether an interface of this host has the address.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.contains(address)
    }

    /// It is `now`: what is known may be too old. In every turn.
    pub(crate) fn pass_time(&mut self, now: Instant) {
        self.now = now;
        if self.routes.get_mut().age(now) {
            self.settled.clear();
        }
    }

    /// Hears of changes; returns whether there may be more.
    pub(crate) fn update(&mut self, events: &mut Vec<Event>) -> bool {
        let mut changes = std::mem::take(&mut self.changes);
        self.monitor.read(BURST, &mut changes);
        let more = changes.len() >= BURST;
        if !changes.is_empty() {
            self.settled.clear();
        }
        for change in changes.drain(..) {
            match change {
                Change::Message(message) => events.extend(self.apply(&message)),
                Change::Lost => {
                    if let Err(error) = self.load() {
                        tracing::warn!(%error, "could not read links, addresses and neighbours anew");
                    }
                    self.renewals.all = true;
                    events.push(Event::Everything);
                }
            }
        }
        self.changes = changes;
        more
    }

    fn apply(&mut self, message: &RouteNetlinkMessage) -> Option<Event> {
        match message {
            RouteNetlinkMessage::NewNeighbour(message) => {
                self.renewals.neighbours.extend(Neighbours::named(message));
                return self
                    .neighbours
                    .set(message)
                    .map(|(link, address, state)| Event::Neighbour(link, address, state));
            }
            RouteNetlinkMessage::DelNeighbour(message) => {
                self.renewals.neighbours.extend(Neighbours::named(message));
                self.neighbours.remove(message);
                return None;
            }
            _ => {}
        }
        // Anything else may change where packets go.
        self.renewals.all = true;
        self.routes.get_mut().clear();
        match message {
            RouteNetlinkMessage::NewLink(message) => self.links.set(message),
            RouteNetlinkMessage::DelLink(message) => self.links.remove(message),
            RouteNetlinkMessage::NewAddress(message) => {
                return self.addresses.set(message).map(Event::Address);
            }
            RouteNetlinkMessage::DelAddress(message) => {
                return self.addresses.remove(message).map(Event::Address);
            }
            _ => {}
        }
        None
    }

    /// What has changed of ways onto links since the last call.
    pub(crate) fn take_renewals(&mut self) -> Renewals {
        std::mem::take(&mut self.renewals)
    }

    fn route(&self, address: IpAddr) -> Route {
        self.routes.borrow_mut().get(&mut self.requests.borrow_mut(), address)
    }

    fn mtu(&self, route: &Route, link: &Link) -> u32 {
        route.mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu))
    }

    /// Where a packet for `address` goes next.
    pub(crate) fn hop(&self, address: IpAddr) -> Hop {
        let route = self.route(address);
        match route.kind {
            Kind::Local => return Hop::Local,
            Kind::Other | Kind::Unreachable => return Hop::None,
            Kind::Unicast => {}
        }
        let Some(link) = self.links.get(route.interface).filter(|link| link.up) else { return Hop::None };
        let Some(source) = link.address else { return Hop::None };
        let (carrier, vlan) = match link.vlan {
            Some((under, tag)) => (under, Some(tag)),
            None => (route.interface, None),
        };
        Hop::Link(Way {
            interface: route.interface,
            carrier,
            vlan,
            source,
            neighbour: route.gateway.unwrap_or(address),
            mtu: self.mtu(&route, link),
        })
    }

    /// What is known of the neighbour on a way, without asking.
    pub(crate) fn known(&self, way: &Way) -> Neighbour {
        self.neighbours.known(way.interface, way.neighbour)
    }

    /// What is known of the neighbour on a way, which is about to be used.
    pub(crate) fn neighbour(&mut self, now: Instant, way: &Way) -> Neighbour {
        self.neighbours.get(self.requests.get_mut(), now, way.interface, way.neighbour)
    }

    /// Where a packet for `address` goes next, and to which hardware address, if it leaves by a link and nothing needs to be asked: the
    /// short way to what [`Network::hop`] and [`Network::neighbour`] say.
    #[inline]
    pub(crate) fn settled(&mut self, address: IpAddr) -> Option<(Way, HardwareAddress)> {
        if let Some(known) = self.settled.get(address) {
            return Some(*known);
        }
        let Hop::Link(way) = self.hop(address) else { return None };
        let hardware = self.neighbours.settled(way.interface, way.neighbour)?;
        self.settled.set(address, (way, hardware));
        Some((way, hardware))
    }
}

impl Host for Network {
    fn address_kind(&self, address: IpAddr) -> AddressKind {
        // What no route says: the kernel takes 0.0.0.0 for a broadcast address and an IPv4-mapped one for none at all.
        let mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
        if address.is_unspecified() || mapped {
            return AddressKind::Other;
        }
        // What packets leave for just now is no address of this host.
        let kind = if self.settled.get(address).is_some() { Kind::Unicast } else { self.route(address).kind };
        match kind {
            Kind::Local => AddressKind::Local,
            Kind::Other => AddressKind::Other,
            Kind::Unicast | Kind::Unreachable => match address {
                IpAddr::V6(address) if address.is_unicast_link_local() => AddressKind::LinkLocal,
                _ => AddressKind::Unicast,
            },
        }
    }

    fn path_mtu(&self, address: IpAddr) -> Option<u32> {
        if let Some((way, _)) = self.settled.get(address) {
            return Some(way.mtu);
        }
        let route = self.route(address);
        match route.kind {
            Kind::Local => Some(LOCAL_MTU),
            Kind::Unicast => self.links.get(route.interface).map(|link| self.mtu(&route, link)),
            Kind::Other | Kind::Unreachable => None,
        }
    }

    fn next_hop(&self, address: IpAddr) -> Option<NextHop> {
        let Hop::Link(way) = self.hop(address) else { return None };
        let reachability = match self.known(&way) {
            Neighbour::Known(_) => Reachability::Known,
            Neighbour::Resolving => Reachability::Unknown,
            Neighbour::Failed => Reachability::Failed,
        };
        let interface = self.links.get(way.interface)?.name.clone();
        Some(NextHop { interface, neighbour: way.neighbour, reachability })
    }

    fn interface_mtu(&self, name: &str) -> Option<u32> {
        self.links.by_name(name).map(|(_, link)| link.mtu)
    }

    fn multicast_route(&self, name: &str, group: IpAddr) -> Result<(), Error> {
        multicast::can_leave(name, group).map_err(|error| {
            tracing::debug!(interface = name, %group, %error, "no way to the multicast group");
            Error::NetworkUnreachable
        })
    }

    fn milliseconds_of_day(&self) -> u32 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (since.as_millis() % MILLISECONDS_OF_DAY) as u32
    }

    fn error_limits(&self) -> ErrorLimits {
        self.error_limits.borrow_mut().get(self.now)
    }

    fn source_address(&self, towards: IpAddr) -> Option<IpAddr> {
        self.route(towards).source
    }
}
