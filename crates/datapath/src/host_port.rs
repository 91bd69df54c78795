//! The host port: a TUN device through which packets enter this host's own stack, and through which the answers of a
//! real server on this host come back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};

use crate::netlink::{Requests, bring_up};
use crate::program::Endpoint;
use crate::{OpenError, tun};

/// The routing table of the answers of local real servers: one default route, to the host port. The number ("ipvs")
/// also tells our rules from others'.
const TABLE: u32 = 0x6970_7673;

/// An address of the device, of the loopback network: what comes in by a device without any is dropped by the reverse path filter,
/// the loose one too.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 112, 118, 115);

/// Priority of our rules: behind `local` (0), before `main` (32766).
const PRIORITY: u32 = 5000;

/// The TUN device, its routes and the rules that lead to it. Dropping it removes all.
#[derive(Debug)]
pub(crate) struct HostPort {
    file: File,
    requests: Requests,
    rules: BTreeSet<Endpoint>,
    /// Index of the device.
    pub(crate) interface: u32,
}

impl HostPort {
    /// Makes the device, up, with nothing but its routes in a table of its own. Removes the rules that a daemon that
    /// was killed may have left.
    pub(crate) fn open(name: &str, mtu: u32) -> Result<Self, OpenError> {
        let file = tun::create(name, tun::Kind::Tun).map_err(|source| tun::refused(name, source))?;
        let failed = |source| OpenError::Netlink { what: "set up the TUN device", source };
        let requests = Requests::open().map_err(failed)?;
        let mut port = Self { file, requests, rules: BTreeSet::new(), interface: 0 };
        port.set_up(name, mtu).map_err(failed)?;
        Ok(port)
    }

    fn set_up(&mut self, name: &str, mtu: u32) -> io::Result<()> {
        // Packets come in whose source is reached by another interface: the strict filter would drop them. The greater
        // of this and the value for all interfaces counts; 2 is the loose filter.
        let strict =
            fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter").is_ok_and(|all| all.trim() == "1");
        setting(&format!("ipv4/conf/{name}/rp_filter"), if strict { "2" } else { "0" });
        // Clients on this host get their answers by it, maybe from a virtual address that is the host's.
        setting(&format!("ipv4/conf/{name}/accept_local"), "1");
        // No link-local address, no router discovery.
        setting(&format!("ipv6/conf/{name}/addr_gen_mode"), "1");
        setting(&format!("ipv6/conf/{name}/accept_ra"), "0");
        let index = bring_up(&mut self.requests, name, mtu, None)?;
        self.interface = index;
        give_address(&mut self.requests, index)?;
        remove_rules(&mut self.requests);
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header = RouteHeader {
                address_family: family,
                protocol: RouteProtocol::Static,
                scope: if family == AddressFamily::Inet { RouteScope::Link } else { RouteScope::Universe },
                kind: RouteType::Unicast,
                ..RouteHeader::default()
            };
            message.attributes = vec![RouteAttribute::Table(TABLE), RouteAttribute::Oif(index)];
            let result =
                self.requests.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL);
            // A host without IPv6 has no such table.
            if family == AddressFamily::Inet {
                result?;
            }
        }
        Ok(())
    }

    /// Leads the answers of these real servers, which are on this host, to the port; and those of no others.
    pub(crate) fn set_servers(&mut self, servers: &BTreeSet<Endpoint>) {
        for changed in self.rules.symmetric_difference(servers).copied().collect::<Vec<_>>() {
            self.set_server(changed, servers.contains(&changed));
        }
    }

    /// Leads the answers of one real server to the port, or no longer.
    pub(crate) fn set_server(&mut self, server: Endpoint, led: bool) {
        if led {
            if !self.rules.contains(&server) && self.change_rule(server, true) {
                self.rules.insert(server);
            }
        } else if self.rules.remove(&server) {
            self.change_rule(server, false);
        }
    }

    fn change_rule(&mut self, Endpoint { protocol, address, port }: Endpoint, add: bool) -> bool {
        // No packet has a protocol above 255.
        let Ok(protocol) = u8::try_from(protocol) else { return false };
        let mut message = RuleMessage::default();
        message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.src_len = if address.is_ipv4() { 32 } else { 128 };
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Source(address),
            RuleAttribute::Priority(PRIORITY),
            RuleAttribute::Table(TABLE),
            RuleAttribute::Protocol(RouteProtocol::Static),
            RuleAttribute::IpProtocol(IpProtocol::from(i32::from(protocol))),
        ];
        if port != 0 {
            message.attributes.push(RuleAttribute::SourcePortRange(RulePortRange { start: port, end: port }));
        }
        let result = if add {
            self.requests.change(RouteNetlinkMessage::NewRule(message), NLM_F_CREATE | NLM_F_EXCL)
        } else {
            self.requests.change(RouteNetlinkMessage::DelRule(message), 0)
        };
        if let Err(error) = &result {
            tracing::warn!(%address, port, add, %error, "routing rule for a real server on this host");
        }
        result.is_ok()
    }

    /// Reads a packet that leaves the host by the port; `None` if there is none.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.file.read(buffer).ok().filter(|len| *len != 0)
    }

    /// Gives a packet to the host's stack.
    pub(crate) fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.file.write(packet).map(drop)
    }
}

impl AsFd for HostPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for HostPort {
    fn drop(&mut self) {
        // The routes go with the device.
        self.set_servers(&BTreeSet::new());
    }
}

/// Gives an interface an address that nobody else can have.
pub(crate) fn give_address(requests: &mut Requests, interface: u32) -> io::Result<()> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.scope = AddressScope::Host;
    message.header.index = interface;
    message.attributes =
        vec![AddressAttribute::Local(ADDRESS.into()), AddressAttribute::Address(ADDRESS.into())];
    requests.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Removes the rules of a daemon that is gone from the calling thread's network namespace.
pub(crate) fn remove_leftovers() -> io::Result<()> {
    remove_rules(&mut Requests::open()?);
    Ok(())
}

fn remove_rules(requests: &mut Requests) {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RuleMessage::default();
        message.header.family = family;
        for rule in requests.dump(RouteNetlinkMessage::GetRule(message)).unwrap_or_default() {
            let RouteNetlinkMessage::NewRule(rule) = rule else { continue };
            if rule.attributes.contains(&RuleAttribute::Table(TABLE)) {
                tracing::info!("removing a routing rule that an earlier run left");
                let _ = requests.change(RouteNetlinkMessage::DelRule(rule), 0);
            }
        }
    }
}

/// Writes a network setting of the namespace; one that is not there needs no change.
pub(crate) fn setting(name: &str, value: &str) {
    if let Err(error) = fs::write(format!("/proc/sys/net/{name}"), value) {
        tracing::debug!(name, value, %error, "could not change a setting");
    }
}
