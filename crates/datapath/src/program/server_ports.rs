//! The ports of destinations, a bit each, by which the program sees that a packet is from none of them.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData, MapError};

/// The program's map of ports, and how many destinations have each.
pub(super) struct ServerPorts {
    bits: Array<MapData, u64>,
    users: BTreeMap<u16, u32>,
}

impl ServerPorts {
    /// No destination has a port yet.
    pub(super) fn new(bits: Array<MapData, u64>) -> Self {
        Self { bits, users: BTreeMap::new() }
    }

    /// Another destination has this port.
    pub(super) fn enter(&mut self, port: u16) -> Result<(), MapError> {
        let users = self.users.entry(port).or_default();
        *users += 1;
        if *users == 1 { self.change(port, |bits, bit| bits | bit) } else { Ok(()) }
    }

    /// One that had it is gone.
    pub(super) fn leave(&mut self, port: u16) -> Result<(), MapError> {
        let Some(users) = self.users.get_mut(&port) else { return Ok(()) };
        *users -= 1;
        if *users > 0 {
            return Ok(());
        }
        self.users.remove(&port);
        self.change(port, |bits, bit| bits & !bit)
    }

    fn change(&mut self, port: u16, change: impl Fn(u64, u64) -> u64) -> Result<(), MapError> {
        let (place, bit) = place(port);
        let bits = self.bits.get(&place, 0)?;
        self.bits.set(place, change(bits, bit), 0)
    }
}

/// Where a port's bit is: position in the map, and the bit. The program takes ports as they stand in packets.
fn place(port: u16) -> (u32, u64) {
    let port = port.to_be();
    (u32::from(port >> 6), 1 << (port & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_a_bit_of_its_own() {
        let places: std::collections::BTreeSet<_> = (0..=u16::MAX).map(place).collect();
        assert_eq!(places.len(), 1 << 16);
        assert!(places.iter().all(|(position, bit)| *position < 1 << 10 && bit.count_ones() == 1));
    }
}
