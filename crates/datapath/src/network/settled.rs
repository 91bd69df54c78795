//! Ways that packets take just now, with all that the next packet on them needs: an address has one place, so it is found without a
//! hash table, and where two have the same place the later one has it.
//!
//! Whatever changes of links, routes and neighbours, all are forgotten.

use std::net::IpAddr;

use super::Way;
use crate::netlink::HardwareAddress;

/// Places, a power of two: as many servers as a service usually has find one each.
const PLACES: usize = 256;

/// What is known of an address: the way, and its neighbour's hardware address.
type Known = (Way, HardwareAddress);

/// The ways, by the place of their address.
#[derive(Debug)]
pub(super) struct Settled(Box<[Option<(IpAddr, Known)>; PLACES]>);

impl Default for Settled {
    fn default() -> Self {
        Self(Box::new([None; PLACES]))
    }
}

impl Settled {
    /// Forgets everything.
    #[cold]
    pub(super) fn clear(&mut self) {
        self.0.fill(None);
    }

    /// What is known of the address.
    #[inline]
    pub(super) fn get(&self, address: IpAddr) -> Option<&Known> {
        let (known, way) = self.0[place(address)].as_ref()?;
        (*known == address).then_some(way)
    }

    /// Remembers an address.
    pub(super) fn set(&mut self, address: IpAddr, known: Known) {
        self.0[place(address)] = Some((address, known));
    }
}

/// Neighbouring addresses have different places.
#[inline]
fn place(address: IpAddr) -> usize {
    let folded = match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let bits = (bits >> 64) as u64 ^ bits as u64;
            (bits >> 32) as u32 ^ bits as u32
        }
    };
    (folded ^ folded >> 8 ^ folded >> 16) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u32) -> Known {
        let neighbour = IpAddr::from([10, 0, 0, 254]);
        let source = [2, 0, 0, 0, 0, 1];
        (Way { interface: number, carrier: number, vlan: None, source, neighbour, mtu: 1500 }, [2; 6])
    }

    fn addresses() -> impl Iterator<Item = (u32, IpAddr)> {
        let v4 = (0..200u32).map(|last| IpAddr::from((0x0a00_0100 + last).to_be_bytes()));
        let v6 = (1..50u128).map(|last| IpAddr::from((0xfd00 << 112 | last << 72 | last).to_be_bytes()));
        (0..).zip(v4.chain(v6))
    }

    #[test]
    fn an_address_finds_its_own_way_or_none() {
        let mut settled = Settled::default();
        for (number, address) in addresses() {
            assert_eq!(settled.get(address), None);
            settled.set(address, known(number));
            assert_eq!(settled.get(address), Some(&known(number)));
        }
        let found = addresses().filter_map(|(number, address)| Some((number, settled.get(address)?)));
        assert!(found.inspect(|(number, way)| assert_eq!(**way, known(*number))).count() >= 150);
        settled.clear();
        assert!(addresses().all(|(_, address)| settled.get(address).is_none()));
    }

    #[test]
    fn addresses_in_a_row_have_places_of_their_own() {
        let mut settled = Settled::default();
        for (number, address) in addresses().take(200) {
            settled.set(address, known(number));
        }
        assert!(addresses().take(200).all(|(number, address)| settled.get(address) == Some(&known(number))));
    }
}
