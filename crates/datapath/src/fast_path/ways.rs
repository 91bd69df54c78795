//! The ways to destinations, kept as routes, neighbours and links have them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipvs_core::{DestinationChange, DestinationWay, Host, Instant};
use ipvs_flow::way::{self, Tunnel, Way};
use ipvs_flow::{Address, Line};

use crate::netlink::{HardwareAddress, Neighbour};
use crate::network::{self, Hop, Network};
use crate::shared_memory::SharedMemory;

/// How often ways in use are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Most bytes of a packet that the program forwards.
const MOST: u32 = 65_535;

/// A destination that may be forwarded to.
#[derive(Debug)]
struct Offered {
    destination: DestinationWay,
    /// The next hop on the way that the routes say, whether it is usable or not.
    hop: Option<network::Way>,
    /// The way as the program has it.
    way: Option<(Way, Option<Tunnel>)>,
    /// Packets when it was last looked at.
    packets: u64,
}

/// The ways, by destination index.
#[derive(Debug)]
pub(crate) struct Ways {
    lines: Arc<SharedMemory<Line>>,
    offered: BTreeMap<u32, Offered>,
    /// The destinations behind a next hop (interface and address).
    behind: HashMap<(u32, IpAddr), BTreeSet<u32>>,
    /// Interfaces by which frames may leave.
    exits: BTreeSet<u32>,
    due: Option<Instant>,
}

impl Ways {
    pub(super) fn new(lines: Arc<SharedMemory<Line>>) -> Self {
        Self { lines, offered: BTreeMap::new(), behind: HashMap::new(), exits: BTreeSet::new(), due: None }
    }

    /// Destinations that can have a way.
    pub(super) fn capacity(&self) -> usize {
        (*self.lines).as_ref().len()
    }

    /// Says by which interfaces frames may leave; whether that is new.
    pub(crate) fn set_exits(&mut self, exits: BTreeSet<u32>, network: &Network) -> bool {
        if self.exits == exits {
            return false;
        }
        self.exits = exits;
        self.renew_all(network);
        true
    }

    /// Whether frames may leave by the interface.
    pub(crate) fn is_exit(&self, interface: u32) -> bool {
        self.exits.contains(&interface)
    }

    /// The interface by which packets to a destination leave, and the way's MTU, if the program can forward them as they are, without
    /// a tag.
    pub(super) fn untagged_exit(&self, destination: u32) -> Option<(u32, u32)> {
        let (way, _) = self.offered.get(&destination)?.way.as_ref()?;
        (way.tag == 0).then_some((way.interface, way.mtu))
    }

    /// Takes a change of a destination.
    pub(super) fn change(&mut self, change: &DestinationChange, network: &Network) {
        if change.index as usize >= self.capacity() {
            return;
        }
        if let Some(old) = self.offered.remove(&change.index) {
            self.leave_hop(change.index, old.hop);
            self.tell(change.index, None);
        }
        if let Some(destination) = change.way {
            self.offered.insert(change.index, Offered { destination, hop: None, way: None, packets: 0 });
            self.renew(change.index, network);
        }
    }

    /// Looks anew at all ways: routes or links have changed.
    pub(crate) fn renew_all(&mut self, network: &Network) {
        let all: Vec<u32> = self.offered.keys().copied().collect();
        for index in all {
            self.renew(index, network);
        }
    }

    /// Looks anew at the ways by a next hop.
    pub(crate) fn renew_behind(&mut self, interface: u32, neighbour: IpAddr, network: &Network) {
        let behind: Vec<u32> =
            self.behind.get(&(interface, neighbour)).into_iter().flatten().copied().collect();
        for index in behind {
            self.renew(index, network);
        }
    }

