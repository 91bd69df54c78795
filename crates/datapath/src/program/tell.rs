//! What the daemon tells the program by its maps.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::lpm_trie::Key;
use aya::maps::xdp::XdpMapError;
use aya::maps::{HashMap, MapData, MapError};
use ipvs_flow::pick::Virtual;
use ipvs_flow::steady::TIMEOUTS;

use super::Program;
use crate::ethernet::Tag;
use crate::netlink::HardwareAddress;
use crate::syn_filter::Stage;

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
pub(super) type AddressKey = [u8; 16];

/// A protocol (native byte order), a port (network byte order; 0: any) and an address.
pub(super) type EndpointKey = [u8; 20];

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

/// An interface as the program knows it.
pub(super) type PortValue = [u8; 20];

/// An attached interface, or a VLAN device on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// Its index.
    pub(crate) interface: u32,
    /// Frames to this hardware address are its own.
    pub(crate) hardware: HardwareAddress,
    /// Frames may leave by it from the program.
    pub(crate) leave: bool,
    /// The interface that carries them.
    pub(crate) carrier: u32,
    /// The VLAN tag that they get.
    pub(crate) tag: Option<Tag>,
    /// Frames that come by it may be put off, to be looked up in bulk.
    pub(crate) puts_off: bool,
}

impl Port {
    fn value(&self) -> PortValue {
        let mut value = [0; 20];
        value[..4].copy_from_slice(&self.interface.to_ne_bytes());
        value[4..10].copy_from_slice(&self.hardware);
        let flags = u16::from(self.leave) | u16::from(self.puts_off) << 1;
        value[10..12].copy_from_slice(&flags.to_ne_bytes());
        value[12..16].copy_from_slice(&self.carrier.to_ne_bytes());
        value[16..].copy_from_slice(&self.tag.unwrap_or_default());
        value
    }
}

/// A network as the program finds it: a protocol (native byte order; 0: for fragments and ICMP) and its address.
pub(super) type NetworkKey = [u8; 20];

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

    /// As [`Virtual`] has it.
    pub(crate) fn words(&self) -> Virtual {
        let [a, b, c, d] = ipvs_flow::Address::from(self.address).words();
        [u32::from(self.protocol) | u32::from(self.port.to_be()) << 16, a, b, c, d]
    }
}

fn address_key(address: IpAddr) -> AddressKey {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Program {
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

    /// Tells the program of the interfaces by which packets of IPv4 and of IPv6 go where they wait; `None`: they do not.
    pub(crate) fn set_parking(&mut self, entrances: [Option<u32>; 2]) -> Result<(), MapError> {
        for (family, entrance) in (0..).zip(entrances) {
            self.parking.set(family, entrance.unwrap_or_default(), 0)?;
        }
        Ok(())
    }

    /// The place where the program looks for an interface. What shares one is not all known to it.
    pub(crate) fn port_place(&self, interface: u32) -> u32 {
        interface % self.ports.len()
    }

    /// Tells the program of the interface in a place, if there is one.
    pub(crate) fn set_port(&mut self, place: u32, port: Option<&Port>) -> Result<(), MapError> {
        if let Some(port) = port
            && port.leave
            && let Err(error) = self.set_exit(port.carrier)
        {
            // The kernel takes out those that go; without, the program finds the interface by its index.
            tracing::debug!(interface = port.carrier, %error, "no exit of its own in the XDP program");
        }
        self.ports.set(place, port.map_or([0; 20], Port::value), 0)
    }

    /// Tells the program that frames may leave by an interface.
    pub(super) fn set_exit(&mut self, interface: u32) -> Result<(), XdpMapError> {
        self.exits_frags.set(interface, interface, None, 0)?;
        self.exits.set(interface, interface, self.bulk.leaving_at(interface), 0)
    }

    /// Tells the program the timeouts of states.
    pub(crate) fn set_timeouts(&mut self, timeouts: &[u32; TIMEOUTS]) -> Result<(), MapError> {
        self.timeouts.set(0, timeouts, 0)
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

    /// Adds a destination whose packets the daemon must see, or removes one that was added.
    pub(crate) fn set_server(&mut self, endpoint: &Endpoint, present: bool) -> Result<(), MapError> {
        // The program looks at the port first: it is known while the destination is.
        if present {
            self.server_ports.enter(endpoint.port)?;
        }
        set(&mut self.servers, &endpoint.key(), present.then_some(0))?;
        if present { Ok(()) } else { self.server_ports.leave(endpoint.port) }
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
