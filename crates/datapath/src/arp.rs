//! ARP (RFC 826) for virtual addresses: Ethernet and IPv4 only.

use std::net::Ipv4Addr;

use crate::ethernet;
use crate::netlink::HardwareAddress;

/// Length of an ARP packet.
const LEN: usize = 28;

/// Hardware type Ethernet, protocol IPv4, address lengths 6 and 4.
const PREAMBLE: [u8; 6] = [0, 1, 8, 0, 6, 4];

const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// If `frame`, whose ARP packet starts at `at`, is a request for an address that `is_answered`, makes it the reply to be
/// sent back, saying `own`. Returns the reply's length.
///
/// A request whose sender claims the address itself (an announcement, RFC 5227) is none for us.
pub(crate) fn answer(
    frame: &mut [u8],
    at: usize,
    own: HardwareAddress,
    is_answered: impl Fn(Ipv4Addr) -> bool,
) -> Option<usize> {
    let arp = frame.get_mut(at..at + LEN)?;
    if arp[..6] != PREAMBLE || arp[6..8] != REQUEST {
        return None;
    }
    let sender: [u8; 4] = arp[14..18].try_into().ok()?;
    let target: [u8; 4] = arp[24..28].try_into().ok()?;
    if sender == target || !is_answered(target.into()) {
        return None;
    }
    arp[6..8].copy_from_slice(&REPLY);
    // The sender becomes the target.
    arp.copy_within(8..18, 18);
    arp[8..14].copy_from_slice(&own);
    arp[14..18].copy_from_slice(&target);
    ethernet::turn_round(frame, own);
    Some(at + LEN)
}

/// Writes a gratuitous ARP frame (an announcement, RFC 5227 section 3) that `address` is at `own`; returns its length.
pub(crate) fn announce(frame: &mut [u8], address: Ipv4Addr, own: HardwareAddress) -> Option<usize> {
    let end = ethernet::HEADER + LEN;
    ethernet::write(frame, ethernet::HEADER, [0xff; 6], own, None, ethernet::ARP)?;
    let arp = frame.get_mut(ethernet::HEADER..end)?;
    arp[..6].copy_from_slice(&PREAMBLE);
    arp[6..8].copy_from_slice(&REQUEST);
    arp[8..14].copy_from_slice(&own);
    arp[14..18].copy_from_slice(&address.octets());
    arp[18..24].fill(0);
    arp[24..28].copy_from_slice(&address.octets());
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
    const OWN: HardwareAddress = [2, 0, 0, 0, 0, 1];
    const PEER: HardwareAddress = [2, 0, 0, 0, 0, 9];

    fn request(target: Ipv4Addr) -> Vec<u8> {
        let mut frame = vec![0; 60];
        ethernet::write(&mut frame, 14, [0xff; 6], PEER, None, ethernet::ARP).unwrap();
        frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        frame[22..28].copy_from_slice(&PEER);
        frame[28..32].copy_from_slice(&[10, 0, 0, 9]);
        frame[38..42].copy_from_slice(&target.octets());
        frame
    }

    #[test]
    fn a_request_for_a_virtual_address_is_answered() {
        let mut frame = request(VIP);
        assert_eq!(answer(&mut frame, 14, OWN, |address| address == VIP), Some(42));
        let header = ethernet::read(&frame).unwrap();
        assert_eq!((header.destination, header.source), (PEER, OWN));
        assert_eq!(frame[20..22], REPLY);
        assert_eq!(frame[22..28], OWN);
        assert_eq!(frame[28..32], VIP.octets());
        assert_eq!(frame[32..38], PEER);
        assert_eq!(frame[38..42], [10, 0, 0, 9]);
    }

    #[test]
    fn nothing_else_is() {
        let untouched = request(Ipv4Addr::new(10, 0, 0, 101));
        let mut frame = untouched.clone();
        assert_eq!(answer(&mut frame, 14, OWN, |address| address == VIP), None);
        assert_eq!(frame, untouched);
        let mut announcement = vec![0; 60];
        assert_eq!(announce(&mut announcement, VIP, PEER), Some(42));
        assert_eq!(answer(&mut announcement, 14, OWN, |_| true), None);
        for len in 0..42 {
            assert_eq!(answer(&mut request(VIP)[..len], 14, OWN, |_| true), None);
        }
    }
}