    /// Whether [`Ways::confirm`] has something to do; the first time after the first destination it has not.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        if self.offered.is_empty() {
            self.due = None;
            return false;
        }
        now >= *self.due.get_or_insert(now + INTERVAL)
    }

    /// Has the kernel confirm the neighbours of ways that were used since the last time, and looks anew at those ways;
    /// returns when to come again. `packets` tells a destination's packets so far.
    pub(super) fn confirm(
        &mut self,
        now: Instant,
        network: &mut Network,
        packets: impl Fn(u32) -> u64,
    ) -> Option<Instant> {
        let due = self.due.filter(|_| !self.offered.is_empty())?;
        if now < due {
            return Some(due);
        }
        let mut used = Vec::new();
        for (&index, offered) in &mut self.offered {
            let packets = packets(index);
            if packets != std::mem::replace(&mut offered.packets, packets) {
                used.push(index);
            }
        }
        for index in used {
            if let Some(hop) = self.offered.get(&index).and_then(|offered| offered.hop) {
                network.neighbour(now, &hop);
            }
            self.renew(index, network);
        }
        self.due = Some(now + INTERVAL);
        self.due
    }

    /// Finds a destination's way and tells the program of it.
    fn renew(&mut self, index: u32, network: &Network) {
        let Some(offered) = self.offered.get(&index) else { return };
        let hop = match network.hop(offered.destination.address) {
            Hop::Link(hop) => Some(hop),
            Hop::Local | Hop::None => None,
        };
        let way = hop.and_then(|hop| self.way(&offered.destination, &hop, network));
        let (old_hop, old_way) = (offered.hop, offered.way);
        if old_hop != hop {
            self.leave_hop(index, old_hop);
            if let Some(hop) = hop {
                self.behind.entry((hop.interface, hop.neighbour)).or_default().insert(index);
            }
        }
        if old_way != way {
            self.tell(index, way.as_ref());
        }
        if let Some(offered) = self.offered.get_mut(&index) {
            (offered.hop, offered.way) = (hop, way);
        }
    }

    /// The way by a next hop, if the program can go it, and how a tunnel goes it, if one can.
    fn way(
        &self,
        destination: &DestinationWay,
        hop: &network::Way,
        network: &Network,
    ) -> Option<(Way, Option<Tunnel>)> {
        // Of a VLAN device on another the carrier is no exit.
        if !self.is_exit(hop.carrier) {
            return None;
        }
        let Neighbour::Known(neighbour) = network.known(hop) else { return None };
        let hardware = frame_start(neighbour, hop.source);
        let DestinationWay { address, encapsulation, .. } = *destination;
        let way = Way {
            address: Address::from(address),
            interface: hop.carrier,
            mtu: hop.mtu.min(MOST),
            hardware,
            tag: hop.vlan.map_or(0, u32::from_ne_bytes),
        };
        let source = network.source_address(address).filter(|source| source.is_ipv6() == address.is_ipv6());
        let room = destination.room(hop.mtu).filter(|room| *room > 0);
        let tunnel = source.zip(room).map(|(source, room)| Tunnel {
            source: Address::from(source),
            ipv6: address.is_ipv6(),
            encapsulation,
            room: room.min(MOST),
        });
        Some((way, tunnel))
    }

    fn leave_hop(&mut self, index: u32, hop: Option<network::Way>) {
        let Some(hop) = hop else { return };
        let key = (hop.interface, hop.neighbour);
        if let Some(behind) = self.behind.get_mut(&key) {
            behind.remove(&index);
            if behind.is_empty() {
                self.behind.remove(&key);
            }
        }
    }

    fn tell(&self, index: u32, way: Option<&(Way, Option<Tunnel>)>) {
        let Some(line) = (*self.lines).as_ref().get(index as usize) else { return };
        match way {
            Some((way, tunnel)) => way::write(line, way, tunnel.as_ref()),
            None => way::clear(line),
        }
    }
}

/// The first twelve bytes of a frame, as words.
fn frame_start(to: HardwareAddress, from: HardwareAddress) -> [u32; 3] {
    let [a, b, c, d, e, f] = to;
    let [g, h, i, j, k, l] = from;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes)
}
