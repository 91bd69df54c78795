//! Routes: asked from the kernel address by address, and remembered.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use ipvs_core::Instant;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Requests;

/// Most addresses remembered.
const CAPACITY: usize = 65_536;

/// How long an answer may be old. Changes are announced, except a path MTU that the kernel learned or forgot.
const LIFETIME: Duration = Duration::from_secs(30);

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This host.
    Local,
    /// Another host.
    Unicast,
    /// Broadcast, multicast or a blackhole.
    Other,
    /// Nowhere: no route, or an unreachable or prohibiting one.
    Unreachable,
}

/// The kernel's answer for one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// What it leads to.
    pub(crate) kind: Kind,
    /// Index of the interface to leave by; 0 if there is none.
    pub(crate) interface: u32,
    /// The next router, if the address is not on the link.
    pub(crate) gateway: Option<IpAddr>,
    /// The address of this host to use as source.
    pub(crate) source: Option<IpAddr>,
    /// The MTU that the route itself has, if any.
    pub(crate) mtu: Option<u32>,
}

/// Answers remembered in two generations: when the young one is full or old it becomes the old one, and what is not
/// used again is forgotten with that. A lookup is a hash lookup, and the bound needs no list. A packet asks for the way to one
/// address several times in a row, so the latest answer needs not even that.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    latest: Option<(IpAddr, Route)>,
    young: HashMap<IpAddr, Route, RandomState>,
    old: HashMap<IpAddr, Route, RandomState>,
    since: Instant,
}

impl Routes {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.latest = None;
        self.young.clear();
        self.old.clear();
    }

    /// Lets answers age; called now and then. Returns whether some are now too old.
    pub(crate) fn age(&mut self, now: Instant) -> bool {
        let due = now.saturating_since(self.since) >= LIFETIME;
        if due {
            self.turn_over();
            self.since = now;
        }
        due
    }

    fn turn_over(&mut self) {
        self.latest = None;
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
    }

    /// The route to `address`.
    #[inline]
    pub(crate) fn get(&mut self, requests: &mut Requests, address: IpAddr) -> Route {
        if let Some((latest, route)) = self.latest
            && latest == address
        {
            return route;
        }
        let route = self.find(requests, address);
        self.latest = Some((address, route));
        route
    }

    fn find(&mut self, requests: &mut Requests, address: IpAddr) -> Route {
        if let Some(route) = self.young.get(&address) {
            return *route;
        }
        // An answer of the old generation is not carried over: it would never be renewed.
        if let Some(route) = self.old.get(&address) {
            return *route;
        }
        let route = ask(requests, address);
        if self.young.len() >= CAPACITY / 2 {
            self.turn_over();
        }
        self.young.insert(address, route);
        route
    }
}

fn ask(requests: &mut Requests, address: IpAddr) -> Route {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        },
        destination_prefix_length: if address.is_ipv4() { 32 } else { 128 },
        ..RouteHeader::default()
    };
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    match requests.get(RouteNetlinkMessage::GetRoute(message)) {
        Ok(Some(RouteNetlinkMessage::NewRoute(answer))) => read(&answer),
        Ok(_) => nowhere(Kind::Unreachable),
        Err(error) => nowhere(refused(&error, address)),
    }
}

fn nowhere(kind: Kind) -> Route {
    Route { kind, interface: 0, gateway: None, source: None, mtu: None }
}

/// What an error to RTM_GETROUTE says: EINVAL comes for a blackhole and for addresses that are no host's.
fn refused(error: &io::Error, address: IpAddr) -> Kind {
    let no_host = match address {
        IpAddr::V4(address) => address.is_unspecified() || address.is_broadcast() || address.is_multicast(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    };
    match error.kind() {
        _ if no_host => Kind::Other,
        io::ErrorKind::InvalidInput => Kind::Other,
        _ => Kind::Unreachable,
    }
}

fn read(message: &RouteMessage) -> Route {
    let kind = match message.header.kind {
        RouteType::Local => Kind::Local,
        RouteType::Unicast => Kind::Unicast,
        RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw => Kind::Unreachable,
        _ => Kind::Other,
    };
    let mut route = nowhere(kind);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.interface = *index,
            RouteAttribute::Gateway(gateway) => route.gateway = ip(gateway),
            // An IPv6 router of an IPv4 route.
            RouteAttribute::Via(RouteVia::Inet6(address)) => route.gateway = Some(IpAddr::V6(*address)),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some(IpAddr::V4(*address)),
            RouteAttribute::PrefSource(source) => route.source = ip(source),
            RouteAttribute::Metrics(metrics) => {
                route.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) if *mtu != 0 => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    route
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
