//! Looking ahead: packets of a burst wait for the connection table's memory together, not one after the other.
//!
//! Whoever has several packets tells of each ([`Director::foresee`]), has read what they will ask for
//! ([`Director::read_ahead`]), and then hands them over as always. Nothing is decided here, so a packet that was not told of,
//! or comes otherwise than expected, fares the same.

use std::net::IpAddr;

use ipvs_flow::{Address, Place};
use ipvs_wire::{Headers, transport};

use crate::director::Director;

/// Places of the table that are kept: of a packet as one from a client, and as one to a client.
const PLACES: usize = 2 * Director::MOST_FORESEEN;

/// Where the packets that are expected will look.
#[derive(Debug)]
pub(crate) struct Ahead {
    places: [Place; PLACES],
    len: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { places: [Place::default(); PLACES], len: 0 }
    }
}

impl Director {
    /// So many packets are expected at a time; those told of beyond are not. What is read for them, some three cache lines each, must
    /// still be in the processor's cache when they come.
    pub const MOST_FORESEEN: usize = 64;

    /// A packet, which starts at its IP header, will be received soon.
    #[inline]
    pub fn foresee(&mut self, packet: &[u8]) {
        let Some(room) = self.ahead.places.get_mut(self.ahead.len..self.ahead.len + 2) else { return };
        let Ok(headers) = Headers::parse(packet) else { return };
        // ICMP and others look elsewhere.
        let Ok(ports) = transport::ports(packet, &headers) else { return };
        let table = &self.connections.table;
        let place = |client: IpAddr, port| {
            table.place(client.is_ipv6(), headers.protocol, Address::from(client), port)
        };
        let ends = [(headers.source, ports.source), (headers.destination, ports.destination)];
        for (room, (client, port)) in room.iter_mut().zip(ends) {
            *room = place(client, port);
        }
        self.ahead.len += 2;
    }

    /// Whether the payload of TCP packets may matter: once some connection had a helper, or its server was told the client's address.
    pub fn reads_payload(&self) -> bool {
        self.connections.reads_payload
    }

    /// Reads what the expected packets will ask the connection table for.
    #[inline]
    pub fn read_ahead(&mut self) {
        self.connections.table.read_ahead(self.ahead.places.get(..self.ahead.len).unwrap_or_default());
        self.ahead.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Instant};

    /// A UDP datagram between these addresses and ports, of either family.
    fn datagram(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Vec<u8> {
        let mut packet = match (source.0, destination.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            _ => panic!("one family"),
        };
        packet.extend(source.1.to_be_bytes());
        packet.extend(destination.1.to_be_bytes());
        packet.extend([0, 8, 0, 0]);
        packet
    }

    #[test]
    fn both_ends_are_expected_as_the_clients() {
        let mut director = Director::new(Config::default(), Instant::default()).unwrap();
        let ends = [
            (("10.0.0.1".parse().unwrap(), 1000), ("10.0.0.2".parse().unwrap(), 53)),
            (("fd00::1".parse().unwrap(), 1001), ("fd00::2".parse().unwrap(), 54)),
        ];
        for (source, destination) in ends {
            director.foresee(&datagram(source, destination));
        }
        let table = &director.connections.table;
        let places: Vec<Place> = ends
            .into_iter()
            .flat_map(|(source, destination)| [source, destination])
            .map(|(client, port): (IpAddr, u16)| table.place(client.is_ipv6(), 17, client.into(), port))
            .collect();
        assert_eq!(director.ahead.places.get(..director.ahead.len), Some(&*places));
        director.read_ahead();
        assert_eq!(director.ahead.len, 0);
    }

    #[test]
    fn what_is_no_packet_or_too_much_is_not_expected() {
        let mut director = Director::new(Config::default(), Instant::default()).unwrap();
        let (client, server) = (("10.0.0.1".parse().unwrap(), 1000), ("10.0.0.2".parse().unwrap(), 53));
        let packet = datagram(client, server);
        (0..packet.len()).for_each(|len| director.foresee(packet.get(..len).unwrap()));
        assert_eq!(director.ahead.len, 0);
        (0..=Director::MOST_FORESEEN).for_each(|_| director.foresee(&packet));
        assert_eq!(director.ahead.len, PLACES);
        director.read_ahead();
    }
}
