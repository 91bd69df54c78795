//! What the director wants to see, kept in the program's maps, and the addresses that the daemon stands in for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;

use aya::maps::MapError;
use ipvs_core::{AddressKind, Host, Interest, InterestChange};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use crate::ndp;
use crate::network::Network;
use crate::program::{Endpoint, Program};

/// A virtual address.
#[derive(Debug, Default)]
struct VirtualAddress {
    /// Virtual services that have it.
    services: u32,
    /// The daemon answers for it: it is not the host's.
    answered: bool,
}

/// Interests as the program's maps have them.
#[derive(Debug)]
pub(crate) struct Interests {
    virtual_addresses: BTreeMap<IpAddr, VirtualAddress>,
    virtuals: BTreeSet<Endpoint>,
    servers: BTreeSet<Endpoint>,
    /// The servers that are on this host.
    local_servers: BTreeSet<Endpoint>,
    server_addresses: BTreeMap<IpAddr, u32>,
    /// Networks of marked packets, by protocol.
    networks: BTreeSet<(u16, (IpAddr, u8))>,
    /// Whether to answer at all.
    answering: bool,
    /// Member of the multicast groups in which IPv6 addresses are solicited; `None` without IPv6.
    groups: Option<OwnedFd>,
    /// The attached interfaces, which join the groups.
    interfaces: Vec<u32>,
}

impl Interests {
    /// None yet.
    pub(crate) fn new(answering: bool, interfaces: Vec<u32>) -> Self {
        let groups = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok();
        Self {
            virtual_addresses: BTreeMap::new(),
            virtuals: BTreeSet::new(),
            servers: BTreeSet::new(),
            local_servers: BTreeSet::new(),
            server_addresses: BTreeMap::new(),
            networks: BTreeSet::new(),
            answering,
            groups,
            interfaces,
        }
    }

    /// Whether the daemon stands in for the address.
    pub(crate) fn is_answered(&self, address: IpAddr) -> bool {
        self.virtual_addresses.get(&address).is_some_and(|entry| entry.answered)
    }

    /// Whether a server is known to be on this host.
    pub(crate) fn is_local(&self, server: &Endpoint) -> bool {
        self.local_servers.contains(server)
    }

    /// Finds out anew which servers are on this host, after its addresses changed; returns them, and those of which it changed.
    ///
    /// Their answers come back by the host port, so what goes to them must too, also past any service: the host's
    /// reverse path filter would drop packets whose answers leave by another interface.
    pub(crate) fn follow_servers(
        &mut self,
        program: &mut Program,
        network: &Network,
    ) -> Result<(&BTreeSet<Endpoint>, Vec<Endpoint>), MapError> {
        let local: BTreeSet<_> =
            self.servers.iter().filter(|server| network.is_own(server.address)).copied().collect();
        let old = std::mem::replace(&mut self.local_servers, local);
        let changed: Vec<_> = old.symmetric_difference(&self.local_servers).copied().collect();
        for endpoint in &changed {
            self.tell_virtual(endpoint, program)?;
        }
        Ok((&self.local_servers, changed))
    }

    /// Tells the program whether packets to an endpoint are wanted.
    fn tell_virtual(&self, endpoint: &Endpoint, program: &mut Program) -> Result<(), MapError> {
        self.tell_any_port(endpoint, program)?;
        program
            .set_virtual(endpoint, self.virtuals.contains(endpoint) || self.local_servers.contains(endpoint))
    }

    /// Tells the program which lookups for any port to make, if `endpoint` is one for any port.
    fn tell_any_port(&self, endpoint: &Endpoint, program: &mut Program) -> Result<(), MapError> {
        if endpoint.port != 0 { Ok(()) } else { self.tell_lookups(program) }
    }

    fn tell_lookups(&self, program: &mut Program) -> Result<(), MapError> {
        let any = |set: &BTreeSet<Endpoint>| set.iter().any(|endpoint| endpoint.port == 0);
        let virtuals = any(&self.virtuals) || any(&self.local_servers);
        program.set_lookups(virtuals, any(&self.servers), !self.networks.is_empty())
    }

    /// Tells the program of a network that came or went, and whether fragments and ICMP errors to it are wanted.
    fn set_network(
        &mut self,
        protocol: u16,
        network: (IpAddr, u8),
        added: bool,
        program: &mut Program,
    ) -> Result<(), MapError> {
        match added {
            true => self.networks.insert((protocol, network)),
            false => self.networks.remove(&(protocol, network)),
        };
        program.set_network(protocol, network, added)?;
        let of_any = self.networks.iter().any(|(_, other)| *other == network);
        program.set_network(0, network, of_any)?;
        self.tell_lookups(program)
    }

