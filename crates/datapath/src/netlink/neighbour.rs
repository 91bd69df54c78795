//! Neighbours: hardware addresses of hosts on the links.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use ipvs_core::Instant;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{HardwareAddress, Requests};

/// The kernel is asked to resolve or confirm one neighbour at most this often.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// With more neighbours than this those without hardware address are forgotten before another is added.
const CAPACITY: usize = 65_536;

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// Its hardware address.
    Known(HardwareAddress),
    /// Not known (yet); the kernel was asked.
    Resolving,
    /// It does not answer.
    Failed,
}

#[derive(Debug)]
struct Entry {
    state: Neighbour,
    /// In need of confirmation while it is used: the kernel cannot see the packets that we send.
    stale: bool,
    asked: Option<Instant>,
}

/// The kernel's neighbour tables.
#[derive(Debug, Default)]
pub(crate) struct Neighbours(HashMap<(u32, IpAddr), Entry, RandomState>);

impl Neighbours {
    /// Reads all from the kernel.
    pub(crate) fn load(&mut self, requests: &mut Requests) -> io::Result<()> {
        self.0.clear();
        for message in requests.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))? {
            if let RouteNetlinkMessage::NewNeighbour(message) = message {
                self.set(&message);
            }
        }
        Ok(())
    }

    /// Takes a new or changed neighbour; returns which, if that settles whether it can be reached.
    pub(crate) fn set(&mut self, message: &NeighbourMessage) -> Option<(u32, IpAddr, Neighbour)> {
        let key = key(message)?;
        let hardware = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => HardwareAddress::try_from(bytes.as_slice()).ok(),
            _ => None,
        });
        let (state, stale) = match (message.header.state, hardware) {
            (NeighbourState::Stale, Some(address)) => (Neighbour::Known(address), true),
            (
                NeighbourState::Reachable
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
                | NeighbourState::Noarp,
                Some(address),
            ) => (Neighbour::Known(address), false),
            (NeighbourState::Failed, _) => (Neighbour::Failed, false),
            _ => (Neighbour::Resolving, false),
        };
        let entry = self.0.entry(key).or_insert(Entry { state, stale, asked: None });
        (entry.state, entry.stale) = (state, stale);
        (state != Neighbour::Resolving).then_some((key.0, key.1, state))
    }

    /// Forgets a neighbour.
    pub(crate) fn remove(&mut self, message: &NeighbourMessage) {
        if let Some(key) = key(message) {
            self.0.remove(&key);
        }
    }

    /// What is known of `address` on the interface, without asking.
    pub(crate) fn known(&self, interface: u32, address: IpAddr) -> Neighbour {
        self.0.get(&(interface, address)).map_or(Neighbour::Resolving, |entry| entry.state)
    }

    /// The hardware address of `address` on the interface, if nothing needs to be asked before it is used.
    pub(crate) fn settled(&self, interface: u32, address: IpAddr) -> Option<HardwareAddress> {
        match self.0.get(&(interface, address))? {
            Entry { state: Neighbour::Known(hardware), stale: false, .. } => Some(*hardware),
            _ => None,
        }
    }

    /// Which neighbour a message is about.
    pub(crate) fn named(message: &NeighbourMessage) -> Option<(u32, IpAddr)> {
        key(message)
    }

    /// What is known of `address` on the interface, about to be sent to. Has the kernel resolve or confirm it where
    /// that is needed.
    pub(crate) fn get(
        &mut self,
        requests: &mut Requests,
        now: Instant,
        interface: u32,
        address: IpAddr,
    ) -> Neighbour {
        if self.0.len() >= CAPACITY && !self.0.contains_key(&(interface, address)) {
            self.0.retain(|_, entry| matches!(entry.state, Neighbour::Known(_)));
        }
        let entry = self.0.entry((interface, address)).or_insert(Entry {
            state: Neighbour::Resolving,
            stale: false,
            asked: None,
        });
        let known = matches!(entry.state, Neighbour::Known(_));
        if known && !entry.stale {
            return entry.state;
        }
        if entry.asked.is_none_or(|asked| now.saturating_since(asked) >= ASK_INTERVAL) {
            entry.asked = Some(now);
            // One that failed before is tried again.
            if !known {
                entry.state = Neighbour::Resolving;
            }
            if let Err(error) = use_neighbour(requests, interface, address) {
                tracing::debug!(%address, %error, "the kernel would not resolve a neighbour");
                if !known {
                    entry.state = Neighbour::Failed;
                }
            }
        }
        entry.state
    }
}

/// Tells the kernel that a packet goes to the neighbour (NTF_USE): it resolves one that it does not know and probes a
/// stale one.
fn use_neighbour(requests: &mut Requests, interface: u32, address: IpAddr) -> io::Result<()> {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = interface;
    message.header.state = NeighbourState::None;
    message.header.flags = NeighbourFlags::Use;
    let destination = match address {
        IpAddr::V4(address) => {
            message.header.family = AddressFamily::Inet;
            NeighbourAddress::Inet(address)
        }
        IpAddr::V6(address) => {
            message.header.family = AddressFamily::Inet6;
            NeighbourAddress::Inet6(address)
        }
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    requests.change(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE)
}

fn key(message: &NeighbourMessage) -> Option<(u32, IpAddr)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some((message.header.ifindex, IpAddr::V4(*address)))
        }
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((message.header.ifindex, IpAddr::V6(*address)))
        }
        _ => None,
    })
}
