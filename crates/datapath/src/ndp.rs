//! Neighbour discovery (RFC 4861) for virtual addresses.

use std::net::Ipv6Addr;

use ipvs_wire::{Headers, checksum};

use crate::ethernet;
use crate::netlink::HardwareAddress;

/// Length of an IPv6 header, of an advertisement and of its option.
const ADVERTISEMENT: usize = 40 + 24 + 8;

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISE: u8 = 136;

/// The advertisement answers a solicitation.
const SOLICITED: u8 = 0x40;
/// The advertisement replaces what the neighbour knew.
const OVERRIDE: u8 = 0x20;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The multicast group in which an address is solicited (RFC 4291 section 2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Whether the packet is neighbour or router discovery.
pub(crate) fn is_discovery(packet: &[u8], headers: &Headers) -> bool {
    headers.is_ipv6()
        && headers.protocol == ICMPV6
        && headers.payload(packet).first().is_some_and(|kind| (133..=137).contains(kind))
}

/// If `packet` is a solicitation of an address that `is_answered`, the frame that answers it is written to `frame`;
/// returns its length.
///
/// What RFC 4861 section 7.1.1 demands of a solicitation is checked.
pub(crate) fn answer(
    packet: &[u8],
    headers: &Headers,
    sender: HardwareAddress,
    own: HardwareAddress,
    is_answered: impl Fn(Ipv6Addr) -> bool,
    frame: &mut [u8],
) -> Option<usize> {
    let std::net::IpAddr::V6(source) = headers.source else { return None };
    let message = headers.payload(packet);
    if !is_discovery(packet, headers)
        || message.first() != Some(&SOLICITATION)
        || message.get(1) != Some(&0)
        || headers.hop_limit != 255
        || !checksum::verify_transport(packet, headers)
    {
        return None;
    }
    let target = Ipv6Addr::from(<[u8; 16]>::try_from(message.get(8..24)?).ok()?);
    if target.is_multicast() || source == target || !is_answered(target) {
        return None;
    }
    if source.is_unspecified() {
        // Someone asks whether the address is taken: everyone hears that it is.
        advertise(frame, group_address(ALL_NODES), own, ALL_NODES, target, OVERRIDE)
    } else {
        advertise(frame, sender, own, source, target, SOLICITED | OVERRIDE)
    }
}

/// Writes an unsolicited advertisement (RFC 4861 section 7.2.6) that `address` is at `own`; returns the frame's length.
pub(crate) fn announce(frame: &mut [u8], address: Ipv6Addr, own: HardwareAddress) -> Option<usize> {
    advertise(frame, group_address(ALL_NODES), own, ALL_NODES, address, OVERRIDE)
}

/// The hardware address of a multicast group (RFC 2464 section 7).
fn group_address(group: Ipv6Addr) -> HardwareAddress {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

fn advertise(
    frame: &mut [u8],
    to: HardwareAddress,
    own: HardwareAddress,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    flags: u8,
) -> Option<usize> {
    ethernet::write(frame, ethernet::HEADER, to, own, None, ethernet::IPV6)?;
    let end = ethernet::HEADER + ADVERTISEMENT;
    let packet = frame.get_mut(ethernet::HEADER..end)?;
    packet.fill(0);
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&(ADVERTISEMENT as u16 - 40).to_be_bytes());
    packet[6] = ICMPV6;
    packet[7] = 255;
    packet[8..24].copy_from_slice(&target.octets());
    packet[24..40].copy_from_slice(&destination.octets());
    packet[40] = ADVERTISE;
    packet[44] = flags;
    packet[48..64].copy_from_slice(&target.octets());
    // Option: target link-layer address, one unit of eight bytes.
    packet[64..66].copy_from_slice(&[2, 1]);
    packet[66..72].copy_from_slice(&own);
    let headers = Headers::parse(packet).ok()?;
    checksum::fill_transport(packet, &headers);
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x64);
    const PEER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
    const OWN: HardwareAddress = [2, 0, 0, 0, 0, 1];
    const PEER_AT: HardwareAddress = [2, 0, 0, 0, 0, 9];

    fn solicitation(source: Ipv6Addr, hop_limit: u8) -> Vec<u8> {
        let mut packet = vec![0; 64];
        packet[0] = 0x60;
        packet[5] = 24;
        packet[6] = 58;
        packet[7] = hop_limit;
        packet[8..24].copy_from_slice(&source.octets());
        packet[24..40].copy_from_slice(&solicited_node(VIP).octets());
        packet[40] = 135;
        packet[48..64].copy_from_slice(&VIP.octets());
        let headers = Headers::parse(&packet).unwrap();
        checksum::fill_transport(&mut packet, &headers);
        packet
    }

    fn answered(packet: &[u8]) -> Option<Vec<u8>> {
        let mut frame = vec![0; 128];
        let headers = Headers::parse(packet).unwrap();
        let len = answer(packet, &headers, PEER_AT, OWN, |address| address == VIP, &mut frame)?;
        frame.truncate(len);
        Some(frame)
    }

    #[test]
    fn a_solicitation_is_answered() {
        let frame = answered(&solicitation(PEER, 255)).unwrap();
        assert_eq!(ethernet::read(&frame).unwrap().destination, PEER_AT);
        let headers = Headers::parse(&frame[14..]).unwrap();
        assert_eq!((headers.source, headers.destination), (VIP.into(), PEER.into()));
        assert!(checksum::verify_transport(&frame[14..], &headers));
        assert_eq!(frame[14 + 44], SOLICITED | OVERRIDE);
        assert_eq!(frame[14 + 66..], OWN);
    }

    #[test]
    fn a_probe_for_duplicates_is_answered_to_all() {
        let frame = answered(&solicitation(Ipv6Addr::UNSPECIFIED, 255)).unwrap();
        assert_eq!(ethernet::read(&frame).unwrap().destination, [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(frame[14 + 44], OVERRIDE);
    }

    #[test]
    fn what_crossed_a_router_or_is_damaged_is_not() {
        assert_eq!(answered(&solicitation(PEER, 254)), None);
        let mut damaged = solicitation(PEER, 255);
        damaged[42] ^= 1;
        assert_eq!(answered(&damaged), None);
    }
}