    /// Applies a change. Returns an address for which the daemon answers from now on.
    pub(crate) fn apply(
        &mut self,
        change: InterestChange,
        program: &mut Program,
        network: &Network,
    ) -> Result<Option<IpAddr>, MapError> {
        let (interest, added) = match change {
            InterestChange::Added(interest) => (interest, true),
            InterestChange::Removed(interest) => (interest, false),
        };
        match interest {
            Interest::Virtual { protocol, address, port } => {
                let endpoint = Endpoint { protocol, address, port };
                if added {
                    self.virtuals.insert(endpoint)
                } else {
                    self.virtuals.remove(&endpoint)
                };
                // The address before the service, so that packets find both.
                let new = self.count_virtual_address(address, added, program, network)?;
                self.tell_virtual(&endpoint, program)?;
                Ok(new)
            }
            Interest::Server { protocol, address, port } => {
                let endpoint = Endpoint { protocol, address, port };
                let news = if added { self.servers.insert(endpoint) } else { self.servers.remove(&endpoint) };
                self.tell_any_port(&endpoint, program)?;
                let users = self.server_addresses.entry(address).or_default();
                *users = count(*users, added);
                let left = *users != 0;
                if !left {
                    self.server_addresses.remove(&address);
                }
                program.set_server_address(address, left)?;
                if news {
                    program.set_server(&endpoint, added)?;
                }
                let changed = if added && network.is_own(address) {
                    self.local_servers.insert(endpoint)
                } else {
                    self.local_servers.remove(&endpoint)
                };
                if changed {
                    self.tell_virtual(&endpoint, program)?;
                }
                Ok(None)
            }
            // XDP comes before netfilter.
            Interest::Mark { .. } => Ok(None),
            // Nobody is answered for a network: its packets come by routes.
            Interest::Network { protocol, address, prefix } => {
                self.set_network(protocol, (address, prefix), added, program)?;
                Ok(None)
            }
        }
    }

    fn count_virtual_address(
        &mut self,
        address: IpAddr,
        added: bool,
        program: &mut Program,
        network: &Network,
    ) -> Result<Option<IpAddr>, MapError> {
        let entry = self.virtual_addresses.entry(address).or_default();
        entry.services = count(entry.services, added);
        if entry.services == 0 {
            let answered = entry.answered;
            self.virtual_addresses.remove(&address);
            program.set_virtual_address(address, None)?;
            if answered {
                self.join(address, false);
            }
            return Ok(None);
        }
        if added && entry.services == 1 {
            program.set_virtual_address(address, Some(false))?;
            return self.follow(address, program, network);
        }
        Ok(None)
    }

    /// Looks anew whether an address is the host's. Returns it if the daemon answers for it from now on.
    pub(crate) fn follow(
        &mut self,
        address: IpAddr,
        program: &mut Program,
        network: &Network,
    ) -> Result<Option<IpAddr>, MapError> {
        let Some(entry) = self.virtual_addresses.get_mut(&address) else { return Ok(None) };
        // Addresses count from the first: the route to one comes a little later.
        let own = network.is_own(address) || network.address_kind(address) == AddressKind::Local;
        let answered = self.answering && !own;
        if entry.answered == answered {
            return Ok(None);
        }
        entry.answered = answered;
        program.set_virtual_address(address, Some(answered))?;
        self.join(address, answered);
        Ok(answered.then_some(address))
    }

    /// Looks anew at all addresses, as [`Interests::follow`].
    pub(crate) fn follow_all(
        &mut self,
        program: &mut Program,
        network: &Network,
    ) -> Result<Vec<IpAddr>, MapError> {
        let addresses: Vec<IpAddr> = self.virtual_addresses.keys().copied().collect();
        let mut new = Vec::new();
        for address in addresses {
            new.extend(self.follow(address, program, network)?);
        }
        Ok(new)
    }

    /// Joins or leaves the group in which an IPv6 address is solicited: switches and cards filter by membership.
    fn join(&self, address: IpAddr, member: bool) {
        let (Some(socket), IpAddr::V6(address)) = (&self.groups, address) else { return };
        let group = ndp::solicited_node(address);
        let shared = |other: &IpAddr| matches!(other, IpAddr::V6(other) if *other != address && ndp::solicited_node(*other) == group);
        if self.virtual_addresses.iter().any(|(other, entry)| entry.answered && shared(other)) {
            return;
        }
        for interface in &self.interfaces {
            if let Err(error) = membership(socket, &group, *interface, member) {
                tracing::debug!(%group, interface, member, %error, "multicast membership");
            }
        }
    }
}

fn membership(socket: &OwnedFd, group: &Ipv6Addr, interface: u32, member: bool) -> rustix::io::Result<()> {
    if member {
        sockopt::set_ipv6_add_membership(socket, group, interface)
    } else {
        sockopt::set_ipv6_drop_membership(socket, group, interface)
    }
}

fn count(users: u32, added: bool) -> u32 {
    if added { users.saturating_add(1) } else { users.saturating_sub(1) }
}
