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
    servers: BTreeSet<(IpAddr, u16, u16)>,
    server_addresses: BTreeMap<IpAddr, u32>,
    any_port_virtuals: u32,
    any_port_servers: u32,
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
            servers: BTreeSet::new(),
            server_addresses: BTreeMap::new(),
            any_port_virtuals: 0,
            any_port_servers: 0,
            answering,
            groups,
            interfaces,
        }
    }

    /// Whether the daemon stands in for the address.
    pub(crate) fn is_answered(&self, address: IpAddr) -> bool {
        self.virtual_addresses.get(&address).is_some_and(|entry| entry.answered)
    }

    /// The destinations known, for those that turn out to be on this host.
    pub(crate) fn servers(&self) -> impl Iterator<Item = Endpoint> {
        self.servers.iter().map(|&(address, protocol, port)| Endpoint { protocol, address, port })
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
                if port == 0 {
                    self.any_port_virtuals = count(self.any_port_virtuals, added);
                    program.set_any_port(self.any_port_virtuals != 0, self.any_port_servers != 0)?;
                }
                // The address before the service, so that packets find both.
                let new = self.count_virtual_address(address, added, program, network)?;
                program.set_virtual(&Endpoint { protocol, address, port }, added)?;
                Ok(new)
            }
            Interest::Server { protocol, address, port } => {
                let key = (address, protocol, port);
                if added {
                    self.servers.insert(key)
                } else {
                    self.servers.remove(&key)
                };
                if port == 0 {
                    self.any_port_servers = count(self.any_port_servers, added);
                    program.set_any_port(self.any_port_virtuals != 0, self.any_port_servers != 0)?;
                }
                let users = self.server_addresses.entry(address).or_default();
                *users = count(*users, added);
                let left = *users != 0;
                if !left {
                    self.server_addresses.remove(&address);
                }
                program.set_server_address(address, left)?;
                program.set_server(&Endpoint { protocol, address, port }, added)?;
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
