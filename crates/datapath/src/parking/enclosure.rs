//! The network namespace where packets wait: two cables lead to it, one in and one out. What comes in waits in a netfilter queue, before any routing;
//! what goes on is forwarded by one route to the other cable. It has no name and nothing else in it, and goes with this process.
//!
//! In the host's own namespace the host's rules for netfilter and routing would meet packets that are none of its.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::host_port::{give_address, setting};
use crate::namespace;
use crate::netfilter::ParkedQueue;
use crate::netlink::{HardwareAddress, Requests, bring_up, cable};

/// The longest packet there is.
const MTU: u32 = 65_535;

/// Ends of the cables in there, and their hardware addresses: the program (`crates/xdp/src/parking.rs`) knows the first.
const IN: (&str, HardwareAddress) = ("in", [0x02, b'i', b'p', b'v', b's', 1]);
const OUT: (&str, HardwareAddress) = ("out", [0x02, b'i', b'p', b'v', b's', 2]);

/// The router that the route leads to, which is not there: of TEST-NET-1 (RFC 5737), and link-local.
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// What there is of it in the host's namespace.
pub(super) struct Enclosure {
    /// Where packets wait.
    pub(super) queue: ParkedQueue,
    /// Whether those of IPv6 do.
    pub(super) ipv6: bool,
    /// What leads there and back.
    pub(super) cables: Cables,
}

/// The cables' ends in the host's namespace. Dropping this removes them; the kernel would some time after the process has ended.
#[derive(Debug)]
pub(super) struct Cables {
    requests: Requests,
    /// Index of the interface that leads there.
    pub(super) entrance: u32,
    /// Index of the one that leads back.
    pub(super) exit: u32,
}

impl Drop for Cables {
    fn drop(&mut self) {
        for interface in [self.entrance, self.exit] {
            if let Err(error) = cable::remove(&mut self.requests, cable::Name::Index(interface)) {
                tracing::debug!(interface, %error, "cannot remove a veth cable");
            }
        }
    }
}

/// Makes it, with the cables' ends here under these names, and has `attach` put a program where packets leave it, at the interface of that name.
pub(super) fn open(
    (entrance, exit): (&str, &str),
    attach: impl FnOnce(&str) -> io::Result<()> + Send,
) -> io::Result<Enclosure> {
    let mut requests = Requests::open()?;
    let here = File::open("/proc/thread-self/ns/net")?;
    let (queue, ipv6) = namespace::in_new(|| {
        let mut requests = Requests::open()?;
        for (end, far) in [(IN, entrance), (OUT, exit)] {
            cable::lay(&mut requests, end, (far, here.as_fd())).map_err(in_step("lay a veth cable"))?;
        }
        let ipv6 = set_up(&mut requests)?;
        attach(OUT.0).map_err(in_step("attach a classifier"))?;
        let (queue, queued) = ParkedQueue::open().map_err(in_step("make a netfilter queue"))?;
        Ok((queue, ipv6 && queued))
    })?;
    let mut up = |name: &str| {
        // It is no link of the host's.
        setting(&format!("ipv6/conf/{name}/disable_ipv6"), "1");
        bring_up(&mut requests, name, MTU, None)
    };
    let (entrance, exit) = (up(entrance)?, up(exit)?);
    Ok(Enclosure { queue, ipv6, cables: Cables { requests, entrance, exit } })
}

/// Says in an error what was being done.
fn in_step(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Sets up the namespace of the calling thread; whether it forwards IPv6, too.
fn set_up(requests: &mut Requests) -> io::Result<bool> {
    // Without these packets would vanish.
    let must = |name: &str, value: &str| {
        fs::write(format!("/proc/sys/net/{name}"), value).map_err(in_step("change settings in /proc/sys/net"))
    };
    must("ipv4/ip_forward", "1")?;
    for name in ["all", IN.0] {
        must(&format!("ipv4/conf/{name}/rp_filter"), "0")?;
    }
    let ipv6 = must("ipv6/conf/all/forwarding", "1").is_ok();
    // Nothing here is for sockets, which need not be looked for then.
    setting("ipv4/ip_early_demux", "0");
    for name in [IN.0, OUT.0] {
        setting(&format!("ipv6/conf/{name}/addr_gen_mode"), "1");
    }
    bring_up(requests, IN.0, MTU, None)?;
    let out = bring_up(requests, OUT.0, MTU, None)?;
    // Without one there are no routes by it.
    give_address(requests, out).map_err(in_step("give an address"))?;
    lead(requests, out, ROUTER.into()).map_err(in_step("set up routing"))?;
    Ok(ipv6 && lead(requests, out, ROUTER6.into()).is_ok())
}

/// Leads all packets of the router's family to it, by an interface.
fn lead(requests: &mut Requests, interface: u32, router: IpAddr) -> io::Result<()> {
    let (family, address) = match router {
        IpAddr::V4(address) => (AddressFamily::Inet, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, RouteAddress::Inet6(address)),
    };
    let mut route = RouteMessage::default();
    route.header = RouteHeader {
        address_family: family,
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Static,
        scope: RouteScope::Universe,
        kind: RouteType::Unicast,
        flags: RouteFlags::Onlink,
        ..RouteHeader::default()
    };
    route.attributes = vec![RouteAttribute::Gateway(address), RouteAttribute::Oif(interface)];
    requests.change(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL)?;
    let mut neighbour = NeighbourMessage::default();
    neighbour.header.family = family;
    neighbour.header.ifindex = interface;
    neighbour.header.state = NeighbourState::Permanent;
    neighbour.attributes = vec![
        NeighbourAttribute::Destination(router.into()),
        // The program writes another one over it.
        NeighbourAttribute::LinkLayerAddress(IN.1.to_vec()),
    ];
    requests.change(RouteNetlinkMessage::NewNeighbour(neighbour), NLM_F_CREATE | NLM_F_EXCL)
}
