//! Addresses of this host.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};

use super::Requests;

/// The addresses of all interfaces, with the interface's index.
#[derive(Debug, Default)]
pub(crate) struct Addresses(HashSet<(u32, IpAddr)>);

impl Addresses {
    /// Reads all from the kernel.
    pub(crate) fn load(&mut self, requests: &mut Requests) -> io::Result<()> {
        self.0.clear();
        for message in requests.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                self.set(&message);
            }
        }
        Ok(())
    }

    /// Takes a new address; returns it.
    pub(crate) fn set(&mut self, message: &AddressMessage) -> Option<IpAddr> {
        let address = local(message)?;
        self.0.insert((message.header.index, address));
        Some(address)
    }

    /// Forgets an address; returns it.
    pub(crate) fn remove(&mut self, message: &AddressMessage) -> Option<IpAddr> {
        let address = local(message)?;
        self.0.remove(&(message.header.index, address));
        Some(address)
    }

    /// Whether an interface has the address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(_, own)| *own == address)
    }
}

/// The host's own address in a message: IFA_LOCAL, which IPv6 leaves out unless it differs from IFA_ADDRESS (the peer
/// on a point-to-point link).
fn local(message: &AddressMessage) -> Option<IpAddr> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => return Some(*local),
            AddressAttribute::Address(other) => address = Some(*other),
            _ => {}
        }
    }
    address
}
