//! What identifies a connection, and what it is created with.

use crate::{Address, Ipv4End, TableHash};

/// Bit of the kind byte: the addresses are IPv6.
const IPV6: u32 = 1;
/// Bit of the kind byte: a persistence template.
const TEMPLATE: u32 = 2;
/// The key's part of entry word 9: protocol and kind; the destination port is not part of the key.
pub(crate) const KEY_OF_WORD_9: u32 = 0xffff_0000;

/// What identifies a connection: both ends of it as the client sees them. No two connections of a table have equal
/// keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whether the addresses are IPv6.
    pub ipv6: bool,
    /// Whether it is a persistence template rather than a connection with packets.
    pub template: bool,
    /// IP protocol number.
    pub protocol: u8,
    /// The client's address.
    pub client: Address,
    /// The client's port, 0 in templates and while it is not known.
    pub client_port: u16,
    /// The virtual address that the client sends to.
    pub virtual_address: Address,
    /// The virtual port.
    pub virtual_port: u16,
}

/// A connection to insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewConnection {
    /// What identifies it.
    pub key: Key,
    /// Index of its destination.
    pub destination: u32,
    /// The destination's port.
    pub destination_port: u16,
    /// Its flags, the kernel's IP_VS_CONN_F_* numbers; the low three bits are the forwarding method.
    pub flags: u16,
    /// State of its protocol's state machine, below 128.
    pub state: u8,
    /// Its timeout, in ticks.
    pub timeout: u32,
}

impl Key {
    /// The key as entry words 0 to 9, the destination port left 0.
    #[inline(always)]
    pub(crate) fn to_words(self) -> [u32; 10] {
        let [a, b, c, d] = self.client.words();
        let [e, f, g, h] = self.virtual_address.words();
        [a, b, c, d, e, f, g, h, self.ports(), self.word_9()]
    }

    /// The key in entry words 0 to 9.
    #[inline(always)]
    pub(crate) fn from_words(words: [u32; 10]) -> Self {
        let [a, b, c, d, e, f, g, h, ports, word_9] = words;
        Key {
            ipv6: word_9 >> 24 & IPV6 != 0,
            template: is_template(word_9),
            protocol: (word_9 >> 16) as u8,
            client: Address::from_words([a, b, c, d]),
            client_port: ports as u16,
            virtual_address: Address::from_words([e, f, g, h]),
            virtual_port: (ports >> 16) as u16,
        }
    }

    #[inline(always)]
    fn ports(self) -> u32 {
        u32::from(self.client_port) | u32::from(self.virtual_port) << 16
    }

    #[inline(always)]
    fn word_9(self) -> u32 {
        kind_and_protocol(self.ipv6, self.template, self.protocol)
    }
}

/// Whether entry word 9 is a template's.
pub(crate) fn is_template(word_9: u32) -> bool {
    word_9 >> 24 & TEMPLATE != 0
}

/// Whether entry word 9 is of a connection, not a template, whose addresses are IPv4.
#[inline(always)]
pub(crate) const fn is_ipv4_connection(word_9: u32) -> bool {
    word_9 >> 24 == 0
}

/// Protocol and kind at their place in entry word 9.
#[inline(always)]
pub(crate) fn kind_and_protocol(ipv6: bool, template: bool, protocol: u8) -> u32 {
    let kind = if ipv6 { IPV6 } else { 0 } | if template { TEMPLATE } else { 0 };
    u32::from(protocol) << 16 | kind << 24
}

/// Hash of a connection's client side: family, protocol, client address and client port. The virtual side stays out of
/// it, so that packets of both directions find the connection in one place.
#[inline(always)]
pub(crate) fn client_hash(
    hash: TableHash,
    ipv6: bool,
    protocol: u8,
    client: Address,
    client_port: u16,
) -> u64 {
    let [a, b, c, d] = client.words();
    let rest = u32::from(client_port) | kind_and_protocol(ipv6, false, protocol);
    hash.hash([a, b, c, d, rest])
}

/// The same of a client of IPv4, the last word of whose address is given.
#[inline(always)]
pub(crate) fn client_hash_of_ipv4(hash: TableHash, protocol: u8, (address, port): Ipv4End) -> u64 {
    hash.hash_ipv4([address, u32::from(port) | kind_and_protocol(false, false, protocol)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_survive_their_words(ipv6: bool, template: bool, protocol: u8, client: [u8; 16], client_port: u16,
                                    virtual_address: [u8; 16], virtual_port: u16) {
            let key = Key { ipv6, template, protocol, client: client.into(), client_port,
                            virtual_address: virtual_address.into(), virtual_port };
            prop_assert_eq!(Key::from_words(key.to_words()), key);
        }
    }
}
