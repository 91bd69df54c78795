//! Frames for both paths, good and bad.

use std::net::{IpAddr, SocketAddr};

use ipvs_wire::{Headers, checksum};
use proptest::prelude::*;

use crate::director::end;
use crate::topology::{SERVER, SERVER6, VIP, VIP6};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const CLIENT: &str = "10.1.0.2";
pub(super) const CLIENT6: &str = "fd01::2";

/// A frame that comes in.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) protocol: u8,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) flags: u8,
    pub(super) payload: usize,
    pub(super) hop_limit: u8,
    /// What is done to the frame afterwards.
    pub(super) twist: Twist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    None,
    /// The checksum left to hardware.
    Partial,
    /// A wrong transport checksum: nobody's business on the way.
    Wrong,
    /// UDP without checksum.
    NoChecksum,
    /// The IPv4 header's checksum is wrong.
    BadHeader,
    /// A first fragment.
    Fragment,
    /// Bytes behind the packet.
    Trailer,
    /// IPv4 header options.
    Options,
    /// The frame ends early.
    Short,
    /// A VLAN tag before it.
    Tagged,
    /// Two tags.
    TaggedTwice,
    /// A tag of 802.1ad.
    TaggedByProvider,
    /// Routers may fragment it (IPv4).
    MayFragment,
    /// It met congestion, and has a class of service.
    Marked,
}

impl Sent {
    /// VLAN tags of its frame.
    pub(super) fn tags(&self) -> &'static [[u8; 4]] {
        match self.twist {
            Twist::Tagged => &[[0x81, 0, 0x60, 5]],
            Twist::TaggedTwice => &[[0x81, 0, 0x60, 5]; 2],
            Twist::TaggedByProvider => &[[0x88, 0xa8, 0x60, 5]],
            _ => &[],
        }
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        let transport = if self.protocol == TCP { 20 } else { 8 };
        let ip = if self.from.is_ipv4() { 20 } else { 40 };
        let mut packet = vec![0; ip + transport];
        packet.extend((0..self.payload).map(|byte| (byte * 7) as u8));
        let len = packet.len();
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                packet[0] = 0x45;
                packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                packet[4..6].copy_from_slice(&[0x12, 0x34]);
                packet[1] = if self.twist == Twist::Marked { 0xbb } else { 0 };
                packet[6] = match self.twist {
                    Twist::Fragment => 0x20,
                    Twist::MayFragment => 0,
                    _ => 0x40,
                };
                packet[8] = self.hop_limit;
                packet[9] = self.protocol;
                packet[12..16].copy_from_slice(&from.octets());
                packet[16..20].copy_from_slice(&to.octets());
                if self.twist == Twist::Options {
                    packet[0] = 0x46;
                    packet.splice(20..20, [1, 1, 1, 0]);
                    let len = packet.len() as u16;
                    packet[2..4].copy_from_slice(&len.to_be_bytes());
                }
                checksum::fill_ipv4_header(&mut packet);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                packet[..2].copy_from_slice(if self.twist == Twist::Marked {
                    &[0x6b, 0xb5]
                } else {
                    &[0x60, 0]
                });
                packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
                packet[6] = self.protocol;
                packet[7] = self.hop_limit;
                packet[8..24].copy_from_slice(&from.ip_octets());
                packet[24..40].copy_from_slice(&to.ip_octets());
            }
            _ => panic!("two families"),
        }
        let whole = Headers { fragment: ipvs_wire::Fragment::Whole, ..Headers::parse(&packet).unwrap() };
        let at = whole.transport;
        packet[at..at + 2].copy_from_slice(&self.from.port().to_be_bytes());
        packet[at + 2..at + 4].copy_from_slice(&self.to.port().to_be_bytes());
        let field = if self.protocol == TCP {
            packet[at + 12] = 0x50;
            packet[at + 13] = self.flags;
            at + 16
        } else {
            let len = (8 + self.payload) as u16;
            packet[at + 4..at + 6].copy_from_slice(&len.to_be_bytes());
            at + 6
        };
        checksum::fill_transport(&mut packet, &whole);
        match self.twist {
            Twist::Partial => {
                let ipv6 = self.from.is_ipv6();
                let pseudo = checksum::pseudo_header(&packet, ipv6, self.protocol, packet.len() - at);
                packet[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
            }
            Twist::Wrong => packet[field] ^= 0x55,
            Twist::NoChecksum if self.protocol == UDP => packet[field..field + 2].fill(0),
            Twist::BadHeader if self.from.is_ipv4() => packet[11] ^= 1,
            Twist::Trailer => packet.extend([0xee; 40]),
            Twist::Short => packet.truncate(packet.len() - 1),
            _ => {}
        }
        packet
    }
}

trait Octets {
    fn ip_octets(&self) -> [u8; 16];
}

impl Octets for std::net::Ipv6Addr {
    fn ip_octets(&self) -> [u8; 16] {
        self.octets()
    }
}

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 0x10;

pub(super) fn plain(protocol: u8, from: SocketAddr, to: SocketAddr, flags: u8) -> Sent {
    Sent { protocol, from, to, flags, payload: 100, hop_limit: 64, twist: Twist::None }
}

pub(super) fn sent() -> impl Strategy<Value = (bool, Sent)> {
    let twist = prop_oneof![
        12 => Just(Twist::None),
        1 => Just(Twist::Partial),
        2 => Just(Twist::Wrong),
        1 => Just(Twist::NoChecksum),
        1 => Just(Twist::BadHeader),
        1 => Just(Twist::Fragment),
        1 => Just(Twist::Trailer),
        1 => Just(Twist::Options),
        1 => Just(Twist::Short),
        3 => Just(Twist::Tagged),
        1 => Just(Twist::TaggedTwice),
        1 => Just(Twist::TaggedByProvider),
        2 => Just(Twist::MayFragment),
        2 => Just(Twist::Marked),
    ];
    let flags = prop_oneof![6 => Just(ACK), 2 => Just(ACK | 8), 1 => Just(SYN), 2 => Just(SYN | ACK), 1 => Just(FIN | ACK), 1 => any::<u8>()];
    let hop_limit = prop_oneof![8 => 2u8.., 1 => 0u8..3];
    let payload = prop_oneof![4 => 0usize..80, 1 => 1300usize..1480];
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0u16..4, flags, payload, hop_limit, twist)
        .prop_map(|(ipv6, udp, direct, back, client_port, flags, payload, hop_limit, twist)| {
            let (client, vip, server) = if ipv6 { (CLIENT6, VIP6, SERVER6) } else { (CLIENT, VIP, SERVER) };
            let client = end(client, 4000 + client_port);
            let port = if direct { 81 } else { 80 };
            let (from, to) = if back {
                (end(server, if direct { 81 } else { 8080 }), client)
            } else {
                (client, end(vip, port))
            };
            let protocol = if udp { UDP } else { TCP };
            (direct, Sent { protocol, from, to, flags, payload, hop_limit, twist })
        })
}
